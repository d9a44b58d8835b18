"""An encoder of its own that can lie: any length or count of a message is replaced on the way."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from barnabas.wire.layout import SCALARS, Placed, Where, place
from barnabas.wire.message import Message
from barnabas.wire.primitives import write_uvarint

INT32_MAX = 2**31 - 1
UINT32_MAX = 2**32 - 1
HARMLESS_NUMBERS = {
    "max_wait_ms": 0,
    "min_bytes": 0,
    "timeout_ms": 1000,
    "acks": 1,
    "broker_id": 77,
}


class Length(NamedTuple):
    """A length field: where it ends, and how it is written."""

    end: int
    form: str
    """`h` and `i` are the old forms, `n` is a varint of the length plus one, `u` a plain varint."""


def full_message(cls: type[Message], version: int) -> Message:
    """A message with something in every field, about topics and nodes that nobody has."""
    message = cls()
    for placed in place(cls, version):
        if placed.where is not Where.ABSENT:
            setattr(message, placed.field.name, _full(placed, version))
    return message


def _full(placed: Placed, version: int) -> Any:
    field = placed.field
    if field.kind == "array":
        return [_value(field.element or "struct", field.name, field.struct, version)] * 2
    return _value(field.kind, field.name, field.struct, version)


def _value(kind: str, name: str, struct_class: type[Message] | None, version: int) -> Any:
    if struct_class is not None:
        return full_message(struct_class, version)
    if kind == "string":
        return "nobody"
    if kind in ("bytes", "buffer", "records"):
        return b"nothing"
    if kind == "bool":
        return True
    if kind == "uuid":
        return bytes(range(16))
    if kind == "float64":
        return 1.0
    return HARMLESS_NUMBERS.get(name, 1)


class LyingEncoder:
    """Encodes a message; the length number `lie_at` is replaced by `lie`, in the same form."""

    def __init__(self, *, lie_at: int = -1, lie: int = 0) -> None:
        self.out = bytearray()
        self.lengths: list[Length] = []
        self._lie_at = lie_at
        self._lie = lie

    def message(self, message: Message, version: int) -> None:
        """Write a struct."""
        tagged = []
        for placed in place(type(message), version):
            value = getattr(message, placed.field.name)
            if placed.where is Where.PLAIN:
                self._field(placed, value, version)
            elif placed.where is Where.TAGGED:
                tagged.append((placed, value))
        if version >= message.FLEXIBLE:
            self._length(len(tagged), "u")
            for placed, value in sorted(tagged, key=lambda pair: pair[0].field.tag):
                inner = LyingEncoder()
                inner._field(placed, value, version)
                write_uvarint(self.out, placed.field.tag)
                self._length(len(inner.out), "u")
                self._field(placed, value, version)

    def _field(self, placed: Placed, value: Any, version: int) -> None:
        field = placed.field
        if field.kind == "array":
            self._length(len(value), "n" if placed.compact else "i")
            kind = field.element or "struct"
            for element in value:
                self._one(kind, element, placed.compact, version)
            return
        if field.kind == "struct" and placed.nullable:
            self.out.append(1)
        self._one(field.kind, value, placed.compact, version)

    def _one(self, kind: str, value: Any, compact: bool, version: int) -> None:
        if isinstance(value, Message):
            self.message(value, version)
        elif kind in SCALARS:
            self.out += struct.pack(">" + SCALARS[kind][0], value)
        else:
            raw = value.encode() if kind == "string" else value
            old = "h" if kind == "string" else "i"
            self._length(len(raw), "n" if compact else old)
            self.out += raw

    def _length(self, value: int, form: str) -> None:
        if len(self.lengths) == self._lie_at:
            value = self._lie
        if form in "hi":
            bits = 16 if form == "h" else 32
            self.out += (value & ((1 << bits) - 1)).to_bytes(bits // 8, "big")
        else:
            write_uvarint(self.out, (value + (form == "n")) & UINT32_MAX)
        self.lengths.append(Length(len(self.out), form))


def truthful(message: Message, version: int) -> LyingEncoder:
    """The message as it is, with the places of its lengths."""
    encoder = LyingEncoder()
    encoder.message(message, version)
    return encoder


def lies(message: Message, version: int) -> list[bytes]:
    """The message with each of its lengths at -2, -1, 0, the largest, what remains and one beside."""
    honest = truthful(message, version)
    found = []
    for number, length in enumerate(honest.lengths):
        remaining = len(honest.out) - length.end
        largest = 2**15 - 1 if length.form == "h" else INT32_MAX
        for lie in (-2, -1, 0, largest, remaining - 1, remaining, remaining + 1):
            encoder = LyingEncoder(lie_at=number, lie=lie)
            encoder.message(message, version)
            found.append(bytes(encoder.out))
    return found
