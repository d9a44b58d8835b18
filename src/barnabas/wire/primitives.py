"""Variable-length integers of the protocol.

The generated codecs and the record code inline the one-byte case and call these for the rest.
"""

from __future__ import annotations

from typing import TypeAlias

from barnabas.wire.errors import ProtocolError

Buffer: TypeAlias = bytes | bytearray | memoryview
"""What decoders read and writers append: the same as `ports.Buffer`, which is above this layer."""


def read_uvarint(buf: Buffer, pos: int) -> tuple[int, int]:
    """Read an unsigned 32-bit varint at `pos`; returns (value, position after it).

    Raises `ProtocolError` when it is cut off or does not fit in 32 bits.
    """
    try:
        byte = buf[pos]
        if byte < 0x80:
            return byte, pos + 1
        value = byte & 0x7F
        shift = 7
        while True:
            pos += 1
            byte = buf[pos]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 28:
                raise ProtocolError("varint longer than 5 bytes")
    except IndexError:
        raise ProtocolError("varint is cut off") from None
    if value > 0xFFFFFFFF:
        raise ProtocolError("varint does not fit in 32 bits")
    return value, pos + 1


def read_uvarlong(buf: Buffer, pos: int) -> tuple[int, int]:
    """Read an unsigned 64-bit varint at `pos`; returns (value, position after it).

    Raises `ProtocolError` when it is cut off or does not fit in 64 bits.
    """
    value = 0
    shift = 0
    try:
        while True:
            byte = buf[pos]
            pos += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise ProtocolError("varlong longer than 10 bytes")
    except IndexError:
        raise ProtocolError("varlong is cut off") from None
    if value > 0xFFFFFFFFFFFFFFFF:
        raise ProtocolError("varlong does not fit in 64 bits")
    return value, pos


def read_varint(buf: Buffer, pos: int) -> tuple[int, int]:
    """Read a zig-zag 32-bit varint; returns (value, position after it)."""
    raw, pos = read_uvarint(buf, pos)
    return (raw >> 1) ^ -(raw & 1), pos


def read_varlong(buf: Buffer, pos: int) -> tuple[int, int]:
    """Read a zig-zag 64-bit varint; returns (value, position after it)."""
    raw, pos = read_uvarlong(buf, pos)
    return (raw >> 1) ^ -(raw & 1), pos


def write_uvarint(out: bytearray, value: int) -> None:
    """Append `value` (0 or more, any size) as an unsigned varint."""
    if value < 0:
        raise ValueError(f"unsigned varint of {value}")
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)


def write_varint(out: bytearray, value: int) -> None:
    """Append a signed integer (32 or 64 bits) as a zig-zag varint."""
    write_uvarint(out, value << 1 if value >= 0 else (-value << 1) - 1)


def uvarint_size(value: int) -> int:
    """How many bytes `write_uvarint` takes for `value`."""
    return 1 if value < 0x80 else (value.bit_length() + 6) // 7


def varint_size(value: int) -> int:
    """How many bytes `write_varint` takes for `value`."""
    return uvarint_size(value << 1 if value >= 0 else (-value << 1) - 1)
