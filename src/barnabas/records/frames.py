"""Walks the frames of lz4 and zstd without inflating: how much can come out, where does it end.

Both formats state sizes per block, so that a bound on the output costs a few operations per block
of up to 128 KiB (zstd) or 64 KiB and more (lz4).
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from barnabas.records.errors import CorruptRecord, InflateLimit
from barnabas.wire.primitives import Buffer

LZ4_MAGIC = 0x184D2204
LZ4_MAX_RATIO = 255
_LZ4_FIXED_FLAGS_MASK = 0xE3
_LZ4_FIXED_FLAGS = 0x60
_LZ4_BLOCK_CHECKSUM = 0x10
_LZ4_CONTENT_SIZE = 0x08
_LZ4_CONTENT_CHECKSUM = 0x04
_LZ4_STORED = 0x80000000

ZSTD_MAGIC = 0xFD2FB528
ZSTD_SKIPPABLE_MAGIC = 0x184D2A50
ZSTD_MAX_BLOCK = 128 * 1024
ZSTD_EASY_WINDOW = 8 * 1024 * 1024
"""Windows up to here are left alone: the decoder's memory for them is small change."""

_ZSTD_MIN_WINDOW_LOG = 10
_ZSTD_MAX_WINDOW_LOG = 31
_ZSTD_DICTIONARY_ID_SIZE = (0, 1, 2, 4)
_ZSTD_CONTENT_SIZE_SIZE = (0, 2, 4, 8)

_LE32 = Struct("<I")
_LZ4_HEADER = Struct("<IBB")


def lz4_extent(data: memoryview) -> tuple[int, int]:
    """(end of the first frame, upper bound of its content) of an lz4 stream.

    Kafka reads one frame, with independent blocks, and ignores what follows its end mark. Raises
    `CorruptRecord` for anything else, also when blocks or the end mark are missing.
    """
    try:
        magic, flags, descriptor = _LZ4_HEADER.unpack_from(data, 0)
        block_max = 1 << (8 + 2 * (descriptor >> 4))
        if magic != LZ4_MAGIC or flags & _LZ4_FIXED_FLAGS_MASK != _LZ4_FIXED_FLAGS:
            raise CorruptRecord("lz4: not a frame of independent blocks")
        if descriptor & 0x8F or descriptor < 0x40:
            raise CorruptRecord("lz4: broken block size")
        pos = _LZ4_HEADER.size + (8 if flags & _LZ4_CONTENT_SIZE else 0) + 1
        checksum = 4 if flags & _LZ4_BLOCK_CHECKSUM else 0
        bound = 0
        while size := _LE32.unpack_from(data, pos)[0]:
            if size & _LZ4_STORED:
                size ^= _LZ4_STORED
                bound += size
            else:
                bound += min(block_max, size * LZ4_MAX_RATIO)
            pos += 4 + size + checksum
    except StructError:
        raise CorruptRecord("lz4: cut off") from None
    return pos + 4 + (4 if flags & _LZ4_CONTENT_CHECKSUM else 0), bound


def zstd_extent(data: memoryview, limit: int) -> tuple[Buffer, int]:
    """(frames to inflate, upper bound of their content) of a zstd stream.

    A decoder sets aside the window that a frame claims, up to 128 MiB for a few bytes. Where the
    bound is smaller, the returned copy of the frames claims no more than that.
    Raises `CorruptRecord` for damage in headers, `InflateLimit` for a stated size above `limit`.
    """
    patches: list[tuple[int, int]] = []
    bound = certain = pos = 0
    try:
        while pos < len(data):
            magic = _LE32.unpack_from(data, pos)[0]
            if magic & 0xFFFFFFF0 == ZSTD_SKIPPABLE_MAGIC:
                pos += 8 + _LE32.unpack_from(data, pos + 4)[0]
                continue
            if magic != ZSTD_MAGIC:
                raise CorruptRecord("zstd: not a frame")
            start = pos + 5
            flags = data[pos + 4]
            pos, window, stated = _zstd_header(data, start, flags)
            if stated is not None and stated > limit:
                raise InflateLimit(f"zstd: {stated} bytes, {limit} allowed")
            pos, plain, content = _zstd_blocks(data, pos, min(window, ZSTD_MAX_BLOCK))
            pos += 4 if flags & 0x04 else 0
            certain += plain
            if certain > limit:
                raise InflateLimit(f"zstd: more than {limit} bytes")
            if stated is not None:
                content = min(content, stated)
            elif window > ZSTD_EASY_WINDOW:
                patches.append((start, _window_for(min(content, limit))))
            bound += content
    except (StructError, IndexError):
        raise CorruptRecord("zstd: cut off") from None
    if pos == 0 or pos > len(data):
        raise CorruptRecord("zstd: cut off")
    if not patches:
        return data, bound
    frames = bytearray(data)
    for at, byte in patches:
        frames[at] = min(frames[at], byte)
    return frames, bound


def _zstd_header(data: memoryview, pos: int, flags: int) -> tuple[int, int, int | None]:
    """(position of the first block, window size, stated content size) of the frame header."""
    single_segment = bool(flags & 0x20)
    if flags & 0x08:
        raise CorruptRecord("zstd: reserved bit")
    window = 0
    if not single_segment:
        base = 1 << (_ZSTD_MIN_WINDOW_LOG + (data[pos] >> 3))
        window = base + (base >> 3) * (data[pos] & 7)
        pos += 1
    pos += _ZSTD_DICTIONARY_ID_SIZE[flags & 3]
    width = _ZSTD_CONTENT_SIZE_SIZE[flags >> 6] or (1 if single_segment else 0)
    if not width:
        return pos, window, None
    stated = int.from_bytes(data[pos : pos + width], "little") + (256 if width == 2 else 0)
    return pos + width, stated if single_segment else window, stated


def _zstd_blocks(data: memoryview, pos: int, block_max: int) -> tuple[int, int, int]:
    """(position behind the last block, bytes that they surely hold, upper bound of all)."""
    plain = packed = 0
    while True:
        header = data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16
        kind = header >> 1 & 3
        size = header >> 3
        pos += 3
        if kind == 2:
            packed += block_max
            pos += size
        elif kind == 1:
            plain += size
            pos += 1
        elif kind == 0:
            plain += size
            pos += size
        else:
            raise CorruptRecord("zstd: reserved block type")
        if header & 1:
            return pos, plain, plain + packed


def _window_for(content: int) -> int:
    """The window descriptor byte of the least power of two that holds `content` and a block."""
    log = max(content, ZSTD_MAX_BLOCK).bit_length()
    return (min(log, _ZSTD_MAX_WINDOW_LOG) - _ZSTD_MIN_WINDOW_LOG) << 3


def with_lz4_header_checksum(data: bytes) -> bytes:
    """`data` with the right descriptor checksum: magic 0 producers wrote a wrong one (KIP-57)."""
    if len(data) < _LZ4_HEADER.size + 1:
        raise CorruptRecord("lz4: cut off")
    end = _LZ4_HEADER.size + (8 if data[4] & _LZ4_CONTENT_SIZE else 0)
    checksum = _xxh32_short(data[4:end]) >> 8 & 0xFF
    return data[:end] + bytes((checksum,)) + data[end + 1 :]


_PRIME_1, _PRIME_2, _PRIME_3, _PRIME_4, _PRIME_5 = (
    2654435761,
    2246822519,
    3266489917,
    668265263,
    374761393,
)
_MASK = 0xFFFFFFFF


def _xxh32_short(data: bytes) -> int:
    """xxHash32 (seed 0) of fewer than 16 bytes."""
    value = _PRIME_5 + len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        value = value + _LE32.unpack_from(data, at)[0] * _PRIME_3 & _MASK
        value = _rotate(value, 17) * _PRIME_4 & _MASK
    for byte in data[whole:]:
        value = value + byte * _PRIME_5 & _MASK
        value = _rotate(value, 11) * _PRIME_1 & _MASK
    value ^= value >> 15
    value = value * _PRIME_2 & _MASK
    value ^= value >> 13
    value = value * _PRIME_3 & _MASK
    return value ^ value >> 16


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _MASK
