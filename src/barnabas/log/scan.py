"""Reading a segment batch by batch at start-up: full checks, or headers alone."""

from __future__ import annotations

from binascii import crc32
from collections.abc import Iterator
from struct import Struct

from barnabas.log import offset_index, time_index
from barnabas.log.errors import LogDamaged
from barnabas.log.segment import MIN_LENGTH, MIN_LENGTH_V2, OVERHEAD
from barnabas.ports import File
from barnabas.records.batch import HEADER, HEADER_SIZE, MAGIC, BatchHeader, crc_valid, read_header

BLOCK = 1 << 20
"""Bytes per read, unless one batch is larger."""
MAX_BATCH = 256 << 20
"""More than any request can bring (`socket.request.max.bytes` is 100 MiB): a damaged length must
not make recovery read a whole segment at once."""
_LENGTH = Struct(">8xi")
_OLD = Struct(">qiibbq")
"""offset, size, CRC-32, magic, attributes and (magic 1) timestamp of an old message."""


class Blocks:
    """A window over a file that only moves forward, so that most bytes are read once."""

    __slots__ = ("_block", "_end", "_file", "_start", "view")

    def __init__(self, file: File, end: int, block: int = BLOCK) -> None:
        self._file = file
        self._end = end
        self._block = block
        self.view = memoryview(b"")
        self._start = 0

    def find(self, position: int, n: int) -> int:
        """Where in `view` the byte at file position `position` is, with `n` bytes from there on
        (fewer at the end of the file)."""
        at = position - self._start
        if at < 0 or at + n > len(self.view):
            size = min(max(self._block, n), self._end - position)
            self.view = memoryview(self._file.pread(size, position))
            self._start, at = position, 0
        return at


def headers(file: File, position: int, end: int) -> Iterator[tuple[int, BatchHeader]]:
    """Headers of the batches of magic 2 from `position` up to `end`; old messages are passed over.

    Raises `LogDamaged` where no batch can begin.
    """
    blocks = Blocks(file, end)
    while position + OVERHEAD < end:
        at = blocks.find(position, HEADER_SIZE)
        size = _size_at(blocks.view, at)
        if not size:
            raise LogDamaged(f"no batch at {position} of {file.path}")
        if position + size > end:
            return
        if blocks.view[at + 16] == MAGIC:
            yield position, read_header(blocks.view, at)
        position += size


def whole_batches(
    file: File, position: int, end: int, block: int = BLOCK
) -> Iterator[tuple[int, memoryview]]:
    """(position, bytes) of each batch or old message from `position` up to `end`, unchecked.

    `block`: bytes per read. Raises `LogDamaged` where none can begin, or one is cut off.
    """
    blocks = Blocks(file, end, block)
    while position < end:
        at = blocks.find(position, HEADER_SIZE)
        size = _size_at(blocks.view, at)
        if not size or size > MAX_BATCH or position + size > end:
            raise LogDamaged(f"no batch at {position} of {file.path}")
        at = blocks.find(position, size)
        if at + size > len(blocks.view):
            raise LogDamaged(f"{file.path} ends within the batch at {position}")
        yield position, blocks.view[at : at + size]
        position += size


class Scan:
    """A segment checked from `position` on, and the index entries that belong to what is valid.

    `end` is where the first invalid byte is (the file's size when there is none); `next_offset`
    follows the last valid batch.
    """

    def __init__(
        self,
        file: File,
        base_offset: int,
        interval: int,
        *,
        position: int = 0,
        max_timestamp: int = -1,
        max_timestamp_offset: int = -1,
        time_last: int = -1,
    ) -> None:
        self.offset_entries = bytearray()
        self.time_entries = bytearray()
        self.epochs: list[tuple[int, int]] = []
        """(epoch, base offset) wherever the epoch of batches rises."""
        self.first_timestamp: int | None = None
        """Largest timestamp of the first batch, when the scan began with it."""
        self.max_timestamp = max_timestamp
        self.max_timestamp_offset = max_timestamp_offset
        self.time_last = time_last
        self.index_position = position
        self.end = position
        self.next_offset = base_offset
        self._base = base_offset
        self._interval = interval
        self._run(file, file.size())

    def _run(self, file: File, size: int) -> None:
        """Kafka's `LogSegment.recover`. Stops for good at the first thing that is not a batch."""
        blocks = Blocks(file, size)
        limit = self._base + offset_index.MAX_RELATIVE
        epoch = -1
        while self.end + OVERHEAD < size:
            position = self.end
            batch = _valid_batch(blocks, position, size)
            if batch is None:
                return
            base, last, nbytes, timestamp, batch_epoch = batch
            if base < self.next_offset or last > limit:
                return
            self._note(position, last, timestamp)
            if batch_epoch > epoch:
                epoch = batch_epoch
                self.epochs.append((epoch, base))
            self.end = position + nbytes
            self.next_offset = last + 1

    def _note(self, position: int, last: int, timestamp: int) -> None:
        """The same index entries that appending the batch makes."""
        if position == 0:
            self.first_timestamp = timestamp
        if timestamp > self.max_timestamp:
            self.max_timestamp = timestamp
            self.max_timestamp_offset = last
        if position - self.index_position > self._interval:
            self.offset_entries += offset_index.ENTRY.pack(last - self._base, position)
            self.index_position = position
            self.add_time_entry()

    def add_time_entry(self) -> None:
        """An entry for the largest timestamp, unless there is one."""
        if self.max_timestamp > self.time_last:
            relative = self.max_timestamp_offset - self._base
            self.time_entries += time_index.ENTRY.pack(self.max_timestamp, relative)
            self.time_last = self.max_timestamp


def batch_is_valid(file: File, position: int, size: int) -> bool:
    """Whether a whole batch with a good CRC begins at `position`."""
    return _valid_batch(Blocks(file, size), position, size) is not None


def _size_at(view: memoryview, at: int) -> int:
    """Size of the batch at `at`, by its length and magic; 0 for nonsense.

    The minimum is checked before any CRC: of zero-filled bytes length, magic and CRC all agree.
    """
    if len(view) - at < OVERHEAD + MIN_LENGTH:
        return 0
    (length,) = _LENGTH.unpack_from(view, at)
    magic = view[at + 16]
    if magic > MAGIC or length < (MIN_LENGTH_V2 if magic == MAGIC else MIN_LENGTH):
        return 0
    return int(length) + OVERHEAD


def _valid_batch(blocks: Blocks, position: int, end: int) -> tuple[int, int, int, int, int] | None:
    """(base offset, last offset, size, max timestamp, leader epoch), `None` when invalid."""
    at = blocks.find(position, HEADER_SIZE)
    size = _size_at(blocks.view, at)
    if not size or size > MAX_BATCH or position + size > end:
        return None
    at = blocks.find(position, size)
    view = blocks.view
    if view[at + 16] != MAGIC:
        return _valid_old(view[at : at + size])
    base, _, epoch, _, _, _, delta, _, timestamp, _, _, _, _ = HEADER.unpack_from(view, at)
    if delta < 0 or not crc_valid(view, at, size):
        return None
    return base, base + delta, size, timestamp, epoch


def _valid_old(view: memoryview) -> tuple[int, int, int, int, int] | None:
    """The same for a message of magic 0 or 1; a compressed one carries its last offset."""
    offset, _, crc, magic, _, timestamp = _OLD.unpack(bytes(view[: _OLD.size]).ljust(26, b"\0"))
    if crc32(view[16:]) != crc & 0xFFFFFFFF:
        return None
    return offset, offset, len(view), timestamp if magic == 1 else -1, -1
