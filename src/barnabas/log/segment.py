"""One segment: its files, what of them is written, and the walk over its batches."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from barnabas.log import names, offset_index, time_index
from barnabas.log.errors import LogDamaged
from barnabas.log.files import FilePool
from barnabas.log.lookup import Pread
from barnabas.ports import Disk, File

UNKNOWN = -2
"""Not read from disk yet (-1 is a value: no timestamp)."""

OVERHEAD = 12
MIN_LENGTH = 14
"""Smallest length a log may hold: a magic 0 message without key and value."""
MIN_LENGTH_V2 = 49

PEEK = Struct(">qi4xb6xi8xq")
"""base offset, length, magic, last offset delta, max timestamp of a batch of magic 2."""
_V1_TIMESTAMP = Struct(">q")
WALK_CHUNK = 8192
"""Bytes per read of a walk: an index interval and the batch headers behind it."""

Place = tuple[int, int, int, int, int]
"""(position, base offset, last offset, size, max timestamp) of one batch in a file."""


class Segment:
    """Files of one base offset. The sizes are those of the files, not of pending bytes.

    `size`, `offset_bytes`, `time_bytes`: bytes of `.log`, `.index` and `.timeindex` that hold data.
    `has_txns`: whether there is a `.txnindex`. `mark`: a suffix behind all its names, `.swap` while
    it takes the place of others. `first_timestamp`, of its first batch, `max_timestamp` and `max_timestamp_offset`: the
    largest timestamp and the last offset of its batch, `UNKNOWN` until somebody asks.
    """

    __slots__ = (
        "base_offset",
        "created_ms",
        "first_timestamp",
        "has_txns",
        "jitter_ms",
        "mark",
        "max_timestamp",
        "max_timestamp_offset",
        "offset_bytes",
        "path",
        "size",
        "time_bytes",
    )

    def __init__(self, directory: str, base_offset: int) -> None:
        self.path = f"{directory}/{names.offset_name(base_offset)}"
        self.base_offset = base_offset
        self.size = 0
        self.offset_bytes = 0
        self.time_bytes = 0
        self.has_txns = False
        self.mark = ""
        self.first_timestamp = UNKNOWN
        self.max_timestamp = -1
        self.max_timestamp_offset = base_offset
        self.created_ms = 0
        self.jitter_ms = 0

    def file(self, suffix: str) -> str:
        """Path of its file of a kind, under the name that it has now."""
        return self.path + suffix + self.mark

    def file_names(self) -> list[str]:
        """Paths of the files that a segment may have, `.log` first."""
        return [self.file(suffix) for suffix in names.SEGMENT_SUFFIXES]

    def move_to(self, directory: str) -> None:
        """The partition directory got another name."""
        self.path = f"{directory}/{names.offset_name(self.base_offset)}"

    def load_sizes(self, pool: FilePool) -> None:
        """Learn the sizes of a segment that was only listed so far. Cheap: no data is read."""
        if self.size != UNKNOWN:
            return
        self.offset_bytes = whole(pool.get(self.file(names.OFFSET_INDEX)).size(), 8)
        self.time_bytes = whole(pool.get(self.file(names.TIME_INDEX), create=True).size(), 12)
        self.size = pool.get(self.file(names.LOG)).size()

    def forget(self, pool: FilePool) -> None:
        """Close its files: it is about to be renamed or removed."""
        for path in self.file_names():
            pool.drop(path)


def whole(nbytes: int, width: int) -> int:
    """`nbytes` rounded down to entries of `width`."""
    return nbytes - nbytes % width


def listed(directory: str, base_offset: int, has_txns: bool) -> Segment:
    """A segment that was seen in a directory and of which nothing has been read."""
    segment = Segment(directory, base_offset)
    segment.has_txns = has_txns
    segment.size = segment.offset_bytes = segment.time_bytes = UNKNOWN
    segment.max_timestamp = UNKNOWN
    return segment


def create_files(disk: Disk, segment: Segment) -> None:
    """Make the empty files of a new segment; their names are durable after `sync_dir`.

    Indexes first: Kafka and we rebuild a log without index, which costs a scan for nothing.
    """
    for suffix in (names.OFFSET_INDEX, names.TIME_INDEX, names.LOG):
        disk.open(segment.path + suffix, create=True).close()


def walk(file: File, position: int, end: int, pread: Pread) -> Iterator[Place]:
    """The batches from `position` (a batch's start) up to `end`, by their headers alone.

    Raises `LogDamaged` where no batch can begin; stops before one that passes `end`.
    """
    block, start = b"", position
    unpack = PEEK.unpack_from
    while position + OVERHEAD < end:
        at = position - start
        if at + PEEK.size > len(block):
            block, start, at = pread(file, min(WALK_CHUNK, end - position), position), position, 0
            if len(block) < PEEK.size:
                if len(block) < OVERHEAD + MIN_LENGTH:
                    return
                block += bytes(PEEK.size - len(block))  # a short old message at the end
        base, length, magic, delta, timestamp = unpack(block, at)
        if magic == 2:
            damaged = length < MIN_LENGTH_V2 or delta < 0
        else:
            damaged = length < MIN_LENGTH or not 0 <= magic < 2
        if damaged:
            raise LogDamaged(f"no batch at {position} of {file.path}")
        size = length + OVERHEAD
        if position + size > end:
            return
        if magic < 2:
            delta = 0  # an old wrapper's offset is that of its last message
            timestamp = _V1_TIMESTAMP.unpack_from(block, at + 18)[0] if magic == 1 else -1
        yield position, base, base + delta, size, timestamp
        position += size


def locate(
    segment: Segment, log: File, index: File, offset: int, end: int, pread: Pread
) -> Place | None:
    """The first batch below file position `end` whose last offset is >= `offset`."""
    _, position = offset_index.lookup(
        index, segment.offset_bytes, segment.base_offset, offset, pread
    )
    for place in walk(log, position, end, pread):
        if place[2] >= offset:
            return place
    return None


def load_max_timestamp(segment: Segment, pool: FilePool, pread: Pread) -> int:
    """Largest timestamp of a segment, -1 for none.

    A segment that is no longer written to ends its time index with it.
    """
    if segment.max_timestamp == UNKNOWN:
        segment.load_sizes(pool)
        file = pool.get(segment.file(names.TIME_INDEX))
        stamp, offset = time_index.last(file, segment.time_bytes, segment.base_offset, pread)
        segment.max_timestamp_offset = offset
        segment.max_timestamp = stamp
    return segment.max_timestamp


def load_first_timestamp(segment: Segment, pool: FilePool, pread: Pread) -> int:
    """Timestamp of the first batch of a segment that is no longer written to, -1 for none."""
    if segment.first_timestamp == UNKNOWN:
        segment.load_sizes(pool)
        file = pool.get(segment.file(names.LOG))
        places = walk(file, 0, segment.size, pread)
        segment.first_timestamp = next((place[4] for place in places), -1)
    return segment.first_timestamp
