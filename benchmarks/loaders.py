"""Compiles and runs the two loaders in C: `wire` (pre-encoded requests) and `rdkafka` (librdkafka)."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import frames
from benchmarks.frames import Topic
from tests.interop.kafka import HOST, REPOSITORY, Node, ToolError, run

SOURCES = REPOSITORY / "benchmarks" / "loaders"
PROGRAMS = REPOSITORY / ".cache" / "loaders"
LIBRARIES = {"wire": [], "rdkafka": ["-lrdkafka"]}
TIMEOUT_SECONDS = 300.0
PACED_IN_FLIGHT = 16


@dataclass(frozen=True)
class Load:
    """What a loader saw: `done` requests or events, payload or frame bytes, times in µs."""

    done: int
    bytes: int
    seconds: float
    p50_us: float = 0.0
    p99_us: float = 0.0
    paced_p99_us: float = 0.0
    """The same for rounds that begin every 2 ms, whatever became of the last one."""

    @property
    def rate(self) -> float:
        """Requests or events per second."""
        return self.done / self.seconds

    @property
    def megabytes(self) -> float:
        """10⁶ bytes per second."""
        return self.bytes / self.seconds / 1e6


def build() -> None:
    """Compile what is older than its source. Raises `ToolError` without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise ToolError("no C compiler (cc) on the PATH")
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    for name, libraries in LIBRARIES.items():
        source, program = SOURCES / f"{name}.c", PROGRAMS / name
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(source), *libraries])


def _load(program: str, *arguments: object) -> Load:
    command = [str(PROGRAMS / program), *map(str, arguments)]
    return Load(**json.loads(run(command, timeout=TIMEOUT_SECONDS).stdout))


def _wire(mode: str, node: Node, requests: list[bytes], *arguments: object) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames"
        frames.write_frames(path, requests)
        return _load("wire", mode, HOST, node.port, path, *arguments)


def wire_produce(
    node: Node, requests: list[bytes], connections: int, in_flight: int, count: int
) -> Load:
    """Send `count` Produce requests over `connections`, `in_flight` at a time on each."""
    return _wire("produce", node, requests, connections, in_flight, count, frames.error_at())


def wire_requests(
    node: Node, requests: list[bytes], connections: int, in_flight: int, count: int
) -> Load:
    """Send `count` requests of any kind whose answers end with their error code."""
    return _wire("produce", node, requests, connections, in_flight, count, -2)


def wire_paced(
    node: Node, requests: list[bytes], connections: int, rate: float, count: int
) -> Load:
    """The same, `rate` requests in a second, whether the earlier ones are answered or not."""
    return _wire("produce", node, requests, connections, PACED_IN_FLIGHT, count, -2, rate)


def wire_consume(node: Node, topic: Topic, events: int) -> Load:
    """Fetch partition 0 from its beginning until `events` events came."""
    places = (frames.offset_at(topic), frames.records_at())
    return _wire("consume", node, [frames.fetch_frame(topic)], *places, events)


def wire_latency(node: Node, topic: Topic, rounds: int) -> Load:
    """Time from sending an event until a parked Fetch request is answered with it."""
    requests = [frames.produce_frame(topic, 0, 1, 100), frames.fetch_frame(topic)]
    places = (frames.offset_at(topic), frames.records_at())
    return _wire("latency", node, requests, *places, rounds)


def rdkafka_produce(node: Node, topic: Topic, events: int, size: int) -> Load:
    """Produce with librdkafka over all partitions, acks=all."""
    return _load("rdkafka", "produce", node.address, topic.name, topic.partitions, events, size, -1)


def rdkafka_consume(node: Node, topic: Topic, events: int) -> Load:
    """Consume all partitions from their beginning with librdkafka."""
    return _load("rdkafka", "consume", node.address, topic.name, topic.partitions, events)
