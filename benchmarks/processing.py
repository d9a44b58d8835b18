"""`python -m benchmarks.processing`: `Consumer.process` beside a plain loop over the same topic.

A handler waits 20 ms (as for a remote call), one partition, 1,000 and 100,000 keys; and one that
burns CPU, in processes. The plain loop handles as many records as fit into its share, so that a run
ends. One process for the client, the broker in another; rates are records per second.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from barnabas import Consumer
from barnabas.client.consumer.records import Event
from barnabas.sync import Producer
from tests.interop.kafka import BarnabasProcess, KafkaProcess, Node

WAIT_S = 0.02
PLAIN_RECORDS = 100
CONCURRENCY = 1_000
BURN = 200_000


def burn(_event: Event) -> int:
    """Some milliseconds of CPU."""
    return sum(each * each for each in range(BURN))


async def wait(_event: Event) -> None:
    """A remote call."""
    await asyncio.sleep(WAIT_S)


def fill(node: Node, topic: str, records: int, keys: int) -> None:
    """One partition with so many keys, one after the other."""
    with Producer(bootstrap_servers=node.address) as producer:
        names = [b"%d" % (number * 7919 % keys) for number in range(records)]
        producer.send_many(topic, [b"v" * 100] * records, keys=names, partition=0).result()


def consumer(node: Node, topic: str, group: str) -> Consumer:
    """A member of a group of its own, at the beginning."""
    return Consumer(
        topic, group_id=group, bootstrap_servers=node.address, auto_offset_reset="earliest"
    )


async def plain(node: Node, topic: str, group: str, *, cpu: bool) -> float:
    """Records per second of a loop, from the first record on."""
    async with consumer(node, topic, group) as reader:
        count, began = 0, 0.0
        async for event in reader:
            if count == 0:
                began = time.perf_counter()
            burn(event) if cpu else await wait(event)
            count += 1
            if count == PLAIN_RECORDS:
                return count / (time.perf_counter() - began)
    raise AssertionError("unreachable")


async def parallel(node: Node, topic: str, group: str, records: int, processes: int) -> float:
    """Records per second of `process`, from the first commit until all are committed."""
    async with consumer(node, topic, group) as reader:
        began, first = 0.0, 0
        if processes:
            run = asyncio.ensure_future(
                reader.process(
                    burn,
                    concurrency=processes,
                    processes=processes,
                    max_in_flight=8 * processes,
                )
            )
        else:
            run = asyncio.ensure_future(reader.process(wait, concurrency=CONCURRENCY))
        while not run.done():
            found = await reader.committed((topic, 0))
            if found and not first:
                began, first = time.perf_counter(), found[topic, 0].offset
            if found and found[topic, 0].offset == records:
                break
            await asyncio.sleep(0.02)
        took = time.perf_counter() - began
        reader.stop_processing()
        await run
        return (records - first) / took


def measure(node: Node, rounds: int, processes: int) -> None:
    """Print a row for each scene."""
    scenes = [
        ("20 ms, 1,000 keys", 50_000, 1_000, 0),
        ("20 ms, 100,000 keys", 100_000, 100_000, 0),
        (f"CPU, {processes} processes", 500, 500, processes),
    ]
    print("| | plain loop | process() | ratio |\n|---|---|---|---|")
    for number, (name, records, keys, workers) in enumerate(scenes):
        topic = f"bench-process-{number}"
        fill(node, topic, records, keys)
        loops, rates = [], []
        for each in range(rounds):
            group = f"{topic}-{each}"
            loops.append(asyncio.run(plain(node, topic, group + "-plain", cpu=workers > 0)))
            rates.append(asyncio.run(parallel(node, topic, group, records, workers)))
        loop, rate = statistics.median(loops), statistics.median(rates)
        print(f"| {name} | {loop:,.0f}/s | {rate:,.0f}/s | {rate / loop:,.1f}× |", flush=True)


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kafka", action="store_true", help="on Apache Kafka instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kind = KafkaProcess if options.kafka else BarnabasProcess
        with kind(Path(folder)) as node:
            measure(node, options.rounds, options.processes)


if __name__ == "__main__":
    main()
