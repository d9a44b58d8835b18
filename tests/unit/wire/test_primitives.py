"""Variable-length integers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from barnabas.wire import primitives
from barnabas.wire.errors import ProtocolError
from barnabas.wire.primitives import Buffer

Read = Callable[[Buffer, int], tuple[int, int]]


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (16383, "ff7f"),
        (16384, "808001"),
        (2**31 - 1, "ffffffff07"),
        (2**32 - 1, "ffffffff0f"),
    ],
)
def test_unsigned(value: int, data: str) -> None:
    out = bytearray(b"x")
    primitives.write_uvarint(out, value)
    assert out == b"x" + bytes.fromhex(data)
    assert primitives.read_uvarint(out, 1) == (value, len(out))
    assert primitives.read_uvarlong(out, 1) == (value, len(out))
    assert primitives.uvarint_size(value) == len(out) - 1


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, "00"),
        (-1, "01"),
        (1, "02"),
        (-64, "7f"),
        (64, "8001"),
        (2**31 - 1, "feffffff0f"),
        (-(2**31), "ffffffff0f"),
    ],
)
def test_zigzag_32(value: int, data: str) -> None:
    out = bytearray()
    primitives.write_varint(out, value)
    assert out.hex() == data
    assert primitives.read_varint(out, 0) == (value, len(out))
    assert primitives.read_varlong(out, 0) == (value, len(out))
    assert primitives.varint_size(value) == len(out)


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**40, -(2**35) - 1])
def test_zigzag_64(value: int) -> None:
    out = bytearray()
    primitives.write_varint(out, value)
    assert primitives.read_varlong(memoryview(out), 0) == (value, len(out))
    assert primitives.varint_size(value) == len(out)


@pytest.mark.parametrize("read", [primitives.read_uvarint, primitives.read_uvarlong])
@pytest.mark.parametrize("data", ["", "80", "ffffff"])
def test_cut_off(read: Read, data: str) -> None:
    with pytest.raises(ProtocolError, match="cut off"):
        read(bytes.fromhex(data), 0)


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (primitives.read_uvarint, "ffffffff10"),
        (primitives.read_uvarint, "808080808000"),
        (primitives.read_varint, "ffffffffff01"),
        (primitives.read_uvarlong, "ff" * 9 + "02"),
        (primitives.read_uvarlong, "80" * 10 + "00"),
        (primitives.read_varlong, "ff" * 11),
    ],
)
def test_too_large(read: Read, data: str) -> None:
    with pytest.raises(ProtocolError):
        read(bytes.fromhex(data), 0)


def test_longer_forms_are_read() -> None:
    """Kafka reads them, though nothing writes them."""
    assert primitives.read_uvarint(bytes.fromhex("8000"), 0) == (0, 2)


def test_negative_values_have_no_unsigned_form() -> None:
    with pytest.raises(ValueError, match="-1"):
        primitives.write_uvarint(bytearray(), -1)
