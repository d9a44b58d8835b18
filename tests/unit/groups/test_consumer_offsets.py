"""Offsets of consumer groups, and what administrators see: facts/coordinators.md, section 5."""

from __future__ import annotations

import pytest

from barnabas.groups.context import RequestContext
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.delete_groups_response import DeleteGroupsResponse
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
from barnabas.wire.messages.offset_fetch_request import OffsetFetchRequestGroup
from barnabas.wire.messages.txn_offset_commit_request import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from tests.unit.groups.consumer_desk import ConsumerDesk, World
from tests.unit.groups.test_consumer_migration import mixed


def commit(
    desk: ConsumerDesk,
    member: str,
    epoch: int,
    partition: int = 0,
    *,
    version: int = 9,
    topic: str = "t",
    offset: int = 5,
) -> ErrorCode:
    part = OffsetCommitRequestPartition(partition, offset)
    topics = [OffsetCommitRequestTopic(topic, World.id_of(topic), [part])]
    request = OffsetCommitRequest("g", epoch, member, topics=topics)
    context = RequestContext("c", "/127.0.0.1", version)
    paper = desk.run(lambda paper: desk.shard.commit_offsets(context, request, paper, desk.now))
    return ErrorCode(paper.response.topics[0].partitions[0].error_code)


def commit_in_transaction(
    desk: ConsumerDesk, member: str, epoch: int, topic: str = "t"
) -> ErrorCode:
    parts = [TxnOffsetCommitRequestPartition(0, 5)]
    request = TxnOffsetCommitRequest(
        "x", "g", 1, 0, epoch, member, None, [TxnOffsetCommitRequestTopic(topic, parts)]
    )
    paper = desk.run(lambda paper: desk.shard.commit_in_transaction(request, paper, desk.now))
    return ErrorCode(paper.response.topics[0].partitions[0].error_code)


def fetch(desk: ConsumerDesk, member: str | None, epoch: int) -> ErrorCode:
    request = OffsetFetchRequestGroup("g", member, epoch, None)
    return ErrorCode(desk.shard.fetch_offsets(request, require_stable=False).error_code)


def test_a_member_commits_and_reads_in_its_epoch() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    assert commit(desk, "a", 2) == ErrorCode.NONE
    assert fetch(desk, "a", 2) == ErrorCode.NONE
    assert fetch(desk, None, -1) == ErrorCode.NONE


@pytest.mark.parametrize(
    ("member", "epoch", "version", "code"),
    [
        ("a", 3, 9, ErrorCode.STALE_MEMBER_EPOCH),
        ("a", 2, 8, ErrorCode.UNSUPPORTED_VERSION),
        ("b", 2, 9, ErrorCode.UNKNOWN_MEMBER_ID),
        ("", -1, 9, ErrorCode.UNKNOWN_MEMBER_ID),
        ("a", 1, 9, ErrorCode.STALE_MEMBER_EPOCH),
    ],
)
def test_who_may_not_commit(member: str, epoch: int, version: int, code: ErrorCode) -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    assert commit(desk, member, epoch, version=version) == code


def test_a_late_commit_counts_for_a_partition_that_was_held_since() -> None:
    """KIP-1251: the epoch of the partition, not of the member, decides."""
    desk = ConsumerDesk()
    desk.settle("a", "b")
    assert desk.member("a").epoch == 3
    assert commit(desk, "a", 2, 0) == ErrorCode.NONE
    assert commit(desk, "a", 1, 0) == ErrorCode.STALE_MEMBER_EPOCH
    assert commit(desk, "a", 2, 5) == ErrorCode.STALE_MEMBER_EPOCH
    assert commit(desk, "b", 2, 5) == ErrorCode.STALE_MEMBER_EPOCH


def test_a_partition_that_is_being_revoked_still_counts() -> None:
    desk = ConsumerDesk()
    desk.settle("a", "b")
    desk.start("c")
    desk.beat("a", owned={"t": [0, 1, 2]})
    [revoking] = desk.member("a").revoking[World.id_of("t")]
    assert desk.member("a").epoch == 3
    assert commit(desk, "a", 2, revoking) == ErrorCode.NONE
    assert commit(desk, "a", 1, revoking) == ErrorCode.STALE_MEMBER_EPOCH


def test_one_partition_that_is_not_held_fails_the_whole() -> None:
    desk = ConsumerDesk()
    desk.settle("a", "b")
    parts = [OffsetCommitRequestPartition(number, 1) for number in (0, 5)]
    topics = [OffsetCommitRequestTopic("t", World.id_of("t"), parts)]
    request = OffsetCommitRequest("g", 2, "a", topics=topics)
    context = RequestContext("c", "/127.0.0.1", 9)
    paper = desk.run(lambda paper: desk.shard.commit_offsets(context, request, paper, desk.now))
    codes = [each.error_code for each in paper.response.topics[0].partitions]
    assert codes == [ErrorCode.STALE_MEMBER_EPOCH] * 2


def test_classic_members_get_the_classic_error() -> None:
    desk = mixed()
    assert commit(desk, desk.owner, 99) == ErrorCode.ILLEGAL_GENERATION
    assert commit(desk, desk.owner, desk.member(desk.owner).epoch, version=2) == ErrorCode.NONE
    assert fetch(desk, desk.owner, 99) == ErrorCode.ILLEGAL_GENERATION


@pytest.mark.parametrize(
    ("member", "epoch", "code"),
    [("a", 9, ErrorCode.STALE_MEMBER_EPOCH), ("b", 2, ErrorCode.UNKNOWN_MEMBER_ID)],
)
def test_who_may_not_read(member: str, epoch: int, code: ErrorCode) -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    assert fetch(desk, member, epoch) == code


def test_commits_in_transactions() -> None:
    """Anonymous ones are taken; a wrong epoch is an illegal generation here."""
    desk = ConsumerDesk()
    desk.settle("a")
    assert commit_in_transaction(desk, "", -1) == ErrorCode.NONE
    assert commit_in_transaction(desk, "a", 2) == ErrorCode.NONE
    assert commit_in_transaction(desk, "a", 9) == ErrorCode.ILLEGAL_GENERATION
    assert commit_in_transaction(desk, "a", 1, topic="gone") == ErrorCode.ILLEGAL_GENERATION
    assert commit_in_transaction(desk, "b", 2) == ErrorCode.UNKNOWN_MEMBER_ID


def test_an_administrator_sets_offsets_of_an_empty_group_only() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    assert commit(desk, "", -1) == ErrorCode.UNKNOWN_MEMBER_ID
    desk.beat("a", -1)
    assert commit(desk, "", -1) == ErrorCode.NONE


def test_offsets_outlive_the_way_to_the_new_protocol_and_back() -> None:
    desk = ConsumerDesk()
    assert commit(desk, "", -1) == ErrorCode.NONE
    desk.settle("a")
    desk.reload()
    assert desk.shard.state.offsets.get("g", "t", 0) is not None
    desk.beat("a", -1)
    desk.stable()
    assert desk.shard.state.offsets.get("g", "t", 0) is not None


def test_offsets_of_topics_that_nobody_reads_expire_and_then_the_empty_group() -> None:
    """Since the commit, also while the group has members."""
    desk = ConsumerDesk({"t": 1, "u": 1}, offsets_retention_ms=60_000, offsets_check_ms=1_000)
    desk.settle("a")
    commit(desk, "a", 2)
    commit(desk, "a", 2, topic="u")
    for _ in range(3):
        desk.advance(30_000)
        desk.live("a", rounds=1)
    offsets = desk.shard.state.offsets
    assert (offsets.get("g", "u", 0), offsets.get("g", "t", 0) is not None) == (None, True)
    desk.beat("a", -1)
    desk.advance(2_000)
    assert desk.shard.state.groups == {}
    assert "-ConsumerGroupMetadata" in desk.written(0)


def test_offsets_of_a_topic_that_is_read_cannot_be_deleted() -> None:
    desk = ConsumerDesk({"t": 1, "u": 1})
    desk.settle("a")
    commit(desk, "a", 2, topic="u")
    part = OffsetDeleteRequestPartition(0)
    topics = [OffsetDeleteRequestTopic(name, [part]) for name in ("t", "u")]
    request = OffsetDeleteRequest("g", topics)
    answer = desk.run(lambda paper: desk.shard.delete_offsets(request, paper)).response
    codes = [topic.partitions[0].error_code for topic in answer.topics]
    assert codes == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, ErrorCode.NONE]
    assert desk.shard.state.offsets.get("g", "u", 0) is None


# -- administration ------------------------------------------------------------------------------


def test_list_groups_tells_type_and_state() -> None:
    desk = ConsumerDesk()
    desk.start("a")
    desk.new_member(group="old")
    listed = desk.shard.list_groups([], ["CONSUMER"])
    assert [(g.group_id, g.protocol_type, g.group_state, g.group_type) for g in listed] == [
        ("g", "consumer", "Stable", "consumer")
    ]
    desk.start("b")
    assert [g.group_id for g in desk.shard.list_groups(["reconciling"], [])] == ["g"]


def test_describe_tells_epochs_targets_and_what_is_being_revoked() -> None:
    desk = ConsumerDesk()
    desk.settle("a", rack_id="r", server_assignor="range")
    desk.start("b")
    desk.beat("a", owned={"t": range(6)})
    found = desk.shard.describe_consumer_group("g")
    assert (found.group_state, found.group_epoch, found.assignment_epoch) == ("Reconciling", 3, 3)
    assert found.assignor_name == "range"
    a, b = found.members
    assert (a.member_id, a.member_epoch, a.rack_id, a.member_type) == ("a", 2, "r", 1)
    assert (a.client_id, a.client_host, a.subscribed_topic_names) == ("c", "/127.0.0.1", ["t"])
    held = a.assignment.topic_partitions[0]
    assert (held.topic_name, held.partitions) == ("t", [0, 1, 2, 3, 4, 5])
    assert a.target_assignment.topic_partitions[0].partitions == [0, 1, 2]
    assert b.assignment.topic_partitions == []
    assert b.target_assignment.topic_partitions[0].partitions == [3, 4, 5]


def test_describe_tells_the_protocol_of_each_member() -> None:
    desk = mixed()
    types = {m.member_id: m.member_type for m in desk.shard.describe_consumer_group("g").members}
    assert types == {desk.owner: 0, desk.idle: 0, "new": 1}


def test_describe_knows_no_groups_of_other_types() -> None:
    desk = ConsumerDesk()
    desk.new_member(group="old")
    for group_id, what in (("old", "is not a consumer group."), ("none", "not found.")):
        found = desk.shard.describe_consumer_group(group_id)
        assert found.error_code == ErrorCode.GROUP_ID_NOT_FOUND
        assert found.error_message == f"Group {group_id} {what}"
    desk.start("a")
    assert desk.shard.describe("g", 6).error_code == ErrorCode.GROUP_ID_NOT_FOUND
    assert desk.shard.describe("g", 5).group_state == "Dead"


def test_only_an_empty_group_can_be_deleted() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    commit(desk, "a", 2)

    def delete() -> ErrorCode:
        answer = desk.run(lambda paper: desk.shard.delete_group("g", paper, desk.now)).response
        assert isinstance(answer, DeleteGroupsResponse)
        return ErrorCode(answer.results[0].error_code)

    assert delete() == ErrorCode.NON_EMPTY_GROUP
    desk.beat("a", -1)
    before = len(desk.log)
    assert delete() == ErrorCode.NONE
    assert desk.written(before) == [
        "-OffsetCommit",
        "-ConsumerGroupTargetAssignmentMetadata",
        "-ConsumerGroupPartitionMetadata",
        "-ConsumerGroupMetadata",
    ]
    assert delete() == ErrorCode.GROUP_ID_NOT_FOUND
