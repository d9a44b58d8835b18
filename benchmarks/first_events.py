"""How soon the first event is there: with a fresh test broker, and in a new group on a fresh node.

`python -m benchmarks.first_events` measures this alone. Medians; clients and broker are imported
before the clock runs. What librdkafka takes is mostly its own: it connects to the node that it was
told of 50 ms after the bootstrap address, and waits 100 ms before it asks where a partition begins
of which the group has no offset.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import confluent_kafka

import barnabas.sync
from barnabas.testing import Broker
from benchmarks.report import Line
from benchmarks.rows import Figure
from benchmarks.targets import Target, open_node
from tests.interop.kafka import ToolError

CYCLES, FRESH_NODES = 20, 5
WAIT_SECONDS = 30.0
TOPIC, GROUP = "first", "group"
#: A node that does not wait for members that may come.
PROMPT = {
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.assignment.interval.ms": "0",
}

Client = Callable[[str, str], None]
"""Produces an event to a topic that is not there and consumes it in a new group of a protocol."""


def own(servers: str, protocol: str) -> None:
    """The blocking producer and consumer of this package."""
    with barnabas.sync.Producer({"bootstrap.servers": servers}) as producer:
        producer.send(TOPIC, b"event")
    settings = {
        "bootstrap.servers": servers,
        "group.id": GROUP,
        "group.protocol": protocol,
        "auto.offset.reset": "earliest",
    }
    with barnabas.sync.Consumer(TOPIC, settings) as consumer:
        next(iter(consumer))


def confluent(servers: str, protocol: str) -> None:
    """librdkafka by confluent-kafka. Raises `ToolError`."""
    producer = confluent_kafka.Producer({"bootstrap.servers": servers, "linger.ms": 0})
    producer.produce(TOPIC, b"event")
    producer.flush(WAIT_SECONDS)
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": GROUP,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([TOPIC])
    deadline = time.monotonic() + WAIT_SECONDS
    while (event := consumer.poll(1)) is None or event.error():
        if time.monotonic() > deadline:
            raise ToolError("no event")
    consumer.close()


CLIENTS: dict[str, Client] = {"own client": own, "confluent-kafka": confluent}


def cycles(client: Client, count: int) -> Iterator[float]:
    """Seconds of start, first produce, consume in a group, stop, of a new test broker each time."""
    for number in range(count + 1):
        began = time.monotonic()
        with Broker() as broker:
            client(broker.bootstrap_servers, "classic")
        if number > 0:  # the first imports what is missing
            yield time.monotonic() - began


def fresh_nodes(client: Client, protocol: str, count: int, folder: Path) -> Iterator[float]:
    """Seconds from the first produce until the consumer is closed, on a node that nobody has used."""
    for _ in range(count):
        target: Target = open_node("barnabas", folder / "fresh", PROMPT)
        try:
            began = time.monotonic()
            client(target.node.address, protocol)
            yield time.monotonic() - began
        finally:
            target.node.stop()
            shutil.rmtree(folder / "fresh")


def measure(folder: Path) -> list[Line]:
    """All of it."""
    lines = []
    for name, client in CLIENTS.items():
        figure = Figure(
            f"test broker: start, produce, consume in a group, stop: {name}",
            "s",
            0.06,
            smaller_is_better=True,
        )
        median = statistics.median(cycles(client, CYCLES))
        lines.append(Line(figure, "memory", None, median, None))
        for protocol in ("classic", "consumer"):
            figure = Figure(
                f"first event in a new group on a fresh node: {name}, {protocol}",
                "s",
                0.5,
                smaller_is_better=True,
            )
            median = statistics.median(fresh_nodes(client, protocol, FRESH_NODES, folder))
            lines.append(Line(figure, "synced", None, median, None))
    return lines


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="barnabas-first-") as folder:
        for line in measure(Path(folder)):
            print(f"{line.mode:>10}  {line.figure.title:<75} {line.summary()}")


if __name__ == "__main__":
    main()
