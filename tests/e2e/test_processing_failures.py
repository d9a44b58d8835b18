"""`Consumer.process`: retries, dead letters, handlers in processes."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from barnabas import Consumer, Reject, Retry, RetryAfter
from barnabas.client.consumer.records import Event
from barnabas.client.errors import ClientError
from barnabas.client.processing.dead_letters import read_reason
from barnabas.sync import Producer
from barnabas.testing import Broker
from barnabas.testing.checkers import check_transformed
from barnabas.wire.errors import KafkaError
from tests.e2e import processing_handlers
from tests.e2e.processing_node import (
    FAST,
    behind,
    committed,
    dead_letters,
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


def test_a_dead_letter_topic_that_there_is_not(topic: str) -> None:
    with Broker({"auto.create.topics.enable": "false"}) as strict:
        strict.create_topic(topic, 2)

        async def main() -> None:
            async with Consumer(topic, **settings(strict, topic, default_api_timeout_ms=500)) as c:
                with pytest.raises(KafkaError):
                    await c.process(print, dead_letter="nowhere")

        asyncio.run(main())


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
