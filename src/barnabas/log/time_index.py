"""`.timeindex`: sparse map from timestamp to offset (facts: log-format section 5).

An entry is (i64 largest timestamp so far, i32 last offset of the batch that holds it, relative
to the base). One is added with an offset index entry when the timestamp grew, and one at roll and
close. Kafka counts the file as full one entry early: the slot of the entry at the roll.
"""

from __future__ import annotations

from struct import Struct

from barnabas.log.lookup import Pread, last_entry, search
from barnabas.ports import File

WIDTH = 12
ENTRY = Struct(">qi")
_KEY = Struct(">q")


def max_entries(segment_index_bytes: int) -> int:
    """Entries beside which only the one of the roll still fits."""
    return segment_index_bytes // WIDTH - 1


def lookup(file: File, nbytes: int, base: int, timestamp: int, pread: Pread) -> tuple[int, int]:
    """(timestamp, offset) of the last entry at or below `timestamp`, else (-1, base)."""
    if nbytes < WIDTH:
        return -1, base
    before, _ = search(file, nbytes, WIDTH, _KEY, 0, timestamp, pread)
    return _absolute(before, base)


def last(file: File, nbytes: int, base: int, pread: Pread) -> tuple[int, int]:
    """(timestamp, offset) of the last entry, (-1, base) when there is none."""
    return _absolute(last_entry(file, nbytes, WIDTH, pread), base)


def valid_prefix(data: bytes, limit: int) -> int:
    """Bytes of `data` that can be a time index: timestamps grow, offsets do not fall nor pass
    `limit` (relative)."""
    end, timestamp, offset = 0, -1, -1
    for when, relative in ENTRY.iter_unpack(data[: len(data) // WIDTH * WIDTH]):
        if when <= timestamp or relative < offset or relative > limit:
            break
        timestamp, offset = when, relative
        end += WIDTH
    return end


def _absolute(entry: bytes | None, base: int) -> tuple[int, int]:
    if entry is None:
        return -1, base
    timestamp, relative = ENTRY.unpack(entry)
    return timestamp, base + relative
