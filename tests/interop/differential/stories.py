"""Requests in a row that change what is there, and looks at all of it afterwards."""

from __future__ import annotations

from typing import Any

from tests.interop.differential.duel import MARKER, Duel
from tests.interop.differential.sent import Case, producer, session, topic_id
from tests.interop.differential.valid import DAY_0, batch, create, fetch_tree, produce
from tests.interop.differential.valid_groups import commit, join, member, sync

OWN, ANOTHER = "one", "another"


def _offsets(name: str, *times: int) -> Case:
    parts = [{"partition_index": 0, "timestamp": time} for time in times]
    topics = [{"name": name, "partitions": [part]} for part in parts]
    tree = {"replica_id": -1, "topics": topics[:1], "timeout_ms": 5_000}
    return Case(f"offsets of {name} at {times}", 2, 11, tree, valid=True)


def _configs(name: str) -> Case:
    one = {"resource_type": 2, "resource_name": name, "configuration_keys": None}
    return Case(f"configs of {name}", 32, 4, {"resources": [one], "include_synonyms": True})


def _alter(name: str, **configs: tuple[int, str | None]) -> Case:
    some = [
        {"name": key.replace("_", "."), "config_operation": operation, "value": value}
        for key, (operation, value) in configs.items()
    ]
    one = {"resource_type": 2, "resource_name": name, "configs": some}
    return Case(f"alter {name} {configs}", 44, 1, {"resources": [one]})


def _cut(name: str, offset: int) -> Case:
    part = {"partition_index": 0, "offset": offset}
    tree = {"topics": [{"name": name, "partitions": [part]}], "timeout_ms": 10_000}
    return Case(f"cut {name} before {offset}", 21, 2, tree)


def _fetch(name: str, offset: int, **more: Any) -> Case:
    return Case(f"fetch {name} at {offset}", 1, 18, fetch_tree(name, 0, offset, **more))


def topic_life(duel: Duel) -> None:
    """A topic from its making to its end, and another of its name."""
    for round_ in (1, 2):
        duel.run(
            [
                create("life", 1, configs=[{"name": "segment.bytes", "value": "1048576"}]),
                produce("life", batch(*[b"x" * 1000] * 50)),
                produce("life", batch(b"a", b"b", at=DAY_0 + 5_000)),
                _configs("life"),
                _offsets("life", -1),
                _offsets("life", -3),
                _offsets("life", DAY_0 + 10),
                _fetch("life", 0),
                _fetch("life", 51),
                _fetch("life", 52),
                _fetch("life", 53),
                _alter("life", retention_ms=(0, "99999999999999"), cleanup_policy=(2, "compact")),
                _configs("life"),
                _alter("life", retention_ms=(1, None), cleanup_policy=(3, "delete")),
                _configs("life"),
                _alter("life", retention_ms=(0, "no number"), nothing=(0, "1")),
                _alter("life", max_message_bytes=(0, "100")),
                produce("life", batch(b"x" * 200)),
                _alter("life", max_message_bytes=(1, None)),
                _alter("life", min_insync_replicas=(0, "2")),
                produce("life", batch(b"x")),
                _alter("life", min_insync_replicas=(0, "1")),
                _cut("life", 51),
                _cut("life", 60),
                _fetch("life", 10),
                _fetch("life", 51),
                _offsets("life", -2),
                Case("more", 37, 3, {"topics": [{"name": "life", "count": 3}], "timeout_ms": 9000}),
                produce("life", batch(b"in the third"), 2),
                Case("delete", 20, 5, {"topic_names": ["life"], "timeout_ms": 30_000}),
                _offsets("life", -1),
                _fetch("life", 0),
                Case(f"gone {round_}", 3, 12, _metadata("life")),
            ]
        )


def _metadata(*names: str) -> dict[str, Any]:
    topics = [{"name": name, "topic_id": bytes(16)} for name in names]
    return {"topics": topics, "allow_auto_topic_creation": False}


def idempotence(duel: Duel) -> None:
    """Sequences of a producer, in and out of order, its epochs, and its state."""
    duel.run([create("once", 1), Case("new producer", 22, 5, {"transactional_id": None})])
    own = duel.kafka.producers[-1], duel.ours.producers[-1]
    number = len(duel.kafka.producers) - 1
    for sequence, epoch, count in (
        *((0, 0, 3), (0, 0, 3), (3, 0, 1), (3, 0, 2), (5, 0, 1), (2, 0, 1), (4, 0, 1)),
        *((0, 1, 1), (5, 0, 1), (1, 1, 1), (7, 2, 1), (0, 2, 1), (0, -1, 1), (-1, 2, 1)),
    ):
        values = [b"v"] * count
        trees = []
        for producer_id in own:
            records = batch(
                *values, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence
            )
            trees.append(produce("once", records).tree)
        label = f"sequence {sequence} x{count} of epoch {epoch}"
        duel.compare_apart(*(Case(label, 0, 12, tree) for tree in trees))
        state = {"topics": [{"name": "once", "partition_indexes": [0]}]}
        duel.run([Case(f"state behind {label}", 61, 0, state)])
    bump = {"transactional_id": None, "producer_id": producer(number), "producer_epoch": 1}
    duel.run([Case("bump", 22, 5, bump), _fetch("once", 0)])


def fetch_sessions(duel: Duel) -> None:
    """A session, what it says of news, and its errors."""
    first = fetch_tree("sess", 0, 0, session_epoch=0)
    number = len(duel.kafka.sessions)
    none = {**fetch_tree("sess"), "topics": []}

    def later(epoch: int, **more: Any) -> dict[str, Any]:
        return {**none, "session_id": session(number), "session_epoch": epoch, **more}

    forget = [{"topic": "sess", "topic_id": topic_id("sess"), "partitions": [0]}]
    for version in (17, 12, 7):
        duel.run(
            [
                create("sess", 2),
                produce("sess", batch(b"first")),
                Case("begin", 1, version, first),
                Case("no news", 1, version, later(1)),
                produce("sess", batch(b"second")),
                Case("news", 1, version, later(2)),
                Case("wrong epoch", 1, version, later(9)),
                Case("another", 1, version, later(3, topics=fetch_tree("sess", 1)["topics"])),
                Case("forget", 1, version, later(4, forgotten_topics_data=forget)),
                Case("nobody's", 1, version, {**later(5), "session_id": 77}),
                Case("end", 1, version, {**later(-1)}),
                Case("behind the end", 1, version, later(1)),
                Case("delete", 20, 5, {"topic_names": ["sess"], "timeout_ms": 30_000}),
            ]
        )
        number = len(duel.kafka.sessions)


def groups(duel: Duel) -> None:
    """Two members come and go; what is committed, by whom, and what is refused."""
    duel.run(member("team"))
    lead, other = Case("again", 11, 5, join("team", member_id="<team>")), Case("new", 11, 3, {})
    other.tree = join("team")
    beat = {"group_id": "team", "generation_id": 1, "member_id": "<team>"}
    duel.run(
        [
            Case("heartbeat", 12, 4, beat),
            Case(
                "commit", 8, 9, commit("team", generation_id_or_member_epoch=1, member_id="<team>")
            ),
            Case("old", 8, 9, commit("team", generation_id_or_member_epoch=0, member_id="<team>")),
            Case("not a member", 8, 9, commit("team")),
            Case("delete", 42, 2, {"groups_names": ["team", "nobody"]}),
        ]
    )
    waiting = duel.send_ahead(other)
    duel.run([Case("heartbeat in a rebalance", 12, 4, beat), lead])
    duel.receive(waiting)
    duel.members_of(waiting, "<team-2>")
    both = [
        {"member_id": "<team>", "assignment": b"a"},
        {"member_id": "<team-2>", "assignment": b"b"},
    ]
    follower = sync("team", generation_id=2, member_id="<team-2>", assignments=[])
    waiting = duel.send_ahead(Case("sync of the other", 14, 5, follower))
    duel.run([Case("sync", 14, 5, sync("team", generation_id=2, assignments=both))])
    duel.receive(waiting)
    leaving = [{"member_id": "<team>"}, {"member_id": "nobody"}]
    duel.run(
        [
            Case("describe", 15, 5, {"groups": ["team"]}),
            Case("old generation", 12, 4, beat),
            Case("leave", 13, 5, {"group_id": "team", "members": leaving}),
            Case("describe", 15, 5, {"groups": ["team"]}),
            Case("last leaves", 13, 1, {"group_id": "team", "member_id": "<team-2>"}),
            Case("describe", 15, 6, {"groups": ["team"]}),
            Case("offsets", 9, 7, {"group_id": "team", "topics": None}),
            Case("delete", 42, 2, {"groups_names": ["team"]}),
            Case("describe", 15, 6, {"groups": ["team"]}),
        ]
    )


def static_members(duel: Duel) -> None:
    """A static member, its replacement, and what the replaced one is told."""
    static = {"group_instance_id": OWN}
    first = Case("static", 11, 7, join("fixed", **static))
    beat = {"group_id": "fixed", "generation_id": 1, "member_id": "<fixed>", **static}
    duel.run(
        [
            first,
            Case("sync", 14, 5, sync("fixed", **static)),
            Case("heartbeat", 12, 4, beat),
            Case("of another", 12, 4, {**beat, "group_instance_id": ANOTHER}),
            Case("of nobody", 12, 4, {**beat, "member_id": "nobody"}),
            Case("again", 11, 9, join("fixed", **static)),
            Case("describe", 15, 5, {"groups": ["fixed"]}),
            Case("heartbeat", 12, 4, beat),
            Case("leave", 13, 5, {"group_id": "fixed", "members": [{"group_instance_id": OWN}]}),
            Case("describe", 15, 5, {"groups": ["fixed"]}),
        ]
    )


STORIES = (topic_life, idempotence, fetch_sessions, groups, static_members)


def looks(duel: Duel) -> None:
    """All that both show afterwards: topics, configs, records, offsets, groups, quotas, features."""
    topics = duel.compare(
        Case("everything", 3, 12, {"topics": None, "allow_auto_topic_creation": False})
    )["topics"]
    names = [topic["name"] for topic in topics if topic["name"] != MARKER]
    duel.run(
        [
            Case("partitions", 75, 0, {"topics": [], "response_partition_limit": 2000}),
            Case("broker configs", 32, 4, _described(4, ["1", ""])),
            Case("topic configs", 32, 4, _described(2, names)),
            Case("resources", 74, 1, {"resource_types": []}),
            Case("quotas", 48, 1, {"components": [], "strict": False}),
            Case("groups", 16, 5, {}),
            Case("features", 18, 4, {"client_software_name": "a", "client_software_version": "1"}),
        ]
    )
    for topic in topics:
        if topic["name"] != MARKER and not topic["is_internal"]:
            _look_at(duel, topic["name"], len(topic["partitions"]))
    listed = duel.compare(Case("all groups", 16, 5, {}))["groups"]
    for group in listed:
        name = group["group_id"]
        duel.run(
            [
                Case("a group", 15, 5, {"groups": [name]}),
                Case("its offsets", 9, 7, {"group_id": name, "topics": None}),
            ]
        )


def _described(kind: int, names: list[str]) -> dict[str, Any]:
    some = [
        {"resource_type": kind, "resource_name": name, "configuration_keys": None} for name in names
    ]
    return {"resources": some, "include_synonyms": True}


def _look_at(duel: Duel, name: str, partitions: int) -> None:
    for at in (-1, -2, -3):
        parts = [{"partition_index": n, "timestamp": at} for n in range(partitions)]
        tree = {"replica_id": -1, "topics": [{"name": name, "partitions": parts}]}
        duel.run([Case(f"ends of {name}", 2, 11, {**tree, "timeout_ms": 5_000})])
    asked = [{"name": name, "partition_indexes": list(range(partitions))}]
    duel.run([Case(f"producers of {name}", 61, 0, {"topics": asked})])
    for number in range(min(partitions, 4)):
        start = duel.start_of(name, number)
        tree = fetch_tree(name, number, start)
        duel.run([Case(f"records of {name}-{number}", 1, 12, tree)])
