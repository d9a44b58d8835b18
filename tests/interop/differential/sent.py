"""What is sent to both nodes: messages with symbols in place of what each node names by itself.

A symbol stands for a topic's id (`topic_id("t")`), a member's id (`"<group>"`) or a producer's id
(`producer(n)`); each side puts in its own. `{n}` in a text is the number of the case, so that what
one request makes is new.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from barnabas.wire.apis import API
from barnabas.wire.layout import SCALARS, Placed, Where, place
from barnabas.wire.message import Message
from barnabas.wire.primitives import write_uvarint

Tree = Mapping[str, Any]
"""The fields of a message that are not at their defaults; structs are trees themselves."""

SYMBOL = b"\xfbid:"
FIRST_PRODUCER = 7_000_000_000
FIRST_SESSION = 1_000_000_000
ABSENT_TAG = 9_999


def topic_id(name: str) -> bytes:
    """The symbol for the id of a topic whose name has at most 11 bytes."""
    return (SYMBOL + name.encode()).ljust(16, b"\0")


def producer(number: int) -> int:
    """The symbol for the producer id that a node gave out as its `number`-th."""
    return FIRST_PRODUCER + number


def session(number: int) -> int:
    """The symbol for the fetch session that a node began as its `number`-th."""
    return FIRST_SESSION + number


def build(cls: type[Message], tree: Tree) -> Message:
    """A message with the fields of a tree."""
    message = cls()
    fields = {f.name: f for f in cls.FIELDS}
    for name, value in tree.items():
        if name == "?tag":
            message.unknown_tags = _unknown_tag()
            continue
        if name not in fields:
            continue  # of another struct of the same name in other versions
        inner = fields[name].struct
        if inner is not None and isinstance(value, list):
            value = [build(inner, item) for item in value]
        elif inner is not None and value is not None:
            value = build(inner, value)
        setattr(message, name, value)
    return message


def _unknown_tag() -> bytes:
    out = bytearray()
    write_uvarint(out, ABSENT_TAG)
    out += b"\x03abc"
    return bytes(out)


class Raw:
    """An encoder that writes what a version has, nulls too where there may be none."""

    def __init__(self) -> None:
        self.out = bytearray()

    def message(self, message: Message, version: int) -> None:
        """Write a struct; fields that the version does not have are left out."""
        tagged = []
        absent = type(message)()
        for placed in place(type(message), version):
            value = getattr(message, placed.field.name)
            if placed.where is Where.PLAIN:
                self._field(placed, value, version)
            elif placed.where is Where.TAGGED and value != getattr(absent, placed.field.name):
                tagged.append((placed, value))
        if version < message.FLEXIBLE:
            return
        write_uvarint(self.out, len(tagged) + bool(message.unknown_tags))
        for placed, value in sorted(tagged, key=lambda pair: pair[0].field.tag):
            inner = Raw()
            inner._field(placed, value, version)
            write_uvarint(self.out, placed.field.tag)
            write_uvarint(self.out, len(inner.out))
            self.out += inner.out
        self.out += message.unknown_tags

    def _field(self, placed: Placed, value: Any, version: int) -> None:
        kind = placed.field.kind
        if kind == "array":
            self._length(-1 if value is None else len(value), placed.compact, 4)
            for element in value or ():
                self._one(placed.field.element or "struct", element, placed.compact, version)
        elif kind == "struct" and placed.nullable:
            self.out.append(0xFF if value is None else 1)
            if value is not None:
                self.message(value, version)
        else:
            self._one(kind, value, placed.compact, version)

    def _one(self, kind: str, value: Any, compact: bool, version: int) -> None:
        if isinstance(value, Message):
            self.message(value, version)
        elif kind in SCALARS:
            self.out += struct.pack(">" + SCALARS[kind][0], value)
        else:
            data = value.encode() if isinstance(value, str) else value
            size = 2 if kind == "string" else 4
            self._length(-1 if data is None else len(data), compact, size)
            self.out += data or b""

    def _length(self, value: int, compact: bool, size: int) -> None:
        if compact:
            write_uvarint(self.out, value + 1)
        else:
            self.out += value.to_bytes(size, "big", signed=True)


@dataclass
class Case:
    """One request to both nodes.

    `cut` leaves out so many bytes at the end of the body, `more` follows it. `valid` says that
    nothing is wrong with the request: its error codes must be the same, whatever else may differ.
    """

    label: str
    key: int
    version: int
    tree: Tree
    before: list[Case] = field(default_factory=list)
    listener: str = "broker"
    valid: bool = False
    cut: int = 0
    more: bytes = b""

    def __str__(self) -> str:
        name = API[self.key].name if self.key in API else f"api {self.key}"
        return f"{name} v{self.version} {self.label}"


def numbered(value: Any, number: int) -> Any:
    """A tree with `{n}` replaced, in ids of topics as well."""
    if isinstance(value, str):
        return value.replace("{n}", str(number))
    if isinstance(value, bytes) and value.startswith(SYMBOL) and len(value) == 16:
        return topic_id(value[len(SYMBOL) :].rstrip(b"\0").decode().replace("{n}", str(number)))
    if isinstance(value, list):
        return [numbered(item, number) for item in value]
    if isinstance(value, Mapping):
        return {key: numbered(item, number) for key, item in value.items()}
    return value
