"""Rules of classic groups and offsets that need no story (facts: coordinators, 2, 5 and 8)."""

from __future__ import annotations

import pytest

from barnabas.coordinator.framing import decode_record
from barnabas.groups.classic.group import State
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.wire.errors import ErrorCode
from tests.unit.groups.desk import Desk
from tests.unit.groups.test_classic_groups import codes
from tests.unit.groups.test_offsets import CONSUMER_META, commit, fetched


def test_while_a_rebalance_is_prepared_those_who_joined_count_against_the_maximum() -> None:
    d = Desk(max_size=2)
    one, two = d.stable(2)
    d.join(one)
    assert d.group().state is State.PREPARING
    assert codes(d.join()) == [ErrorCode.MEMBER_ID_REQUIRED], "one of two has joined"
    # The new id is on the way: the phase goes on, and now both places are taken.
    assert not d.join(two).done
    assert codes(d.join()) == [ErrorCode.GROUP_MAX_SIZE_REACHED]


def test_an_empty_group_knows_no_member() -> None:
    d = Desk()
    (member,) = d.stable()
    d.leave((member, None))
    assert d.group().state is State.EMPTY
    assert d.heartbeat(member, d.group().generation) == ErrorCode.UNKNOWN_MEMBER_ID
    assert codes(d.join(member)) == [ErrorCode.UNKNOWN_MEMBER_ID]
    assert codes(d.sync(member, d.group().generation)) == [ErrorCode.UNKNOWN_MEMBER_ID]


def test_a_heartbeat_during_a_rebalance_is_a_sign_of_life() -> None:
    d = Desk()
    leader, other = d.stable(2, rebalance_ms=60_000)
    d.join(leader, rebalance_ms=60_000)
    for _ in range(4):
        d.advance(9_000)
        assert d.heartbeat(other, d.group().generation) == ErrorCode.REBALANCE_IN_PROGRESS
    assert other in d.group().members


def test_an_id_that_was_given_out_is_a_name_and_something_new() -> None:
    d = Desk()
    assert d.join(client="app").response.member_id == "app-id0"
    static = d.join(client="app", instance="seat")
    d.advance(0)
    assert static.response.member_id == "seat-id1"


def test_the_generation_is_written_when_the_leader_brings_the_assignment() -> None:
    d = Desk()
    before = len(d.log)
    member_id, paper = d.new_member()
    d.advance(0)
    assert paper.done
    assert len(d.log) == before + 1, "that the group is there"
    d.sync(member_id, 1, {member_id: b"all"})
    assert len(d.log) == before + 2


@pytest.mark.parametrize(("version", "state"), [(5, "Dead"), (6, "Dead")])
def test_an_unknown_group_is_described_as_dead(version: int, state: str) -> None:
    found = Desk().shard.describe("nobody", version)
    assert found.group_state == state
    expected = ErrorCode.GROUP_ID_NOT_FOUND if version >= 6 else ErrorCode.NONE
    assert found.error_code == expected


def test_metadata_is_described_once_the_group_is_stable_and_assignments_always() -> None:
    d = Desk()
    leader, other = d.stable(2)
    found = d.shard.describe("g", 5)
    assert {each.member_id: each.member_assignment for each in found.members} == {
        leader: leader.encode(),
        other: other.encode(),
    }
    assert (found.protocol_data, found.protocol_type) == ("range", "consumer")
    d.join(leader)
    found = d.shard.describe("g", 5)
    assert [each.member_assignment for each in found.members] == [leader.encode(), other.encode()]
    assert [each.member_metadata for each in found.members] == [b"", b""]
    assert found.protocol_data == ""


def test_offsets_of_members_that_are_no_consumers_do_not_expire() -> None:
    d = Desk(offsets_retention_ms=600_000)
    (worker,) = d.stable(kind="connect", session_ms=1_800_000)
    commit(d, 1, member=worker, generation=1)
    d.advance(1_300_000)
    assert fetched(d) == (1, 0)


def test_offsets_do_not_expire_while_a_group_rebalances() -> None:
    d = Desk(offsets_retention_ms=600_000)
    (leader,) = d.stable(
        protocols={"range": CONSUMER_META}, session_ms=1_800_000, rebalance_ms=1_800_000
    )
    commit(d, 1, member=leader, generation=1, topic="unread")
    d.new_member(protocols={"range": CONSUMER_META}, session_ms=1_800_000)
    assert d.group().state is State.PREPARING
    for _ in range(2):
        d.heartbeat(leader, 1)
        d.advance(600_000)
    assert d.group().state is State.PREPARING
    assert d.shard.state.offsets.get("g", "unread", 0) is not None


def test_the_versions_of_the_records() -> None:
    d = Desk()
    d.stable()
    commit(d, 1, member=next(iter(d.group().members)), generation=1)
    commit(d, 1, group="old", version=2, retention_ms=1_000)
    found = [
        (int.from_bytes(key[:2], "big"), int.from_bytes(value[:2], "big"))
        for key, value, _ in d.log
        if value is not None
    ]
    assert found == [(2, 3), (2, 3), (1, 4), (1, 1)]
    for key, value, _ in d.log:
        assert decode_record(GROUP_RECORDS, key, value) is not None


def test_records_of_before_2014_are_read_and_left_alone() -> None:
    key = b"\0\0" + b"\0\1g" + b"\0\1t" + b"\0\0\0\0"
    value = b"\0\0" + (7).to_bytes(8, "big") + b"\0\0" + (1).to_bytes(8, "big")
    assert decode_record(GROUP_RECORDS, key, value) is not None
