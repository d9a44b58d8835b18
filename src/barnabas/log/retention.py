"""Which segments may go (facts: log-format section 12), and how they go."""

from __future__ import annotations

from collections.abc import Callable

from barnabas.log import names
from barnabas.log.log import Log
from barnabas.log.lookup import pread_blocking
from barnabas.log.segment import Segment, load_max_timestamp


class Deletion:
    """Segments that left a log; `mark` and later `remove` do to the disk what that means.

    `base` is where the log begins once they are marked.
    """

    __slots__ = ("_directory", "_disk", "_paths", "_snapshots", "base")

    def __init__(self, log: Log, segments: list[Segment], snapshots: list[int]) -> None:
        self._disk = log.disk
        self._directory = log.path
        self._paths = [segment.path for segment in segments]
        self._snapshots = snapshots
        self.base = log.bases[0]

    def mark(self) -> None:
        """Give the files the suffix `.deleted`. Blocks.

        Oldest segment first and each made durable before the next, so that a crash never leaves a
        gap between segments; within one the log goes first, because an index without log is
        removed at start, while a log without index would be recovered.
        """
        disk = self._disk
        for path in self._paths:
            for suffix in names.SEGMENT_SUFFIXES:
                if disk.exists(path + suffix):
                    disk.rename(path + suffix, path + suffix + names.DELETED)
            disk.sync_dir(self._directory)
        for offset in self._snapshots:
            disk.unlink(f"{self._directory}/{names.offset_name(offset)}{names.SNAPSHOT}")

    def remove(self) -> None:
        """Unlink the marked files. Blocks; harmless when the partition was deleted meanwhile."""
        for path in self._paths:
            for suffix in names.SEGMENT_SUFFIXES:
                self._disk.unlink(path + suffix + names.DELETED)


def delete_old_segments(log: Log, now_ms: int, high_watermark: int) -> tuple[Deletion | None, bool]:
    """Take the segments that retention allows out of `log`, and move its log start.

    Returns what to do on disk (`None`: nothing), and whether the active segment qualifies, too:
    it was rolled, and goes at the next call once the roll is durable. Only segments go that the
    writer is done with: a rolled one has indexes to be synced even when its data is durable.
    """
    due = _due(log, now_ms, high_watermark)
    if not due:
        return None, False
    rolled = False
    if due == len(log.segments):
        due -= 1
        if log.segments[-1].size > 0:
            log.roll()
            rolled = True
    while due and (log.bases[due] > log.durable_offset or log.bases[due - 1] >= log.settled_base):
        due -= 1
    return (drop_segments(log, due) if due else None), rolled


def drop_segments(log: Log, count: int) -> Deletion:
    """Take the first `count` segments out of the log (never the active one)."""
    gone = log.segments[:count]
    del log.segments[:count]
    del log.bases[:count]
    for segment in gone:
        segment.forget(log.pool)
    log.marks.clear()
    start = log.bases[0]
    log.log_start_offset = max(log.log_start_offset, start)
    log.producers.log_start_moved(log.log_start_offset)
    log.epochs.truncate_from_start(log.log_start_offset)
    snapshots = [offset for offset in log.snapshots if offset < start]
    log.snapshots = log.snapshots[len(snapshots) :]
    return Deletion(log, gone, snapshots)


def _due(log: Log, now_ms: int, high_watermark: int) -> int:
    """How many segments from the oldest on qualify by one of the rules."""
    config = log.config
    deletes = "delete" in config.cleanup_policy
    excess = log.size() - config.retention_bytes if config.retention_bytes >= 0 else -1
    rules: list[Callable[[int, Segment], bool]] = [
        lambda at, _: at + 1 < len(log.bases) and log.bases[at + 1] <= log.log_start_offset
    ]
    if deletes and excess > 0:
        sizes = [0]
        for segment in log.segments:
            sizes.append(sizes[-1] + segment.size)
        rules.append(lambda at, _: excess >= sizes[at + 1])
    if deletes and config.retention_ms >= 0:
        rules.append(lambda _, segment: _expired(log, segment, now_ms))
    longest = 0
    for rule in rules:
        count = 0
        for at, segment in enumerate(log.segments):
            end = log.bases[at + 1] if at + 1 < len(log.bases) else log.end_offset
            last_and_empty = at + 1 == len(log.segments) and segment.size == 0
            if high_watermark < end or last_and_empty or not rule(at, segment):
                break
            count += 1
        longest = max(longest, count)
    return longest


def _expired(log: Log, segment: Segment, now_ms: int) -> bool:
    stamp = load_max_timestamp(segment, log.pool, pread_blocking)
    if stamp < 0:
        stamp = log.disk.modified_ms(segment.file(names.LOG))
    return now_ms - stamp > log.config.retention_ms


def raise_log_start(log: Log, offset: int) -> bool:
    """DeleteRecords, or a leader that says so: nothing below `offset` is readable any more.

    Whole segments below go with the next retention run. True when the log start moved.
    """
    offset = min(offset, log.end_offset)
    if offset <= log.log_start_offset:
        return False
    log.log_start_offset = offset
    log.producers.log_start_moved(offset)
    log.epochs.truncate_from_start(offset)
    return True
