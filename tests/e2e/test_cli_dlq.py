"""`barnabas dlq` over dead letters that a consumer has buried."""

from __future__ import annotations

import asyncio

import pytest

from barnabas import Consumer, Retry
from barnabas.cli.exits import Exit
from barnabas.client.consumer.records import Event
from barnabas.sync import Consumer as BlockingConsumer
from barnabas.sync import Producer
from barnabas.testing import Broker
from tests.e2e.node import Shell


@pytest.fixture
def sh(kafka: Broker) -> Shell:
    """Commands against the broker of the run."""
    return Shell(kafka.bootstrap_servers)


@pytest.fixture
def dlq(kafka: Broker, kafka_topic: str) -> str:
    """A topic with six dead letters: offset, key and value are 0 to 5; odd ones are LookupErrors."""
    kafka.create_topic(kafka_topic + ".dlq", 1)
    with Producer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        for number in range(6):
            text = b"%d" % number
            producer.send(kafka_topic, text, key=text, partition=0, headers=[("trace", text)])

    async def main() -> None:
        async with Consumer(
            kafka_topic,
            group_id=kafka_topic,
            bootstrap_servers=kafka.bootstrap_servers,
            auto_offset_reset="earliest",
        ) as consumer:

            async def fail(event: Event) -> None:
                if event.offset == 5:
                    consumer.stop_processing()
                raise (LookupError if event.offset % 2 else ValueError)(f"no {event.offset}")

            await consumer.process(
                fail, concurrency=1, retry=Retry(attempts=1), dead_letter=kafka_topic + ".dlq"
            )

    asyncio.run(main())
    return kafka_topic + ".dlq"


def sent_back(kafka: Broker, topic: str, count: int) -> list[Event]:
    """What came to the topic behind the first six."""
    found: list[Event] = []
    with BlockingConsumer(
        bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([(topic, 0)])
        while len(found) < 6 + count:
            found += consumer.get_many(timeout_ms=20_000)
    return found[6:]


def test_letters_are_listed_counted_and_shown(sh: Shell, dlq: str, kafka_topic: str) -> None:
    assert {"topic": dlq, "records": 6} in sh.json("dlq", "list")
    assert dlq in sh("dlq", "list").decode()
    letters = sh.json("dlq", "list", dlq, "--filter", "exception=LookupError", "--max", "2")
    assert [each["offset"] for each in letters] == [1, 3]
    assert letters[0]["reason"]["topic"] == kafka_topic
    assert letters[0]["reason"]["message"] == "no 1"
    counts = sh.json("dlq", "list", dlq, "--by-reason")
    assert {each["exception"]: each["count"] for each in counts} == {
        "LookupError": 3,
        "ValueError": 3,
    }
    lines = sh("dlq", "list", dlq).decode().splitlines()
    assert len(lines) == 7
    assert f"{kafka_topic}-0 at 5" in lines[6]
    assert "LookupError" in sh("dlq", "list", dlq, "--by-reason").decode()
    shown = sh("dlq", "show", dlq, "0:2").decode()
    assert "ValueError: no 2" in shown
    assert "header     trace: 2" in shown
    assert sh.json("dlq", "show", dlq, "0:2")["value"] == "2"
    assert sh.fail("dlq", "show", dlq, "0:99")[0] == Exit.NOT_FOUND
    assert sh.fail("dlq", "show", dlq, "99")[0] == Exit.USAGE
    assert sh.fail("dlq", "list", dlq, "--filter", "colour=red")[0] == Exit.USAGE
    assert sh.fail("dlq", "list", "there-is-none.dlq")[0] == Exit.NOT_FOUND


def test_what_would_be_sent_back_is_told_first(
    kafka: Broker, sh: Shell, dlq: str, kafka_topic: str
) -> None:
    told = sh.json("dlq", "redrive", dlq, "--filter", "exception=ValueError")
    assert (told["executed"], told["sent"]) == (False, 0)
    assert [(each["offset"], each["to"]) for each in told["records"]] == [
        (offset, kafka_topic) for offset in (0, 2, 4)
    ]
    assert kafka_topic in sh("dlq", "redrive", dlq).decode()
    assert len(sh.json("dlq", "list", dlq)) == 6
    with BlockingConsumer(bootstrap_servers=kafka.bootstrap_servers) as consumer:
        assert consumer.end_offsets((kafka_topic, 0)) == {(kafka_topic, 0): 6}


def test_letters_go_back_once(kafka: Broker, sh: Shell, dlq: str, kafka_topic: str) -> None:
    done = sh.json("dlq", "redrive", dlq, "-f", "offset~[134]", "--rate", "1000", "--execute")
    assert done["sent"] == 3
    back = sent_back(kafka, kafka_topic, 3)
    assert [(each.key, each.value) for each in back] == [
        (b"1", b"1"),
        (b"3", b"3"),
        (b"4", b"4"),
    ]
    assert back[0].headers == (("trace", b"1"), ("__dlq.redrives", b"1"))
    assert [each["offset"] for each in sh.json("dlq", "list", dlq)] == [0, 2, 5]
    assert len(sh.json("dlq", "list", dlq, "--all")) == 6
    assert sh.json("dlq", "redrive", dlq, "--max", "1", "--execute")["sent"] == 1
    assert sh.json("dlq", "redrive", dlq, "--execute")["sent"] == 2
    assert sh.json("dlq", "redrive", dlq, "--execute")["sent"] == 0
    again = sh.json("dlq", "redrive", dlq, "--all", "-f", "offset=0")
    assert len(again["records"]) == 1


def test_letters_are_edited_and_sent_elsewhere(
    kafka: Broker, sh: Shell, dlq: str, kafka_topic: str
) -> None:
    filters = ("-f", "offset=1")
    edited = sh.json("dlq", "redrive", dlq, *filters, "--edit-with", "sed s/1/one/", "--execute")
    assert (edited["sent"], edited["edited"]) == (1, 1)
    assert [each.value for each in sent_back(kafka, kafka_topic, 1)] == [b"one"]
    code, text = sh.fail("dlq", "redrive", dlq, "--edit-with", "exit 3", "--execute")
    assert (code, "ended with 3" in text) == (Exit.FAILED, True)
    assert len(sh.json("dlq", "list", dlq)) == 5
    assert sh.fail("dlq", "redrive", dlq, "--edit", "--edit-with", "cat")[0] == Exit.USAGE
    assert sh.json("dlq", "redrive", dlq, "--to", kafka_topic, "-n", "2", "--execute")["sent"] == 2


def test_letters_that_do_not_tell_where_they_came_from(
    kafka: Broker, sh: Shell, kafka_topic: str
) -> None:
    with Producer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        producer.send(kafka_topic, b"x").result()
    code, text = sh.fail("dlq", "redrive", kafka_topic, "--execute")
    assert (code, "--to" in text) == (Exit.FAILED, True)
    assert sh.json("dlq", "show", kafka_topic, "0:0")["reason"]["topic"] is None
