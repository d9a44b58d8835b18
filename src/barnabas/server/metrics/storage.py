"""Metrics of logs, log directories and the writer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from barnabas.log.cleaning.cleaner import LogCleaner
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


Volumes = Mapping[str, tuple[int, int]]
"""Total and usable bytes of the volume of each live log directory, by its path."""


def volumes(manager: LogManager) -> Volumes:
    """What is left for each log directory. Blocks."""
    found = {}
    for home in manager.live:
        try:
            found[home.path] = manager.disk.usage(home.path)
        except OSError:
            continue  # a write will meet it
    return found


def directories(manager: LogManager, rooms: Volumes) -> Iterator[str]:
    """Which log directories failed, and how much room the others have."""
    offline = [home for home in manager.directories if home.offline is not None]
    name = "kafka_log_logmanager_logdirectoryoffline"
    yield gauge(
        "kafka_log_logmanager_offlinelogdirectorycount", "Failed log directories.", len(offline)
    )
    yield head(name, "gauge", "1 for a failed log directory.")
    for home in manager.directories:
        yield f"{name}{{logDirectory={text(home.path)}}} {int(home.offline is not None)}\n"
    for at, (name, about) in enumerate(
        (
            ("barnabas_log_directory_total_bytes", "Size of the volume of a log directory."),
            ("barnabas_log_directory_usable_bytes", "Bytes that are left there."),
        )
    ):
        yield head(name, "gauge", about)
        for path, room in rooms.items():
            yield f"{name}{{logDirectory={text(path)}}} {room[at]}\n"
    yield gauge(
        "kafka_log_logmanager_remaininglogstorecover",
        "Logs of an unclean stop that have not been read yet.",
        len(manager.unrecovered()),
    )


def cleaner(manager: LogManager, cleaner: LogCleaner) -> Iterator[str]:
    """Compaction: what goes on, what is left alone after an error, how the last ones went."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    bytes_of = cleaner.uncleanable_bytes()
    for key in list(cleaner.uncleanable):
        if (home := manager.homes.get(key)) is not None:
            counts[home.path] += 1
            sizes[home.path] += bytes_of.get(key, 0)
    for what, found, about in (
        ("partitions_count", counts, "Partitions that could not be compacted and are left alone."),
        ("bytes", sizes, "What could be compacted of those."),
    ):
        name = f"kafka_log_logcleanermanager_uncleanable_{what}"
        yield head(name, "gauge", about)
        for directory in manager.directories:
            yield f"{name}{{logDirectory={text(directory.path)}}} {found[directory.path]}\n"
    stats = cleaner.stats
    since_ms = manager.clock.monotonic_ms() - stats.looked_ms
    for suffix, about, value in (
        ("manager_max_dirty_percent", "Of the dirtiest log, what could go.", stats.dirtiest * 100),
        ("manager_time_since_last_run_ms", "Since it last looked for work.", since_ms),
        ("_cleaner_recopy_percent", "What the last cleanings kept.", stats.recopied * 100),
        ("_max_clean_time_secs", "The longest of the last cleanings.", stats.longest_ms / 1000),
        ("_max_buffer_utilization_percent", "Memory for keys, in use.", stats.fullest * 100),
        ("_max_compaction_delay_secs", "Beyond max.compaction.lag.ms.", stats.overdue_ms / 1000),
    ):
        yield gauge(f"kafka_log_logcleaner{suffix}", about, int(value))
    yield gauge("barnabas_cleaning_partitions", "Being compacted now.", len(cleaner.cleaning))


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
