"""Python calls per request on the hot paths, against a recorded ceiling.

Wall-clock figures are for `make bench`; this count is the same on every machine, and tells at once
when a change makes a hot path longer.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import barnabas
from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.host import open_ports
from barnabas.records.builder import build_batch
from barnabas.server.connection import Connection
from barnabas.server.node import Node
from barnabas.wire import codec
from barnabas.wire.message import Message
from barnabas.wire.messages.alter_client_quotas_request import (
    AlterClientQuotasRequest,
    EntityData,
    EntryData,
    OpData,
)
from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.join_group_request import JoinGroupRequest, JoinGroupRequestProtocol
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.sync_group_request import SyncGroupRequest, SyncGroupRequestAssignment
from barnabas.wire.messages.sync_group_response import SyncGroupResponse
from tests.unit.server.test_connection import FakeTransport

SOURCE = str(Path(barnabas.__file__).parent)
IN_FLIGHT = 5
ROUNDS = 20
SETTINGS = {"barnabas.ack.mode": "page-cache", "group.initial.rebalance.delay.ms": "0"}
#: Python frames entered per request, the share of the loop and of the log's writer included.
PRODUCE_CEILING = 38
EMPTY_POLL_CEILING = 33
SMALL_CONSUME_CEILING = 76
HEARTBEAT_CEILING = 20
COMMIT_CEILING = 51
#: What quotas on all that they may be on cost more; with none they cost no call.
QUOTA_CALLS = 13
PRODUCE_VERSION, FETCH_VERSION = 13, 17


class Counter:
    """Counts the Python functions of ours that are called while it is on (those of the loop are not
    ours, and how often it turns is a matter of time)."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        del arg
        self.calls += event == "call" and frame.f_code.co_filename.startswith(SOURCE)


class Wire:
    """A connection of a running node, fed by hand."""

    def __init__(self, node: Node) -> None:
        self.connection = Connection(node.listeners[0])
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)
        self._answered = 0

    async def ask(self, message: Message, version: int) -> memoryview:
        """Send one request and return its answer behind the correlation id."""
        start = len(self.transport.sent)
        self.feed(request(message, version))
        while len(self.transport.sent) == start:
            await asyncio.sleep(0)
        return memoryview(bytes(self.transport.sent[start + 8 :]))

    def feed(self, data: bytes) -> None:
        """Bytes arrive."""
        self.connection.get_buffer(0)[: len(data)] = data
        self.connection.buffer_updated(len(data))

    async def calls_per_request(self, data: bytes, answer_bytes: int) -> float:
        """Python calls for the requests in `data` (IN_FLIGHT of them), until they are answered."""
        counter = Counter()
        for measured in (False, True):
            sys.setprofile(counter if measured else None)
            for _ in range(ROUNDS):
                start = len(self.transport.sent)
                self.feed(data)
                while len(self.transport.sent) < start + answer_bytes:
                    await asyncio.sleep(0)
            sys.setprofile(None)
        return counter.calls / ROUNDS / IN_FLIGHT


def request(message: Message, version: int) -> bytes:
    """A frame."""
    body = codec.encode(message, version)
    head = struct.pack(">hhih", message.API_KEY, version, 7, 3) + b"abc"
    if version >= message.FLEXIBLE:
        head += b"\0"
    return struct.pack(">i", len(head) + len(body)) + head + body


def in_node(path: Path, work: Callable[[Wire, bytes], Any]) -> None:
    """Run `work(wire, topic id)` beside a node whose acknowledgements need no sync."""

    async def main() -> None:
        ports = open_ports(asyncio.get_running_loop())
        properties = default_properties(str(path), host="127.0.0.1", port=0, controller_port=0)
        config = BrokerConfig.from_properties(properties | SETTINGS)
        node = Node(config, ports)
        try:
            await node.start()
            wire = Wire(node)
            create = CreateTopicsRequest(topics=[CreatableTopic("t", 1, 1)])
            await wire.ask(create, 5)
            await work(wire, node.broker.image.topics.by_name["t"].id)
            wire.connection.connection_lost(None)
        finally:
            await node.stop()
            ports.close()

    asyncio.run(main())


def produce_request(topic_id: bytes) -> ProduceRequest:
    batch = bytes(build_batch([(None, b"x" * 100, 1, ())]))
    data = TopicProduceData(topic_id=topic_id, partition_data=[PartitionProduceData(0, batch)])
    return ProduceRequest(acks=-1, timeout_ms=30_000, topic_data=[data])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_one_event_per_request(path: Path) -> None:
    async def work(wire: Wire, topic_id: bytes) -> None:
        message = produce_request(topic_id)
        answer = await wire.ask(message, PRODUCE_VERSION)
        size = len(await wire.ask(message, PRODUCE_VERSION)) + 8
        assert len(answer) + 8 == size
        data = request(message, PRODUCE_VERSION) * IN_FLIGHT
        calls = await wire.calls_per_request(data, size * IN_FLIGHT)
        assert 0 < calls <= PRODUCE_CEILING, calls

    in_node(path, work)


def test_one_event_per_request_within_quotas(path: Path) -> None:
    async def work(wire: Wire, topic_id: bytes) -> None:
        entity = [EntityData("client-id", None)]
        keys = ("producer_byte_rate", "consumer_byte_rate", "request_percentage")
        ops = [OpData(key, 1e9) for key in keys]
        await wire.ask(AlterClientQuotasRequest([EntryData(entity, ops)]), 1)
        message = produce_request(topic_id)
        await wire.ask(message, PRODUCE_VERSION)
        size = len(await wire.ask(message, PRODUCE_VERSION)) + 8
        data = request(message, PRODUCE_VERSION) * IN_FLIGHT
        calls = await wire.calls_per_request(data, size * IN_FLIGHT)
        assert 0 < calls <= PRODUCE_CEILING + QUOTA_CALLS, calls

    in_node(path, work)


def fetch_request(**fields: Any) -> FetchRequest:
    return FetchRequest(max_wait_ms=0, min_bytes=1, max_bytes=1 << 20, **fields)


def test_an_empty_poll_of_a_session(path: Path) -> None:
    async def work(wire: Wire, topic_id: bytes) -> None:
        partitions = [FetchPartition(0, fetch_offset=0, partition_max_bytes=1 << 20)]
        topics = [FetchTopic(topic_id=topic_id, partitions=partitions)]
        answer = await wire.ask(fetch_request(topics=topics, session_epoch=0), 17)
        session = codec.decode(FetchResponse, FETCH_VERSION, answer, 1).session_id
        assert session
        counter = Counter()
        polls = [
            request(fetch_request(session_id=session, session_epoch=epoch), FETCH_VERSION)
            for epoch in range(1, 1 + 2 * ROUNDS)
        ]
        for number, poll in enumerate(polls):
            start = len(wire.transport.sent)
            sys.setprofile(counter if number >= ROUNDS else None)
            wire.feed(poll)
            while len(wire.transport.sent) == start:
                await asyncio.sleep(0)
            sys.setprofile(None)
        calls = counter.calls / ROUNDS
        assert 0 < calls <= EMPTY_POLL_CEILING, calls

    in_node(path, work)


def test_a_small_consume(path: Path) -> None:
    async def work(wire: Wire, topic_id: bytes) -> None:
        await wire.ask(produce_request(topic_id), PRODUCE_VERSION)
        partitions = [FetchPartition(0, fetch_offset=0, partition_max_bytes=1 << 20)]
        topics = [FetchTopic(topic_id=topic_id, partitions=partitions)]
        message = fetch_request(topics=topics, session_epoch=-1)
        size = len(await wire.ask(message, FETCH_VERSION)) + 8
        assert size > 160
        data = request(message, FETCH_VERSION) * IN_FLIGHT
        calls = await wire.calls_per_request(data, size * IN_FLIGHT)
        assert 0 < calls <= SMALL_CONSUME_CEILING, calls

    in_node(path, work)


async def member(wire: Wire) -> tuple[int, str]:
    """Generation and id of the only member of the group "g"."""
    while True:
        found = codec.decode(
            FindCoordinatorResponse, 2, await wire.ask(FindCoordinatorRequest("g"), 2)
        )
        if not found.error_code:
            break
    protocols = [JoinGroupRequestProtocol("range", b"")]
    join = JoinGroupRequest("g", 30_000, 30_000, "", "static", "consumer", protocols)
    joined = codec.decode(JoinGroupResponse, 5, await wire.ask(join, 5))
    assert not joined.error_code
    share = [SyncGroupRequestAssignment(joined.member_id, b"all")]
    sync = SyncGroupRequest("g", joined.generation_id, joined.member_id, assignments=share)
    synced = codec.decode(SyncGroupResponse, 2, await wire.ask(sync, 2))
    assert not synced.error_code
    return joined.generation_id, joined.member_id


def test_heartbeats_and_commits_of_a_member(path: Path) -> None:
    async def work(wire: Wire, topic_id: bytes) -> None:
        del topic_id
        generation, member_id = await member(wire)
        topics = [OffsetCommitRequestTopic("t", partitions=[OffsetCommitRequestPartition(0, 42)])]
        commit = OffsetCommitRequest("g", generation, member_id, topics=topics)
        beat = HeartbeatRequest("g", generation, member_id)
        for message, version, ceiling in (
            (beat, 3, HEARTBEAT_CEILING),
            (commit, 7, COMMIT_CEILING),
        ):
            size = len(await wire.ask(message, version)) + 8
            data = request(message, version) * IN_FLIGHT
            calls = await wire.calls_per_request(data, size * IN_FLIGHT)
            assert 0 < calls <= ceiling, calls

    in_node(path, work)
