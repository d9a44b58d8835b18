"""`make demo`: real input, end to end, through a node that is killed half-way.

Every step prints what it did; any difference between what was acknowledged and what is read is an
AssertionError.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from examples.flights.source import CACHE, FLIGHTS, Delays, Flight, as_event, flights
from tests.interop.kafka import Node, java_tool, target_class

TOPIC = "flights"
PARTITIONS = 6
BARNABAS = str(Path(sys.executable).with_name("barnabas"))
WAIT_SECONDS = 60.0
JAVA_SECONDS = 300.0
BAR = 40

Stored = dict[int, list[tuple[str | None, str]]]
"""Partition → its events in order of offset: key and value as text."""


def step(number: int, text: str) -> None:
    """Announce a step."""
    print(f"\n[{number}/7] {text}", flush=True)


def progress(done: int, total: int, note: str = "") -> None:
    """One line that grows; on anything but a terminal only its end is printed."""
    if sys.stdout.isatty() or done == total:
        filled = BAR * done // total
        bar = "█" * filled + "·" * (BAR - filled)
        end = "\n" if done == total else ""
        print(f"\r      {bar} {done:>7,} of {total:,} {note}", end=end, flush=True)


def barnabas(node: Node, *arguments: str) -> None:
    """Run our command line and show the command."""
    print(f"      $ barnabas {' '.join(arguments)}", flush=True)
    subprocess.run([BARNABAS, *arguments, "--bootstrap", node.address], check=True)


def consumer(node: Node) -> Consumer:
    """A consumer that is assigned its partitions and commits nothing."""
    return Consumer(
        {
            "bootstrap.servers": node.address,
            "group.id": "unused",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )


def ends(node: Node) -> dict[int, int]:
    """The end of each partition that consumers may see."""
    client = consumer(node)
    found = {
        number: client.get_watermark_offsets(TopicPartition(TOPIC, number), timeout=WAIT_SECONDS)[1]
        for number in range(PARTITIONS)
    }
    client.close()
    return found


def crash(node: Node) -> dict[int, int]:
    """kill -9, start again on the same data; what consumers could see before must be there."""
    before = ends(node)
    node.kill()
    print(f"\n      kill -9 with {sum(before.values()):,} events visible to consumers", flush=True)
    began = time.monotonic()
    node.start()
    print(f"      started again, answering after {time.monotonic() - began:.2f} s", flush=True)
    after = ends(node)
    for number, end in before.items():
        assert after[number] >= end, f"partition {number}: {after[number]} after, {end} before"
    return after


def produce(node: Node) -> list[Flight]:
    """Feed `barnabas produce`; kill and restart the node when half is fed. Returns the source."""
    arguments = ["produce", TOPIC, "--format", "json", "--compression", "lz4", "--report"]
    print(f"      $ barnabas {' '.join(arguments)} < flights.jsonl", flush=True)
    source: list[Flight] = []
    with subprocess.Popen(
        [BARNABAS, *arguments, "--bootstrap", node.address], stdin=subprocess.PIPE
    ) as producer:
        assert producer.stdin is not None
        for flight in flights():
            producer.stdin.write(as_event(flight))
            source.append(flight)
            if len(source) % 4096 == 0 or len(source) == FLIGHTS:
                progress(len(source), FLIGHTS)
            if len(source) == FLIGHTS // 2:
                crash(node)
        producer.stdin.close()
        code = producer.wait()
    assert code == 0, f"barnabas produce ended with {code}: not everything was acknowledged"
    assert len(source) == FLIGHTS
    return source


def read_by_librdkafka(node: Node, until: dict[int, int]) -> Stored:
    """confluent-kafka: `assign()` with explicit offsets, to the ends."""
    client = consumer(node)
    client.assign([TopicPartition(TOPIC, number, 0) for number in until])
    stored: Stored = {number: [] for number in until}
    total, count = sum(until.values()), 0
    while count < total:
        messages = client.consume(10_000, timeout=WAIT_SECONDS)
        assert messages, f"no more events after {count:,} of {total:,}"
        for message in messages:
            assert message.error() is None, message.error()
            events = stored[message.partition()]
            assert message.offset() == len(events), "offsets are dense"
            key = message.key()
            events.append((None if key is None else key.decode(), message.value().decode()))
        count += len(messages)
        progress(count, total)
    client.close()
    return stored


def read_by_java(node: Node, partition: int, until: int) -> Iterator[tuple[str | None, str]]:
    """Kafka's console consumer on one partition."""
    printed = java_tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *("--bootstrap-server", node.address, "--topic", TOPIC),
        *("--partition", str(partition), "--offset", "0", "--max-messages", str(until)),
        *("--formatter-property", "print.key=true"),
        timeout=JAVA_SECONDS,
    ).stdout
    for line in printed.splitlines():
        key, _, value = line.partition("\t")
        yield (None if key == "null" else key), value


def check_order(stored: Stored, source: list[Flight]) -> list[Flight]:
    """Every flight once, unchanged, in the order of the source, all of an aircraft in one partition."""
    stream: list[Flight] = []
    home: dict[str, int] = {}
    for partition, events in stored.items():
        last = -1
        for key, text in events:
            flight: Flight = json.loads(text)
            number = flight["n"]
            assert isinstance(number, int)
            assert number > last, f"partition {partition}: flight {number} after {last}"
            assert flight == source[number], f"flight {number} is not what was sent"
            assert key == flight["tailnum"], f"flight {number} has the key of another aircraft"
            assert key is None or home.setdefault(key, partition) == partition
            last = number
            stream.append(flight)
    assert len(stream) == len(source), f"{len(stream):,} events for {len(source):,} flights"
    return stream


def compare_delays(stream: list[Flight], source: list[Flight]) -> None:
    """The carriers' mean arrival delays, from the stream and from the source."""
    ours, theirs = Delays.of(stream).means(), Delays.of(source).means()
    print("      carrier   from the stream   from the source")
    for carrier, mean in ours.items():
        print(f"      {carrier:<7} {mean:>13.4f} min {theirs[carrier]:>13.4f} min")
    assert ours == theirs, "the means differ"


def tour(node: Node) -> None:
    """All steps on a fresh node."""
    step(1, f"A node with an empty directory: {node.data}")
    node.start()
    print(f"      listening on {node.address}")
    step(2, "A topic with six partitions")
    barnabas(node, "topics", "create", TOPIC, "--partitions", str(PARTITIONS))
    step(3, "All flights through the command line, kill -9 half-way")
    source = produce(node)
    until = ends(node)
    print(f"      ends: {until}")
    step(4, "Read back by confluent-kafka: assign() with explicit offsets")
    stored = read_by_librdkafka(node, until)
    step(5, "Everything that was acknowledged is there, once, in order")
    stream = check_order(stored, source)
    print(f"      {len(stream):,} flights, {len(until)} partitions: as sent")
    step(6, "Read back by Kafka's console consumer, partition by partition")
    for partition, end in until.items():
        assert list(read_by_java(node, partition, end)) == stored[partition]
        print(f"      --partition {partition}: {end:,} events, the same", flush=True)
    step(7, "Mean arrival delays")
    compare_delays(stream, source)
    print("\nThe demo is complete: nothing lost, nothing twice, nothing out of order.")


def main() -> None:
    """Run the tour in .cache/flights/node, which is made anew."""
    directory = CACHE / "node"
    shutil.rmtree(directory, ignore_errors=True)
    node = target_class()(directory)
    try:
        tour(node)
        node.stop()
    finally:
        node.kill()


if __name__ == "__main__":
    main()
