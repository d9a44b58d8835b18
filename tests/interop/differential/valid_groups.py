"""Valid requests of every API about consumer groups (see `valid`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.interop.differential.sent import Case, topic_id
from tests.interop.differential.valid import Base

LONG_MS = 1_000_000
CLUB = "club-{n}"
MEMBER = f"<{CLUB}>"
PROTOCOL = {"name": "range", "metadata": b"\0\0\0\0\0\1\0\5alpha\xff\xff\xff\xff"}


def join(group: str = CLUB, **more: Any) -> dict[str, Any]:
    """A JoinGroup of a new member."""
    return {
        "group_id": group,
        "session_timeout_ms": LONG_MS,
        "rebalance_timeout_ms": LONG_MS,
        "protocol_type": "consumer",
        "protocols": [PROTOCOL],
        **more,
    }


def sync(group: str = CLUB, **more: Any) -> dict[str, Any]:
    """A SyncGroup of its leader."""
    return {
        "group_id": group,
        "generation_id": 1,
        "member_id": f"<{group}>",
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": [{"member_id": f"<{group}>", "assignment": b"yours"}],
        **more,
    }


def joined(group: str = CLUB) -> list[Case]:
    """A member joins: the group waits for its assignment."""
    return [Case(f"join {group}", 11, 3, join(group), valid=True)]


def member(group: str = CLUB) -> list[Case]:
    """A group of one member."""
    return [*joined(group), Case(f"sync {group}", 14, 5, sync(group), valid=True)]


def commit(group: str, **more: Any) -> dict[str, Any]:
    """A commit of one offset."""
    part = {"partition_index": 0, "committed_offset": 2, "committed_metadata": "here"}
    topic = {"name": "alpha", "topic_id": topic_id("alpha"), "partitions": [part]}
    return {
        "group_id": group,
        "generation_id_or_member_epoch": -1,
        "topics": [topic],
        "retention_time_ms": -1,
        **more,
    }


def _join() -> list[Base]:
    static = {"group_instance_id": "one"}
    return [
        ("of a new member", join(), []),
        ("of a static member", join(**static), []),
        ("again", join(member_id=MEMBER), member()),
    ]


def _sync() -> list[Base]:
    return [("of the leader", sync(), joined()), ("again", sync(), member())]


def _heartbeat() -> list[Base]:
    tree = {"group_id": CLUB, "generation_id": 1, "member_id": MEMBER}
    return [("of a member", tree, member()), ("while it waits", tree, joined())]


def _leave() -> list[Base]:
    one = {"member_id": MEMBER}
    return [("of a member", {"group_id": CLUB, **one, "members": [one]}, member())]


def _commit() -> list[Base]:
    by_member = {"generation_id_or_member_epoch": 1, "member_id": MEMBER}
    return [
        ("without members", commit("plain-{n}"), []),
        ("of a member", commit(CLUB, **by_member), member()),
    ]


def _fetch() -> list[Base]:
    before = [Case("commit", 8, 9, commit("plain-{n}"), valid=True)]
    topic = {"name": "alpha", "topic_id": topic_id("alpha"), "partition_indexes": [0, 1]}

    def tree(group: str, topics: Any, **more: Any) -> dict[str, Any]:
        one = {"group_id": group, "topics": topics}
        return {"group_id": group, "topics": topics, "groups": [{**one, **more}]}

    def stable(group: str, topics: Any) -> dict[str, Any]:
        return {**tree(group, topics), "require_stable": True}

    return [
        ("of two partitions", tree("plain-{n}", [topic]), before),
        ("stable", stable("plain-{n}", [topic]), before),
        ("of all", stable("plain-{n}", None), before),
        ("of nobody", stable("nobody", [topic]), []),
    ]


def _delete() -> list[Base]:
    before = [Case("commit", 8, 9, commit("plain-{n}"), valid=True)]
    return [("of an empty one", {"groups_names": ["plain-{n}"]}, before)]


def _offset_delete() -> list[Base]:
    before = [Case("commit", 8, 9, commit("plain-{n}"), valid=True)]
    topic = {"name": "alpha", "partitions": [{"partition_index": 0}]}
    return [("of one", {"group_id": "plain-{n}", "topics": [topic]}, before)]


def _find() -> list[Base]:
    return [("of a group", {"key": "plain", "key_type": 0, "coordinator_keys": ["plain"]}, [])]


def _describe() -> list[Base]:
    with_operations = {"groups": [CLUB], "include_authorized_operations": True}
    return [
        ("of a member", {"groups": [CLUB]}, member()),
        ("while it waits", with_operations, joined()),
        ("of nobody", {"groups": ["nobody"]}, []),
    ]


def _list() -> list[Base]:
    return [
        ("of all", {}, []),
        ("that are stable", {"states_filter": ["Stable"]}, member()),
        ("that are classic", {"types_filter": ["classic"]}, []),
    ]


VALID_GROUPS: dict[int, Callable[[], list[Base]]] = {
    8: _commit,
    9: _fetch,
    10: _find,
    11: _join,
    12: _heartbeat,
    13: _leave,
    14: _sync,
    15: _describe,
    16: _list,
    42: _delete,
    47: _offset_delete,
}
