"""Other people's clients over IPv6: an address in brackets to begin with, and the one they are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.e2e.node import Node as E2eNode
from tests.e2e.node import Shell
from tests.interop.kafka import run

WAIT_SECONDS = 30.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[E2eNode]:
    """A node on ::1 alone."""
    started = E2eNode(tmp_path / "data", "--host", "::1")
    Shell(started.address)("topics", "create", "t")
    yield started
    assert started.stop() == 0


def test_kcat(kcat: str, node: E2eNode) -> None:
    assert node.address.startswith("[::1]:")
    run([kcat, "-b", node.address, "-P", "-t", "t"], stdin="a\nb\n")
    read = run([kcat, "-b", node.address, "-C", "-q", "-e", "-t", "t", "-o", "beginning"])
    assert read.stdout.splitlines() == ["a", "b"]


def test_confluent_kafka(node: E2eNode) -> None:
    producer = Producer({"bootstrap.servers": node.address})
    producer.produce("t", b"value", b"key")
    assert producer.flush(WAIT_SECONDS) == 0
    consumer = Consumer({"bootstrap.servers": node.address, "group.id": "unused"})
    consumer.assign([TopicPartition("t", 0, 0)])
    message = consumer.poll(WAIT_SECONDS)
    assert message is not None
    assert (message.error(), message.key(), message.value()) == (None, b"key", b"value")
    consumer.close()
