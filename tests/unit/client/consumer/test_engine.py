"""The consumer's engine against a node in the simulator: beginnings that fail, changes that cross."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from barnabas.client.cluster import Cluster
from barnabas.client.config import ClientConfig, ProducerConfig
from barnabas.client.consumer.config import ConsumerConfig
from barnabas.client.consumer.engine import MOST_ERRORS, Engine
from barnabas.client.errors import ClientError
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.sender import Sender
from barnabas.wire.errors import ErrorCode
from tests.unit.client.fake_node import PORT, FakeNode, refuse, serve
from tests.unit.client.test_faces import play

P0, P1 = ("t", 0), ("t", 1)
EARLIEST = ConsumerConfig(auto_offset_reset="earliest")


async def silent(_what: str, _partitions: list[TopicPartition]) -> None:
    """No listener."""


def engine_of(
    cluster: Cluster,
    node: FakeNode,
    listener: Callable[[str, list[TopicPartition]], Awaitable[None]] = silent,
) -> Engine:
    """An engine without a group."""
    return Engine(
        cluster.ports,
        [(node.host, PORT)],
        ClientConfig(),
        EARLIEST,
        news=lambda: None,
        listener=listener,
    )


def offsets(engine: Engine) -> list[tuple[int, int]]:
    """Partition and first offset of what is ready."""
    return [(each.batch.partition, each.batch.first) for each in engine.ready]


async def fill(cluster: Cluster, *partitions: int) -> None:
    """A record in each of these."""
    async with Sender(cluster, ProducerConfig(linger_ms=0)) as sender:
        for partition in partitions:
            await (await sender.send("t", b"x", partition=partition))


def test_changes_that_come_before_their_partitions_are_not_overtaken() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        engine = engine_of(cluster, node)
        await engine.open()
        await cluster.topic("t")
        # The member says so at once; the partitions are begun only now.
        engine.closing(frozenset({P0}))
        engine.losing(frozenset({P1}))
        await engine.assign(frozenset({P0, P1}))
        await engine.revoke(frozenset({P0}))
        await engine.lose(frozenset({P1}))
        assert not engine.leases.held
        assert not engine._fetcher.positions()
        await engine.close(finished=True)

    play(work, partitions=2)


def test_a_beginning_that_failed_is_tried_again() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        await fill(cluster, 0)
        engine = engine_of(cluster, node)
        await engine.open()
        await engine.cluster.topic("t")
        node.mute = True
        await engine.assign(frozenset({P0}))
        assert engine.errors
        node.mute = False
        for _ in range(3_000):
            if not engine.ready:
                await cluster.ports.clock.sleep(100)
        assert offsets(engine) == [(0, 0)]
        await engine.close(finished=True)

    play(work)


def test_a_seek_of_the_listener_is_not_fetched_twice() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        async def listener(_what: str, _partitions: list[TopicPartition]) -> None:
            await engine.seek({P0: 0})
            await cluster.ports.clock.sleep(1000)

        await fill(cluster, 0, 1)
        engine = engine_of(cluster, node, listener)
        await engine.open()
        await engine.cluster.topic("t")
        await engine.assign(frozenset({P0, P1}))
        await cluster.ports.clock.sleep(1000)
        assert sorted(offsets(engine)) == [(0, 0), (1, 0)]
        await engine.close(finished=True)

    play(work, partitions=2)


def test_what_was_fetched_is_handed_out_before_a_reset() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        await fill(cluster, 0)
        node.faults.extend([serve, refuse(ErrorCode.OFFSET_OUT_OF_RANGE)])
        engine = engine_of(cluster, node)
        await engine.open()
        await engine.use([P0])
        await cluster.ports.clock.sleep(1000)
        (delivery,) = engine.ready
        assert delivery.lease.token is delivery.token
        assert delivery.lease.handed == 0
        delivery.lease.handed = delivery.lease.processed = 1
        engine.ready.clear()
        engine.fill()
        await cluster.ports.clock.sleep(1000)
        assert delivery.lease.token is not delivery.token
        await engine.close(finished=True)

    play(work)


def test_errors_that_nobody_asks_for_do_not_pile_up() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        engine = engine_of(cluster, node)
        for _ in range(3):
            engine.failed(ClientError("the same"))
        assert len(engine.errors) == 1
        for number in range(2 * MOST_ERRORS):
            engine.failed(ClientError(str(number)))
        assert len(engine.errors) == MOST_ERRORS
        with pytest.raises(ClientError, match="the same"):
            engine.raise_errors()

    play(work)
