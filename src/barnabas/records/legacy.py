"""Reads message sets of magic 0 and 1, which old segments may still hold. Nothing writes them.

Layout: offset 8, size 4, CRC-32 4, magic 1, attributes 1, timestamp 8 (magic 1), key, value with
int32 lengths. A compressed message wraps a message set; its offset is that of the last one inside.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from barnabas.records.batch import APPEND_TIME_BIT, CODEC_MASK, LOG_OVERHEAD, NO_TIMESTAMP
from barnabas.records.compression import Codec, decompress
from barnabas.records.errors import CorruptRecord
from barnabas.records.frames import with_lz4_header_checksum
from barnabas.records.record import Record
from barnabas.wire.primitives import Buffer

MIN_MESSAGE_SIZE = 14
"""Size of a magic 0 message with null key and value, without offset and size."""

_PREFIX = Struct(">qiIbb")
_TIMESTAMP = Struct(">q")
_LENGTH = Struct(">i")


class LegacyMessage(NamedTuple):
    """One message as stored. `size` counts everything, `timestamp` is -1 in magic 0."""

    offset: int
    size: int
    crc: int
    magic: int
    attributes: int
    timestamp: int
    key: bytes | None
    value: bytes | None

    @property
    def codec(self) -> int:
        """Compression of the message set in `value`."""
        return self.attributes & CODEC_MASK


def read_message(buf: Buffer, pos: int = 0) -> LegacyMessage:
    """The message at `pos`. Raises `CorruptRecord` for another magic or lengths that do not fit."""
    with memoryview(buf) as view:
        try:
            offset, length, crc, magic, attributes = _PREFIX.unpack_from(view, pos)
            end = pos + LOG_OVERHEAD + length
            if magic not in (0, 1) or length < MIN_MESSAGE_SIZE or end > len(view):
                raise CorruptRecord(f"message of magic {magic} and {length} bytes at {pos}")
            timestamp = NO_TIMESTAMP
            at = pos + _PREFIX.size
            if magic == 1:
                timestamp = _TIMESTAMP.unpack_from(view, at)[0]
                at += _TIMESTAMP.size
            key, at = _content(view, at, end)
            value, at = _content(view, at, end)
        except StructError:
            raise CorruptRecord(f"message at {pos} is cut off") from None
    if at != end:
        raise CorruptRecord(f"message at {pos} does not end where its size says")
    size = length + LOG_OVERHEAD
    return LegacyMessage(offset, size, crc, magic, attributes, timestamp, key, value)


def _content(view: memoryview, at: int, end: int) -> tuple[bytes | None, int]:
    length = _LENGTH.unpack_from(view, at)[0]
    at += _LENGTH.size
    if length < 0:
        return None, at
    if length > end - at:
        raise CorruptRecord(f"{length} bytes of content, {end - at} left")
    return bytes(view[at : at + length]), at + length


def message_crc_valid(buf: Buffer, pos: int, size: int) -> bool:
    """Whether the CRC-32 of the `size` bytes at `pos`, a whole message, is the stored one."""
    with memoryview(buf) as view, view[pos + 16 : pos + size] as covered:
        return bool(zlib.crc32(covered) == _PREFIX.unpack_from(view, pos)[2])


def iter_messages(buf: Buffer) -> Iterator[tuple[int, LegacyMessage]]:
    """Each whole message as (position, message); stops before one that `buf` cuts off.

    Raises `CorruptRecord` as `read_message`. CRCs are not checked.
    """
    pos = 0
    while len(buf) - pos >= _PREFIX.size:
        length = _PREFIX.unpack_from(buf, pos)[1]
        if length > len(buf) - pos - LOG_OVERHEAD:
            return
        message = read_message(buf, pos)
        yield pos, message
        pos += message.size


def unwrap(message: LegacyMessage, *, limit: int) -> list[Record]:
    """The records in `message`: itself, or those of the message set that it wraps.

    `limit` bounds the inflated bytes. Raises `CorruptRecord`, `InflateLimit`.
    """
    codec = message.codec
    if codec == Codec.NONE:
        return [Record(message.offset, message.timestamp, message.key, message.value, ())]
    if message.value is None or codec > Codec.LZ4:
        raise CorruptRecord(f"wrapper message of codec {codec}, or without value")
    data = message.value
    if codec == Codec.LZ4 and message.magic == 0:
        data = with_lz4_header_checksum(data)
    inner = [entry for _, entry in iter_messages(decompress(codec, data, limit))]
    if not inner or any(entry.codec for entry in inner):
        raise CorruptRecord("wrapper message without messages, or with compressed ones")
    base = _base_offset(message, inner[-1].offset)
    append_time = message.magic == 1 and message.attributes & APPEND_TIME_BIT
    return [
        Record(
            base + entry.offset,
            message.timestamp if append_time and entry.magic == 1 else entry.timestamp,
            entry.key,
            entry.value,
            (),
        )
        for entry in inner
    ]


def _base_offset(wrapper: LegacyMessage, last_inner: int) -> int:
    """Offsets inside are absolute in magic 0; in magic 1 they lead up to the wrapper's."""
    if wrapper.magic == 0 or wrapper.offset == 0:
        return 0  # some librdkafka versions produced wrappers of magic 1 with offset 0
    if wrapper.offset < last_inner:
        raise CorruptRecord(f"wrapper offset {wrapper.offset} below inner offset {last_inner}")
    return wrapper.offset - last_inner
