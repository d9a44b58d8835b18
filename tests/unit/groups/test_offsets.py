"""Committed offsets, rule by rule (facts: coordinators, section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from barnabas.coordinator.effects import Effects
from barnabas.coordinator.framing import CoordinatorRecord
from barnabas.groups.context import RequestContext
from barnabas.groups.records.group_metadata_key import GroupMetadataKey
from barnabas.groups.records.group_metadata_value import GroupMetadataValue
from barnabas.groups.shard import EXPIRY
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_delete_request import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from tests.unit.groups.desk import Desk, Paper

ID, OTHER_ID = bytes([1] * 16), bytes([2] * 16)
CONSUMER_META = b"\0\0" + b"\0\0\0\1\0\1t" + b"\xff\xff\xff\xff"
"""A ConsumerProtocolSubscription of version 0: topic t."""
DAY_MS = 86_400_000


def commit(
    d: Desk,
    offset: int,
    *,
    member: str = "",
    generation: int = -1,
    partition: int = 0,
    version: int = 9,
    retention_ms: int = -1,
    metadata: str | None = "",
    topic: str = "t",
    group: str = "g",
) -> ErrorCode:
    """OffsetCommit of one partition."""
    part = OffsetCommitRequestPartition(partition, offset, 3, metadata)
    named = OffsetCommitRequestTopic(topic, ID, [part])
    request = OffsetCommitRequest(group, generation, member, None, retention_ms, [named])
    context = RequestContext("c", "/h", version)
    answer = d.run(lambda paper: d.shard.commit_offsets(context, request, paper, d.now)).response
    return ErrorCode(answer.topics[0].partitions[0].error_code)


def commit_in_transaction(d: Desk, offset: int, producer_id: int, **options: Any) -> ErrorCode:
    """TxnOffsetCommit of one partition."""
    part = TxnOffsetCommitRequestPartition(0, offset, -1, "")
    request = TxnOffsetCommitRequest(
        "tid",
        "g",
        producer_id,
        0,
        options.get("generation", -1),
        options.get("member", ""),
        None,
        [TxnOffsetCommitRequestTopic("t", [part])],
    )
    answer = d.run(lambda paper: d.shard.commit_in_transaction(request, paper, d.now)).response
    return ErrorCode(answer.topics[0].partitions[0].error_code)


def fetched(
    d: Desk, *, stable: bool = False, topic_id: bytes = ID, partition: int = 0
) -> tuple[int, int]:
    """(offset, error) of one partition."""
    topics = [OffsetFetchRequestTopics("t", topic_id, [partition])]
    found = d.shard.fetch_offsets(
        OffsetFetchRequestGroup("g", topics=topics), require_stable=stable
    )
    part = found.topics[0].partitions[0]
    return part.committed_offset, part.error_code


def delete(d: Desk) -> tuple[int, list[int]]:
    """OffsetDelete of two partitions: error of the whole, errors of the partitions."""
    parts = [OffsetDeleteRequestPartition(0), OffsetDeleteRequestPartition(1)]
    request = OffsetDeleteRequest("g", [OffsetDeleteRequestTopic("t", parts)])
    answer = d.run(lambda paper: d.shard.delete_offsets(request, paper)).response
    return answer.error_code, [p.error_code for t in answer.topics for p in t.partitions]


def test_somebody_without_members_keeps_offsets_here() -> None:
    d = Desk()
    assert fetched(d) == (-1, 0)
    assert commit(d, 7) == ErrorCode.NONE
    assert fetched(d) == (7, 0)
    d.reload()
    assert fetched(d) == (7, 0)
    assert [each.group_id for each in d.shard.list_groups(["empty"], ["CLASSIC"])] == ["g"]
    assert d.shard.list_groups(["stable"], []) == []


def test_an_unknown_group_with_a_generation() -> None:
    d = Desk()
    assert commit(d, 7, generation=1, member="m") == ErrorCode.GROUP_ID_NOT_FOUND
    assert commit(d, 7, generation=1, member="m", version=8) == ErrorCode.ILLEGAL_GENERATION
    assert commit_in_transaction(d, 1, 5, generation=1) == ErrorCode.ILLEGAL_GENERATION


def test_members_commit_in_their_generation_only() -> None:
    d = Desk()
    (leader,) = d.stable()
    assert commit(d, 1, member=leader, generation=1) == ErrorCode.NONE
    for wrong in (0, 2):
        refused = commit(d, 2, member=leader, generation=wrong)
        assert refused == ErrorCode.ILLEGAL_GENERATION
    assert commit(d, 2, member="x", generation=1) == ErrorCode.UNKNOWN_MEMBER_ID
    assert commit(d, 2) == ErrorCode.UNKNOWN_MEMBER_ID
    assert fetched(d) == (1, 0)


def test_no_commits_between_join_and_sync_but_before() -> None:
    d = Desk()
    leader, other = d.stable(2)
    generation = d.group().generation
    d.join(leader)
    assert commit(d, 1, member=other, generation=generation) == ErrorCode.NONE
    d.join(other)
    refused = commit(d, 2, member=other, generation=generation + 1)
    assert refused == ErrorCode.REBALANCE_IN_PROGRESS


def test_a_commit_is_a_sign_of_life() -> None:
    d = Desk()
    (leader,) = d.stable()
    for _ in range(3):
        d.advance(9_000)
        assert commit(d, 1, member=leader, generation=1) == ErrorCode.NONE


def test_metadata_has_a_bound() -> None:
    d = Desk()
    assert commit(d, 1, metadata="x" * 4096) == ErrorCode.NONE
    assert commit(d, 2, metadata="x" * 4097) == ErrorCode.OFFSET_METADATA_TOO_LARGE
    assert commit(d, 2, metadata="😀" * 2049) == ErrorCode.OFFSET_METADATA_TOO_LARGE
    assert commit(d, 3, metadata="😀" * 2048) == ErrorCode.NONE
    assert commit(d, 4, metadata=None) == ErrorCode.NONE
    assert fetched(d) == (4, 0)


def test_another_topic_of_that_name_has_no_offset() -> None:
    d = Desk()
    commit(d, 7)
    assert fetched(d, topic_id=OTHER_ID) == (-1, 0)
    assert fetched(d, topic_id=bytes(16)) == (7, 0)


def test_all_topics_of_a_group() -> None:
    d = Desk()
    for partition in (2, 0):
        commit(d, partition, partition=partition)
    found = d.shard.fetch_offsets(OffsetFetchRequestGroup("g", topics=None), require_stable=False)
    assert [(t.name, [p.partition_index for p in t.partitions]) for t in found.topics] == [
        ("t", [0, 2])
    ]


# -- transactions --------------------------------------------------------------------------------


@pytest.mark.parametrize("reload", [False, True])
def test_offsets_of_a_transaction_count_when_it_is_committed(reload: bool) -> None:
    d = Desk()
    commit(d, 1)
    assert commit_in_transaction(d, 9, 5) == ErrorCode.NONE
    if reload:
        d.reload()
    assert fetched(d) == (1, 0)
    assert fetched(d, stable=True) == (-1, ErrorCode.UNSTABLE_OFFSET_COMMIT)
    d.shard.replay_marker(5, 0, commit=True)
    assert fetched(d, stable=True) == (9, 0)


def test_offsets_of_an_aborted_transaction_are_forgotten() -> None:
    d = Desk()
    commit_in_transaction(d, 9, 5)
    d.shard.replay_marker(5, 0, commit=False)
    assert fetched(d, stable=True) == (-1, 0)
    d.shard.replay_marker(6, 0, commit=True)


def test_a_later_plain_commit_wins_over_an_earlier_one_in_a_transaction() -> None:
    d = Desk()
    commit_in_transaction(d, 9, 5)
    commit(d, 4)
    d.shard.replay_marker(5, 0, commit=True)
    assert fetched(d, stable=True) == (4, 0)


def test_of_two_transactions_the_later_record_wins_whatever_ends_first() -> None:
    d = Desk()
    commit_in_transaction(d, 1, 5)
    commit_in_transaction(d, 2, 6)
    d.shard.replay_marker(6, 0, commit=True)
    assert fetched(d, stable=True) == (-1, ErrorCode.UNSTABLE_OFFSET_COMMIT)
    d.shard.replay_marker(5, 0, commit=True)
    assert fetched(d, stable=True) == (2, 0)


def test_members_commit_in_transactions_too() -> None:
    d = Desk()
    (leader,) = d.stable()
    assert commit_in_transaction(d, 1, 5) == ErrorCode.NONE
    assert commit_in_transaction(d, 1, 5, member=leader, generation=1) == ErrorCode.NONE
    stale = commit_in_transaction(d, 1, 5, member=leader, generation=0)
    assert stale == ErrorCode.ILLEGAL_GENERATION


# -- deletion and expiry -------------------------------------------------------------------------


def test_offsets_can_be_deleted_unless_somebody_reads_the_topic() -> None:
    d = Desk()
    assert delete(d) == (ErrorCode.GROUP_ID_NOT_FOUND, [])
    commit(d, 1)
    commit_in_transaction(d, 2, 5)
    assert delete(d) == (0, [0, 0])
    d.shard.replay_marker(5, 0, commit=True)
    assert fetched(d) == (-1, 0)
    d.stable(protocols={"range": CONSUMER_META})
    assert delete(d) == (0, [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC] * 2)
    other = Desk()
    other.stable(kind="connect")
    assert delete(other) == (ErrorCode.NON_EMPTY_GROUP, [])


def test_a_group_is_deleted_with_all_its_offsets() -> None:
    d = Desk()
    (leader,) = d.stable()
    commit(d, 1, member=leader, generation=1)

    def drop() -> int:
        paper = d.run(lambda paper: d.shard.delete_group("g", paper, d.now))
        return int(paper.response.results[0].error_code)

    assert drop() == ErrorCode.NON_EMPTY_GROUP
    d.leave((leader, None))
    assert d.shard.delete_group("g", Paper(), d.now).divisible  # there may be very many
    assert drop() == ErrorCode.NONE
    assert drop() == ErrorCode.GROUP_ID_NOT_FOUND
    d.reload()
    assert d.shard.state.groups == {}
    assert len(d.shard.state.offsets) == 0


def test_offsets_of_an_empty_group_expire_with_it() -> None:
    d = Desk()
    (leader,) = d.stable()
    commit(d, 1, member=leader, generation=1)
    d.advance(9_000)
    d.leave((leader, None))
    d.advance(7 * DAY_MS - 600_000)
    assert fetched(d) == (1, 0)
    d.advance(1_300_000)
    assert fetched(d) == (-1, 0)
    assert d.shard.state.groups == {}


def test_offsets_of_an_empty_group_of_old_expire_with_their_age() -> None:
    """Records of before Kafka 2.1 do not say since when a group is empty."""
    d = Desk()
    old = CoordinatorRecord(GroupMetadataKey("g"), GroupMetadataValue("consumer", 5), 1)
    effects = Effects()
    effects.records.append(old)
    d.run(lambda _: effects)
    commit(d, 1)
    d.reload()
    d.advance(7 * DAY_MS - 600_000)
    assert fetched(d) == (1, 0)
    d.advance(1_300_000)
    assert fetched(d) == (-1, 0)


def test_offsets_of_topics_that_are_read_do_not_expire() -> None:
    d = Desk(offsets_retention_ms=600_000)
    (leader,) = d.stable(protocols={"range": CONSUMER_META}, session_ms=1_800_000)
    commit(d, 1, member=leader, generation=1)
    commit(d, 1, member=leader, generation=1, topic="unread")
    d.advance(1_300_000)
    assert fetched(d) == (1, 0)
    assert d.shard.state.offsets.get("g", "unread", 0) is None


def test_a_commit_may_say_how_long_it_is_good_for() -> None:
    d = Desk()
    commit(d, 1, version=2, retention_ms=700_000)
    commit(d, 2, partition=1)
    d.advance(600_000)
    assert fetched(d) == (1, 0)
    d.advance(600_000)
    assert fetched(d) == (-1, 0)
    assert fetched(d, partition=1) == (2, 0)


def test_pending_offsets_do_not_expire() -> None:
    d = Desk()
    commit(d, 1)
    commit_in_transaction(d, 2, 5)
    d.advance(8 * DAY_MS)
    assert fetched(d) == (1, 0)


def test_very_many_offsets_expire_a_little_at_a_time() -> None:
    d = Desk()
    for number in range(2_500):
        commit(d, 1, group=f"g{number}")
    before = len(d.log)
    d.advance(8 * DAY_MS)
    assert len(d.shard.state.offsets) == 0
    assert len(d.log) == before + 5_000


def test_a_look_at_very_many_offsets_pauses() -> None:
    d = Desk()
    for number in range(250):
        for partition in range(100):
            commit(d, 1, group=f"g{number}", partition=partition)
    waits = []
    for _ in range(4):
        effects = d.shard.timer(EXPIRY, d.now)
        assert effects.divisible
        ((key, at),) = effects.timers
        assert key == EXPIRY
        assert at is not None
        waits.append(at - d.ms)
    assert waits == [1, 1, 600_000, 1]


def test_a_group_of_very_many_offsets_expires_a_little_at_a_time() -> None:
    d = Desk(offsets_retention_ms=100_000)
    for topic in ("old", "new", "older"):
        for first in range(0, 1_500, 500):
            commit_many(d, topic, range(first, first + 500))
    d.ms += 50_000
    for first in range(0, 1_500, 500):
        commit_many(d, "new", range(first, first + 500))
    d.ms += 50_000
    # The group stays, since what is new has not expired.
    assert looks(d) == [1_000, 500, 0, 1_000, 500]
    assert d.shard.state.offsets.of_group("g").keys() == {"new"}
    assert d.shard.state.groups.keys() == {"g"}
    d.ms += 50_000
    assert looks(d) == [1_000, 501]
    assert not len(d.shard.state.offsets)
    assert not d.shard.state.groups


def looks(d: Desk) -> list[int]:
    """How many tombstones each decision wrote, until all offsets have been looked at."""
    written = []
    while True:
        effects = d.shard.timer(EXPIRY, d.now)
        written.append(len(effects.records))
        d._do(effects)
        if d.timers[EXPIRY] > d.ms + 1:
            return written


def commit_many(d: Desk, topic: str, partitions: range) -> None:
    """One request for many partitions of a topic."""
    parts = [OffsetCommitRequestPartition(number, 1) for number in partitions]
    request = OffsetCommitRequest("g", topics=[OffsetCommitRequestTopic(topic, partitions=parts)])
    context = RequestContext("c", "/h", 9)
    d.run(lambda paper: d.shard.commit_offsets(context, request, paper, d.now))


def test_expiry_goes_on_after_the_log_refused_its_tombstones() -> None:
    d = Desk(offsets_retention_ms=600_000)
    commit(d, 1)
    d.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
    d.advance(600_000)
    assert fetched(d) == (1, 0)
    d.advance(600_000)
    assert fetched(d) == (-1, 0)


def test_a_topic_that_is_deleted_takes_its_offsets_along() -> None:
    d = Desk()
    commit(d, 1)
    commit(d, 1, topic="other")
    assert d.shard.topics_deleted([("t", OTHER_ID)]) == []
    (effects,) = d.shard.topics_deleted([("t", ID)])
    assert len(effects.records) == 1
    assert effects.divisible
    d.run(lambda _: effects)
    assert fetched(d) == (-1, 0)
    assert len(d.shard.state.offsets) == 1
