"""Offsets by time (facts: replication section 8). For ListOffsets; reads on the executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from barnabas.log import names, offset_index, time_index
from barnabas.log.errors import LogDamaged
from barnabas.log.log import Log
from barnabas.log.lookup import pread_blocking
from barnabas.log.segment import UNKNOWN, Place, Segment, walk
from barnabas.ports import Disk, Executor, File
from barnabas.records.batch import HEADER_SIZE, MAGIC, read_header
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import Record, read_records

MAX_INFLATED = 128 << 20
"""Of one batch, when its records are looked at; beyond it counts as broken."""
MAGIC_AT = 16


class TimestampOffset(NamedTuple):
    """A record found by time; `leader_epoch` -1 when its batch does not say."""

    timestamp: int
    offset: int
    leader_epoch: int


Search = Callable[[], TimestampOffset | None]


async def run_search(
    log: Log, executor: Executor, make: Callable[[], Search]
) -> TimestampOffset | None:
    """Make a search and run it; once more when compaction replaced segments meanwhile.

    Raises `OSError`.
    """
    while True:
        replaced = log.replaced
        try:
            found = await executor.run(make())
        except Exception:
            if log.replaced == replaced:
                raise
        else:
            if log.replaced == replaced:
                return found


def by_timestamp(log: Log, timestamp: int) -> Search:
    """A job that finds the first record at or above the log start with `timestamp` or later.

    `None` when there is none. Call this on the event loop, the job on the executor. The job may
    raise `OSError`; segments that retention removes meanwhile are passed over.
    """
    views = [_View(segment) for segment in log.segments]
    disk, start = log.disk, log.log_start_offset

    def search() -> TimestampOffset | None:
        for view in views:
            found = view.first(disk, timestamp, start)
            if found is not None:
                return found
        return None

    return search


def by_max_timestamp(log: Log) -> Search:
    """The same for the first record with the largest timestamp of the log (-3, KIP-734)."""
    views = [_View(segment) for segment in log.segments]
    disk = log.disk

    def search() -> TimestampOffset | None:
        best: _View | None = None
        for view in views:
            if view.largest(disk) > (-1 if best is None else best.max_timestamp):
                best = view
        return None if best is None else best.first(disk, best.max_timestamp, 0)

    return search


class _View:
    """A segment as it was when the search began."""

    __slots__ = ("base", "mark", "max_timestamp", "offset_bytes", "path", "size", "time_bytes")

    def __init__(self, segment: Segment) -> None:
        self.path = segment.path
        self.mark = segment.mark
        self.base = segment.base_offset
        self.size = segment.size
        self.offset_bytes = segment.offset_bytes
        self.time_bytes = segment.time_bytes
        self.max_timestamp = segment.max_timestamp

    def largest(self, disk: Disk) -> int:
        """Largest timestamp; a segment no longer written to ends its time index with it."""
        if self.max_timestamp == UNKNOWN:
            self.max_timestamp = -1
            for file in _opened(disk, self.path + names.TIME_INDEX + self.mark):
                nbytes = file.size() // time_index.WIDTH * time_index.WIDTH
                self.max_timestamp, _ = time_index.last(file, nbytes, self.base, pread_blocking)
        return self.max_timestamp

    def first(self, disk: Disk, timestamp: int, start: int) -> TimestampOffset | None:
        """The first record at or above offset `start` that is not older than `timestamp`."""
        if self.largest(disk) < timestamp:
            return None
        position = self._position(disk, timestamp, start)
        for log in _opened(disk, self.path + names.LOG + self.mark):
            size = log.size() if self.size == UNKNOWN else self.size
            try:
                for place in walk(log, position, size, pread_blocking):
                    if place[4] >= timestamp and place[2] >= start:
                        found = _in_batch(log, place, timestamp, start)
                        if found is not None:
                            return found
            except LogDamaged:
                return None
        return None

    def _position(self, disk: Disk, timestamp: int, start: int) -> int:
        """A position before which nothing qualifies."""
        offset = self.base
        for file in _opened(disk, self.path + names.TIME_INDEX + self.mark):
            nbytes = file.size() // 12 * 12 if self.time_bytes == UNKNOWN else self.time_bytes
            _, offset = time_index.lookup(file, nbytes, self.base, timestamp, pread_blocking)
        for file in _opened(disk, self.path + names.OFFSET_INDEX + self.mark):
            nbytes = file.size() // 8 * 8 if self.offset_bytes == UNKNOWN else self.offset_bytes
            target = max(offset, start)
            return offset_index.lookup(file, nbytes, self.base, target, pread_blocking)[1]
        return 0


def _opened(disk: Disk, path: str) -> Iterator[File]:
    """The file, closed afterwards; nothing when it was removed."""
    try:
        file = disk.open(path)
    except FileNotFoundError:
        return
    try:
        yield file
    finally:
        file.close()


def _in_batch(log: File, place: Place, timestamp: int, start: int) -> TimestampOffset | None:
    """The record within one batch. Of a batch whose records cannot be read (only their CRC was
    checked when it came) the first offset is the answer: a reader misses nothing by it."""
    position, base, last, size, max_timestamp = place
    data = log.pread(size, position)
    if len(data) < min(size, HEADER_SIZE) or data[MAGIC_AT] != MAGIC:
        return TimestampOffset(max_timestamp, max(base, start), -1)
    header = read_header(data)
    try:
        records: list[Record] = read_records(data, limit=MAX_INFLATED)
    except CorruptRecord:
        return TimestampOffset(max_timestamp, max(base, start), header.leader_epoch)
    for record in records:
        if record.timestamp >= timestamp and start <= record.offset <= last:
            return TimestampOffset(record.timestamp, record.offset, header.leader_epoch)
    return None
