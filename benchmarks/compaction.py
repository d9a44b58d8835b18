"""How fast a node compacts a log, and how much it delays those who produce meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from confluent_kafka.admin import ResourceType

from benchmarks import frames, loaders
from benchmarks.frames import KEYED_EVENTS
from benchmarks.targets import Target
from tests.interop.kafka import ToolError

EVENT_BYTES = 100
KEYS = 1_000_000
DISTINCT = 4_000
"""Different requests; the loader sends them over and over."""
SEGMENTS = 8
BACKOFF_MS = 100
ROUNDS = 300
"""Of one look at the latency."""
WAIT_SECONDS = 600.0


def compact(events: int, mode: str) -> Callable[[Target], tuple[float, ...]]:
    """10⁶ bytes of a log cleaned in a second; latency (p99, ms) beside that; its ratio to before."""

    def measure(target: Target) -> tuple[float, ...]:
        target.alter(ResourceType.BROKER, "1", "log.cleaner.backoff.ms", str(BACKOFF_MS))
        alone = _cleaned(target, events, mode, lambda: None)
        before = _p99(target, mode)
        seen: list[float] = []
        _cleaned(target, events, mode, lambda: seen.append(_p99(target, mode)))
        during = sorted(seen)[len(seen) // 2]
        return alone, during, during / before

    return measure


def _p99(target: Target, mode: str) -> float:
    """On a topic of its own: the loader's first fetch has to reach the end of it."""
    topic = target.topic(1, mode)
    try:
        return loaders.wire_latency(target.node, topic, ROUNDS).p99_us / 1000
    finally:
        target.drop(topic)


def _cleaned(target: Target, events: int, mode: str, meanwhile: Callable[[], None]) -> float:
    """Fill a log, have it cleaned once, calling `meanwhile` over and over; MB per second."""
    size = events * EVENT_BYTES // SEGMENTS
    configs = {"segment.bytes": str(max(size, 1 << 20)), "min.cleanable.dirty.ratio": "0.01"}
    topic = target.topic(1, mode, configs)
    requests = events // KEYED_EVENTS
    sent = frames.keyed_frames(topic, min(DISTINCT, requests), KEYS, EVENT_BYTES)
    loaders.wire_produce(target.node, sent, 1, 5, requests)
    directory = target.node.data / f"{topic.name}-0"
    closed = sorted(directory.glob("*.log"))
    active = closed.pop()
    nbytes = sum(path.stat().st_size for path in closed)
    done = threading.Event()
    taken: list[float] = []
    wanted = f"{topic.name} 0 {int(active.stem)}"

    def watch() -> None:
        checkpoint = target.node.data / "cleaner-offset-checkpoint"
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            if checkpoint.exists() and wanted in checkpoint.read_text().splitlines():
                taken.append(time.monotonic())
                break
            time.sleep(0.02)
        done.set()

    began = time.monotonic()
    target.alter(ResourceType.TOPIC, topic.name, "cleanup.policy", "compact")
    watcher = threading.Thread(target=watch)
    watcher.start()
    while not done.is_set():
        meanwhile()
        done.wait(0.05)
    watcher.join()
    target.drop(topic)
    if not taken:
        raise ToolError(f"{topic.name} is not compacted after {WAIT_SECONDS} s")
    return nbytes / (taken[0] - began) / 1e6
