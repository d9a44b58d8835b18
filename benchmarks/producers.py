"""`python -m benchmarks.producers`: producers for Python side by side, on one broker in one run.

Each client runs in a process of its own, in alternating rounds on new topics; the table has medians.
acks=all, idempotent, batches of 256 KiB, linger 5 ms.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.python_producer import CLIENTS
from tests.interop.kafka import REPOSITORY, BarnabasProcess, KafkaProcess, Node, run

LOADER = REPOSITORY / "benchmarks" / "python_producer.py"
PYTHON_CLIENTS = REPOSITORY / ".cache" / "python-clients" / "bin" / "python"
"""Where tests/interop/setup.sh installs aiokafka and kafka-python."""
SCENES: Mapping[str, tuple[int, Sequence[str]]] = {
    "1 partition, no keys, 100 B": (1, ()),
    "12 partitions, no keys, 50-150 B": (12, ("--spread", "50")),
    "12 partitions, random keys, 100 B": (12, ("--keys",)),
}
SLOWER = {"aiokafka send": 4, "kafka-python send": 10, "barnabas send": 2, "barnabas.sync send": 2}
"""How many times fewer events these get, so that a run takes as long as the others'."""

Samples = dict[tuple[str, str], list[tuple[float, float]]]


def measure(node: Node, events: int, rounds: int, others: Path) -> Samples:
    """Rate and CPU per event of each client in each scene."""
    admin = AdminClient({"bootstrap.servers": node.address})
    samples: Samples = {}
    for number in range(rounds):
        for scene, (partitions, options) in SCENES.items():
            for place, client in enumerate(CLIENTS):
                topic = f"bench-{number}-{partitions}-{len(samples)}-{place}-{len(options)}"
                admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
                own = client.startswith(("barnabas", "confluent"))
                python = sys.executable if own else str(others)
                count = events // SLOWER.get(client, 1)
                command = [python, str(LOADER), client, node.address, topic, str(count), *options]
                seen = json.loads(run(command, timeout=600).stdout)
                samples.setdefault((scene, client), []).append((seen["rate"], seen["cpu_ns"]))
                admin.delete_topics([topic])[topic].result(30)
                print(f"{scene:36} {client:26} {seen['rate']:12,.0f}/s", flush=True)
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
