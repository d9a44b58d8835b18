"""`python -m benchmarks.consumers`: consumers for Python side by side, on one broker in one run.

Each client reads the same topics, in a process of its own, in alternating rounds; the table has
medians, and the CPU of the client's process per event. The topics are written by librdkafka.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.python_consumer import CLIENTS
from tests.interop.kafka import REPOSITORY, BarnabasProcess, KafkaProcess, Node, run

LOADER = REPOSITORY / "benchmarks" / "python_consumer.py"
PYTHON_CLIENTS = REPOSITORY / ".cache" / "python-clients" / "bin" / "python"
"""Where tests/interop/setup.sh installs aiokafka and kafka-python."""
SCENES = {
    "1 partition, 50-150 B": (1, 100, "none"),
    "12 partitions, 50-150 B": (12, 100, "none"),
    "12 partitions, 50-150 B, lz4": (12, 100, "lz4"),
    "12 partitions, 1 KB": (12, 1_000, "none"),
}
SLOWER = {"aiokafka async for": 4, "kafka-python for": 10}
"""How many times fewer events these read, so that a run takes as long as the others'."""

Samples = dict[tuple[str, str], list[tuple[float, float]]]


def fill(node: Node, topic: str, partitions: int, size: int, codec: str, events: int) -> None:
    """A topic with this many events, spread over its partitions."""
    admin = AdminClient({"bootstrap.servers": node.address})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
    producer = Producer(
        {"bootstrap.servers": node.address, "linger.ms": 50, "compression.type": codec}
    )
    draw = random.Random(7)
    text = draw.randbytes(2 * size)
    for number in range(events):
        start = draw.randrange(size)
        value = text[start : start + size // 2 + draw.randrange(size + 1)]
        while True:
            try:
                producer.produce(topic, value, partition=number % partitions)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def measure(node: Node, events: int, rounds: int, others: Path) -> Samples:
    """Rate and CPU per event of each client in each scene."""
    samples: Samples = {}
    for place, (scene, (partitions, size, codec)) in enumerate(SCENES.items()):
        topic, count = f"bench-{place}", events * 100 // size if size > 100 else events
        fill(node, topic, partitions, size, codec, count)
        for _ in range(rounds):
            for client in CLIENTS:
                own = client.startswith(("barnabas", "confluent"))
                python = sys.executable if own else str(others)
                wanted = count // SLOWER.get(client, 1)
                command = [python, str(LOADER), client, node.address, topic, str(partitions)]
                seen = json.loads(run([*command, str(wanted)], timeout=600).stdout)
                samples.setdefault((scene, client), []).append((seen["rate"], seen["cpu_ns"]))
                print(f"{scene:30} {client:22} {seen['rate']:12,.0f}/s", flush=True)
    return samples


def table(samples: Samples) -> str:
    """Markdown: a row per client, a column per scene; CPU of the client's process beside it."""
    lines = ["| | " + " | ".join(SCENES) + " |", "|---" * (len(SCENES) + 1) + "|"]
    for client in CLIENTS:
        cells = []
        for scene in SCENES:
            seen = samples[scene, client]
            rate = statistics.median(one for one, _ in seen)
            cpu = statistics.median(one for _, one in seen)
            cells.append(f"{rate:,.0f}/s ({cpu:,.0f} ns)")
        lines.append(f"| {client} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Start a node, run all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kafka", action="store_true", help="on Apache Kafka instead of our node")
    parser.add_argument("--clients", type=Path, default=PYTHON_CLIENTS, help="their interpreter")
    asked = parser.parse_args()
    kind: type[Node] = KafkaProcess if asked.kafka else BarnabasProcess
    with tempfile.TemporaryDirectory() as directory, kind(Path(directory)) as node:
        print(table(measure(node, asked.events, asked.rounds, asked.clients)))


if __name__ == "__main__":
    main()
