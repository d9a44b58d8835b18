"""Compiles the reader of one message class in one version.

The whole message becomes one Python function: nested structs are inlined, neighbouring fields of
fixed size are unpacked together (with the first byte of the length that follows them), and the
one-byte case of varints costs no call. The source is made from the `FIELDS` tables alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from barnabas.wire.errors import ProtocolError
from barnabas.wire.layout import SCALARS, Placed, Where, least_element, place
from barnabas.wire.limits import (
    MAX_ELEMENTS,
    MAX_STRING_BYTES,
    MAX_TAGGED_FIELDS,
    MAX_UNKNOWN_TAG_BYTES,
)
from barnabas.wire.message import EMPTY, Message
from barnabas.wire.primitives import Buffer, read_uvarint

SMALL = 9
"""Arrays of scalars shorter than this use unpackers made in advance."""


def compile_reader(cls: type[Message], version: int) -> Callable[..., tuple[Any, int]]:
    """A function `read(buf, pos, budget=MAX_ELEMENTS) -> (message, position after it)`."""
    source, names = _Source(cls, version).build()
    exec(compile(source, f"<reader {cls.__name__} v{version}>", "exec"), names)
    reader: Callable[..., tuple[Any, int]] = names["read"]
    return reader


def bad_length(name: str) -> ProtocolError:
    """For a length that is negative, zero for null where null is not allowed, or too large."""
    return ProtocolError(f"{name}: null where the protocol has no null, or cut off")


def bad_count(name: str, count: int, remaining: int) -> ProtocolError:
    """For an array count that the remaining bytes, or the budget of elements, cannot hold."""
    if count < 0:
        return ProtocolError(f"{name}: null where the protocol has no null")
    return ProtocolError(f"{name}: {count} elements in {remaining} bytes, or more than allowed")


def bad_tag(name: str, tag: int) -> ProtocolError:
    """For a tagged field whose payload is not as long as it says."""
    return ProtocolError(f"{name}: tagged field {tag} has another size than announced")


def long_string(buf: Buffer, pos: int) -> tuple[int, int]:
    """The length plus one of a compact string that needs more than one byte."""
    length, pos = read_uvarint(buf, pos)
    if length > MAX_STRING_BYTES + 1:
        raise ProtocolError(f"string of {length - 1} bytes")
    return length, pos


def tagged_section(buf: Buffer, pos: int, end: int) -> tuple[list[tuple[int, int, int, int]], int]:
    """Split a section of tagged fields that starts at `pos` and may not go beyond `end`.

    Returns ((tag, start of the entry, start of the payload, end of the payload), ...) and the
    position after the section. Any order is taken, as Kafka does; a tag given twice is not.
    """
    count, pos = read_uvarint(buf, pos)
    if count > MAX_TAGGED_FIELDS:
        raise ProtocolError(f"{count} tagged fields in one struct")
    entries = []
    seen = set()
    for _ in range(count):
        entry = pos
        tag, pos = read_uvarint(buf, pos)
        size, pos = read_uvarint(buf, pos)
        if tag in seen or size > end - pos:
            raise ProtocolError(f"tagged field {tag} is there twice, or cut off")
        seen.add(tag)
        entries.append((tag, entry, pos, pos + size))
        pos += size
    return entries, pos


def raw_tag(buf: Buffer, entry: int, start: int, stop: int) -> bytes:
    """The bytes of one tagged field that this release does not know."""
    if stop - start > MAX_UNKNOWN_TAG_BYTES:
        raise ProtocolError(f"unknown tagged field of {stop - start} bytes")
    return bytes(buf[entry:stop])


def unknown_section(buf: Buffer, pos: int, end: int) -> tuple[bytes, int, int]:
    """A section of tagged fields none of which is known: (raw entries, their count, end)."""
    entries, pos = tagged_section(buf, pos, end)
    raw = b"".join([raw_tag(buf, entry, start, stop) for _, entry, start, stop in entries])
    return raw, len(entries), pos


def keeps_views(cls: type[Message]) -> bool:
    """Whether `cls` has fields that stay views of the received bytes."""
    return any(
        field.kind in ("records", "buffer")
        or (field.struct is not None and keeps_views(field.struct))
        for field in cls.FIELDS
    )


class _Source:
    """Builds the source text and the names it needs."""

    def __init__(self, cls: type[Message], version: int) -> None:
        self.cls = cls
        self.version = version
        self.views = keeps_views(cls)
        self.lines: list[str] = []
        self.depth = 2
        self.serial = 0
        self.pending: list[tuple[str, str]] = []
        self.names: dict[str, Any] = {
            "MAX_ELEMENTS": MAX_ELEMENTS,
            "ProtocolError": ProtocolError,
            "ReadErrors": (IndexError, struct.error, UnicodeDecodeError),
            "bad_count": bad_count,
            "bad_length": bad_length,
            "bad_tag": bad_tag,
            "long_string": long_string,
            "new": object.__new__,
            "raw_tag": raw_tag,
            "tagged_section": tagged_section,
            "unknown_section": unknown_section,
            "unpack_from": struct.unpack_from,
            "uvarint": read_uvarint,
        }

    def build(self) -> tuple[str, dict[str, Any]]:
        top = self.name("m")
        self.struct(self.cls, top)
        self.flush()
        kind = "memoryview" if self.views else "bytes"
        head = [
            "def read(buf, pos, budget=MAX_ELEMENTS):",
            f"    if type(buf) is not {kind}: buf = {kind}(buf)",
            "    end = len(buf)",
            "    try:",
        ]
        tail = [
            f"        return {top}, pos",
            "    except ReadErrors as error:",
            f"        raise ProtocolError(f'{self.cls.__name__} v{self.version}: {{error}}') from error",
        ]
        return "\n".join(head + self.lines + tail), self.names

    # Small tools

    def name(self, stem: str) -> str:
        """A fresh variable."""
        self.serial += 1
        return f"{stem}{self.serial}"

    def emit(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def constant(self, stem: str, value: Any) -> str:
        """A name for `value` in the namespace of the function."""
        self.names.setdefault(stem, value)
        return stem

    def fixed(self, code: str, target: str) -> None:
        """Unpack `code` into `target`, together with its neighbours."""
        self.pending.append((code, target))

    def flush(self) -> None:
        """Emit the unpacking of what is pending."""
        pending, self.pending = self.pending, []
        if not pending:
            return
        codes = "".join(code for code, _ in pending)
        if codes == "B":
            self.emit(f"{pending[0][1]} = buf[pos]")
            self.emit("pos += 1")
            return
        packer = struct.Struct(">" + codes)
        unpack = self.constant(f"u_{codes.replace('?', 'o')}", packer.unpack_from)
        targets = ", ".join(target for _, target in pending)
        self.emit(f"{targets}{',' if len(pending) == 1 else ''} = {unpack}(buf, pos)")
        self.emit(f"pos += {packer.size}")

    # Structs

    def struct(self, cls: type[Message], var: str) -> None:
        """Read a struct into the variable `var`."""
        self.emit(f"{var} = new({self.constant(cls.__name__, cls)})")
        placed = place(cls, self.version)
        self.emit(f'{var}.unknown_tags = b""')
        self.defaults(var, [p for p in placed if p.where is not Where.PLAIN])
        for p in placed:
            if p.where is Where.PLAIN:
                self.field(p, f"{var}.{p.field.name}", f"{cls.__name__}.{p.field.name}")
        if self.version >= cls.FLEXIBLE:
            self.tags(cls, var, [p for p in placed if p.where is Where.TAGGED])

    def defaults(self, var: str, placed: list[Placed]) -> None:
        """Give fields that are not there, or perhaps not there, their defaults."""
        for p in placed:
            field = p.field
            if field.default is not EMPTY:
                value = repr(field.default)
            elif field.kind == "array":
                value = "[]"
            else:
                assert field.struct is not None
                value = f"{self.constant(field.struct.__name__, field.struct)}()"
            self.emit(f"{var}.{field.name} = {value}")

    def tags(self, cls: type[Message], var: str, known: list[Placed]) -> None:
        """Read the tagged fields at the end of a struct."""
        count = self.name("t")
        self.fixed("B", count)
        self.flush()
        self.emit(f"if {count}:")
        self.depth += 1
        if known:
            self.known_tags(cls, var, known, count)
        else:
            self.emit(f"{var}.unknown_tags, {count}, pos = unknown_section(buf, pos - 1, end)")
        # Tags cost steps like elements do, and a frame has room for many millions of them.
        self.emit(f"budget -= {count}")
        self.emit(f"if budget < 0: raise bad_count({cls.__name__!r}, {count}, end - pos)")
        self.depth -= 1

    def known_tags(self, cls: type[Message], var: str, known: list[Placed], count: str) -> None:
        entries, after, unknown = self.name("e"), self.name("p"), self.name("x")
        tag, entry, stop = self.name("g"), self.name("s"), self.name("q")
        self.emit(f"{entries}, {after} = tagged_section(buf, pos - 1, end)")
        self.emit(f"{count} = len({entries})")
        self.emit(f'{unknown} = b""')
        self.emit(f"for {tag}, {entry}, pos, {stop} in {entries}:")
        self.depth += 1
        word = "if"
        for p in known:
            self.emit(f"{word} {tag} == {p.field.tag}:")
            self.depth += 1
            self.field(p, f"{var}.{p.field.name}", f"{cls.__name__}.{p.field.name}")
            self.flush()
            self.depth -= 1
            word = "elif"
        self.emit("else:")
        self.emit(f"    {unknown} += raw_tag(buf, {entry}, pos, {stop})")
        self.emit(f"    pos = {stop}")
        self.emit(f"if pos != {stop}: raise bad_tag({cls.__name__!r}, {tag})")
        self.depth -= 1
        self.emit(f"pos = {after}")
        self.emit(f"{var}.unknown_tags = {unknown}")

    # Fields

    def field(self, p: Placed, target: str, label: str) -> None:
        """Read one field into `target`."""
        kind = p.field.kind
        if kind == "array":
            self.array(p, target, label)
        elif kind == "struct":
            self.struct_field(p, target)
        else:
            self.value(kind, target, label, nullable=p.nullable, compact=p.compact)

    def struct_field(self, p: Placed, target: str) -> None:
        assert p.field.struct is not None
        var = self.name("m")
        if not p.nullable:
            self.struct(p.field.struct, var)
            self.emit(f"{target} = {var}")
            return
        mark = self.name("n")
        tagged = p.where is Where.TAGGED
        self.fixed("B" if tagged else "b", mark)
        self.flush()
        if tagged:  # Kafka's generator marks presence otherwise here: a varint, zero for null
            self.emit(f"if {mark} > 127: {mark}, pos = uvarint(buf, pos - 1)")
        self.emit(f"if {f'not {mark}' if tagged else f'{mark} < 0'}: {target} = None")
        self.emit("else:")
        self.depth += 1
        self.struct(p.field.struct, var)
        self.flush()
        self.emit(f"{target} = {var}")
        self.depth -= 1

    def value(self, kind: str, target: str, label: str, *, nullable: bool, compact: bool) -> None:
        """Read a scalar, string, bytes, buffer or records value."""
        if kind in SCALARS:
            self.fixed(SCALARS[kind][0], target)
            return
        length, stop = self.name("n"), self.name("q")
        if compact:
            self.fixed("B", length)
            self.flush()
            long = "long_string" if kind == "string" else "uvarint"
            self.emit(f"if {length} > 127: {length}, pos = {long}(buf, pos - 1)")
            self.emit(f"{stop} = pos + {length} - 1")
            present, absent = length, f"not {length}"
        else:
            self.fixed("h" if kind == "string" else "i", length)
            self.flush()
            self.emit(f"{stop} = pos + {length}")
            present, absent = f"{length} >= 0", f"{length} < 0"
        taken = self.taken(kind, f"buf[pos:{stop}]")
        if nullable:
            self.emit(f"if {stop} > end: raise bad_length({label!r})")
            self.emit(f"if {present}:")
            self.emit(f"    {target} = {taken}")
            self.emit(f"    pos = {stop}")
            self.emit(f"else: {target} = None")
        else:
            self.emit(f"if {stop} > end or {absent}: raise bad_length({label!r})")
            self.emit(f"{target} = {taken}")
            self.emit(f"pos = {stop}")

    def taken(self, kind: str, piece: str) -> str:
        """The expression that turns a slice of the input into a value."""
        if kind == "string":
            return f"str({piece}, 'utf-8')" if self.views else f"{piece}.decode()"
        return f"bytes({piece})" if self.views and kind == "bytes" else piece

    def array(self, p: Placed, target: str, label: str) -> None:
        """Read an array: its count, checked, then its elements."""
        count = self.name("n")
        self.fixed("B" if p.compact else "i", count)
        self.flush()
        if p.compact:
            self.emit(f"if {count} > 127: {count}, pos = uvarint(buf, pos - 1)")
            self.emit(f"{count} -= 1")
        if p.nullable:
            self.emit(f"if {count} < 0: {target} = None")
            self.emit("else:")
            self.depth += 1
        least = least_element(p, self.version)
        sized = count if least == 1 else f"{count} * {least}"
        below = "" if p.nullable else f"{count} < 0 or "
        self.emit(f"if {below}{sized} > end - pos or {count} > budget:")
        self.emit(f"    raise bad_count({label!r}, {count}, end - pos)")
        self.emit(f"budget -= {count}")
        self.elements(p, target, label, count)
        if p.nullable:
            self.depth -= 1

    def elements(self, p: Placed, target: str, label: str, count: str) -> None:
        element = p.field.element
        if element == "uuid":
            piece = "bytes(buf[k:k + 16])" if self.views else "buf[k:k + 16]"
            self.emit(f"{target} = [{piece} for k in range(pos, pos + 16 * {count}, 16)]")
            self.emit(f"pos += 16 * {count}")
        elif element in SCALARS:
            code, size = SCALARS[element]
            small = self.constant(f"small_{code.replace('?', 'o')}", _small(code))
            many = f"unpack_from('>%d{code}' % {count}, buf, pos)"
            self.emit(
                f"{target} = list({small}[{count}](buf, pos) if {count} < {SMALL} else {many})"
            )
            self.emit(f"pos += {size} * {count}" if size > 1 else f"pos += {count}")
        else:
            self.loop(p, target, label, count)

    def loop(self, p: Placed, target: str, label: str, count: str) -> None:
        items, item = self.name("a"), self.name("m")
        self.emit(f"{target} = {items} = []")
        self.emit(f"for _ in range({count}):")
        self.depth += 1
        if p.field.struct is not None:
            self.struct(p.field.struct, item)
        else:
            self.value(p.field.element, item, label, nullable=False, compact=p.compact)
        self.flush()
        self.emit(f"{items}.append({item})")
        self.depth -= 1


def _small(code: str) -> tuple[Callable[..., tuple[Any, ...]], ...]:
    return tuple(struct.Struct(f">{count}{code}").unpack_from for count in range(SMALL))
