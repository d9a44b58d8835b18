"""What a struct looks like in one version: which fields are there, how, and how small it can be."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast

from barnabas.wire.message import Field, Message

F = TypeVar("F", bound=Callable[..., Any])


def memo(function: F) -> F:
    """`functools.cache` that keeps the signature. For pure functions of definitions only."""
    return cast("F", cache(function))


SCALARS = {
    "bool": ("?", 1),
    "int8": ("b", 1),
    "int16": ("h", 2),
    "uint16": ("H", 2),
    "int32": ("i", 4),
    "uint32": ("I", 4),
    "int64": ("q", 8),
    "float64": ("d", 8),
    "uuid": ("16s", 16),
}
"""Kinds of fixed size: `struct` code and size in bytes."""


class Where(Enum):
    """How a field stands in one version of its struct."""

    ABSENT = 0
    PLAIN = 1
    TAGGED = 2


class Placed(NamedTuple):
    """A field as one version has it; `compact` says that lengths are unsigned varints plus one."""

    field: Field
    where: Where
    nullable: bool
    compact: bool


def within(version: int, span: tuple[int, int]) -> bool:
    """Whether `version` is inside the inclusive range `span`."""
    return span[0] <= version <= span[1]


@memo
def place(cls: type[Message], version: int) -> tuple[Placed, ...]:
    """All fields of `cls` in the order of the definition, as `version` has them."""
    flexible = version >= cls.FLEXIBLE
    placed = []
    for field in cls.FIELDS:
        if not within(version, field.versions):
            where = Where.ABSENT
        elif field.tag >= 0 and within(version, field.tagged):
            where = Where.TAGGED
        else:
            where = Where.PLAIN
        nullable = within(version, field.nullable)
        placed.append(Placed(field, where, nullable, flexible and field.flexible))
    return tuple(placed)


@memo
def least_size(cls: type[Message], version: int) -> int:
    """The fewest bytes that a struct can take in `version`."""
    size = 1 if version >= cls.FLEXIBLE else 0
    for placed in place(cls, version):
        if placed.where is Where.PLAIN:
            size += _least_field(placed, version)
    return size


def _least_field(placed: Placed, version: int) -> int:
    kind = placed.field.kind
    if kind in SCALARS:
        return SCALARS[kind][1]
    if kind == "struct":
        assert placed.field.struct is not None
        return 1 if placed.nullable else least_size(placed.field.struct, version)
    if placed.compact:
        return 1
    return 2 if kind == "string" else 4


def least_element(placed: Placed, version: int) -> int:
    """The fewest bytes that one element of an array field can take; at least one."""
    field = placed.field
    if field.struct is not None:
        return max(1, least_size(field.struct, version))
    if field.element in SCALARS:
        return SCALARS[field.element][1]
    if placed.compact:
        return 1
    return 2 if field.element == "string" else 4
