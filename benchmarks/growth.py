"""How cost grows: partitions, connections, consumers, the size of a partition.

`python -m benchmarks.growth` measures a node of ours (with `--kafka` a real Kafka, too), each row on a
fresh node, and prints the figures. Five minutes and 12 GB of disk at `--scale 1`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import select
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse
from benchmarks import frames, loaders
from benchmarks.frames import FETCH_VERSION, Topic
from benchmarks.groups import Wire, cpu_seconds, frame_of
from benchmarks.rows import LARGE, LARGE_BATCH, SMALL, Figure, amount
from benchmarks.targets import PAGE_CACHE, Target, open_node
from tests.interop.kafka import HOST, Node, ToolError

PARTITIONS, WATCHED, CONNECTIONS, CONSUMERS, GIGABYTES = 10_000, 1_000, 5_000, 1_000, 10
FEW_CONSUMERS = 10
POLLS = 3_000
IDLE_SECONDS = 10.0
SETTLED_SECONDS = 2.0
LATEST, LIST_VERSION = -1, 9
LONG_MS = 60_000
MEGABYTE = 1e6
WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Growth:
    """A row: its figures come from a node that it may stop and start."""

    name: str
    figures: tuple[Figure, ...]
    measure: Callable[[Target], tuple[float, ...]]


def at_most(title: str, unit: str, goal: float) -> Figure:
    """A figure that is better when it is smaller."""
    return Figure(title, unit, goal, smaller_is_better=True)


# -- partitions ----------------------------------------------------------------------------------


def many_partitions(count: int, watched: int) -> Callable[[Target], tuple[float, ...]]:
    """Produce p99 ÷ that on one partition; CPU per empty poll (µs) over `watched` ÷ that over one;
    idle CPU (%); resident MB; seconds from a start after a clean stop to the first answer."""

    def measure(target: Target) -> tuple[float, ...]:
        one = target.topic(1, PAGE_CACHE)
        many = [target.topic(watched, PAGE_CACHE) for _ in range(count // watched)]
        quiet = _singles(target, [one])
        _singles(target, many)  # each partition is used
        ratio = _singles(target, many) / quiet
        poll_one, poll_many = (_cpu_per_poll(target.node, many[0], n) for n in (1, watched))
        with _parked(target.node, many[0], watched):
            idle = _idle_percent(target.node)
        size = target.node.resident_bytes() / MEGABYTE
        target.node.stop()
        began = time.monotonic()
        target.node.start()
        started = time.monotonic() - began
        return ratio, poll_many, poll_many / poll_one, idle, size, started

    return measure


def _singles(target: Target, topics: list[Topic]) -> float:
    """One event per request, one at a time, to all partitions in random order; p99 in µs."""
    sent = [
        frames.produce_frame(topic, number, 1, SMALL)
        for topic in topics
        for number in range(topic.partitions)
    ]
    random.Random(1).shuffle(sent)
    return loaders.wire_produce(target.node, sent, 1, 1, PARTITIONS).p99_us


def _session(wire: Wire, topic: Topic, watched: int) -> tuple[int, int]:
    """A fetch session over the first partitions, from their ends on: its id and next epoch."""
    parts = [ListOffsetsPartition(number, -1, LATEST) for number in range(watched)]
    asked = ListOffsetsRequest(topics=[ListOffsetsTopic(topic.name, parts)])
    ends = wire.ask(asked, ListOffsetsResponse, LIST_VERSION).topics[0].partitions
    wanted = [
        FetchPartition(each.partition_index, fetch_offset=each.offset, partition_max_bytes=1 << 20)
        for each in ends
    ]
    request = FetchRequest(
        session_epoch=0,
        max_bytes=1 << 20,
        topics=[FetchTopic(topic_id=topic.id, partitions=wanted)],
    )
    answer = wire.ask(request, FetchResponse, FETCH_VERSION)
    if answer.error_code or not answer.session_id:
        raise ToolError(f"no fetch session: {answer.error_code}")
    return answer.session_id, 1


def _cpu_per_poll(node: Node, topic: Topic, watched: int) -> float:
    """The node's processor time (µs) for one incremental fetch that finds nothing."""
    wire = Wire(node)
    session, epoch = _session(wire, topic, watched)
    before = cpu_seconds(node)
    for number in range(POLLS):
        request = FetchRequest(session_id=session, session_epoch=epoch + number, max_bytes=1 << 20)
        if wire.ask(request, FetchResponse, FETCH_VERSION).responses:
            raise ToolError("a poll was not empty")
    spent = cpu_seconds(node) - before
    wire.close()
    return spent * 1e6 / POLLS


@contextlib.contextmanager
def _parked(node: Node, topic: Topic, watched: int) -> Iterator[None]:
    """A consumer that waits for any of these partitions."""
    wire = Wire(node)
    session, epoch = _session(wire, topic, watched)
    wire.send(frame_of(_waiting(session, epoch), FETCH_VERSION))
    yield
    wire.close()


def _waiting(session: int, epoch: int) -> FetchRequest:
    return FetchRequest(
        max_wait_ms=LONG_MS,
        min_bytes=1,
        max_bytes=1 << 20,
        session_id=session,
        session_epoch=epoch,
    )


def _idle_percent(node: Node) -> float:
    """Processor time that the node uses while nobody asks for anything."""
    time.sleep(SETTLED_SECONDS)
    before = cpu_seconds(node)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(node) - before) * 100 / IDLE_SECONDS


# -- connections ---------------------------------------------------------------------------------


def many_connections(count: int) -> Callable[[Target], tuple[float, ...]]:
    """KB of resident memory for each open connection that has asked something; produce → fetch p99
    beside them ÷ that before."""

    def measure(target: Target) -> tuple[float, ...]:
        topic = target.topic(1, PAGE_CACHE)
        quiet = p99(target)
        _singles(target, [topic])
        before = target.node.resident_bytes()
        with crowd(target.node, count):
            size = (target.node.resident_bytes() - before) / count / 1000
            beside = p99(target)
        return size, beside / quiet

    return measure


@contextlib.contextmanager
def crowd(node: Node, count: int) -> Iterator[list[socket.socket]]:
    """So many open connections. Raises `ToolError` when this process may not have them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        if hard < count + 200:
            raise ToolError(f"this machine allows {hard} open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, hard))
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(count):
            sockets.append(
                stack.enter_context(socket.create_connection((HOST, node.port), timeout=60))
            )
            # One after the other: the queue of the listener is short.
            ask_versions(sockets[-1])
        yield sockets


def ask_versions(connection: socket.socket) -> None:
    """ApiVersions, and wait for the answer."""
    connection.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
    (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    connection.recv(size, socket.MSG_WAITALL)


def p99(target: Target, rounds: int = 300) -> float:
    """Produce → long-polling fetch on a topic of its own, µs."""
    topic = target.topic(1, PAGE_CACHE)
    try:
        return loaders.wire_latency(target.node, topic, rounds).p99_us
    finally:
        target.drop(topic)


# -- consumers -----------------------------------------------------------------------------------


def many_consumers(few: int, many: int, rounds: int) -> Callable[[Target], tuple[float, ...]]:
    """The node's CPU (µs) for one event to one of `many` waiting consumers; the same ÷ that with
    `few`; ms until the last of them has it."""

    def measure(target: Target) -> tuple[float, ...]:
        cheap, _ = _deliver(target, few, rounds * many // few // 10)
        cost, taken = _deliver(target, many, rounds)
        return cost, cost / cheap, taken

    return measure


def _deliver(target: Target, consumers: int, rounds: int) -> tuple[float, float]:
    topic = target.topic(1, PAGE_CACHE)
    event = frames.produce_frame(topic, 0, 1, SMALL)
    writer = socket.create_connection((HOST, target.node.port), timeout=60)
    place = 4 + frames.offset_at(topic)
    fetch = bytearray(frames.fetch_frame(topic))
    spent = taken = 0.0
    with crowd(target.node, consumers) as readers:
        poller = select.epoll()
        for each in readers:
            poller.register(each, select.EPOLLIN)
        for number in range(rounds):
            struct.pack_into(">q", fetch, place, number)
            for each in readers:
                each.sendall(fetch)
            time.sleep(0.02)  # all of them wait
            before, began = cpu_seconds(target.node), time.monotonic()
            writer.sendall(event)
            _take(poller, {each.fileno(): each for each in readers})
            taken += time.monotonic() - began
            spent += cpu_seconds(target.node) - before
            _skip(writer)
    writer.close()
    target.drop(topic)
    return spent * 1e6 / rounds / consumers, taken * 1000 / rounds


def _take(poller: select.epoll, waiting: dict[int, socket.socket]) -> None:
    """One answer for each."""
    while waiting:
        events = poller.poll(WAIT_SECONDS)
        if not events:
            raise ToolError(f"{len(waiting)} consumers got nothing")
        for number, _ in events:
            _skip(waiting.pop(number))


def _skip(connection: socket.socket) -> None:
    (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    connection.recv(size, socket.MSG_WAITALL)


# -- a large partition ---------------------------------------------------------------------------


def large_partition(gigabytes: float) -> Callable[[Target], tuple[float, ...]]:
    """Seconds from a start after kill -9 until the partition's end is told; produce → fetch p99
    beside a consumer that reads it from the disk ÷ that of the quiet node."""

    def measure(target: Target) -> tuple[float, ...]:
        topic = target.topic(1, PAGE_CACHE)
        frame = frames.produce_frame(topic, 0, LARGE_BATCH, LARGE)
        requests = int(gigabytes * 1e9 / len(frame))
        loaders.wire_produce(target.node, [frame], 1, 5, requests)
        target.node.kill()
        evict(target.node.data)
        began = time.monotonic()
        target.node.start()
        wire = Wire(target.node)
        _end_of(wire, topic.name, requests * LARGE_BATCH)
        started = time.monotonic() - began
        wire.close()
        quiet = p99(target)
        evict(target.node.data)
        beside = _beside_reader(target, topic, requests * LARGE_BATCH)
        target.drop(topic)
        return started, beside / quiet

    return measure


def evict(data: Path) -> None:
    """Sync the files of a node and drop them from the page cache."""
    for path in data.rglob("*.log"):
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _end_of(wire: Wire, topic: str, end: int) -> None:
    """Until the partition is served, which must then have everything. Raises `ToolError`."""
    asked = ListOffsetsRequest(
        topics=[ListOffsetsTopic(topic, [ListOffsetsPartition(0, -1, LATEST)])]
    )
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = wire.ask(asked, ListOffsetsResponse, LIST_VERSION).topics[0].partitions[0]
        if not found.error_code:
            if found.offset != end:
                raise ToolError(f"{found.offset} of {end} events are left")
            return
        time.sleep(0.01)
    raise ToolError(f"{topic} is not served: {found.error_code}")


def _beside_reader(target: Target, topic: Topic, events: int) -> float:
    """p99 (µs) on another topic while one consumer reads the large one; the median of the looks."""
    reader = threading.Thread(target=loaders.wire_consume, args=(target.node, topic, events))
    reader.start()
    seen = [p99(target)]
    while reader.is_alive():
        seen.append(p99(target))
    reader.join()
    whole = seen[:-1] or seen  # the last look went on when the reader was done
    return sorted(whole)[len(whole) // 2]


# -- all of them ---------------------------------------------------------------------------------


def growth_rows(scale: float) -> list[Growth]:
    """All rows; `scale` stretches the amounts of work."""
    partitions = amount(PARTITIONS, scale)
    watched = min(partitions, WATCHED)
    on, over = f"{partitions:,} partitions", f"{watched:,} partitions"
    connections, consumers = amount(CONNECTIONS, scale), amount(CONSUMERS, scale)
    size = GIGABYTES * scale
    return [
        Growth(
            "partitions",
            (
                at_most(f"{on}: single-event produce p99 ÷ that on one", "×", 2),
                at_most(f"CPU of an empty poll over {over}", "µs", 0),
                at_most("the same ÷ that over one", "×", 1.5),
                at_most(f"{on}, one long poll over {watched:,}: idle CPU", "%", 2),
                at_most(f"{on}: resident memory", "MB", 300),
                at_most(f"{on}: start after a clean stop", "s", 3),
            ),
            many_partitions(partitions, watched),
        ),
        Growth(
            "connections",
            (
                at_most(f"{connections:,} connections: resident memory for each", "KB", 25),
                at_most("produce → fetch p99 beside them ÷ that alone", "×", 2),
            ),
            many_connections(connections),
        ),
        Growth(
            "consumers",
            (
                at_most(f"an event to {consumers:,} consumers: CPU for each", "µs", 0),
                at_most(f"the same ÷ that to {FEW_CONSUMERS}", "×", 2),
                at_most("until the last one has it", "ms", 0),
            ),
            many_consumers(FEW_CONSUMERS, consumers, 50),
        ),
        Growth(
            "large partition",
            (
                at_most(f"a partition of {size:g} GB: start after a crash", "s", 5),
                at_most("produce → fetch p99 beside a cold reader ÷ that alone", "×", 2),
            ),
            large_partition(size),
        ),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="stretch the work of each row")
    parser.add_argument("--only", default="", help="only rows whose name has this text")
    parser.add_argument("--kafka", action="store_true", help="a real Kafka, too")
    options = parser.parse_args()
    loaders.build()
    for row in growth_rows(options.scale):
        if options.only not in row.name:
            continue
        for kind in ["barnabas", *(["kafka"] if options.kafka else [])]:
            with tempfile.TemporaryDirectory(prefix="barnabas-growth-") as folder:
                target = open_node(kind, Path(folder))
                try:
                    values = row.measure(target)
                finally:
                    target.node.kill()
            for figure, value in zip(row.figures, values, strict=True):
                goal = f"(goal ≤ {figure.goal:g})" if figure.goal else ""
                print(
                    f"{kind:>9}  {figure.title:<64} {value:10.3f} {figure.unit} {goal}", flush=True
                )


if __name__ == "__main__":
    main()
