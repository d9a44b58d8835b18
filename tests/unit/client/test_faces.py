"""The asyncio faces against a node in the simulator: nothing lost, nothing twice, nothing stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import pytest

from barnabas.client.cluster import Cluster
from barnabas.client.config import ClientConfig, ProducerConfig
from barnabas.client.connection import Connection
from barnabas.client.errors import CannotConnect, ConnectionLost, DeliveryFailed, RequestTimedOut
from barnabas.client.fetcher import Fetcher
from barnabas.client.offsets import EARLIEST, LATEST, list_offsets
from barnabas.client.sender import Sender
from barnabas.host import open_ports
from barnabas.testing.sim import SimWorld
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.unit.client.fake_node import (
    PORT,
    FakeNode,
    cut_after,
    cut_before,
    refuse,
    serve,
    silence,
    throttle,
)

Result = TypeVar("Result")
QUICK = ProducerConfig(batch_size=150, linger_ms=1, delivery_timeout_ms=120_000)
SURE = 600_000
"""More virtual ms than any of these tests needs."""


def play(
    work: Callable[[Cluster, FakeNode], Awaitable[Result]],
    *,
    seed: int = 1,
    partitions: int = 1,
    prepare: Callable[[FakeNode], None] = lambda _node: None,
    config: ClientConfig | None = None,
) -> Result:
    """Run `work` with a client on one host and a node on another."""
    world = SimWorld(seed)
    server, client = world.host("node"), world.host("client")
    node = FakeNode(server.address, partitions)
    prepare(node)

    async def on_client() -> Result:
        async with Cluster(client.ports, [(server.address, PORT)], config) as cluster:
            return await work(cluster, node)

    async def main() -> Result:
        await server.spawn(node.start(server.ports))
        try:
            return await client.spawn(on_client())
        finally:
            node.stop()

    return world.run(main())


# -- producing --


async def send_numbers(cluster: Cluster, count: int, config: ProducerConfig = QUICK) -> list[int]:
    """Send 0, 1, 2, ... with keys; the offsets."""
    async with Sender(cluster, config) as producer:
        sent = [await producer.send("t", b"%d" % n, key=b"k%d" % (n % 7)) for n in range(count)]
        return [(await delivery).offset for delivery in sent]


def numbers(node: FakeNode) -> list[int]:
    found = []
    for partition in range(node.partitions):
        mine = [int(record.value or b"") for record in node.records(partition)]
        by_key = {n % 7: [m for m in mine if m % 7 == n % 7] for n in mine}
        assert all(group == sorted(group) for group in by_key.values())
        found += mine
    return sorted(found)


def test_what_is_sent_arrives_once_and_in_order() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        offsets = await send_numbers(cluster, 200)
        assert numbers(node) == list(range(200))
        assert sorted(offsets) == sorted(
            record.offset for p in range(3) for record in node.records(p)
        )

    play(work, partitions=3)


FAULTS = (
    serve,
    cut_before,
    cut_after,
    refuse(ErrorCode.NOT_LEADER_OR_FOLLOWER),
    refuse(ErrorCode.NOT_ENOUGH_REPLICAS),
)


@pytest.mark.parametrize("number", range(12))
def test_nothing_is_lost_or_doubled_whatever_the_connection_does(number: int, seed: int) -> None:
    chance = Random(f"{seed}/{number}")

    def prepare(node: FakeNode) -> None:
        node.faults.extend(chance.choices(FAULTS, k=30))

    async def work(cluster: Cluster, node: FakeNode) -> None:
        await send_numbers(cluster, 120)
        assert numbers(node) == list(range(120))

    play(work, seed=chance.randrange(1 << 30), partitions=3, prepare=prepare)


def test_a_node_that_never_answers_is_left_after_the_request_timeout() -> None:
    def prepare(node: FakeNode) -> None:
        node.faults.append(silence)

    async def work(cluster: Cluster, node: FakeNode) -> None:
        begun = cluster.ports.clock.monotonic_ms()
        await send_numbers(cluster, 10)
        assert numbers(node) == list(range(10))
        assert cluster.ports.clock.monotonic_ms() - begun >= 5000

    play(work, prepare=prepare, config=ClientConfig(request_timeout_ms=5000))


def test_a_refused_batch_fails_alone() -> None:
    def prepare(node: FakeNode) -> None:
        node.faults.append(refuse(ErrorCode.INVALID_RECORD))

    async def work(cluster: Cluster, node: FakeNode) -> None:
        async with Sender(cluster, ProducerConfig(linger_ms=0)) as producer:
            bad = await producer.send("t", b"bad")
            with pytest.raises(KafkaError, match="INVALID_RECORD"):
                await bad
            assert (await (await producer.send("t", b"good"))).offset == 0
        assert [record.value for record in node.records(0)] == [b"good"]
        assert sorted(node.sequences) == [(1, 1, 0)]
        assert node.producer_ids == 1

    play(work, prepare=prepare)


def test_time_runs_out_when_the_node_is_gone() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        async with Sender(cluster, ProducerConfig(delivery_timeout_ms=3000)) as producer:
            await producer.prepare("t")
            node.stop()
            sent = await producer.send("t", b"lost")
            with pytest.raises(DeliveryFailed):
                await sent

    play(work)


def test_a_full_memory_waits_and_goes_on() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        small = ProducerConfig(batch_size=150, buffer_memory=400, linger_ms=1000)
        async with Sender(cluster, small) as producer:
            await producer.prepare("t")
            sent = 0
            while producer.try_send("t", b"%d" % sent) is not None:
                sent += 1
            assert 0 < sent < 50
            await producer.room()
            assert producer.try_send("t", b"%d" % sent) is not None
        assert len(node.records(0)) == sent + 1

    play(work)


def test_acks_0_has_no_answers() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        loose = ProducerConfig(acks=0, enable_idempotence=False, linger_ms=0)
        async with Sender(cluster, loose) as producer:
            assert (await (await producer.send("t", b"x"))).offset == -1
        await cluster.ask(MetadataRequest(topics=[]), MetadataResponse, node=1)
        assert [record.value for record in node.records(0)] == [b"x"]
        assert "InitProducerId" not in node.seen

    play(work)


# -- fetching --


async def read(cluster: Cluster, count: int, partitions: int) -> list[int]:
    found: list[int] = []
    async with Fetcher(cluster) as fetcher:
        await fetcher.assign({("t", p): 0 for p in range(partitions)})
        deadline = cluster.ports.clock.monotonic_ms() + SURE
        while len(found) < count and cluster.ports.clock.monotonic_ms() < deadline:
            batch = await fetcher.poll(1000)
            if batch is not None:
                found += [int(record.value or b"") for record in batch.records]
    return found


@pytest.mark.parametrize("number", range(6))
def test_everything_is_read_once_whatever_the_connection_does(number: int, seed: int) -> None:
    chance = Random(f"{seed}/{number}")

    async def work(cluster: Cluster, node: FakeNode) -> None:
        await send_numbers(cluster, 80)
        node.faults.extend(chance.choices(FAULTS, k=10))
        assert sorted(await read(cluster, 80, 3)) == list(range(80))

    play(work, seed=chance.randrange(1 << 30), partitions=3)


def test_a_fetcher_sees_what_comes_later() -> None:
    async def work(cluster: Cluster, _node: FakeNode) -> None:
        async with Fetcher(cluster) as fetcher:
            await fetcher.assign({("t", 0): 0})
            assert await fetcher.poll(50) is None
            await send_numbers(cluster, 1)
            batch = await fetcher.poll(SURE)
            assert batch is not None
            assert fetcher.positions() == {("t", 0): 1}

    play(work)


def test_a_node_that_can_not_be_fetched_from_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        offered = node.api_versions(0)
        offered.api_keys = [key for key in offered.api_keys if key.api_key != 1]
        monkeypatch.setattr(node, "api_versions", lambda _version: offered)
        async with Cluster(cluster.ports, [(node.host, PORT)]) as other, Fetcher(other) as fetcher:
            await fetcher.assign({("t", 0): 0})
            with pytest.raises(KafkaError, match="no version of Fetch"):
                await fetcher.poll(20_000)

    play(work)


def test_offsets_of_both_ends() -> None:
    async def work(cluster: Cluster, _node: FakeNode) -> None:
        await send_numbers(cluster, 5)
        await cluster.topic("t")
        assert (await list_offsets(cluster, {("t", 0): LATEST}))["t", 0].offset == 5
        assert (await list_offsets(cluster, {("t", 0): EARLIEST}))["t", 0].offset == 0

    play(work)


# -- connections --


def test_an_older_node_is_asked_in_its_own_version() -> None:
    def prepare(node: FakeNode) -> None:
        node.api_versions_max = 2

    async def work(cluster: Cluster, node: FakeNode) -> None:
        await cluster.topic("t")
        assert node.seen[:3] == ["ApiVersions", "ApiVersions", "Metadata"]

    play(work, prepare=prepare)


def test_one_connection_serves_bootstrap_and_node() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        await send_numbers(cluster, 3)
        assert node.seen.count("ApiVersions") == 1

    play(work)


def test_nobody_there_is_told_with_the_address() -> None:
    world = SimWorld(1)
    client, server = world.host("client"), world.host("node")

    async def attempt() -> None:
        async with Cluster(client.ports, [(server.address, PORT)]):
            pass

    async def main() -> None:
        with pytest.raises(CannotConnect, match=f"{server.address}:{PORT}"):
            await client.spawn(attempt())

    world.run(main())


def test_what_waits_fails_when_the_connection_goes() -> None:
    def prepare(node: FakeNode) -> None:
        node.faults.append(silence)

    async def work(cluster: Cluster, node: FakeNode) -> None:
        await cluster.topic("t")
        connection = await cluster.connection(1)
        connection.close()
        with pytest.raises(ConnectionLost):
            await connection.request(MetadataRequest(), MetadataResponse)
        await cluster.topic("t")
        assert node.seen.count("ApiVersions") == 2

    play(work, prepare=prepare)


def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        node.mute = True
        connection = await cluster.any_connection()
        with pytest.raises(RequestTimedOut, match=r"Metadata.* within 2 s"):
            await connection.request(MetadataRequest(), MetadataResponse, timeout_ms=2000)
        assert connection.closed

    play(work)


@pytest.mark.parametrize("acks", [-1, 0])
def test_a_throttled_client_is_silent_for_as_long_as_it_is_asked_to_be(acks: int) -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        clock = cluster.ports.clock
        node.faults.append(throttle(5000))
        config = ProducerConfig(enable_idempotence=False, acks=-1, linger_ms=0)
        other = ProducerConfig(enable_idempotence=False, acks=acks, linger_ms=0)
        async with Sender(cluster, config) as producer, Sender(cluster, other) as second:
            await second.prepare("t")
            await (await producer.send("t", b"1"))
            begun, seen = clock.monotonic_ms(), len(node.seen)
            deliveries = [await producer.send("t", b"2"), await second.send("t", b"3")]
            await clock.sleep(4000)
            assert len(node.seen) == seen
            for delivery in deliveries:
                await delivery
            assert 4900 < clock.monotonic_ms() - begun < 5100
        await clock.sleep(100)
        assert [record.value for record in node.records(0)] == [b"1", b"2", b"3"]

    play(work)


def test_nobody_is_silenced_for_longer_than_a_request_may_take() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        clock = cluster.ports.clock
        node.faults.append(throttle(2**31 - 1))
        async with Sender(cluster, ProducerConfig(linger_ms=0)) as producer:
            await (await producer.send("t", b"1"))
            begun = clock.monotonic_ms()
            await (await producer.send("t", b"2"))
            waited = clock.monotonic_ms() - begun
        assert 0.9 < waited / cluster.config.request_timeout_ms < 1.1

    play(work)


def test_a_throttled_connection_that_is_lost_fails_what_it_holds() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        node.faults.append(throttle(5000))
        async with Sender(cluster, ProducerConfig(linger_ms=0)) as producer:
            await (await producer.send("t", b"1"))
            delivery = await producer.send("t", b"2")
            await cluster.ports.clock.sleep(10)
            for connection in node._connections:
                connection.transport.abort()
            await delivery
        assert [record.value for record in node.records(0)] == [b"1", b"2"]

    play(work)


@pytest.mark.parametrize(
    ("host", "port"), [("x" * 70, 9092), ("a..b", 1), ("\0", 1), ("::1", 70_000)]
)
def test_an_address_that_is_none_can_not_be_connected_to(host: str, port: int) -> None:
    async def main() -> None:
        ports = open_ports(asyncio.get_running_loop())
        with pytest.raises(CannotConnect):
            await Connection.open(ports, ClientConfig(), host, port)
        ports.close()

    asyncio.run(main())
