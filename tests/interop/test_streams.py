"""A word count with Java's Kafka Streams: its state, its repartition topic, its transactions."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.interop.conftest import WAIT_SECONDS, MakeTopic
from tests.interop.kafka import Node, java_command
from tests.interop.members import QUICK_GROUPS
from tests.interop.programs import QUICK_JVM

pytestmark = pytest.mark.usefixtures("java")

WORDS = [f"word{number}" for number in range(40)]
LINES = 200
PARTITIONS = 2


@pytest.fixture(scope="module")
def node_settings() -> dict[str, str]:
    """An application that was killed is missed soon."""
    return QUICK_GROUPS


@contextlib.contextmanager
def counting(
    node: Node, topics: tuple[str, str], guarantee: str, directory: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The running application; it is ended cleanly, unless it was killed."""
    arguments = (node.address, f"count-{topics[0]}", *topics, guarantee, str(directory))
    log = (directory.parent / f"{directory.name}.log").open("ab")
    process = subprocess.Popen(
        java_command("WordCount", *arguments, options=QUICK_JVM),
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
    )
    assert process.stdin is not None
    try:
        yield process
        process.stdin.close()
        process.wait(WAIT_SECONDS)
    finally:
        process.kill()
        process.wait()
        log.close()


def say(node: Node, topic: str, chance: random.Random) -> Counter[str]:
    """Lines of words; how often each was said."""
    said: Counter[str] = Counter()
    producer = Producer({"bootstrap.servers": node.address, "enable.idempotence": True})
    for number in range(LINES):
        words = chance.choices(WORDS, k=5)
        said.update(words)
        producer.produce(topic, " ".join(words), partition=number % PARTITIONS)
    assert producer.flush(WAIT_SECONDS) == 0
    return said


class Counts:
    """The counts that have come out so far, in their order, word by word."""

    def __init__(self, node: Node, topic: str) -> None:
        self.found: dict[str, list[int]] = {}
        self._reader = Consumer(
            {
                "bootstrap.servers": node.address,
                "group.id": "unused",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
            }
        )
        self._reader.assign([TopicPartition(topic, each, 0) for each in range(PARTITIONS)])

    def until(self, total: int) -> None:
        """Read until so many have come."""
        deadline = time.monotonic() + 2 * WAIT_SECONDS
        while sum(map(len, self.found.values())) < total:
            assert time.monotonic() < deadline, (total, self.found)
            for message in self._reader.consume(1000, 0.1):
                assert message.error() is None, message.error()
                word, count = message.key(), message.value()
                assert word is not None
                assert count is not None
                self.found.setdefault(word.decode(), []).append(int(count))

    def close(self) -> None:
        """Nothing more is asked."""
        self._reader.close()


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once_v2"])
def test_a_word_count(
    node: Node, make_topic: MakeTopic, tmp_path: Path, seed: int, guarantee: str
) -> None:
    topics = (make_topic(PARTITIONS), make_topic(PARTITIONS))
    chance = random.Random(seed)
    said = say(node, topics[0], chance)
    counts = Counts(node, topics[1])
    with counting(node, topics, guarantee, tmp_path / "one") as process:
        counts.until(said.total())
        if guarantee == "exactly_once_v2":
            said += say(node, topics[0], chance)
            counts.until(said.total() - 5 * LINES + 1)
            process.kill()
    if guarantee == "exactly_once_v2":
        # Another machine, without the first one's state: it comes from the changelog.
        with counting(node, topics, guarantee, tmp_path / "other"):
            counts.until(said.total())
    counts.close()
    assert counts.found == {word: list(range(1, total + 1)) for word, total in said.items()}
