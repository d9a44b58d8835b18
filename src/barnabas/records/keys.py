"""The keys of a batch's records, without a look at their values: what compaction reads."""

from __future__ import annotations

from typing import NamedTuple

from barnabas.records.errors import CorruptRecord
from barnabas.records.record import MIN_RECORD_SIZE
from barnabas.wire.errors import ProtocolError
from barnabas.wire.primitives import read_uvarint, read_uvarlong


class KeyColumns(NamedTuple):
    """Per record, in order; `ends` are positions in the inflated data, the first record begins
    at 0. `tombstones` are the indexes of the records whose value is null."""

    keys: list[bytes | None]
    offset_deltas: list[int]
    timestamp_deltas: list[int]
    ends: list[int]
    tombstones: list[int]


def read_keys(data: bytes, count: int) -> KeyColumns:
    """Decode exactly `count` records that fill `data` (inflated), else `CorruptRecord`.

    Headers and the ends of values are not looked at. Lengths below 0 are null, as Kafka has it.
    """
    if count < 0 or count > len(data) // MIN_RECORD_SIZE or (not count and data):
        raise CorruptRecord(f"{count} records in {len(data)} bytes")
    try:
        columns = _decode(data, count)
    except IndexError:
        raise CorruptRecord("records are cut off") from None
    except CorruptRecord:
        raise
    except ProtocolError as error:
        raise CorruptRecord(str(error)) from None
    if count and columns.ends[-1] != len(data):
        raise CorruptRecord(f"the last record ends at {columns.ends[-1]} of {len(data)} bytes")
    return columns


def _decode(data: bytes, count: int) -> KeyColumns:
    """The loop. One- and two-byte varints are decoded in place, for speed."""
    keys: list[bytes | None] = [None] * count
    offsets = list(range(count))
    times = [0] * count
    ends = [0] * count
    tombstones: list[int] = []
    end = 0
    for index in range(count):
        pos = end + 2  # behind a length of one byte and the attributes
        size = data[end]
        if size > 127:
            high = data[end + 1]
            pos = end + 3
            if high > 127:
                size, pos = read_uvarint(data, end)
                pos += 1
            else:
                size += (high << 7) - 128
        ends[index] = end = pos - 1 + (size >> 1)
        raw = data[pos]
        pos += 1
        if raw:
            if raw > 127:
                raw, pos = read_uvarlong(data, pos - 1)
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
        if raw != index + index:
            offsets[index] = (raw >> 1) ^ -(raw & 1)
        raw = data[pos]
        pos += 1
        if raw > 127:
            raw, pos = read_uvarint(data, pos - 1)
        if not raw & 1:
            start = pos
            pos += raw >> 1
            keys[index] = data[start:pos]
        if pos + 1 >= end or size & 1:
            raise CorruptRecord(f"record does not end where its length says, at {end}")
        if data[pos] & 1:
            tombstones.append(index)
    return KeyColumns(keys, offsets, times, ends, tombstones)
