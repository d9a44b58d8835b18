"""Base class of the generated messages, and the table of fields that the codec compiles."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

NEVER = 32767
"""As a first version: no version has it. As a last version: no end."""

ALWAYS = (0, NEVER)
NO_VERSIONS = (NEVER, -1)

EMPTY: Any = ()
"""Default of arguments whose field starts as a fresh empty list or a fresh struct."""


class Field(NamedTuple):
    """One field of a struct, as Kafka's message definition has it.

    `kind` is one of: bool, int8, int16, uint16, int32, uint32, int64, float64, uuid, string,
    bytes, buffer (bytes that are not copied when decoded), records, struct, array.
    For an array `element` is the kind of its elements; `struct` is the class of a struct field or
    of an array's elements. All version ranges are inclusive.
    """

    name: str
    kind: str
    versions: tuple[int, int] = ALWAYS
    nullable: tuple[int, int] = NO_VERSIONS
    default: Any = None
    ignorable: bool = False
    tag: int = -1
    tagged: tuple[int, int] = NO_VERSIONS
    flexible: bool = True
    element: str = ""
    struct: type[Message] | None = None


class Message:
    """A message, or a struct inside one: plain attributes, compared by value.

    `unknown_tags` holds tagged fields that this release does not know, as they came, so that they
    are written back as they came.
    """

    __slots__ = ("unknown_tags",)

    NAME: ClassVar[str] = ""
    API_KEY: ClassVar[int] = -1
    VERSIONS: ClassVar[tuple[int, int]] = ALWAYS
    FLEXIBLE: ClassVar[int] = NEVER
    FIELDS: ClassVar[tuple[Field, ...]] = ()

    unknown_tags: bytes

    def __init__(self) -> None:
        self.unknown_tags = b""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self.unknown_tags == getattr(other, "unknown_tags", None) and all(
            getattr(self, field.name) == getattr(other, field.name) for field in self.FIELDS
        )

    def __repr__(self) -> str:
        parts = [f"{field.name}={getattr(self, field.name)!r}" for field in self.FIELDS]
        if self.unknown_tags:
            parts.append(f"unknown_tags={self.unknown_tags!r}")
        return f"{type(self).__name__}({', '.join(parts)})"
