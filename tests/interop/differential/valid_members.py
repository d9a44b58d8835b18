"""Valid requests of the group protocol of KIP-848 (see `valid`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.interop.differential.sent import Case
from tests.interop.differential.valid import Base

TEAM = "next-{n}"
MEMBER = "AAAAAAAAAAAAAAAAAAAAAA"
LONG_MS = 300_000


def heartbeat(epoch: int = 0, **more: Any) -> dict[str, Any]:
    """A member's heartbeat with all that it has to say."""
    return {
        "group_id": TEAM,
        "member_id": MEMBER,
        "member_epoch": epoch,
        "rebalance_timeout_ms": LONG_MS,
        "subscribed_topic_names": ["alpha"],
        "topic_partitions": [],
        **more,
    }


def joined() -> list[Case]:
    """A group of one member."""
    return [Case("a first heartbeat", 68, 1, heartbeat(), valid=True)]


def _heartbeat() -> list[Base]:
    return [
        ("of a new member", heartbeat(), []),
        ("of a member", heartbeat(1), joined()),
        ("that says goodbye", heartbeat(-1), joined()),
        ("of a static member", heartbeat(instance_id="one"), []),
        ("with an assignor", heartbeat(server_assignor="range"), []),
    ]


def _describe() -> list[Base]:
    tree = {"group_ids": [TEAM], "include_authorized_operations": False}
    return [
        ("of a member", tree, joined()),
        ("with operations", {**tree, "include_authorized_operations": True}, joined()),
        ("of nobody", {"group_ids": ["nobody"]}, []),
    ]


VALID_MEMBERS: dict[int, Callable[[], list[Base]]] = {68: _heartbeat, 69: _describe}
