"""Single records of a batch. Only clients, tools, compaction and deep validation need them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple, TypeAlias

from barnabas.records.batch import HEADER_SIZE, MAGIC, BatchHeader, read_header
from barnabas.records.compression import decompress
from barnabas.records.errors import CorruptRecord, InflateLimit
from barnabas.wire.errors import ProtocolError
from barnabas.wire.primitives import Buffer, read_uvarint, read_uvarlong, read_varint

__all__ = [
    "MIN_RECORD_SIZE",
    "Columns",
    "CorruptRecord",
    "Headers",
    "InflateLimit",
    "Record",
    "decode_columns",
    "iter_columns",
    "read_columns",
    "read_payload",
    "read_records",
    "record_times",
]

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]

MIN_RECORD_SIZE = 7
"""Length, attributes, two deltas, two null lengths and the header count, one byte each."""


_MIN_INT64 = -(1 << 63)
_MAX_INT64 = (1 << 63) - 1
_MASK_64 = (1 << 64) - 1


class Record(NamedTuple):
    """One record: absolute offset, time in ms, and its content. `value` None is a tombstone."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Columns(NamedTuple):
    """The records of a batch, field by field; deltas are to the header's base offset and time."""

    offset_deltas: list[int]
    timestamp_deltas: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers]


def read_records(batch_buf: Buffer, pos: int = 0, *, limit: int) -> list[Record]:
    """The records of the batch at `pos`, at most `limit` bytes of them when inflated.

    Raises `CorruptRecord` for damage of any kind, `InflateLimit` above the limit. The CRC is not
    checked. A record costs some 300 bytes of memory beside its content, and takes at least 7 of
    the limit.
    """
    header = read_header(batch_buf, pos)
    columns = read_columns(batch_buf, pos, header, limit=limit)
    base = header.base_offset
    offsets = [base + delta for delta in columns.offset_deltas]
    timestamps = record_times(header, columns)
    fields = zip(offsets, timestamps, columns.keys, columns.values, columns.headers, strict=True)
    return list(map(tuple.__new__, repeat(Record), fields))


def record_times(header: BatchHeader, columns: Columns) -> list[int]:
    """Timestamp of each record (ms): the append time, or base plus delta in 64 bits."""
    if header.log_append_time:
        return [header.max_timestamp] * len(columns.keys)
    base = header.base_timestamp
    times = [base + delta for delta in columns.timestamp_deltas]
    if times and (min(times) < _MIN_INT64 or max(times) > _MAX_INT64):
        return [(time - _MIN_INT64 & _MASK_64) + _MIN_INT64 for time in times]
    return times


def read_columns(buf: Buffer, pos: int, header: BatchHeader, *, limit: int) -> Columns:
    """Like `read_records`, as columns, for the batch at `pos` whose header is `header`."""
    return decode_columns(read_payload(buf, pos, header, limit=limit), header.records_count)


def read_payload(buf: Buffer, pos: int, header: BatchHeader, *, limit: int) -> bytes:
    """The records of the batch at `pos`, inflated to at most `limit` bytes and not looked at.

    Raises `CorruptRecord`, `InflateLimit`.
    """
    if header.magic != MAGIC:
        raise CorruptRecord(f"magic {header.magic}")
    if header.batch_length < 0 or pos + header.size > len(buf):
        raise CorruptRecord(f"batch of {header.size} bytes, {len(buf) - pos} there")
    with memoryview(buf) as view, view[pos + HEADER_SIZE : pos + header.size] as payload:
        return decompress(header.codec, payload, limit)


def decode_columns(data: bytes, count: int) -> Columns:
    """Decode exactly `count` records that fill `data` (inflated), else `CorruptRecord`.

    Lengths of -1 and below are null, as Kafka reads them; record attributes are ignored.
    """
    if count <= 0:
        if count < 0 or data:
            raise CorruptRecord(f"{count} records in {len(data)} bytes")
        return Columns([], [], [], [], [])
    if count > len(data) // MIN_RECORD_SIZE:
        raise CorruptRecord(f"{count} records in {len(data)} bytes")
    columns, end = _decode_from(data, 0, 0, count)
    if end != len(data):
        raise CorruptRecord(f"{len(data) - end} bytes behind the last record")
    return columns


def iter_columns(data: bytes, count: int, at_once: int) -> Iterator[Columns]:
    """The same in pieces of at most `at_once` records, for who must not work for long at a time."""
    if count <= at_once or count > len(data) // MIN_RECORD_SIZE:
        yield decode_columns(data, count)
        return
    pos = 0
    for first in range(0, count, at_once):
        columns, pos = _decode_from(data, pos, first, min(at_once, count - first))
        if first + at_once >= count and pos != len(data):
            raise CorruptRecord(f"{len(data) - pos} bytes behind the last record")
        yield columns


def _decode_from(data: bytes, pos: int, first: int, count: int) -> tuple[Columns, int]:
    """`_decode`, whatever the bytes. Raises `CorruptRecord`."""
    try:
        return _decode(data, pos, first, count)
    except IndexError:
        raise CorruptRecord("records are cut off") from None
    except CorruptRecord:
        raise
    except ProtocolError as error:
        raise CorruptRecord(str(error)) from None


def _decode(data: bytes, pos: int, first: int, count: int) -> tuple[Columns, int]:
    """`count` records from `pos` on, and their end. Short varints are decoded in place, for speed."""
    offsets = list(range(first, first + count))
    twice = first + first
    times = [0] * count
    keys: list[bytes | None] = [None] * count
    values: list[bytes | None] = [None] * count
    headers: list[Headers] = [()] * count
    for index in range(count):
        size = data[pos]
        pos += 1
        if size > 127:
            high = data[pos]
            if high > 127:
                size, pos = read_uvarint(data, pos - 1)
            else:
                size += (high << 7) - 128
                pos += 1
        end = pos + (size >> 1)
        raw = data[pos + 1]  # behind the attributes
        pos += 2
        if raw > 127:
            high = data[pos]
            if high > 127:
                raw, pos = read_uvarlong(data, pos - 1)
            else:
                raw += (high << 7) - 128
                pos += 1
        if raw:
            times[index] = (raw >> 1) ^ -(raw & 1)
        raw = data[pos]
        pos += 1
        if raw > 127:
            high = data[pos]
            if high > 127:
                raw, pos = read_uvarint(data, pos - 1)
            else:
                raw += (high << 7) - 128
                pos += 1
        if raw != twice + index + index:
            offsets[index] = (raw >> 1) ^ -(raw & 1)
        raw = data[pos]
        pos += 1
        if raw != 1:
            if raw > 127:
                raw, pos = read_uvarint(data, pos - 1)
            if not raw & 1:
                raw = pos + (raw >> 1)
                keys[index] = data[pos:raw]
                pos = raw
        raw = data[pos]
        pos += 1
        if raw > 127:
            high = data[pos]
            if high > 127:
                raw, pos = read_uvarint(data, pos - 1)
            else:
                raw += (high << 7) - 128
                pos += 1
        if not raw & 1:
            raw = pos + (raw >> 1)
            values[index] = data[pos:raw]
            pos = raw
        if data[pos]:
            headers[index], pos = _decode_headers(data, pos, end)
        else:
            pos += 1
        if pos != end or size & 1:
            raise CorruptRecord(f"record does not end where its length says, at {end}")
    return Columns(offsets, times, keys, values, headers), pos


def _decode_headers(data: bytes, pos: int, end: int) -> tuple[Headers, int]:
    count, pos = read_varint(data, pos)
    if not 0 <= count <= (end - pos) // 2:
        raise CorruptRecord(f"{count} record headers in {end - pos} bytes")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        size, pos = read_varint(data, pos)
        if not 0 <= size <= end - pos:
            raise CorruptRecord(f"record header key of {size} bytes, {end - pos} left")
        # Java replaces broken UTF-8 rather than refuse the record.
        name = data[pos : pos + size].decode("utf-8", "replace")
        pos += size
        size, pos = read_varint(data, pos)
        if size < 0:
            headers.append((name, None))
            continue
        headers.append((name, data[pos : pos + size]))
        pos += size
    return tuple(headers), pos
