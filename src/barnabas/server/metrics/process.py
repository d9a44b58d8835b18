"""Metrics of the process, under the names that Prometheus' own clients give them, and of its loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from barnabas.ports import Usage
from barnabas.server.loop_watch import LoopWatch
from barnabas.server.metrics.exposition import SECONDS, head, summary

_FAMILIES: Final = (
    ("process_cpu_seconds_total", "counter", "cpu_ns", 1e-9, "Processor time of all threads."),
    ("process_resident_memory_bytes", "gauge", "resident_bytes", 1, "Resident memory."),
    ("process_virtual_memory_bytes", "gauge", "virtual_bytes", 1, "Virtual memory."),
    ("process_open_fds", "gauge", "open_files", 1, "Open file descriptors."),
    ("process_max_fds", "gauge", "max_files", 1, "File descriptors that may be open."),
    ("process_threads", "gauge", "threads", 1, "Threads."),
    ("process_start_time_seconds", "gauge", "started_ms", 1e-3, "Start, seconds since 1970."),
    ("kafka_server_kafkaserver_linux_disk_read_bytes", "gauge", "read_bytes", 1, "Read from disk."),
    (
        "kafka_server_kafkaserver_linux_disk_write_bytes",
        "gauge",
        "written_bytes",
        1,
        "Written to disk.",
    ),
)


def process(usage: Usage) -> Iterator[str]:
    """What is known of the process."""
    for name, kind, field, factor, about in _FAMILIES:
        value = getattr(usage, field)
        if value >= 0:
            yield f"{head(name, kind, about)}{name} {value if factor == 1 else value * factor:.15g}\n"


def loop(watch: LoopWatch, now_ms: int) -> Iterator[str]:
    """How late the loop calls back what is due."""
    name = "barnabas_loop_lag_seconds"
    yield head(name, "summary", "How late a timer of the event loop was called.")
    yield summary(name, "", watch.lag, now_ms, SECONDS)
