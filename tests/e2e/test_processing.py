"""`Consumer.process` against a node in this process: order, retries, dead letters, rebalances."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from barnabas import Consumer, RebalanceListener, Retry
from barnabas.client.consumer.records import Event
from barnabas.sync import Consumer as BlockingConsumer
from barnabas.sync import Producer
from barnabas.testing import Broker
from barnabas.testing.checkers import check_transformed
from tests.e2e.processing_node import (
    FAST,
    behind,
    committed,
    key_of,
    send,
    settings,
    text,
)

ONCE = Retry(attempts=1)
SOON = Retry(attempts=3, backoff_ms=1)


@pytest.fixture(scope="module")
def node() -> Iterator[Broker]:
    with Broker(FAST) as broker:
        yield broker


@pytest.fixture
def topic(node: Broker, request: pytest.FixtureRequest) -> str:
    """A topic of the test's own, with two partitions."""
    name = re.sub(r"[^\w.-]", "-", request.node.name)[-90:]
    node.create_topic(name, 2)
    return str(name)


def test_coroutines_side_by_side_in_the_order_of_their_keys(node: Broker, topic: str) -> None:
    sent = send(node, topic, 300)
    handled: list[str] = []
    at_work: set[str] = set()
    most = 0

    async def main() -> None:
        async with Consumer(topic, **settings(node, topic)) as consumer:

            async def handle(event: Event) -> None:
                nonlocal most
                value = text(event)
                assert key_of(value) not in at_work
                at_work.add(key_of(value))
                most = max(most, len(at_work))
                await asyncio.sleep(0.001 * (event.offset % 3))
                at_work.remove(key_of(value))
                handled.append(value)
                if len(handled) == 300:
                    consumer.stop_processing()

            await consumer.process(handle, concurrency=20)
            assert await committed(consumer, topic) == 300
            assert await consumer.get_many(timeout_ms=0) == []

    asyncio.run(main())
    assert check_transformed(sent, [handled], str, key_of) == []
    assert 1 < most <= 7


@pytest.mark.parametrize("order", ["partition", "none"])
def test_other_orders(node: Broker, topic: str, order: Any) -> None:
    sent = send(node, topic, 100)
    handled: list[str] = []
    at_work: Counter[int] = Counter()
    most = 0

    async def main() -> None:
        async with Consumer(topic, **settings(node, topic)) as consumer:

            async def handle(event: Event) -> None:
                nonlocal most
                at_work[event.partition] += 1
                most = max(most, at_work[event.partition])
                await asyncio.sleep(0.001)
                at_work[event.partition] -= 1
                handled.append(text(event))
                if len(handled) == 100:
                    consumer.stop_processing()

            await consumer.process(handle, concurrency=20, order=order)
            assert await committed(consumer, topic) == 100

    asyncio.run(main())
    if order == "partition":
        assert most == 1
        assert check_transformed(sent, [handled], str, lambda value: int(key_of(value)) % 2) == []
    else:
        assert most > 1
        assert sorted(handled) == sorted(sent[0] + sent[1])


def test_functions_in_threads_without_asyncio(node: Broker, topic: str) -> None:
    sent = send(node, topic, 100)
    handled: list[str] = []
    together = threading.Barrier(3)
    started: set[str] = set()

    with BlockingConsumer(topic, **settings(node, topic)) as consumer:

        def handle(event: Event) -> None:
            if len(started) < 3:
                started.add(text(event))
                together.wait(20)
            handled.append(text(event))
            if len(handled) == 100:
                consumer.stop_processing()

        consumer.process(handle, concurrency=3)
        found = consumer.committed((topic, 0), (topic, 1))
        assert sum(at.offset for at in found.values()) == 100
        send(node, topic, 1)
        with pytest.raises(LookupError, match="stopped"):
            consumer.process(broken, retry=ONCE)
    assert check_transformed(sent, [handled], str, key_of) == []


def broken(_event: Event) -> None:
    raise LookupError("stopped")


class Assigned(RebalanceListener):
    """Says when it has partitions."""

    def __init__(self) -> None:
        self.some = asyncio.Event()

    def on_assigned(self, partitions: list[tuple[str, int]]) -> None:
        if partitions:
            self.some.set()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_partitions_move_while_handlers_run(node: Broker, topic: str, protocol: str) -> None:
    sent = send(node, topic, 200)
    handled: list[str] = []
    who: list[str] = []

    async def member(name: str, over: asyncio.Event, listener: Assigned) -> None:
        options = settings(node, topic, group_protocol=protocol)
        async with Consumer(topic, listener=listener, **options) as consumer:

            async def handle(event: Event) -> None:
                await asyncio.sleep(0.005)
                handled.append(text(event))
                who.append(name)
                if len(handled) == 400:
                    over.set()

            run = asyncio.ensure_future(consumer.process(handle, concurrency=4))
            await over.wait()
            consumer.stop_processing()
            await run

    async def main() -> None:
        over, moved = asyncio.Event(), Assigned()
        first = asyncio.ensure_future(member("first", over, Assigned()))
        while len(handled) < 20:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(member("second", over, moved))
        await moved.some.wait()
        more = await asyncio.to_thread(send, node, topic, 200, first=200)
        for partition in (0, 1):
            sent[partition] += more[partition]
        await asyncio.gather(first, second)

    asyncio.run(main())
    assert set(who) == {"first", "second"}
    assert check_transformed(sent, [handled], str, key_of) == []


def test_without_a_group_nothing_is_committed(node: Broker, topic: str) -> None:
    sent = send(node, topic, 100)
    handled: list[str] = []

    async def main() -> None:
        async with Consumer(**settings(node, topic, group_id=None)) as consumer:
            await consumer.assign([(topic, 0), (topic, 1)])

            async def handle(event: Event) -> None:
                handled.append(text(event))
                if len(handled) == 100:
                    consumer.stop_processing()

            await consumer.process(handle, concurrency=5)

    asyncio.run(main())
    assert check_transformed(sent, [handled], str, key_of) == []


def test_a_partition_that_is_stuck_does_not_hold_up_another(node: Broker, topic: str) -> None:
    with Producer(bootstrap_servers=node.bootstrap_servers) as producer:
        producer.send_many(topic, [b"stuck"] * 5_000, partition=0).result()
        producer.send_many(topic, [b"free"] * 3_000, partition=1).result()
    counts: Counter[str] = Counter()

    async def main() -> None:
        go = asyncio.Event()
        async with Consumer(topic, **settings(node, topic)) as consumer:

            async def handle(event: Event) -> None:
                if event.partition == 0:
                    await go.wait()
                counts[text(event)] += 1
                if counts["free"] == 3_000:
                    go.set()
                if counts.total() == 8_000:
                    consumer.stop_processing()

            await consumer.process(handle, concurrency=10, order="partition")
            assert await committed(consumer, topic) == 8_000

    asyncio.run(main())
    assert counts == {"stuck": 5_000, "free": 3_000}


def test_a_paused_partition_waits_and_goes_on(node: Broker, topic: str) -> None:
    sent = send(node, topic, 200)
    handled: list[str] = []

    async def main() -> None:
        async with Consumer(topic, **settings(node, topic)) as consumer:

            async def handle(event: Event) -> None:
                handled.append(text(event))
                if len(handled) == 5:
                    await consumer.pause((topic, 0), (topic, 1))
                    await consumer.resume((topic, 0), (topic, 1))
                if len(handled) == 200:
                    consumer.stop_processing()

            await consumer.process(handle, concurrency=2)
            assert await committed(consumer, topic) == 200

    asyncio.run(main())
    assert check_transformed(sent, [handled], str, key_of) == []


def test_a_commit_in_a_handler_is_of_what_is_done(node: Broker, topic: str) -> None:
    send(node, topic, 10, keys=1)

    async def main() -> None:
        options = settings(node, topic, enable_auto_commit=False)
        async with Consumer(topic, **options) as consumer:

            async def handle(event: Event) -> None:
                if event.offset == 4:
                    await consumer.commit()
                    consumer.stop_processing()

            await consumer.process(handle, concurrency=1)
            assert await behind(consumer, topic) == 4

    asyncio.run(main())
