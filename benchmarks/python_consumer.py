"""One consumer for Python reads a topic to its end; run by `benchmarks.consumers` in its own process.

Prints JSON: events per second from the first that arrived to the last, and CPU of the process per
event. Every value is looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable
from typing import Any

MANY = 1_000
Load = tuple[str, str, int, int]
"""Address, topic, its partitions, events."""


class Watch:
    """Counts, from the first arrival on."""

    def __init__(self, events: int) -> None:
        self._left = events
        self._began = 0.0

    def saw(self, count: int) -> bool:
        """So many more were seen; whether that was all."""
        if not self._began:
            self._began = time.perf_counter()
        self._left -= count
        return self._left <= 0

    def seconds(self) -> float:
        """Since the first."""
        return time.perf_counter() - self._began


def settings(address: str) -> dict[str, Any]:
    """The same for ours."""
    return {"bootstrap_servers": address, "auto_offset_reset": "earliest"}


async def _ours(load: Load) -> Any:
    from barnabas import Consumer

    address, topic, partitions, _ = load
    consumer = await Consumer(**settings(address)).start()
    await consumer.assign([(topic, number) for number in range(partitions)])
    return consumer


async def barnabas_batches(load: Load) -> float:
    """`batches()`."""
    consumer, watch = await _ours(load), Watch(load[3])
    async for batch in consumer.batches():
        if watch.saw(sum(value is not None for value in batch.values)):
            break
    took = watch.seconds()
    await consumer.stop()
    return took


async def barnabas_get_many(load: Load) -> float:
    """`get_many(1000)`."""
    consumer, watch = await _ours(load), Watch(load[3])
    while not watch.saw(sum(e.value is not None for e in await consumer.get_many(MANY))):
        pass
    took = watch.seconds()
    await consumer.stop()
    return took


async def barnabas_each(load: Load) -> float:
    """`async for`."""
    consumer, watch = await _ours(load), Watch(load[3])
    async for event in consumer:
        if event.value is not None and watch.saw(1):
            break
    took = watch.seconds()
    await consumer.stop()
    return took


def barnabas_sync_each(load: Load) -> float:
    """`for`."""
    from barnabas.sync import Consumer

    address, topic, partitions, events = load
    watch = Watch(events)
    with Consumer(**settings(address)) as consumer:
        consumer.assign([(topic, number) for number in range(partitions)])
        for event in consumer:
            if event.value is not None and watch.saw(1):
                break
        return watch.seconds()


def confluent_consume(load: Load) -> float:
    """`consume(1000)`."""
    from confluent_kafka import Consumer, TopicPartition

    address, topic, partitions, events = load
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "x", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    watch = Watch(events)
    while not watch.saw(sum(m.value() is not None for m in consumer.consume(MANY, 1.0))):
        pass
    took = watch.seconds()
    consumer.close()
    return took


async def aiokafka_each(load: Load) -> float:
    """`async for`."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    address, topic, partitions, events = load
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    await consumer.start()
    watch = Watch(events)
    async for event in consumer:
        if event.value is not None and watch.saw(1):
            break
    took = watch.seconds()
    await consumer.stop()
    return took


def kafka_python_each(load: Load) -> float:
    """`for`."""
    from kafka import KafkaConsumer, TopicPartition

    address, topic, partitions, events = load
    consumer = KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    watch = Watch(events)
    for event in consumer:
        if event.value is not None and watch.saw(1):
            break
    took = watch.seconds()
    consumer.close()
    return took


CLIENTS: dict[str, Callable[[Load], Any]] = {
    "barnabas batches": barnabas_batches,
    "barnabas get_many": barnabas_get_many,
    "barnabas async for": barnabas_each,
    "barnabas.sync for": barnabas_sync_each,
    "confluent consume": confluent_consume,
    "aiokafka async for": aiokafka_each,
    "kafka-python for": kafka_python_each,
}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("address")
    parser.add_argument("topic")
    parser.add_argument("partitions", type=int)
    parser.add_argument("events", type=int)
    asked = parser.parse_args()
    read = CLIENTS[asked.client]
    load = asked.address, asked.topic, asked.partitions, asked.events
    before = os.times()
    took = asyncio.run(read(load)) if asyncio.iscoroutinefunction(read) else read(load)
    after = os.times()
    cpu = after.user + after.system - before.user - before.system
    print(json.dumps({"rate": asked.events / took, "cpu_ns": cpu / asked.events * 1e9}))


if __name__ == "__main__":
    main()
