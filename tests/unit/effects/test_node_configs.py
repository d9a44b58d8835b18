"""Configs of the node as a whole: who it is, where it listens, how much it takes and gives."""

from __future__ import annotations

import asyncio
import struct

import pytest

from barnabas.client.errors import ClientError
from barnabas.config.values import ConfigError
from barnabas.records.checksum import crc32c
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.describe_cluster_request import DescribeClusterRequest
from barnabas.wire.messages.describe_cluster_response import DescribeClusterResponse
from barnabas.wire.messages.describe_topic_partitions_request import (
    DescribeTopicPartitionsRequest,
    TopicRequest,
)
from barnabas.wire.messages.describe_topic_partitions_response import (
    DescribeTopicPartitionsResponse,
)
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.sim.node_host import DATA
from tests.sim.streams import Recorder
from tests.unit.effects.levels import alter_topic
from tests.unit.server.calm import Session, calm

PORT, OTHER, CONTROLLER = 9092, 9094, 9093
SIZE = struct.Struct(">i")


async def told(s: Session, port: int = PORT) -> tuple[int, str, int, str | None]:
    """How clients of a listener are told to reach the node: id, host, port, rack."""
    broker = (await s.ask(MetadataRequest([]), MetadataResponse, port=port)).brokers[0]
    return broker.node_id, broker.host, broker.port, broker.rack


@pytest.mark.effect_of("node.id", "broker.id", "broker.rack")
@pytest.mark.parametrize("name", ["node.id", "broker.id"])
def test_who_the_node_is(name: str) -> None:
    async def scenario(s: Session) -> None:
        node_id, _, _, rack = await told(s)
        assert (node_id, rack) == (7, "r1")
        assert "node.id=7" in text_of(s, f"{DATA}/meta.properties")

    calm(scenario, {"node.id": None, name: "7", "broker.rack": "r1"})


def text_of(s: Session, path: str) -> str:
    """A small file of the node."""
    file = s.node.host.disk.open(path)
    try:
        return file.pread(file.size(), 0).decode()
    finally:
        file.close()


@pytest.mark.effect_of(
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "inter.broker.listener.name",
    "controller.listener.names",
)
def test_listeners() -> None:
    settings = {
        "listeners": f"IN://:{PORT},OUT://:{OTHER},KRAFT://:{CONTROLLER}",
        "advertised.listeners": "IN://in.example:1,OUT://out.example:2",
        "listener.security.protocol.map": "IN:PLAINTEXT,OUT:PLAINTEXT,KRAFT:PLAINTEXT",
        "inter.broker.listener.name": "IN",
        "controller.listener.names": "KRAFT",
    }

    async def scenario(s: Session) -> None:
        assert (await told(s, PORT))[1:3] == ("in.example", 1)
        assert (await told(s, OTHER))[1:3] == ("out.example", 2)
        await s.ask(ApiVersionsRequest("t", "1"), ApiVersionsResponse, port=CONTROLLER)
        asked = DescribeClusterRequest(endpoint_type=2)
        cluster = await s.ask(asked, DescribeClusterResponse, port=CONTROLLER)
        assert [broker.port for broker in cluster.brokers] == [CONTROLLER]
        assert not (await s.connection(CONTROLLER)).supports(MetadataRequest)

    calm(scenario, settings)
    # Brokers would look for each other at PLAINTEXT, which is no listener here.
    with pytest.raises(ConfigError, match="name is PLAINTEXT"):
        calm(scenario, {**settings, "inter.broker.listener.name": None})


@pytest.mark.effect_of("log.dir", "metadata.log.dir")
def test_where_files_are() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert s.node.host.disk.is_dir("/one/t-0")
        assert s.node.host.disk.is_dir("/two/__cluster_metadata-0")
        assert not s.node.host.disk.exists("/one/__cluster_metadata-0")

    calm(scenario, {"log.dirs": None, "log.dir": "/one", "metadata.log.dir": "/two"})


@pytest.mark.effect_of("delete.topic.enable")
def test_deletion_may_be_off() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        request = DeleteTopicsRequest([DeleteTopicState(name="t")], timeout_ms=5000)
        answer = (await s.ask(request, DeleteTopicsResponse)).responses[0]
        assert answer.error_code == ErrorCode.TOPIC_DELETION_DISABLED
        assert (await s.produce("t", s.batch(b"a"))).error_code == ErrorCode.NONE

    calm(scenario, {"delete.topic.enable": "false"})


@pytest.mark.effect_of("max.request.partition.size.limit")
def test_partitions_of_one_description() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 5)
        request = DescribeTopicPartitionsRequest([TopicRequest("t")], 2000, None)
        answer = await s.ask(request, DescribeTopicPartitionsResponse)
        assert len(answer.topics[0].partitions) == 3
        assert answer.next_cursor is not None

    calm(scenario, {"max.request.partition.size.limit": "3"})


@pytest.mark.effect_of("fetch.max.bytes")
def test_bytes_of_one_fetch() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        for _ in range(10):
            await s.produce("t", s.batch(b"x" * 400))
        partition = FetchPartition(0, fetch_offset=0, partition_max_bytes=1 << 20)
        request = FetchRequest(
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=1 << 20,
            session_epoch=-1,
            topics=[FetchTopic("t", s.ids["t"], [partition])],
        )
        found = (await s.ask(request, FetchResponse)).responses[0].partitions[0]
        assert 400 < len(found.records or b"") <= 1024

    calm(scenario, {"fetch.max.bytes": "1024"})


@pytest.mark.effect_of("socket.request.max.bytes")
def test_size_of_a_request() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert (await s.produce("t", s.batch(b"x" * 500))).error_code == ErrorCode.NONE
        with pytest.raises(ClientError):
            await s.produce("t", s.batch(b"x" * 2000))

    calm(scenario, {"socket.request.max.bytes": "1000"})


@pytest.mark.effect_of("queued.max.request.bytes")
@pytest.mark.parametrize(("limit", "waits"), [("-1", False), ("1000000", True)])
def test_bytes_of_all_requests(limit: str, waits: bool) -> None:
    async def scenario(s: Session) -> None:
        clients = [Recorder() for _ in range(4)]
        for client in clients:
            await s.host.ports.network.connect(s.node.host.address, PORT, client.itself)
            client.transport.write(SIZE.pack(900_000) + bytes(800_000))
        await s.sleep(1000)
        assert s.node.node is not None
        assert bool(s.node.node.broker.memory.frames_wait) == waits
        for client in clients:
            client.transport.abort()

    calm(scenario, {"queued.max.request.bytes": limit, "socket.request.max.bytes": "1000000"})


@pytest.mark.effect_of("socket.listen.backlog.size")
@pytest.mark.parametrize(("backlog", "arrive"), [("1", 2), ("50", 6)])
def test_clients_that_wait_to_be_accepted(backlog: str, arrive: int) -> None:
    async def scenario(s: Session) -> None:
        s.node.host.pause()  # the kernel goes on, the process does not accept
        network = s.host.ports.network
        attempts = [
            asyncio.ensure_future(network.connect(s.node.host.address, PORT, Recorder().itself))
            for _ in range(6)
        ]
        await s.sleep(500)
        assert sum(attempt.done() for attempt in attempts) == arrive
        s.node.host.resume()
        await asyncio.gather(*attempts)

    calm(scenario, {"socket.listen.backlog.size": backlog})


@pytest.mark.effect_of("barnabas.validation")
@pytest.mark.parametrize(
    ("validation", "error"), [("header", ErrorCode.NONE), ("full", ErrorCode.INVALID_RECORD)]
)
def test_how_much_of_a_batch_is_checked(validation: str, error: ErrorCode) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert (await s.produce("t", with_a_bad_record(s))).error_code == error

    calm(scenario, {"barnabas.validation": validation})


def with_a_bad_record(s: Session) -> bytes:
    """A batch whose checksum is right and whose record says that it is longer than it is."""
    batch = bytearray(s.batch(b"abc"))
    batch[61] += 2
    batch[17:21] = crc32c(memoryview(batch)[21:]).to_bytes(4, "big")
    return bytes(batch)


@pytest.mark.effect_of("barnabas.ack.mode", "topic:barnabas.ack.mode")
@pytest.mark.parametrize(
    ("node", "topic", "durable"),
    [
        ({}, {}, 1),
        ({"barnabas.ack.mode": "page-cache"}, {}, 0),
        ({}, {"barnabas.ack.mode": "page-cache"}, 0),
        ({"barnabas.ack.mode": "page-cache"}, {"barnabas.ack.mode": "synced"}, 1),
    ],
)
def test_what_an_acknowledgement_promises(
    node: dict[str, str], topic: dict[str, str], durable: int
) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await alter_topic(s, "t", topic)
        assert (await s.produce("t", s.batch(b"a"))).error_code == ErrorCode.NONE
        assert s.hosted("t").log.durable_offset == durable

    calm(scenario, node)
