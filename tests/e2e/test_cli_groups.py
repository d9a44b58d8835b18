"""`barnabas groups` against a node whose groups are librdkafka's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from barnabas.cli.exits import Exit
from barnabas.testing import Broker
from tests.e2e.node import Shell


@pytest.fixture
def sh(kafka: Broker) -> Shell:
    """Commands against the broker of the run."""
    return Shell(kafka.bootstrap_servers)


@contextmanager
def member(kafka: Broker, group: str, topic: str, count: int, **settings: str) -> Iterator[None]:
    """A consumer that has read and committed `count` events, and stays."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": group,
            "client.id": "app",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **settings,
        }
    )
    consumer.subscribe([topic])
    for _ in range(count):
        event = consumer.poll(30)
        assert event is not None
        assert event.error() is None
        consumer.commit(event, asynchronous=False)
    yield
    consumer.close()


def send(sh: Shell, topic: str, count: int) -> None:
    """Events at the first seconds of 1970, so that they can be found by time."""
    lines = [f'{{"value": "{n}", "timestamp": {n * 1000}}}' for n in range(count)]
    sh("produce", topic, "--format", "json", stdin="\n".join(lines).encode())


def offsets(sh: Shell, group: str) -> list[int | None]:
    """What is committed, by partition."""
    return [row["offset"] for row in sh.json("groups", "lag", group)]


def test_a_group_from_its_first_member_to_its_end(
    kafka: Broker, kafka_topic: str, sh: Shell
) -> None:
    send(sh, kafka_topic, 10)
    with member(kafka, "billing", kafka_topic, 4):
        (listed,) = [g for g in sh.json("groups", "list") if g["group"] == "billing"]
        assert listed == {
            "group": "billing",
            "state": "Stable",
            "type": "classic",
            "protocol": "consumer",
        }
        facts = sh.json("groups", "describe", "billing")
        assert (facts["state"], facts["assignor"], facts["members"]) == ("Stable", "range", 1)
        (one,) = sh.json("groups", "members", "billing")
        assert one["client"] == "app"
        assert one["host"] == "127.0.0.1"
        assert one["partitions"] == [f"{kafka_topic}-0"]
        assert sh.json("groups", "lag", "billing") == [
            {
                "topic": kafka_topic,
                "partition": 0,
                "offset": 4,
                "end": 10,
                "lag": 6,
                "member": one["member"],
            }
        ]
        code, told = sh.fail("groups", "reset-offsets", "billing", "--to", "end", "--execute")
        assert code == Exit.FAILED
        assert "stop them first" in told
        assert sh.fail("groups", "delete", "billing")[0] == Exit.FAILED
    assert sh("groups", "describe", "billing").decode().split()[:4] == [
        "group",
        "billing",
        "state",
        "Empty",
    ]
    assert offsets(sh, "billing") == [4]
    sh("groups", "delete", "billing")
    assert "billing" not in sh("groups", "list").decode()
    code, told = sh.fail("groups", "describe", "billing")
    assert code == Exit.NOT_FOUND
    assert "groups list" in told
    assert sh.fail("groups", "lag", "billing")[0] == Exit.NOT_FOUND


@pytest.mark.parametrize(
    ("option", "value", "expected"), [("--to", "@5500", 6), ("--shift", "-9", 0)]
)
def test_offsets_are_reset(
    kafka: Broker, kafka_topic: str, sh: Shell, option: str, value: str, expected: int
) -> None:
    send(sh, kafka_topic, 10)
    group = f"g-{kafka_topic}"
    with member(kafka, group, kafka_topic, 4):
        pass
    command = ("groups", "reset-offsets", group, option, value)
    change = {"topic": kafka_topic, "partition": 0, "offset": 4, "new_offset": expected}
    assert sh.json(*command) == [change]
    assert offsets(sh, group) == [4], "nothing happens without --execute"
    assert sh.json(*command, "--execute") == [change]
    assert offsets(sh, group) == [expected]


def test_offsets_from_a_file_and_for_some_partitions(
    kafka: Broker, sh: Shell, tmp_path: Path
) -> None:
    kafka.create_topic("filed", 3)
    for number in range(3):
        sh("produce", "filed", "--partition", str(number), stdin=b"a\nb\nc\n")
    file = tmp_path / "offsets.csv"
    file.write_text('"filed",0,1\nfiled,2,2\n')
    sh("groups", "reset-offsets", "new", "--file", str(file), "--execute")
    assert offsets(sh, "new") == [1, 2]
    sh("groups", "reset-offsets", "new", "--to", "end", "--topic", "filed:1,2", "--execute")
    assert offsets(sh, "new") == [1, 3, 3]
    file.write_text("filed,0\n")
    code, told = sh.fail("groups", "reset-offsets", "new", "--file", str(file))
    assert code == Exit.USAGE
    assert "line 1" in told


def test_what_cannot_be_asked_for(sh: Shell) -> None:
    assert sh.fail("groups", "reset-offsets", "new")[0] == Exit.USAGE
    code, told = sh.fail("groups", "reset-offsets", "nobody", "--to", "end")
    assert code == Exit.NOT_FOUND
    assert "--topic" in told


def test_a_consumer_group_has_epochs(kafka: Broker, kafka_topic: str, sh: Shell) -> None:
    """group.protocol=consumer: type, epochs, target; the rest is that of any group."""
    send(sh, kafka_topic, 3)
    protocol = {"group.protocol": "consumer"}
    with member(kafka, "modern", kafka_topic, 2, **protocol):
        (listed,) = [g for g in sh.json("groups", "list") if g["group"] == "modern"]
        assert (listed["type"], listed["state"]) == ("consumer", "Stable")
        facts = sh.json("groups", "describe", "modern")
        assert (facts["type"], facts["assignor"], facts["members"]) == ("consumer", "uniform", 1)
        assert (facts["epoch"], facts["assigned"]) == (2, 2)
        (one,) = sh.json("groups", "members", "modern")
        assert (one["protocol"], one["epoch"], one["client"]) == ("consumer", 2, "app")
        assert one["partitions"] == one["target"] == [f"{kafka_topic}-0"]
        assert b"EPOCH" in sh("groups", "members", "modern")
        assert offsets(sh, "modern") == [2]
        assert sh.fail("groups", "delete", "modern")[0] == Exit.FAILED
    assert sh.json("groups", "describe", "modern")["state"] == "Empty"
    sh("groups", "reset-offsets", "modern", "--to", "beginning", "--execute")
    assert offsets(sh, "modern") == [0]
    sh("groups", "delete", "modern")
    assert sh.fail("groups", "describe", "modern")[0] == Exit.NOT_FOUND
