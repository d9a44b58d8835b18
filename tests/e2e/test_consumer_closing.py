"""How consumers end: the listener still commits, loops end, an event of a rebalance is committed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from barnabas import Consumer, RebalanceListener
from barnabas.sync import Consumer as BlockingConsumer
from barnabas.testing import Broker
from tests.e2e.test_consumer import FAST, TopicPartition, send, settings, until


@pytest.fixture(scope="module")
def node() -> Iterator[Broker]:
    with Broker(FAST) as broker:
        yield broker


class Committing(RebalanceListener):
    """Commits by hand when partitions go."""

    def __init__(self) -> None:
        self.commit: Callable[[], object] = lambda: None

    def on_revoked(self, partitions: list[TopicPartition]) -> object:  # noqa: ARG002
        return self.commit()


def test_the_listener_may_commit_while_a_consumer_is_closed(node: Broker) -> None:
    node.create_topic("by-hand", 4)
    send(node, "by-hand", 1, 2, partition=0)
    options = settings(node, enable_auto_commit=False)

    async def main() -> None:
        ear = Committing()
        async with Consumer("by-hand", group_id="a", listener=ear, **options) as consumer:
            ear.commit = consumer.commit
            assert await consumer.get_many(timeout_ms=20_000)
        async with Consumer("by-hand", group_id="a", **options) as consumer:
            assert (await consumer.committed(("by-hand", 0)))["by-hand", 0].offset == 2

    asyncio.run(main())
    ear = Committing()
    with BlockingConsumer("by-hand", group_id="b", listener=ear, **options) as consumer:
        ear.commit = consumer.commit
        assert consumer.get_many(timeout_ms=20_000)
    with BlockingConsumer("by-hand", group_id="b", **options) as consumer:
        assert consumer.committed(("by-hand", 0))["by-hand", 0].offset == 2


def test_a_loop_ends_when_another_thread_closes_the_consumer(node: Broker) -> None:
    node.create_topic("threads", 4)
    consumer = BlockingConsumer("threads", group_id="threads", **settings(node))
    ended: list[object] = []

    def loop(events: Iterator[object]) -> None:
        try:
            ended.append(list(events))
        except BaseException as error:
            ended.append(error)

    loops = [iter(consumer), consumer.batches(), consumer.batches()]
    threads = [threading.Thread(target=loop, args=(each,)) for each in loops]
    for thread in threads:
        thread.start()
    while len(consumer.assignment()) < 4:
        threading.Event().wait(0.01)
    consumer.close()
    for thread in threads:
        thread.join(30)
    assert ended == [[], [], []]


def test_loops_end_when_another_task_stops_the_consumer(node: Broker) -> None:
    node.create_topic("tasks", 4)

    async def main(how: str) -> None:
        consumer = await Consumer("tasks", group_id="tasks", **settings(node)).start()

        async def loop() -> list[object]:
            return [each async for each in getattr(consumer, how)()]

        task = asyncio.ensure_future(loop())
        await until(lambda: len(consumer.assignment()) == 4)
        await consumer.stop()
        async with asyncio.timeout(30):
            assert await task == []

    for how in ("__aiter__", "batches"):
        asyncio.run(main(how))


def test_the_event_at_hand_in_a_rebalance_is_committed_at_the_end(node: Broker) -> None:
    node.create_topic("at-hand", 2)
    send(node, "at-hand", 1, 2, partition=0)
    send(node, "at-hand", 1, 2, partition=1)
    options = settings(node, partition_assignment_strategy="range", group_id="at-hand")

    async def main() -> None:
        async with Consumer("at-hand", **options) as consumer:
            async for event in consumer:
                name = (event.topic, event.partition)
                other = await Consumer("at-hand", **options).start()
                await until(lambda: not consumer.assignment())  # the rebalance waits for us
                break
        assert (await other.committed(name))[name].offset == 1
        await other.stop()

    asyncio.run(main())
