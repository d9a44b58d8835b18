"""Builds record batches (magic 2), byte for byte as Kafka's MemoryRecordsBuilder does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import pack
from typing import TypeAlias

from barnabas.records.batch import (
    APPEND_TIME_BIT,
    CONTROL_BIT,
    DELETE_HORIZON_BIT,
    HEADER,
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAGIC,
    NO_LEADER_EPOCH,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    TRANSACTIONAL_BIT,
    BatchHeader,
    write_crc,
)
from barnabas.records.compression import compress
from barnabas.records.record import Columns, Headers, Record
from barnabas.wire.primitives import uvarint_size, write_varint

NewRecord: TypeAlias = tuple[bytes | None, bytes | None, int, Headers]
"""(key, value, timestamp in ms, headers)"""

MAX_RECORD_OVERHEAD = 21
"""Most bytes of a record beside key, value, headers and their lengths (as Kafka estimates)."""


SMALL = 8192
"""Below this a number takes at most two bytes as a zig-zag varint."""


def _small_varints() -> tuple[bytes, ...]:
    one = [bytes((value << 1,)) for value in range(64)]
    twos = [raw & 127 | 128 | raw >> 7 << 8 for raw in range(128, 2 * SMALL, 2)]
    packed = pack(f"<{len(twos)}H", *twos)
    return (*one, *(packed[at : at + 2] for at in range(0, len(packed), 2)))


VARINTS = _small_varints()
_NULL_KEY_AND = tuple(b"\x01" + length for length in VARINTS)
"""A null key and the length of the value."""


def _varint(value: int) -> bytes:
    out = bytearray()
    write_varint(out, value)
    return bytes(out)


def encode_varint(value: int) -> bytes:
    """A number as a zig-zag varint."""
    return VARINTS[value] if 0 <= value < SMALL else _varint(value)


def encode_record(
    offset_delta: int,
    timestamp_delta: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
) -> bytes:
    """One record with its length in front."""
    parts = [b"\0", encode_varint(timestamp_delta), encode_varint(offset_delta)]
    parts += (b"\x01",) if key is None else (encode_varint(len(key)), key)
    parts += (b"\x01",) if value is None else (encode_varint(len(value)), value)
    parts.append(encode_varint(len(headers)))
    for name, content in headers:
        raw = name.encode()
        parts += (encode_varint(len(raw)), raw)
        parts += (b"\x01",) if content is None else (encode_varint(len(content)), content)
    body = b"".join(parts)
    return encode_varint(len(body)) + body


def _encode_all(records: Sequence[NewRecord], base_timestamp: int) -> bytes:
    """All records, offset deltas from 0. Plain ones (no headers, nothing null
    but the key) take the short way."""
    parts: list[bytes] = []
    last_timestamp = None
    time = b""  # the attributes and the timestamp delta
    fixed = width_ends = 0
    for delta, (key, value, timestamp, headers) in enumerate(records):
        if timestamp != last_timestamp or delta >= width_ends:
            time = b"\0" + encode_varint(timestamp - base_timestamp)
            last_timestamp = timestamp
            width = uvarint_size(delta << 1)
            width_ends = 1 << (7 * width - 1)
            fixed = len(time) + width + 3  # with the lengths of key and value, and no headers
        if key is not None and value is not None and not headers:
            key_size, size = len(key), len(value)
            body = fixed + key_size + (key_size > 63) + size + (size > 63)
            if body < SMALL:
                parts += (
                    VARINTS[body],
                    time,
                    VARINTS[delta] if delta < SMALL else _varint(delta),
                    VARINTS[key_size],
                    key,
                    VARINTS[size],
                    value,
                    b"\0",
                )
                continue
        if key is not None or headers or value is None or (size := len(value)) >= SMALL - 16:
            parts.append(encode_record(delta, timestamp - base_timestamp, key, value, headers))
            continue
        parts += (
            VARINTS[fixed + size if size < 64 else fixed + size + 1],
            time,
            VARINTS[delta] if delta < SMALL else _varint(delta),
            _NULL_KEY_AND[size],
            value,
            b"\0",
        )
    return b"".join(parts)


def build_batch(
    records: Sequence[NewRecord],
    *,
    base_offset: int = 0,
    leader_epoch: int = NO_LEADER_EPOCH,
    codec: int = 0,
    level: int | None = None,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    transactional: bool = False,
    control: bool = False,
    log_append_time: int | None = None,
) -> bytearray:
    """A batch of `records` with consecutive offsets; `ValueError` when there is none.

    `log_append_time` (ms) makes it a batch with append time; the records keep their own deltas.
    """
    if not records:
        raise ValueError("a batch needs a record")
    base_timestamp = records[0][2]
    attributes = (
        codec
        | (TRANSACTIONAL_BIT if transactional else 0)
        | (CONTROL_BIT if control else 0)
        | (0 if log_append_time is None else APPEND_TIME_BIT)
    )
    if log_append_time is None:
        max_timestamp = max(record[2] for record in records)
    else:
        max_timestamp = log_append_time
    header = BatchHeader(
        base_offset=base_offset,
        batch_length=0,
        leader_epoch=leader_epoch,
        magic=MAGIC,
        crc=0,
        attributes=attributes,
        last_offset_delta=len(records) - 1,
        base_timestamp=base_timestamp,
        max_timestamp=max(max_timestamp, NO_TIMESTAMP),
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        records_count=len(records),
    )
    return _assemble(header, _encode_all(records, base_timestamp), level)


def rebuild_batch(
    header: BatchHeader,
    records: Sequence[Record],
    *,
    level: int | None = None,
    delete_horizon: int | None = None,
) -> bytearray:
    """The batch of `header` with only `records` left in it, as compaction writes it.

    Offsets, producer fields, codec and time type stay; the count is that of `records`, the base
    timestamp is that of the first one or, with `delete_horizon`, the horizon (KIP-534). Without
    records it becomes a bare header without codec (`writeEmptyHeader`).
    """
    attributes = header.attributes
    if not records:
        kept = TRANSACTIONAL_BIT | CONTROL_BIT | APPEND_TIME_BIT
        bare = header._replace(
            attributes=attributes & kept, base_timestamp=NO_TIMESTAMP, records_count=0
        )
        return _assemble(bare, b"", None)
    base_timestamp = records[0].timestamp
    if delete_horizon is not None:
        attributes |= DELETE_HORIZON_BIT
        base_timestamp = delete_horizon
    elif header.has_delete_horizon:
        base_timestamp = header.base_timestamp
    base = header.base_offset
    payload = b"".join(
        encode_record(offset - base, timestamp - base_timestamp, key, value, headers)
        for offset, timestamp, key, value, headers in records
    )
    max_timestamp = header.max_timestamp
    if not header.log_append_time:
        max_timestamp = max(record.timestamp for record in records)
    rebuilt = header._replace(
        attributes=attributes,
        base_timestamp=base_timestamp,
        max_timestamp=max_timestamp,
        records_count=len(records),
    )
    return _assemble(rebuilt, payload, level)


def rebuild_payload(columns: Columns) -> bytes:
    """The records of `columns`, encoded anew with offset deltas from 0."""
    rows = zip(columns.timestamp_deltas, columns.keys, columns.values, columns.headers, strict=True)
    return b"".join(
        encode_record(delta, timestamp, key, value, headers)
        for delta, (timestamp, key, value, headers) in enumerate(rows)
    )


def recode_batch(header: BatchHeader, payload: bytes, codec: int, level: int | None) -> bytearray:
    """The batch of `header` with its inflated `payload` under another codec."""
    attributes = header.attributes & ~0x07 | codec
    return _assemble(header._replace(attributes=attributes), payload, level)


def _assemble(header: BatchHeader, payload: bytes, level: int | None) -> bytearray:
    """Header and compressed payload as one buffer, length and CRC filled in."""
    codec = header.codec
    if codec:
        payload = compress(codec, payload, level)
    size = HEADER_SIZE + len(payload)
    out = bytearray(HEADER.pack(*header._replace(batch_length=size - LOG_OVERHEAD, crc=0)))
    out += payload
    write_crc(out, 0, size)
    return out


class BatchBuilder:
    """Collects records for one batch and knows how large it is growing.

    For a producer: `append` until `size` nears the batch limit, then `build`.
    """

    __slots__ = ("_records", "size")

    def __init__(self) -> None:
        self._records: list[NewRecord] = []
        self.size = HEADER_SIZE
        """Upper bound of the batch's bytes before compression."""

    def __len__(self) -> int:
        return len(self._records)

    def append(
        self, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers = ()
    ) -> int:
        """Take one record (timestamp in ms); returns the new `size`."""
        self._records.append((key, value, timestamp, headers))
        self.size += record_size_bound(key, value, headers)
        return self.size

    def build(
        self,
        *,
        codec: int = 0,
        level: int | None = None,
        producer_id: int = NO_PRODUCER_ID,
        producer_epoch: int = NO_PRODUCER_EPOCH,
        base_sequence: int = NO_SEQUENCE,
        transactional: bool = False,
    ) -> bytearray:
        """The batch, base offset 0, as a Produce request carries it."""
        return build_batch(
            self._records,
            codec=codec,
            level=level,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            base_sequence=base_sequence,
            transactional=transactional,
        )


def record_size_bound(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> int:
    """Most bytes that a record can take in a batch, whatever its deltas."""
    size = MAX_RECORD_OVERHEAD + 3
    for content in (key, value):
        if content is not None:
            size += len(content) + uvarint_size(len(content) << 1)
    for name, content in headers:
        size += 12 + 4 * len(name) + (0 if content is None else len(content))
    return size


def cuts(records: Sequence[NewRecord], limit: int) -> list[int]:
    """Where to cut `records` into batches of at most `limit` bytes: 0, the starts of the later ones,
    the end. A record that is larger alone gets a batch of its own."""
    found = [0]
    size = HEADER_SIZE
    for at, (key, value, _, headers) in enumerate(records):
        more = record_size_bound(key, value, headers)
        if size + more > limit and at > found[-1]:
            found.append(at)
            size = HEADER_SIZE
        size += more
    return [*found, len(records)]
