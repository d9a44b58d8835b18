"""A member of a classic group that repeats its requests, by hand."""

from __future__ import annotations

from barnabas.groups.records.offset_commit_value import OffsetCommitValue
from barnabas.server.coordinators.groups import GroupCoordinator
from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS
from barnabas.server.partitions import HostedPartition
from barnabas.wire import codec
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_commit_response import OffsetCommitResponse
from barnabas.wire.messages.offset_fetch_request import OffsetFetchRequest, OffsetFetchRequestTopic
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse
from barnabas.wire.messages.sync_group_request import SyncGroupRequest, SyncGroupRequestAssignment
from barnabas.wire.messages.sync_group_response import SyncGroupResponse
from tests.unit.server.calm import Session, records
from tests.unit.server.test_call_budget import Wire, request

SESSION_MS = 6_000
SETTINGS = {"offsets.topic.num.partitions": "2", "group.initial.rebalance.delay.ms": "0"}
COMMIT, BEAT = 7, 3
UNKNOWN_TAG = b"\x63\x04" + bytes(4)


class Desk:
    """A member of a group on a node whose topic "t" has four partitions."""

    def __init__(self, s: Session) -> None:
        self.s = s
        assert s.node.node is not None
        self.wire = Wire(s.node.node)
        self.member_id = ""
        self.instance_id: str | None = None
        self.generation = -1
        self.long = 0
        """Requests whose decision was taken by the shard."""

    @property
    def groups(self) -> GroupCoordinator:
        assert self.s.node.node is not None
        return self.s.node.node.broker.coordinators.groups

    @property
    def hosted(self) -> HostedPartition:
        return self.s.hosted(CONSUMER_OFFSETS, self.groups.runtime.partition_of("g"))

    async def join(self, instance_id: str | None = None, member_id: str = "") -> None:
        """Be the only member of a new generation."""
        protocols = [JoinGroupRequestProtocol("range", b"")]
        ask = JoinGroupRequest(
            "g", SESSION_MS, 60_000, member_id, instance_id, "consumer", protocols
        )
        answer = await self.s.ask(ask, JoinGroupResponse, 7)
        if answer.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            ask.member_id = answer.member_id
            answer = await self.s.ask(ask, JoinGroupResponse, 7)
        assert answer.error_code == ErrorCode.NONE
        self.member_id, self.generation = answer.member_id, answer.generation_id
        self.instance_id = instance_id
        share = [SyncGroupRequestAssignment(self.member_id, b"all")]
        sync = SyncGroupRequest(
            "g", self.generation, self.member_id, instance_id, "consumer", "range", share
        )
        assert (await self.s.ask(sync, SyncGroupResponse, 5)).error_code == ErrorCode.NONE

    def beat(self) -> HeartbeatRequest:
        return HeartbeatRequest("g", self.generation, self.member_id, self.instance_id)

    def commit(
        self, offset: int = 5, epoch: int = 3, metadata: str | None = "", index: int = 0
    ) -> OffsetCommitRequest:
        part = OffsetCommitRequestPartition(index, offset, epoch, metadata)
        topic = OffsetCommitRequestTopic("t", self.s.ids["t"], [part])
        return OffsetCommitRequest(
            "g", self.generation, self.member_id, self.instance_id, topics=[topic]
        )

    async def raw(self, message: Message, version: int, more: bytes = b"") -> bytes:
        """The answer as bytes, behind the correlation id; `more` follows the request's body."""
        frame = request(message, version)
        if more:
            size = len(frame) - 4 + len(more)
            frame = size.to_bytes(4, "big") + frame[4:] + more
        return await self.answer_to(frame)

    async def answer_to(self, frame: bytes) -> bytes:
        sent = self.wire.transport.sent
        start = len(sent)
        self.wire.feed(frame)
        while len(sent) == start:
            await self.s.sleep(1)
        return bytes(sent[start + 8 :])

    async def heartbeat(self) -> ErrorCode:
        answer = await self.raw(self.beat(), BEAT)
        return ErrorCode(codec.decode(HeartbeatResponse, BEAT, answer).error_code)

    async def committing(self, offset: int = 5) -> ErrorCode:
        answer = await self.raw(self.commit(offset), COMMIT)
        response = codec.decode(OffsetCommitResponse, COMMIT, answer)
        return ErrorCode(response.topics[0].partitions[0].error_code)

    async def fetched(self, index: int = 0) -> tuple[int, int, str | None]:
        """Offset, leader epoch and metadata that are committed."""
        ask = OffsetFetchRequest("g", [OffsetFetchRequestTopic("t", [index])])
        answer = await self.s.ask(ask, OffsetFetchResponse, 5)
        part = answer.topics[0].partitions[0]
        return part.committed_offset, part.committed_leader_epoch, part.metadata

    def kept(self, index: int) -> dict[str, object]:
        """What the shard knows of an offset, without its times and places."""
        shard = self.groups.runtime.shard(self.hosted.index)
        assert shard is not None
        found = shard.state.offsets.get("g", "t", index)
        assert found is not None
        names = set(found.__slots__) - {"commit_ms", "record_offset"}
        return {name: getattr(found, name) for name in names}

    async def last_record(self) -> tuple[bytes | None, bytes | None]:
        """Key and value at the end of the group's log, without the time of the commit."""
        log = self.hosted.log
        index = self.groups.runtime.partition_of("g")
        topic_id = self.hosted.topic_id
        data = await self.s.fetch(
            CONSUMER_OFFSETS, log.end_offset - 1, index=index, topic_id=topic_id
        )
        record = records(data.records)[-1]
        assert record.value is not None
        value = codec.decode(OffsetCommitValue, 4, record.value, 2, exact=True)
        value.commit_timestamp = 0
        return record.key, codec.encode(value, 4)
