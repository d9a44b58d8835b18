"""The records of __consumer_offsets and __transaction_state beside those of Kafka's own writers.

Groups and transactions live; every record that our coordinators wrote is read by Kafka's classes and
written again, by its serializer and, where one record is all that it takes, from the state that Kafka
makes of it. What Kafka wrote is what we wrote, and what we read.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from barnabas.coordinator.framing import RecordTypes, decode_record
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.transactions.record_types import TRANSACTION_RECORDS
from barnabas.wire.message import Message
from tests.interop.kafka import java_tool
from tests.unit.groups.consumer_desk import ConsumerDesk
from tests.unit.groups.test_consumer_migration import MigrationDesk
from tests.unit.groups.test_offsets import commit
from tests.unit.transactions.desk import Desk, Who

pytestmark = pytest.mark.usefixtures("java")


def truth(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Kafka makes of each record."""
    text = "".join(json.dumps(each) + "\n" for each in asked)
    done = java_tool("CoordinatorTruth", stdin=text)
    return [json.loads(line) for line in done.stdout.splitlines()]


def sorted_fields(value: Any) -> Any:
    """A message as plain values; where Kafka writes in the order of its hash maps, in any."""
    if isinstance(value, Message):
        return {field.name: sorted_fields(getattr(value, field.name)) for field in value.FIELDS}
    if isinstance(value, list):
        return sorted((sorted_fields(each) for each in value), key=repr)
    return value


def compare(log: list[tuple[bytes, bytes | None]], types: RecordTypes, **more: Any) -> set[str]:
    """Kafka reads these records and writes the same; the types of those that it wrote itself."""
    asked = [
        {"key": key.hex(), "value": None if value is None else value.hex(), **more}
        for key, value in log
    ]
    of_its_own = set()
    for question, answer in zip(asked, truth(asked), strict=True):
        ours = {"key": question["key"], "value": question["value"]}
        assert answer["again"] == ours
        if "written" not in answer:
            continue
        key, value = bytes.fromhex(answer["written"]["key"]), answer["written"]["value"]
        theirs = decode_record(types, key, None if value is None else bytes.fromhex(value))
        data = None if ours["value"] is None else bytes.fromhex(ours["value"])
        mine = decode_record(types, bytes.fromhex(ours["key"]), data)
        assert mine is not None
        assert theirs is not None
        assert theirs.version == mine.version
        assert sorted_fields(theirs.key) == sorted_fields(mine.key)
        assert sorted_fields(theirs.value) == sorted_fields(mine.value)
        assert len(value or "") == len(ours["value"] or "")
        kind = type(mine.key).__name__.removesuffix("Key")
        of_its_own.add(kind if mine.value is not None else f"-{kind}")
    return of_its_own


def log_of(desk: Any) -> list[tuple[bytes, bytes | None]]:
    """Keys and values of what a desk has written."""
    return [(key, value) for key, value, _ in desk.log]


def test_records_of_consumer_groups() -> None:
    desk = ConsumerDesk({"t": 6, "u": 3, "xa": 2})
    desk.settle("a", "b", topics=("t", "u"), server_assignor="range")
    desk.note("s", desk.start("s", ("u",), instance_id="i", rack_id="r", rebalance_timeout_ms=7))
    desk.live("a", "b", "s")
    desk.beat("s", -2, instance_id="i")
    desk.start("s2", ("u",), instance_id="i")
    desk.note("x", desk.start("x", None, subscribed_topic_regex="x.*"))
    desk.answer_regexes()
    desk.live("a", "b", "x")
    desk.topic("t", 9)
    desk.live("a", "b", "x")
    commit(desk, 5, member="a", generation=desk.epochs["a"])
    commit(desk, 6, member="a", generation=desk.epochs["a"], metadata="märk", partition=1)
    for member in ("a", "b", "x"):
        desk.beat(member, -1)
    written = compare(log_of(desk), GROUP_RECORDS, of="groups")
    kinds = {"MemberMetadata", "TargetAssignmentMember", "CurrentMemberAssignment"}
    assert {f"ConsumerGroup{kind}" for kind in kinds} <= written
    assert {f"-ConsumerGroup{kind}" for kind in kinds} <= written
    assert {
        "ConsumerGroupMetadata",
        "ConsumerGroupTargetAssignmentMetadata",
        "ConsumerGroupRegularExpression",
        "OffsetCommit",
    } <= written


def test_records_of_classic_groups_and_of_those_that_change() -> None:
    desk = MigrationDesk()
    desk.classic()
    commit(desk, 3, member=desk.owner, generation=desk.generation, version=4, retention_ms=1000)
    desk.start("new", ("t",))
    desk.live("new")
    desk.beat("new", -1)
    desk.advance(10_000_000)
    written = compare(log_of(desk), GROUP_RECORDS, of="groups")
    assert {"ConsumerGroupMemberMetadata", "-ConsumerGroupMetadata", "OffsetCommit"} <= written


@pytest.mark.parametrize("version", [0, 1, 2])
def test_records_of_transactions(version: int) -> None:
    desk = Desk(version)
    client = 2 if version == 2 else 0
    who = desk.begin()
    desk.add(who, ("t", 0), ("t", 3), ("u", 1), version=client)
    who = desk.ended(who, version=client)
    desk.add(who, ("t", 0), version=client)
    who = desk.ended(who, commit=False, version=client)
    desk.add(who, version=client)
    desk.init()  # fences it
    desk.send()
    # The epochs are used up.
    desk.transaction().epoch = 32766
    desk.add(Who(desk.transaction().producer_id, 32766), version=client)
    desk.end(Who(desk.transaction().producer_id, 32766), version=client)
    desk.send()
    desk.init()
    desk.advance(7 * 86_400_000 + 3_600_000)
    assert desk.log[-1][1] is None  # expired
    log = log_of(desk)
    assert compare(log, TRANSACTION_RECORDS, of="transactions", version=version) == {
        "TransactionLog"
    }
