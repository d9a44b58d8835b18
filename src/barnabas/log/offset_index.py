"""`.index`: sparse map from offset to file position (facts: log-format section 5).

An entry is (i32 last offset of a batch relative to the segment's base, i32 position of that
batch), strictly increasing. One is due before a batch when more than `index.interval.bytes` were
written since the batch of the entry before.
"""

from __future__ import annotations

from struct import Struct

from barnabas.log.lookup import Pread, last_entry, search
from barnabas.ports import File

WIDTH = 8
ENTRY = Struct(">ii")
_KEY = Struct(">i")
MAX_RELATIVE = 2**31 - 1


def max_entries(segment_index_bytes: int) -> int:
    """How many entries fit into `segment.index.bytes`; Kafka rolls when that many are there."""
    return segment_index_bytes // WIDTH


def lookup(file: File, nbytes: int, base: int, offset: int, pread: Pread) -> tuple[int, int]:
    """(offset, position) of the last entry at or below `offset`, else (base, 0)."""
    relative = offset - base
    if relative < 0 or nbytes < WIDTH:
        return base, 0
    before, _ = search(file, nbytes, WIDTH, _KEY, 0, min(relative, MAX_RELATIVE), pread)
    if before is None:
        return base, 0
    found, position = ENTRY.unpack(before)
    return base + found, position


def upper_bound(file: File, nbytes: int, base: int, position: int, pread: Pread) -> int | None:
    """The offset of the first entry whose position is >= `position`, `None` when there is none."""
    if nbytes < WIDTH:
        return None
    _, after = search(file, nbytes, WIDTH, _KEY, 4, position - 1, pread)
    return None if after is None else base + int(ENTRY.unpack(after)[0])


def last(file: File, nbytes: int, base: int, pread: Pread) -> tuple[int, int]:
    """(offset, position) of the last entry, (base, 0) when there is none."""
    entry = last_entry(file, nbytes, WIDTH, pread)
    if entry is None:
        return base, 0
    relative, position = ENTRY.unpack(entry)
    return base + relative, position


def valid_prefix(data: bytes, limit: int, log_size: int) -> int:
    """Bytes of `data` that can be an index: both columns grow, relative offsets <= `limit`,
    positions inside the log and never 0. So the zeros that a crash leaves at the end (Kafka's
    files are pre-sized, too) are no part of it."""
    end, offset, position = 0, -1, 0
    for relative, place in ENTRY.iter_unpack(data[: len(data) // WIDTH * WIDTH]):
        if relative <= offset or place <= position or relative > limit or place >= log_size:
            break
        offset, position = relative, place
        end += WIDTH
    return end
