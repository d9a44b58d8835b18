"""Configs of groups and of the topic that holds their offsets."""

from __future__ import annotations

import pytest

from barnabas.records.batch import iter_batches
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_commit_response import OffsetCommitResponse
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse
from tests.unit.server.calm import Session, calm

OFFSETS = "__consumer_offsets"


async def find(s: Session, group: str = "g") -> None:
    """FindCoordinator."""
    request = FindCoordinatorRequest(key_type=0, coordinator_keys=[group])
    answer = await s.ask(request, FindCoordinatorResponse)
    assert answer.coordinators[0].error_code == ErrorCode.NONE
    assert answer.coordinators[0].node_id == 1


async def join(s: Session, member: str = "", *, session_ms: int = 10_000) -> JoinGroupResponse:
    """JoinGroup, as before version 4: the member is taken at once."""
    protocol = JoinGroupRequestProtocol("range", b"")
    request = JoinGroupRequest("g", session_ms, 60_000, member, None, "consumer", [protocol])
    return await s.ask(request, JoinGroupResponse, 3)


async def commit(s: Session, offset: int, metadata: str = "") -> ErrorCode:
    """OffsetCommit of t-0."""
    part = OffsetCommitRequestPartition(0, offset, -1, metadata)
    topic = OffsetCommitRequestTopic("t", s.ids["t"], [part])
    answer = await s.ask(OffsetCommitRequest("g", topics=[topic]), OffsetCommitResponse)
    return ErrorCode(answer.topics[0].partitions[0].error_code)


async def committed(s: Session) -> int:
    """OffsetFetch of t-0."""
    topic = OffsetFetchRequestTopics("t", s.ids["t"], [0])
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup("g", topics=[topic])])
    answer = await s.ask(request, OffsetFetchResponse)
    return answer.groups[0].topics[0].partitions[0].committed_offset


@pytest.mark.effect_of("group.initial.rebalance.delay.ms")
@pytest.mark.parametrize("delay_ms", [0, 700])
def test_the_first_rebalance_waits(delay_ms: int) -> None:
    async def scenario(s: Session) -> None:
        await find(s)
        await s.sleep(1_000)
        begun = s.now
        assert (await join(s)).generation_id == 1
        assert delay_ms <= s.now - begun < delay_ms + 300

    calm(scenario, {"group.initial.rebalance.delay.ms": str(delay_ms)})


@pytest.mark.effect_of("group.min.session.timeout.ms", "group.max.session.timeout.ms")
def test_session_timeouts_have_bounds() -> None:
    async def scenario(s: Session) -> None:
        await find(s)
        for session_ms in (999, 2_001):
            answer = await join(s, session_ms=session_ms)
            assert answer.error_code == ErrorCode.INVALID_SESSION_TIMEOUT
        assert (await join(s, session_ms=1_000)).error_code == ErrorCode.NONE

    calm(
        scenario,
        {
            "group.min.session.timeout.ms": "1000",
            "group.max.session.timeout.ms": "2000",
            "group.initial.rebalance.delay.ms": "0",
        },
    )


@pytest.mark.effect_of("group.max.size")
def test_a_group_has_a_largest_size() -> None:
    async def scenario(s: Session) -> None:
        await find(s)
        assert (await join(s)).error_code == ErrorCode.NONE
        assert (await join(s)).error_code == ErrorCode.GROUP_MAX_SIZE_REACHED

    calm(scenario, {"group.max.size": "1", "group.initial.rebalance.delay.ms": "0"})


@pytest.mark.effect_of("offset.metadata.max.bytes")
def test_metadata_of_offsets_has_a_largest_size() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await find(s)
        assert await commit(s, 1, "12345") == ErrorCode.OFFSET_METADATA_TOO_LARGE
        assert await commit(s, 1, "1234") == ErrorCode.NONE

    calm(scenario, {"offset.metadata.max.bytes": "4"})


@pytest.mark.effect_of("offsets.retention.minutes", "offsets.retention.check.interval.ms")
def test_offsets_expire() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await find(s)
        await commit(s, 7)
        await s.sleep(119_000)
        assert await committed(s) == 7
        await s.sleep(4_000)
        assert await committed(s) == -1

    calm(
        scenario, {"offsets.retention.minutes": "2", "offsets.retention.check.interval.ms": "1000"}
    )


@pytest.mark.effect_of("offsets.topic.num.partitions", "offsets.topic.segment.bytes")
def test_the_topic_of_offsets() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await find(s)
        topics = (await s.ask(MetadataRequest(None), MetadataResponse)).topics
        (topic,) = [each for each in topics if each.name == OFFSETS]
        assert (topic.name, len(topic.partitions), topic.is_internal) == (OFFSETS, 3, True)
        assert topic.partitions[0].replica_nodes == [1]
        await commit(s, 1)
        assert s.node.node is not None
        (used,) = [each for each in s.node.node.broker.partitions if each.topic == OFFSETS]
        assert used.log.config.segment_bytes == 2_000_000
        assert used.log.config.cleanup_policy == frozenset({"compact"})

    calm(
        scenario,
        {"offsets.topic.num.partitions": "3", "offsets.topic.segment.bytes": "2000000"},
    )


@pytest.mark.effect_of("offsets.topic.compression.codec")
def test_offsets_may_be_compressed() -> None:
    async def scenario(s: Session) -> None:
        s.ids[OFFSETS] = bytes(16)
        await s.create("t")
        await find(s)
        await commit(s, 7, "x" * 200)
        (topic,) = [
            each
            for each in (await s.ask(MetadataRequest(None), MetadataResponse)).topics
            if each.name == OFFSETS
        ]
        found = await s.fetch(OFFSETS, topic_id=topic.topic_id)
        assert [header.codec for _, header in iter_batches(found.records or b"")] == [4]
        assert await committed(s) == 7

    calm(
        scenario,
        {"offsets.topic.compression.codec": "4", "offsets.topic.num.partitions": "1"},
    )
