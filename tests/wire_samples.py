"""Random messages of every class and version, from the tables that the codec compiles."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from random import Random
from typing import Any

from barnabas.metadata import records
from barnabas.wire import messages
from barnabas.wire.layout import Placed, Where, place
from barnabas.wire.message import Message
from barnabas.wire.primitives import write_uvarint

RANGES = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
ALPHABET = "abcdefghij-._0123456789äß中\U0001f600\0"


@cache
def classes() -> tuple[type[Message], ...]:
    """Every generated message class (not the structs inside), by name."""
    found = []
    for package in (messages, records):
        for module in iter_modules(package.__path__):
            loaded = import_module(f"{package.__name__}.{module.name}")
            found += [
                value
                for value in vars(loaded).values()
                if isinstance(value, type)
                and issubclass(value, Message)
                and "VERSIONS" in vars(value)
                and value is not Message
            ]
    return tuple(sorted(found, key=lambda cls: cls.NAME))


def versions_of(cls: type[Message]) -> range:
    """The stable versions of a message."""
    return range(cls.VERSIONS[0], cls.VERSIONS[1] + 1)


def every_version() -> Iterator[tuple[type[Message], int]]:
    """Each message class with each of its versions."""
    for cls in classes():
        for version in versions_of(cls):
            yield cls, version


def random_message(random: Random, cls: type[Message], version: int, depth: int = 0) -> Message:
    """A message that `version` can say: nulls, empty and long values, unknown tagged fields."""
    message = cls()
    for placed in place(cls, version):
        if placed.where is Where.ABSENT:
            continue
        if placed.where is Where.TAGGED and random.random() < 0.4:
            continue
        setattr(message, placed.field.name, _field(random, placed, version, depth))
    if version >= cls.FLEXIBLE and random.random() < 0.15:
        message.unknown_tags = _unknown_tags(random)
    return message


def _unknown_tags(random: Random) -> bytes:
    out = bytearray()
    tag = 50
    for _ in range(random.randint(1, 3)):
        tag += random.randint(1, 9000)
        payload = random.randbytes(random.choice((0, 1, 5, 200)))
        write_uvarint(out, tag)
        write_uvarint(out, len(payload))
        out += payload
    return bytes(out)


def _field(random: Random, placed: Placed, version: int, depth: int) -> Any:
    field = placed.field
    if placed.nullable and random.random() < 0.25:
        return None
    if field.kind == "struct":
        assert field.struct is not None
        return random_message(random, field.struct, version, depth + 1)
    if field.kind != "array":
        return _scalar(random, field.kind)
    count = random.randint(0, 3)
    if field.struct is None:
        if random.random() < 0.05:
            count = random.randint(120, 140)
        return [_scalar(random, field.element) for _ in range(count)]
    if depth == 0 and random.random() < 0.02:
        count = random.randint(126, 130)
    return [random_message(random, field.struct, version, depth + 1) for _ in range(count)]


def _scalar(random: Random, kind: str) -> Any:
    if kind in RANGES:
        low, high = RANGES[kind]
        return random.choice((low, high, 0, 1, max(-1, low), random.randint(low, high)))
    if kind == "bool":
        return random.random() < 0.5
    if kind == "float64":
        return random.choice((0.0, -0.0, 1.5, float("inf"), random.uniform(-1e300, 1e300)))
    if kind == "uuid":
        return random.choice((bytes(16), random.randbytes(16)))
    size = random.choice((0, 1, 3, 8, 8, 8, 126, 127, 128, 300))
    if kind == "string":
        return "".join(random.choices(ALPHABET, k=size))
    return random.randbytes(size)
