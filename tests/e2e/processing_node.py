"""What the tests of `Consumer.process` share: settings, records, dead letters."""

from __future__ import annotations

from typing import Any

from barnabas import Consumer
from barnabas.client.consumer.records import Event
from barnabas.sync import Consumer as BlockingConsumer
from barnabas.sync import Producer
from barnabas.testing import Broker

FAST = {
    "group.consumer.assignment.interval.ms": "0",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "100",
}


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


def dead_letters(node: Broker, topic: str, count: int) -> list[Event]:
    found: list[Event] = []
    options = settings(node, topic, group_id=topic + ".reader")
    with BlockingConsumer(topic + ".dlq", **options) as consumer:
        while len(found) < count:
            found += consumer.get_many(timeout_ms=20_000)
    return found
