"""The 61-byte header of a record batch (magic 2, KIP-98), read and changed in place.

All integers are big-endian. The CRC covers everything from the attributes on, so that a leader
sets base offset and leader epoch without computing it again; a timestamp costs a new CRC.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from barnabas.records.checksum import crc32c
from barnabas.records.errors import CorruptRecord
from barnabas.wire.primitives import Buffer

HEADER_SIZE = 61
LOG_OVERHEAD = 12
"""Bytes of base offset and length, which the length itself does not count."""

MIN_BATCH_LENGTH = HEADER_SIZE - LOG_OVERHEAD
MAGIC_OFFSET = 16
CRC_OFFSET = 17
ATTRIBUTES_OFFSET = 21
MAX_TIMESTAMP_OFFSET = 35

MAGIC = 2
CODEC_MASK = 0x07
APPEND_TIME_BIT = 0x08
TRANSACTIONAL_BIT = 0x10
CONTROL_BIT = 0x20
DELETE_HORIZON_BIT = 0x40

NO_PRODUCER_ID = -1
NO_PRODUCER_EPOCH = -1
NO_SEQUENCE = -1
NO_TIMESTAMP = -1
NO_LEADER_EPOCH = -1
MAX_INT32 = 0x7FFFFFFF

HEADER = Struct(">qiibIhiqqqhii")
_BASE_OFFSET = Struct(">q")
_LEADER_EPOCH = Struct(">i")
_CRC = Struct(">I")
_ATTRIBUTES = Struct(">h")
_TIMESTAMP = Struct(">q")
_LENGTH = Struct(">8xi")

_unpack_header = HEADER.unpack_from
_new = tuple.__new__


class BatchHeader(NamedTuple):
    """The header's fields as stored; times are ms, `batch_length` leaves out its first 12 bytes."""

    base_offset: int
    batch_length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records_count: int

    @property
    def last_offset(self) -> int:
        """Offset of the last record the batch had when it was produced; compaction keeps it."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """Base offset of whatever follows."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.batch_length + LOG_OVERHEAD

    @property
    def codec(self) -> int:
        """Compression, 0 to 7; only 0 to 4 are defined (`compression.Codec`)."""
        return self.attributes & CODEC_MASK

    @property
    def is_transactional(self) -> bool:
        """Whether the batch is part of a transaction (markers are, too)."""
        return self.attributes & TRANSACTIONAL_BIT != 0

    @property
    def is_control(self) -> bool:
        """Whether it holds control records, which consumers skip."""
        return self.attributes & CONTROL_BIT != 0

    @property
    def log_append_time(self) -> bool:
        """Whether `max_timestamp` is the broker's append time and holds for every record."""
        return self.attributes & APPEND_TIME_BIT != 0

    @property
    def has_delete_horizon(self) -> bool:
        """Whether `base_timestamp` is when compaction may drop tombstones and markers (KIP-534)."""
        return self.attributes & DELETE_HORIZON_BIT != 0

    @property
    def last_sequence(self) -> int:
        """Sequence number of the last record, or -1 without a base sequence."""
        if self.base_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return add_to_sequence(self.base_sequence, self.last_offset_delta)


def add_to_sequence(sequence: int, increment: int) -> int:
    """`sequence` + `increment`; after 2147483647 comes 0."""
    total = sequence + increment
    return total if total <= MAX_INT32 else total - MAX_INT32 - 1


def read_header(buf: Buffer, pos: int = 0) -> BatchHeader:
    """The header at `pos`, unchecked except that 61 bytes are there, else `CorruptRecord`."""
    try:
        return _new(BatchHeader, _unpack_header(buf, pos))
    except StructError:
        raise CorruptRecord(f"no room for a batch header at {pos} of {len(buf)}") from None


def crc_valid(buf: Buffer, pos: int, size: int) -> bool:
    """Whether the CRC-32C of the `size` bytes at `pos` (a whole batch) is the stored one."""
    with memoryview(buf) as view, view[pos + ATTRIBUTES_OFFSET : pos + size] as covered:
        return bool(crc32c(covered) == _CRC.unpack_from(buf, pos + CRC_OFFSET)[0])


def iter_batches(buf: Buffer) -> Iterator[tuple[int, BatchHeader]]:
    """Each whole batch as (position, header); stops before one that `buf` cuts off.

    Raises `CorruptRecord` at a length below 49 or a magic other than 2 (`legacy` reads 0 and 1):
    nothing behind such a place can be found. CRCs are not checked.
    """
    pos = 0
    end = len(buf)
    while end - pos >= LOG_OVERHEAD:
        length = _LENGTH.unpack_from(buf, pos)[0]
        if end - pos > MAGIC_OFFSET and buf[pos + MAGIC_OFFSET] != MAGIC:
            raise CorruptRecord(f"magic {buf[pos + MAGIC_OFFSET]} at {pos}")
        if length < MIN_BATCH_LENGTH:
            raise CorruptRecord(f"batch length {length} at {pos}")
        if length > end - pos - LOG_OVERHEAD:
            return
        yield pos, read_header(buf, pos)
        pos += length + LOG_OVERHEAD


def assign(buf: bytearray | memoryview, pos: int, base_offset: int, leader_epoch: int) -> None:
    """Set base offset and partition leader epoch of the batch at `pos`; its CRC stays good."""
    _BASE_OFFSET.pack_into(buf, pos, base_offset)
    _LEADER_EPOCH.pack_into(buf, pos + LOG_OVERHEAD, leader_epoch)


def set_append_time(buf: bytearray | memoryview, pos: int, ms: int) -> None:
    """Make `ms` the time of every record of the batch at `pos` (LogAppendTime); new CRC."""
    attributes = _ATTRIBUTES.unpack_from(buf, pos + ATTRIBUTES_OFFSET)[0] | APPEND_TIME_BIT
    _ATTRIBUTES.pack_into(buf, pos + ATTRIBUTES_OFFSET, attributes)
    _TIMESTAMP.pack_into(buf, pos + MAX_TIMESTAMP_OFFSET, ms)
    write_crc(buf, pos, _LENGTH.unpack_from(buf, pos)[0] + LOG_OVERHEAD)


def write_crc(buf: bytearray | memoryview, pos: int, size: int) -> None:
    """Compute and store the CRC of the `size` bytes at `pos`, a whole batch."""
    with memoryview(buf) as view, view[pos + ATTRIBUTES_OFFSET : pos + size] as covered:
        crc = crc32c(covered)
    _CRC.pack_into(buf, pos + CRC_OFFSET, crc)
