"""`barnabas.Consumer` and `barnabas.sync.Consumer` against a node in this process."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from barnabas import CommitRefused, Consumer, OffsetAndMetadata, RebalanceListener
from barnabas.client.consumer.records import Event
from barnabas.client.errors import ClientError
from barnabas.sync import Consumer as BlockingConsumer
from barnabas.sync import Producer
from barnabas.testing import Broker
from barnabas.wire.errors import KafkaError

PROTOCOLS = pytest.mark.parametrize("protocol", ["classic", "consumer"])
TopicPartition = tuple[str, int]
FAST = {
    "group.consumer.assignment.interval.ms": "0",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "100",
}


@pytest.fixture(scope="module")
def node() -> Iterator[Broker]:
    """A broker whose KIP-848 members hear of changes soon."""
    with Broker(FAST) as broker:
        yield broker


@pytest.fixture
def topic(node: Broker, request: pytest.FixtureRequest) -> str:
    """A topic of the test's own, with four partitions."""
    name = re.sub(r"[^\w.-]", "-", request.node.name)[-90:]
    node.create_topic(name, 4)
    return str(name)


def send(node: Broker, topic: str, *values: int, partition: int | None = None) -> None:
    with Producer(bootstrap_servers=node.bootstrap_servers) as producer:
        for value in values:
            where = value % 4 if partition is None else partition
            producer.send(topic, b"%d" % value, partition=where)


def settings(node: Broker, **more: Any) -> dict[str, Any]:
    return {
        "bootstrap_servers": node.bootstrap_servers,
        "auto_offset_reset": "earliest",
        "heartbeat_interval_ms": 100,
        **more,
    }


async def take(consumer: Consumer, count: int) -> list[int]:
    """The values of the next events, one by one."""
    found: list[int] = []
    async for event in consumer:
        found.append(int(event.value or b""))
        if len(found) == count:
            break
    return found


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


class Listener(RebalanceListener):
    """Notes what it hears; `slow` is awaited in `on_revoked`."""

    def __init__(self, slow: Callable[[], Awaitable[None]] | None = None) -> None:
        self.heard: list[tuple[str, list[TopicPartition]]] = []
        self._slow = slow

    def on_assigned(self, partitions: list[TopicPartition]) -> None:
        self.heard.append(("assigned", partitions))

    async def on_revoked(self, partitions: list[TopicPartition]) -> None:
        self.heard.append(("revoked", partitions))
        if self._slow is not None:
            await self._slow()

    def on_lost(self, partitions: list[TopicPartition]) -> None:
        self.heard.append(("lost", partitions))


def numbers(names: list[TopicPartition]) -> list[int]:
    return [number for _, number in names]


@PROTOCOLS
def test_a_group_goes_on_behind_what_was_processed(node: Broker, topic: str, protocol: str) -> None:
    send(node, topic, *range(12), partition=0)
    options = settings(node, group_id=topic, group_protocol=protocol)

    async def main() -> None:
        class Broken(Exception):
            pass

        async def break_at_five() -> None:
            async with Consumer(topic, **options) as consumer:
                async for event in consumer:
                    if event.value == b"5":
                        raise Broken

        with pytest.raises(Broken):
            await break_at_five()
        async with Consumer(topic, **options) as consumer:
            assert await take(consumer, 3) == [5, 6, 7]  # 5 was not processed
        async with Consumer(topic, **options) as consumer:
            events = await consumer.get_many(2, timeout_ms=20_000)
            assert [event.value for event in events] == [b"8", b"9"]
            # An event that is in hand is no part of an automatic commit, but of one that is told.
            await consumer.commit()
            assert await consumer.committed((topic, 0)) == {
                (topic, 0): OffsetAndMetadata(10, "", 0)
            }
            assert consumer.group_member()[0] != ""

    asyncio.run(main())


@PROTOCOLS
def test_members_share_and_the_listener_hears_it(node: Broker, topic: str, protocol: str) -> None:
    options = settings(node, group_id=topic, group_protocol=protocol)

    async def main() -> None:
        ears, others = Listener(), Listener()
        async with Consumer(topic, listener=ears, **options) as one:
            await until(lambda: len(one.assignment()) == 4)
            async with Consumer(topic, listener=others, **options) as other:
                await until(lambda: len(other.assignment()) == len(one.assignment()) == 2)
                both = one.assignment() + other.assignment()
                assert sorted(numbers(both)) == [0, 1, 2, 3]
                await until(lambda: ("assigned", other.assignment()) in others.heard)
            await until(lambda: len(one.assignment()) == 4)
        assert [what for what, _ in ears.heard].count("lost") == 0
        assert ears.heard[-1][0] == "revoked"
        assert len(ears.heard[-1][1]) == 4

    asyncio.run(main())


@PROTOCOLS
def test_a_handler_that_blocks_its_loop_keeps_its_partitions_and_is_refused_late(
    node: Broker, topic: str, protocol: str
) -> None:
    send(node, topic, *range(8))
    options = settings(
        node,
        group_id=topic,
        group_protocol=protocol,
        session_timeout_ms=6_000,
        enable_auto_commit=False,
    )
    blocked, free = threading.Event(), threading.Event()
    late: list[TopicPartition] = []

    def slow_member() -> None:
        async def main() -> None:
            async with Consumer(topic, revoke_timeout_ms=300, **options) as consumer:
                seen: set[int] = set()
                while len(seen) < 4:  # something of every partition is in its hands
                    await until(lambda: len(consumer.assignment()) == 4)
                    await consumer.seek_to_beginning()
                    await asyncio.sleep(0.1)
                    events = await consumer.get_many(100, timeout_ms=10_000)
                    seen = {event.partition for event in events}
                blocked.set()
                free.wait()  # the whole loop stands still
                with pytest.raises(CommitRefused) as refused:
                    await consumer.commit()
                late.extend(refused.value.partitions)
                await consumer.commit()  # told once

        asyncio.run(main())

    async def others() -> None:
        async with Consumer(topic, **options) as one:
            # All others go on, though one does not answer.
            await until(lambda: len(one.assignment()) >= 2)
            found = {event.partition for event in await consume(one, 4)}
            assert found <= set(numbers(one.assignment()))
            free.set()
            await asyncio.to_thread(thread.join)
            assert found <= set(numbers(late))

    async def consume(consumer: Consumer, count: int) -> list[Event]:
        events: list[Event] = []
        while len(events) < count:
            events += await consumer.get_many(timeout_ms=10_000)
        return events

    thread = threading.Thread(target=slow_member)
    thread.start()
    blocked.wait()
    try:
        asyncio.run(others())
    finally:
        free.set()
        thread.join()


def test_offsets_seek_pause_and_time(node: Broker, topic: str) -> None:
    send(node, topic, *range(10), partition=1)
    place = (topic, 1)

    async def main() -> None:
        async with Consumer(**settings(node)) as consumer:
            await consumer.assign([place, (topic, 2)])
            assert consumer.assignment() == [place, (topic, 2)]
            assert await take(consumer, 4) == [0, 1, 2, 3]
            assert consumer.position(place) == 4
            await consumer.seek(place, 8)
            assert await take(consumer, 2) == [8, 9]
            await consumer.seek_to_beginning(place)
            assert await take(consumer, 1) == [0]
            await consumer.pause(place)
            assert consumer.paused() == [place]
            assert await consumer.get_many(timeout_ms=50) == []
            await consumer.resume(place)
            assert await take(consumer, 2) == [1, 2]  # nothing was left out
            await consumer.seek_to_end(place)
            assert await consumer.get_many(timeout_ms=50) == []
            assert await consumer.beginning_offsets(place) == {place: 0}
            assert await consumer.end_offsets(place) == {place: 10}
            first = await consumer.offsets_for_times({place: 0})
            assert first[place].offset == 0
            assert await consumer.offsets_for_times({place: 1 << 60}) == {}
            assert await consumer.partitions_for(topic) == [0, 1, 2, 3]
            with pytest.raises(ValueError, match="not assigned"):
                await consumer.seek((topic, 3), 0)

    asyncio.run(main())


def test_a_position_that_is_gone_is_reset(node: Broker, topic: str) -> None:
    send(node, topic, *range(3), partition=0)

    async def main() -> None:
        async with Consumer(**settings(node)) as consumer:
            await consumer.assign([(topic, 0)])
            await consumer.seek((topic, 0), 1_000)
            assert await take(consumer, 1) == [0]
        async with Consumer(**settings(node, auto_offset_reset="none")) as consumer:
            with pytest.raises(ClientError, match=r"auto\.offset\.reset is none"):
                await consumer.assign([(topic, 0)])

    asyncio.run(main())


def test_a_pattern_finds_topics_that_come_later(node: Broker, topic: str) -> None:
    first, second = f"{topic}-one", f"{topic}-two"
    node.create_topic(first)

    async def main() -> None:
        pattern = re.compile(re.escape(topic) + "-.*")
        options = settings(node, group_id=topic, metadata_max_age_ms=100)
        async with Consumer(pattern, **options) as consumer:
            await until(lambda: consumer.assignment() == [(first, 0)])
            await asyncio.to_thread(node.create_topic, second)
            await until(lambda: consumer.assignment() == [(first, 0), (second, 0)])

    asyncio.run(main())


def test_batches_are_columns(node: Broker, topic: str) -> None:
    send(node, topic, *range(6), partition=0)

    async def main() -> None:
        async with Consumer(topic, **settings(node, group_id=topic)) as consumer:
            values: list[bytes | None] = []
            async for batch in consumer.batches():
                assert (batch.topic, batch.partition) == (topic, 0)
                assert batch.offsets == list(range(len(values), len(values) + len(batch)))
                values += batch.values
                if len(values) == 6:
                    break
            assert values == [b"%d" % n for n in range(6)]

    asyncio.run(main())


@PROTOCOLS
def test_the_blocking_face(node: Broker, topic: str, protocol: str) -> None:
    send(node, topic, *range(9), partition=0)
    options = settings(node, group_id=topic, group_protocol=protocol)
    heard: list[str] = []

    class Ears(RebalanceListener):
        def on_assigned(self, partitions: list[TopicPartition]) -> None:
            heard.append(f"assigned {len(partitions)}")

        def on_revoked(self, partitions: list[TopicPartition]) -> None:
            heard.append(f"revoked {len(partitions)}")

    with BlockingConsumer(topic, listener=Ears(), **options) as consumer:
        found = []
        for event in consumer:
            found.append(event.value)
            if len(found) == 3:
                break
        assert found == [b"0", b"1", b"2"]
        assert [e.value for e in consumer.get_many(2, timeout_ms=5_000)] == [b"3", b"4"]
        consumer.commit()
        assert consumer.committed((topic, 0))[topic, 0].offset == 5
        batch = consumer.get_batch(1)
        assert batch is not None
        assert batch.values == [b"5"]
        consumer.seek((topic, 0), 7)
        assert [e.value for e in consumer.get_many(timeout_ms=5_000)] == [b"7", b"8"]
        assert consumer.get_many(timeout_ms=10) == []
    assert "assigned 4" in heard
    assert heard[-1] == "revoked 4"
    with pytest.raises(ClientError, match="closed"):
        consumer.get_many()


def test_what_ends_the_membership_is_raised_by_every_call(node: Broker, topic: str) -> None:
    options = settings(node, group_id=topic)

    async def main() -> None:
        async with Consumer(topic, partition_assignment_strategy="range", **options) as one:
            await until(lambda: len(one.assignment()) == 4)
            async with Consumer(topic, partition_assignment_strategy="sticky", **options) as other:
                for _ in range(2):
                    with pytest.raises(KafkaError, match="INCONSISTENT_GROUP_PROTOCOL"):
                        await other.get_many(timeout_ms=10_000)

    asyncio.run(main())


def test_settings_that_there_are_not(node: Broker) -> None:
    with pytest.raises(ValueError, match=r"did you mean 'group.id'"):
        Consumer({"group.idd": "x"})
    with pytest.raises(ValueError, match=r"did you mean 'group_id'"):
        Consumer(groupid="x")
    with pytest.raises(ValueError, match="neither true nor false"):
        Consumer(enable_auto_commit="perhaps")
    with pytest.raises(ValueError, match="none of range, roundrobin"):
        Consumer(partition_assignment_strategy="best")

    async def main() -> None:
        async with Consumer({"bootstrap.servers": node.bootstrap_servers}) as consumer:
            with pytest.raises(ValueError, match=r"group\.id"):
                await consumer.subscribe(["t"])

    asyncio.run(main())
