"""The four codecs of record batches. Inflating is bounded in bytes and steps, whatever data claims.

What is accepted is what Kafka's readers accept for magic 2: gzip with several members, snappy in
xerial's framing or bare, the first lz4 frame with independent blocks, zstd with several frames.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from enum import IntEnum
from struct import Struct

import cramjam

from barnabas.records.errors import CorruptRecord, InflateLimit
from barnabas.records.frames import lz4_extent, zstd_extent
from barnabas.wire.primitives import Buffer

DEFAULT_GZIP_LEVEL = -1
DEFAULT_LZ4_LEVEL = 9
DEFAULT_ZSTD_LEVEL = 3

GZIP_CHUNK = 16 * 1024
"""Input per step: bounds what each step copies of the rest that it did not use."""

GZIP_STEP = 1024 * 1024
"""Output per step."""

SNAPPY_BLOCK = 32 * 1024
XERIAL_MAGIC = b"\x82SNAPPY\x00"
XERIAL_HEADER_SIZE = 16
_XERIAL_HEADER = XERIAL_MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"
SNAPPY_MAX_RATIO = 32
"""No snappy element turns a byte into more than 64 / 3 bytes."""

LZ4_MAX_LEVEL = 12
"""Where liblz4 ends; Kafka's 13 to 17 mean the same there."""

_GZIP_WINDOW = 31
_GZIP_MAGIC = b"\x1f\x8b\x08"
_INT = Struct(">i")


class Codec(IntEnum):
    """Compression of a batch, bits 0 to 2 of its attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


def compress(codec: int, data: Buffer, level: int | None = None) -> bytes:
    """`data` as one compressed block; `level` as in the `compression.*.level` configs.

    Raises `ValueError` for a codec above 4.
    """
    if codec == Codec.NONE:
        return bytes(data)
    if codec == Codec.GZIP:
        return zlib.compress(data, DEFAULT_GZIP_LEVEL if level is None else level, _GZIP_WINDOW)
    if codec == Codec.SNAPPY:
        return _snappy_compress(data)
    if codec == Codec.LZ4:
        return _lz4_compress(data, DEFAULT_LZ4_LEVEL if level is None else level)
    if codec == Codec.ZSTD:
        return bytes(cramjam.zstd.compress(data, DEFAULT_ZSTD_LEVEL if level is None else level))
    raise ValueError(f"codec {codec}")


def decompress(codec: int, data: Buffer, limit: int) -> bytes:
    """The bytes that `data` was made of, at most `limit`.

    Raises `InflateLimit` when there would be more, `CorruptRecord` for damage or a codec above 4.
    Memory: up to `limit` for the work, with zstd as much again for its window, then the result.
    """
    if codec == Codec.NONE:
        if len(data) > limit:
            raise InflateLimit(f"{len(data)} bytes of records, {limit} allowed")
        return bytes(data)
    inflate = _INFLATE.get(codec)
    if inflate is None:
        raise CorruptRecord(f"unknown compression codec {codec}")
    with memoryview(data) as view:
        return inflate(view.cast("B"), limit)


def _gzip_decompress(data: memoryview, limit: int) -> bytes:
    """Several members are one stream; what follows and is none is ignored, as in Java."""
    parts: list[bytes] = []
    pos, room = _gzip_member(data, 0, parts, limit)
    while data[pos : pos + len(_GZIP_MAGIC)] == _GZIP_MAGIC:
        pos, room = _gzip_member(data, pos, parts, room)
    return b"".join(parts)


def _gzip_member(data: memoryview, pos: int, parts: list[bytes], room: int) -> tuple[int, int]:
    """Append what the member at `pos` holds to `parts`, at most `room` bytes.

    Returns the position behind it and the room that is left. Parts, not one buffer that grows:
    moving tens of megabytes to a larger place can take them twice at a time.
    """
    stream = zlib.decompressobj(_GZIP_WINDOW)
    while not stream.eof:
        chunk = data[pos : pos + GZIP_CHUNK]
        if not chunk:
            raise CorruptRecord("gzip: cut off")
        try:
            part = stream.decompress(chunk, min(GZIP_STEP, room + 1))
        except zlib.error as error:
            raise CorruptRecord(f"gzip: {error}") from None
        room -= len(part)
        if room < 0:
            raise InflateLimit("gzip: more than the records of a batch may take")
        parts.append(part)
        pos += len(chunk) - len(stream.unused_data) - len(stream.unconsumed_tail)
    return pos, room


def _snappy_compress(data: Buffer) -> bytes:
    out = [_XERIAL_HEADER]
    with memoryview(data) as view:
        for pos in range(0, len(view), SNAPPY_BLOCK):
            block = bytes(cramjam.snappy.compress_raw(view[pos : pos + SNAPPY_BLOCK]))
            out.append(_INT.pack(len(block)))
            out.append(block)
    return b"".join(out)


def _snappy_decompress(data: memoryview, limit: int) -> bytes:
    if data[: len(XERIAL_MAGIC)] != XERIAL_MAGIC or len(data) < XERIAL_HEADER_SIZE:
        return _snappy_block(data, limit)
    out = []
    total = 0
    pos = 0
    while len(data) - pos >= 4:
        if data[pos : pos + 4] == XERIAL_MAGIC[:4]:
            # Streams may be strung together; each has a header of its own.
            if len(data) - pos < XERIAL_HEADER_SIZE:
                raise CorruptRecord("snappy: header cut off")
            if data[pos : pos + len(XERIAL_MAGIC)] != XERIAL_MAGIC:
                break  # snappy-java takes it for the end
            pos += XERIAL_HEADER_SIZE
            continue
        size = _INT.unpack_from(data, pos)[0]
        pos += 4
        if not 0 <= size <= len(data) - pos:
            raise CorruptRecord(f"snappy: block of {size} bytes, {len(data) - pos} left")
        block = _snappy_block(data[pos : pos + size], limit - total)
        total += len(block)
        out.append(block)
        pos += size
    return b"".join(out)


def _snappy_block(data: memoryview, limit: int) -> bytes:
    try:
        claimed = cramjam.snappy.decompress_raw_len(data)
        if claimed > limit:
            raise InflateLimit(f"snappy: {claimed} bytes, {limit} allowed")
        if claimed > len(data) * SNAPPY_MAX_RATIO:
            raise CorruptRecord(f"snappy: {len(data)} bytes claim to become {claimed}")
        if claimed == 0 and bytes(data[:2]) != b"\x00":
            raise CorruptRecord("snappy: broken empty block")
        out = bytearray(claimed)
        cramjam.snappy.decompress_raw_into(data, out)
    except cramjam.DecompressionError as error:
        raise CorruptRecord(f"snappy: {error}") from None
    return bytes(out)


def _lz4_compress(data: Buffer, level: int) -> bytes:
    """A frame of independent 64 KiB blocks; Kafka's default level, 9, is its fast compressor."""
    effort = 1 if level == DEFAULT_LZ4_LEVEL else min(level, LZ4_MAX_LEVEL)
    stream = cramjam.lz4.Compressor(level=effort, content_checksum=False, block_linked=False)
    stream.compress(bytes(data))  # it takes no views; bytes stay as they are
    return bytes(stream.finish())


def _lz4_decompress(data: memoryview, limit: int) -> bytes:
    end, bound = lz4_extent(data)
    out = bytearray(min(limit, bound))
    try:
        size = cramjam.lz4.decompress_into(data[:end], out)
    except cramjam.DecompressionError as error:
        raise _overflow_or_damage("lz4", error, bound, limit) from None
    return _first(out, size)


def _zstd_decompress(data: memoryview, limit: int) -> bytes:
    frames, bound = zstd_extent(data, limit)
    out = bytearray(min(limit, bound))
    try:
        size = cramjam.zstd.decompress_into(frames, out)
    except cramjam.DecompressionError as error:
        raise _overflow_or_damage("zstd", error, bound, limit) from None
    return _first(out, size)


def _overflow_or_damage(name: str, error: Exception, bound: int, limit: int) -> CorruptRecord:
    """Without room for the bound a failure is put down to the limit: either way it is refused."""
    if bound > limit:
        return InflateLimit(f"{name}: more than {limit} bytes, or damaged ({error})")
    return CorruptRecord(f"{name}: {error}")


def _first(out: bytearray, size: int) -> bytes:
    if size == len(out):
        return bytes(out)
    with memoryview(out) as view:
        return bytes(view[:size])


_INFLATE: dict[int, Callable[[memoryview, int], bytes]] = {
    Codec.GZIP: _gzip_decompress,
    Codec.SNAPPY: _snappy_decompress,
    Codec.LZ4: _lz4_decompress,
    Codec.ZSTD: _zstd_decompress,
}
