"""One producer for Python sends events to a topic; run by `benchmarks.producers` in a process of its own.

Prints JSON: events per second from the first call to the last acknowledgement, and CPU per event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from array import array
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

LINGER_MS = 5
BATCH_BYTES = 1 << 18
SOME = 100
"""Events between two looks at the loop, where the program has to look."""

Load = tuple[str, str, list[bytes], "list[bytes] | None"]
"""Address, topic, values, keys."""


def barnabas_settings(address: str) -> dict[str, object]:
    """The same for all of ours."""
    return {
        "bootstrap.servers": address,
        "batch.size": BATCH_BYTES,
        "linger.ms": LINGER_MS,
    }


async def barnabas_send(load: Load) -> float:
    """`send` for each, all futures outstanding."""
    from barnabas import Producer

    address, topic, values, keys = load
    async with Producer(barnabas_settings(address)) as producer:
        await producer.partitions_for(topic)
        began = time.perf_counter()
        futures = []
        for number, value in enumerate(values):
            if number % SOME == 0:
                await producer.room()
                await asyncio.sleep(0)
            key = None if keys is None else keys[number]
            futures.append(producer.send(topic, value, key=key))
        await producer.flush()
        assert all(future.result().offset >= 0 for future in futures[-1:])
        return time.perf_counter() - began


async def barnabas_send_many(load: Load) -> float:
    """One `send_many`."""
    from barnabas import Producer

    address, topic, values, keys = load
    async with Producer(barnabas_settings(address)) as producer:
        await producer.partitions_for(topic)
        began = time.perf_counter()
        await (await producer.send_many(topic, values, keys=keys))
        return time.perf_counter() - began


async def barnabas_send_columns(load: Load) -> float:
    """One `send_columns` over buffers."""
    from barnabas import Producer
    from barnabas.client.columns import Column

    address, topic, values, keys = load
    columns = [
        None if each is None else Column(b"".join(each), array("q", _ends(each)))
        for each in (values, keys)
    ]
    async with Producer(barnabas_settings(address)) as producer:
        await producer.partitions_for(topic)
        began = time.perf_counter()
        await (await producer.send_columns(topic, columns[0], keys=columns[1]))
        return time.perf_counter() - began


def _ends(strings: list[bytes]) -> list[int]:
    ends = [0]
    for string in strings:
        ends.append(ends[-1] + len(string))
    return ends


def barnabas_sync_send(load: Load) -> float:
    """The blocking producer's `send`."""
    from barnabas.sync import Producer

    address, topic, values, keys = load
    with Producer(barnabas_settings(address)) as producer:
        producer.partitions_for(topic)
        began = time.perf_counter()
        for number, value in enumerate(values):
            producer.send(topic, value, key=None if keys is None else keys[number])
        producer.flush()
        return time.perf_counter() - began


def confluent(load: Load) -> float:
    """confluent-kafka's `produce`, librdkafka behind it."""
    from confluent_kafka import Producer

    address, topic, values, keys = load
    producer = Producer(
        {
            "bootstrap.servers": address,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": LINGER_MS,
            "batch.size": BATCH_BYTES,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": 1_000_000,
            "partitioner": "murmur2_random",
        }
    )
    producer.list_topics(topic)
    produce = producer.produce
    began = time.perf_counter()
    for number, value in enumerate(values):
        while True:
            try:
                produce(topic, value, None if keys is None else keys[number])
                break
            except BufferError:
                producer.poll(0.01)
    assert producer.flush(60) == 0
    return time.perf_counter() - began


async def aiokafka(load: Load) -> float:
    """aiokafka's `send`, all futures outstanding."""
    from aiokafka import AIOKafkaProducer

    address, topic, values, keys = load
    producer = AIOKafkaProducer(
        bootstrap_servers=address,
        enable_idempotence=True,
        linger_ms=LINGER_MS,
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    await producer.partitions_for(topic)
    began = time.perf_counter()
    futures = []
    for number, value in enumerate(values):
        key = None if keys is None else keys[number]
        futures.append(await producer.send(topic, value, key))
    await producer.flush()
    took = time.perf_counter() - began
    await producer.stop()
    return took


def kafka_python(load: Load) -> float:
    """kafka-python's `send`."""
    from kafka import KafkaProducer

    address, topic, values, keys = load
    producer = KafkaProducer(
        bootstrap_servers=address,
        acks="all",
        enable_idempotence=True,
        linger_ms=LINGER_MS,
        batch_size=BATCH_BYTES,
    )
    producer.partitions_for(topic)
    began = time.perf_counter()
    for number, value in enumerate(values):
        producer.send(topic, value, None if keys is None else keys[number])
    producer.flush()
    took = time.perf_counter() - began
    producer.close()
    return took


CLIENTS: dict[str, Callable[[Load], Any]] = {
    "barnabas send_columns": barnabas_send_columns,
    "barnabas send_many": barnabas_send_many,
    "barnabas send": barnabas_send,
    "barnabas.sync send": barnabas_sync_send,
    "confluent-kafka produce": confluent,
    "aiokafka send": aiokafka,
    "kafka-python send": kafka_python,
}


def main() -> None:
    """Run one client once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=list(CLIENTS))
    parser.add_argument("address")
    parser.add_argument("topic")
    parser.add_argument("events", type=int)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--spread", type=int, default=0, help="sizes vary by so much either way")
    parser.add_argument("--keys", action="store_true")
    asked = parser.parse_args()
    chance = random.Random(asked.events)
    pool = os.urandom(1 << 20)
    values = []
    for _ in range(asked.events):
        at = chance.randrange(len(pool) - 2 * asked.size)
        size = asked.size + (chance.randint(-asked.spread, asked.spread) if asked.spread else 0)
        values.append(pool[at : at + size])
    keys = [os.urandom(16) for _ in values] if asked.keys else None
    run = CLIENTS[asked.client]
    load = (asked.address, asked.topic, values, keys)
    before = time.process_time()
    took = _run(run(load)) if asyncio.iscoroutinefunction(run) else run(load)
    cpu = time.process_time() - before
    print(json.dumps({"rate": asked.events / took, "cpu_ns": cpu / asked.events * 1e9}))


def _run(work: Any) -> Any:
    """On uvloop where it is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if find_spec("uvloop") is not None:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


if __name__ == "__main__":
    main()
