"""Metrics of logs, log directories and the writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from barnabas.log.log import Log
from barnabas.log.manager import LogManager
from barnabas.log.sizes import known_size
from barnabas.ports import Executor
from barnabas.server.metrics.exposition import MS, counter, gauge, head, summary, text

_LOG_FAMILIES: Final[tuple[tuple[str, str, Callable[[Log], int | None]], ...]] = (
    ("size", "Bytes of all segments.", known_size),
    ("numlogsegments", "Segments.", lambda log: len(log.segments)),
    ("logstartoffset", "First offset.", lambda log: log.log_start_offset),
    ("logendoffset", "Next offset.", lambda log: log.end_offset),
)


def logs(manager: LogManager) -> Iterator[str]:
    """Per partition whose log is open (retention opens all of them soon after a start)."""
    found = list(manager.logs.values())
    for suffix, about, value_of in _LOG_FAMILIES:
        name = f"kafka_log_log_{suffix}"
        yield head(name, "gauge", about)
        for log in found:
            value = None if log.offline is not None else value_of(log)
            if value is None:
                yield ""
            else:
                yield f'{name}{{topic="{log.topic}",partition="{log.partition}"}} {value}\n'


def directories(manager: LogManager) -> Iterator[str]:
    """Which log directories failed."""
    offline = [home for home in manager.directories if home.offline is not None]
    name = "kafka_log_logmanager_logdirectoryoffline"
    yield gauge(
        "kafka_log_logmanager_offlinelogdirectorycount", "Failed log directories.", len(offline)
    )
    yield head(name, "gauge", "1 for a failed log directory.")
    for home in manager.directories:
        yield f"{name}{{logDirectory={text(home.path)}}} {int(home.offline is not None)}\n"
    yield gauge(
        "kafka_log_logmanager_remaininglogstorecover",
        "Logs of an unclean stop that have not been read yet.",
        len(manager.unrecovered()),
    )


def writer(manager: LogManager, executor: Executor, now_ms: int) -> Iterator[str]:
    """Rounds of writes and syncs."""
    rounds = manager.writer
    name = "kafka_log_logflushstats_logflushrateandtimems"
    yield head(name, "summary", "Rounds of syncs, each over all that was written before it.")
    yield summary(name, "", rounds.sync_times, now_ms, MS)
    yield counter("barnabas_synced_files_total", "Files synced.", rounds.synced_files)
    name = "barnabas_write_rounds_total"
    yield head(name, "counter", "Rounds of writes, by where they were done.")
    yield f'{name}{{where="loop"}} {rounds.inline_rounds}\n'
    yield f'{name}{{where="executor"}} {rounds.executor_rounds}\n'
    yield gauge("barnabas_open_log_files", "Files of logs held open.", len(manager.pool))
    yield gauge(
        "barnabas_executor_jobs", "Jobs off the loop, queued or running.", executor.unfinished
    )
