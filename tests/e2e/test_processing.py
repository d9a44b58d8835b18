"""`Consumer.process` against a node in this process: order, retries, dead letters, rebalances."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barnabas import Consumer, RebalanceListener, Reject, Retry, RetryAfter
from barnabas.client.consumer.records import Event
from barnabas.client.errors import ClientError
from barnabas.client.processing.dead_letters import read_reason
from barnabas.sync import Consumer as BlockingConsumer
from barnabas.sync import Producer
from barnabas.testing import Broker
from barnabas.testing.checkers import check_transformed
from barnabas.wire.errors import KafkaError
from tests.e2e import processing_handlers

FAST = {
    "group.consumer.assignment.interval.ms": "0",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "100",
}
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


def settings(node: Broker, topic: str, **more: Any) -> dict[str, Any]:
    return {
        "bootstrap_servers": node.bootstrap_servers,
        "group_id": topic,
        "auto_offset_reset": "earliest",
        "heartbeat_interval_ms": 100,
        **more,
    }


def send(node: Broker, topic: str, count: int, *, keys: int = 7, first: int = 0) -> list[list[str]]:
    """Values `KEY NUMBER`; returns what each partition was given."""
    sent: list[list[str]] = [[], []]
    with Producer(bootstrap_servers=node.bootstrap_servers) as producer:
        for number in range(first, first + count):
            key = number * number % keys
            value = f"{key} {number}"
            sent[key % 2].append(value)
            producer.send(topic, value.encode(), key=b"%d" % key, partition=key % 2)
    return sent


def text(event: Event) -> str:
    return (event.value or b"").decode()


def key_of(value: str) -> str:
    return value.split()[0]


async def behind(consumer: Consumer, topic: str) -> int:
    """How many records the group is behind of in both partitions."""
    found = await consumer.committed((topic, 0), (topic, 1))
    return sum(at.offset for at in found.values())


async def committed(consumer: Consumer, topic: str) -> int:
    """As `behind`, when nothing behind that is done."""
    found = await consumer.committed((topic, 0), (topic, 1))
    assert all(not at.metadata for at in found.values())
    return await behind(consumer, topic)


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


def test_functions_in_processes(node: Broker, topic: str, tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with Producer(bootstrap_servers=node.bootstrap_servers) as producer:
        for number in range(40):
            producer.send(topic, f"{path} {number}".encode())

    async def main() -> None:
        async with Consumer(topic, **settings(node, topic)) as consumer:
            run = asyncio.ensure_future(
                consumer.process(processing_handlers.burn, concurrency=2, processes=2)
            )
            while not run.done() and await behind(consumer, topic) < 40:
                await asyncio.sleep(0.01)
            consumer.stop_processing()
            await run

    asyncio.run(main())
    lines = [line.split() for line in Path(path).read_text().splitlines()]
    assert sorted(int(number) for _, number, _ in lines) == list(range(40))
    assert len({process for process, _, _ in lines}) == 2


def test_a_process_that_dies_takes_only_its_own_record_along(node: Broker, topic: str) -> None:
    with Producer(bootstrap_servers=node.bootstrap_servers) as producer:
        for number in range(20):
            producer.send(topic, b"die" if number == 5 else b"live")

    async def main() -> None:
        async with Consumer(topic, **settings(node, topic)) as consumer:
            run = asyncio.ensure_future(
                consumer.process(
                    processing_handlers.die,
                    concurrency=2,
                    processes=2,
                    retry=ONCE,
                    dead_letter=topic + ".dlq",
                )
            )
            while not run.done() and await behind(consumer, topic) < 20:
                await asyncio.sleep(0.01)
            consumer.stop_processing()
            await run

    asyncio.run(main())
    (letter,) = dead_letters(node, topic, 1)
    assert letter.value == b"die"
    assert read_reason(letter.headers).exception == "barnabas.ports.WorkerLost"


def test_a_handler_that_cannot_go_to_a_process_is_refused(node: Broker, topic: str) -> None:
    async def main() -> None:
        async with Consumer(topic, **settings(node, topic)) as consumer:
            with pytest.raises(ClientError, match="cannot run in a process"):
                await consumer.process(lambda event: event, processes=1)
            with pytest.raises(ValueError, match="async handler"):
                await consumer.process(later, processes=1)
            with pytest.raises(ValueError, match="order"):
                await consumer.process(print, order="keys")  # type: ignore[arg-type]

    asyncio.run(main())


async def later(_event: Event) -> None:
    """A handler."""


def dead_letters(node: Broker, topic: str, count: int) -> list[Event]:
    found: list[Event] = []
    options = settings(node, topic, group_id=topic + ".reader")
    with BlockingConsumer(topic + ".dlq", **options) as consumer:
        while len(found) < count:
            found += consumer.get_many(timeout_ms=20_000)
    return found


def test_what_keeps_failing_becomes_a_dead_letter(
    node: Broker, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    send(node, topic, 20)
    attempts: Counter[str] = Counter()

    async def main() -> None:
        async with Consumer(topic, **settings(node, topic)) as consumer:

            async def handle(event: Event) -> None:
                value = text(event)
                attempts[value] += 1
                if value.endswith(" 4"):
                    raise Reject("never")
                if value.endswith((" 5", " 15")):
                    raise ValueError(f"attempt {attempts[value]}")
                if value.endswith(" 6") and attempts[value] == 1:
                    raise RetryAfter(1)

            run = asyncio.ensure_future(
                consumer.process(handle, retry=SOON, dead_letter=topic + ".dlq")
            )
            while not run.done() and await behind(consumer, topic) < 20:
                await asyncio.sleep(0.01)
            consumer.stop_processing()
            await run

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    letters = {text(each).split()[1]: each for each in dead_letters(node, topic, 3)}
    assert set(letters) == {"4", "5", "15"}
    reason = read_reason(letters["5"].headers)
    assert (reason.topic, reason.attempts, reason.exception) == (topic, 3, "ValueError")
    assert (reason.message, reason.group) == ("attempt 3", topic)
    assert letters["5"].key == b"4"
    assert read_reason(letters["4"].headers).attempts == 1
    assert {value for value, count in attempts.items() if count > 1} == {"4 5", "1 15", "1 6"}
    assert len([each for each in caplog.records if "dead letter" in each.message]) == 3


def test_a_key_waits_for_its_record_and_others_do_not(node: Broker, topic: str) -> None:
    sent = send(node, topic, 60)
    handled: list[str] = []
    failed = False

    async def main() -> None:
        async with Consumer(topic, **settings(node, topic)) as consumer:

            async def handle(event: Event) -> None:
                nonlocal failed
                value = text(event)
                if key_of(value) == "4" and not failed:
                    failed = True
                    raise RetryAfter(300)
                handled.append(value)
                if len(handled) == 60:
                    consumer.stop_processing()

            await consumer.process(handle)

    asyncio.run(main())
    assert check_transformed(sent, [handled], str, key_of) == []
    behind_others = [value for value in handled if key_of(value) == "4"]
    assert handled[-len(behind_others) :] == behind_others


def test_without_a_dead_letter_topic_the_error_ends_it_and_what_is_done_is_committed(
    node: Broker, topic: str
) -> None:
    send(node, topic, 30)
    handled: list[str] = []

    async def main() -> None:
        bad = True
        async with Consumer(topic, **settings(node, topic)) as consumer:

            async def handle(event: Event) -> None:
                if bad and text(event) == "1 15":
                    raise LookupError("no")
                await asyncio.sleep(0.001)
                handled.append(text(event))
                if len(handled) == 30:
                    consumer.stop_processing()

            with pytest.raises(LookupError):
                await consumer.process(handle, retry=ONCE)
            bad = False
        assert len(handled) < 30
        async with Consumer(topic, **settings(node, topic)) as consumer:
            await consumer.process(handle, retry=ONCE)
            assert await committed(consumer, topic) == 30

    asyncio.run(main())
    assert len(set(handled)) == 30  # no record was worked on twice, for all the gaps


def test_a_cancelled_process_lets_what_has_begun_end(node: Broker, topic: str) -> None:
    send(node, topic, 10)
    ended: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()
        go = asyncio.Event()
        async with Consumer(topic, **settings(node, topic)) as consumer:

            async def handle(event: Event) -> None:
                begun.set()
                await go.wait()
                ended.append(text(event))

            run = asyncio.ensure_future(consumer.process(handle, concurrency=1))
            await begun.wait()
            run.cancel()
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="while it runs"):
                await consumer.get_many()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await run
            assert await behind(consumer, topic) == 1
            assert len(await consumer.get_many(timeout_ms=20_000)) > 0

    asyncio.run(main())
    assert len(ended) == 1


def test_a_handler_that_does_not_end_is_cancelled_after_the_time_to_revoke(
    node: Broker, topic: str
) -> None:
    send(node, topic, 10)

    async def main() -> None:
        begun = asyncio.Event()
        cancelled: list[str] = []
        async with Consumer(topic, **settings(node, topic, revoke_timeout_ms=50)) as consumer:

            async def handle(event: Event) -> None:
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.append(text(event))

            run = asyncio.ensure_future(consumer.process(handle, concurrency=3))
            await begun.wait()
            consumer.stop_processing()
            await run
            assert len(cancelled) == 3
            assert await behind(consumer, topic) == 0

    asyncio.run(main())


def test_closing_the_consumer_ends_the_process_first(node: Broker, topic: str) -> None:
    send(node, topic, 10)

    async def main() -> None:
        handled: list[str] = []
        async with Consumer(topic, **settings(node, topic)) as consumer:

            async def handle(event: Event) -> None:
                await asyncio.sleep(0.001)
                handled.append(text(event))

            run = asyncio.ensure_future(consumer.process(handle, concurrency=1))
            while len(handled) < 3:
                await asyncio.sleep(0.001)
        await run
        async with Consumer(topic, **settings(node, topic)) as consumer:
            assert await behind(consumer, topic) == len(handled)

    asyncio.run(main())


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


def test_a_dead_letter_topic_that_there_is_not(topic: str) -> None:
    with Broker({"auto.create.topics.enable": "false"}) as strict:
        strict.create_topic(topic, 2)

        async def main() -> None:
            async with Consumer(topic, **settings(strict, topic, default_api_timeout_ms=500)) as c:
                with pytest.raises(KafkaError):
                    await c.process(print, dead_letter="nowhere")

        asyncio.run(main())
