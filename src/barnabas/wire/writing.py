"""Compiles the writer of one message class in one version.

The mirror of `reading`: one function per message, nested structs inlined, neighbouring fields of
fixed size packed together with the length byte that follows them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from barnabas.wire.errors import UnsupportedVersion
from barnabas.wire.layout import SCALARS, Placed, Where, place
from barnabas.wire.limits import MAX_STRING_BYTES
from barnabas.wire.message import EMPTY, NEVER, Field, Message
from barnabas.wire.primitives import Buffer, read_uvarint, write_uvarint

SMALL = 9
"""Arrays of scalars shorter than this use packers made in advance."""

GATHER_BYTES = 4096
"""Below this a copy is cheaper than one more buffer."""


def compile_writer(cls: type[Message], version: int) -> Callable[[Any, bytearray], None]:
    """A function `write(message, out)` that appends the message to `out`."""
    writer: Callable[[Any, bytearray], None] = _compiled(cls, version, gather=False)
    return writer


def compile_gatherer(cls: type[Message], version: int) -> Callable[[Any, bytearray], list[Buffer]]:
    """A function `write(message, out)` that returns `out` and what follows as a list of buffers.

    Records and buffers of `GATHER_BYTES` or more stand in the list themselves, not copied.
    """
    gatherer: Callable[[Any, bytearray], list[Buffer]] = _compiled(cls, version, gather=True)
    return gatherer


def _compiled(cls: type[Message], version: int, *, gather: bool) -> Any:
    source, names = _Source(cls, version, gather=gather).build()
    exec(compile(source, f"<writer {cls.__name__} v{version}>", "exec"), names)
    return names["write"]


def unsupported(name: str, version: int) -> UnsupportedVersion:
    """For a field that is set, or null, in a version that cannot say so."""
    return UnsupportedVersion(f"{name} cannot be written in version {version}")


def too_long(name: str, size: int) -> ValueError:
    """For a string that does not fit."""
    return ValueError(f"{name}: a string of {size} bytes is longer than {MAX_STRING_BYTES}")


def bad_uuid(name: str) -> ValueError:
    """For a UUID that is not 16 bytes."""
    return ValueError(f"{name}: a UUID has 16 bytes")


def put_tags(out: bytearray, known: list[tuple[int, bytearray]], unknown: bytes) -> None:
    """Append a section of tagged fields: `known` payloads and raw entries, by ascending tag."""
    entries: list[tuple[int, bytes | bytearray]] = []
    for tag, payload in known:
        entry = bytearray()
        write_uvarint(entry, tag)
        write_uvarint(entry, len(payload))
        entries.append((tag, entry + payload))
    pos = 0
    while pos < len(unknown):
        tag, start = read_uvarint(unknown, pos)
        size, start = read_uvarint(unknown, start)
        entries.append((tag, unknown[pos : start + size]))
        pos = start + size
    entries.sort(key=lambda entry: entry[0])
    write_uvarint(out, len(entries))
    for _, raw in entries:
        out += raw


class _Source:
    """Builds the source text and the names it needs."""

    def __init__(self, cls: type[Message], version: int, *, gather: bool) -> None:
        self.cls = cls
        self.version = version
        self.gather = gather
        self.lines: list[str] = []
        self.depth = 1
        self.serial = 0
        self.out = "out"
        self.pending: list[tuple[str, str]] = []
        self.names: dict[str, Any] = {
            "bad_uuid": bad_uuid,
            "pack": struct.pack,
            "put_tags": put_tags,
            "put_uvarint": write_uvarint,
            "too_long": too_long,
            "unsupported": unsupported,
        }

    def build(self) -> tuple[str, dict[str, Any]]:
        if self.gather:
            self.emit("parts = []")
        self.struct(self.cls, "m")
        self.flush()
        if self.gather:
            self.emit("parts.append(out)")
            self.emit("return parts")
        return "\n".join(["def write(m, out):", *(self.lines or ["    pass"])]), self.names

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

    def fixed(self, code: str, expression: str) -> None:
        """Pack `expression` as `code`, together with its neighbours."""
        self.pending.append((code, expression))

    def packed(self, pending: list[tuple[str, str]]) -> str:
        """The statement that appends `pending`."""
        if not pending:
            return "pass"
        codes = "".join(code for code, _ in pending)
        if codes == "B":
            return f"{self.out}.append({pending[0][1]})"
        pack = self.constant(f"p_{codes.replace('?', 'o')}", struct.Struct(">" + codes).pack)
        return f"{self.out} += {pack}({', '.join(expression for _, expression in pending)})"

    def flush(self) -> None:
        """Emit the packing of what is pending."""
        pending, self.pending = self.pending, []
        if pending:
            self.emit(self.packed(pending))

    def byte_or(self, condition: str, byte: str, otherwise: str) -> None:
        """Append one byte with what is pending when `condition` holds, else do `otherwise`."""
        pending, self.pending = self.pending, []
        self.emit(f"if {condition}: {self.packed([*pending, ('B', byte)])}")
        self.emit("else:")
        if pending:
            self.emit(f"    {self.packed(pending)}")
        self.emit(f"    {otherwise}")

    def compact_length(self, length: str) -> None:
        """Append `length` as an unsigned varint."""
        self.byte_or(f"{length} < 128", length, f"put_uvarint({self.out}, {length})")

    # Structs

    def struct(self, cls: type[Message], var: str) -> None:
        """Write the struct in the variable `var`."""
        placed = place(cls, self.version)
        for p in placed:
            if p.where is Where.ABSENT and not p.field.ignorable:
                label = f"{cls.__name__}.{p.field.name}"
                self.emit(f"if {self.differs(p.field, f'{var}.{p.field.name}')}:")
                self.emit(f"    raise unsupported({label!r}, {self.version})")
        for p in placed:
            if p.where is Where.PLAIN:
                self.field(p, f"{var}.{p.field.name}", f"{cls.__name__}.{p.field.name}")
        if self.version >= cls.FLEXIBLE:
            self.tags(cls, var, [p for p in placed if p.where is Where.TAGGED])

    def differs(self, field: Field, value: str) -> str:
        """The condition that a field is not at its default."""
        if field.default is None:
            return f"{value} is not None"
        if field.default is not EMPTY:
            return f"{value} != {field.default!r}"
        if field.kind == "array":
            return f"{value} != []"
        assert field.struct is not None
        fresh = self.constant(f"fresh_{field.struct.__name__}", field.struct())
        return f"{value} != {fresh}"

    def tags(self, cls: type[Message], var: str, known: list[Placed]) -> None:
        """Write the tagged fields at the end of a struct."""
        known = sorted(known, key=lambda p: p.field.tag)
        if not known:
            unknown = f"put_tags({self.out}, [], {var}.unknown_tags)"
            self.byte_or(f"not {var}.unknown_tags", "0", unknown)
            return
        self.flush()
        tests = [self.differs(p.field, f"{var}.{p.field.name}") for p in known]
        self.emit(f"if {' or '.join([*tests, f'{var}.unknown_tags'])}:")
        self.depth += 1
        parts, payload = self.name("t"), self.name("o")
        self.emit(f"{parts} = []")
        outer = self.out
        for p, test in zip(known, tests, strict=True):
            self.emit(f"if {test}:")
            self.depth += 1
            self.emit(f"{payload} = bytearray()")
            self.out = payload
            self.field(p, f"{var}.{p.field.name}", f"{cls.__name__}.{p.field.name}")
            self.flush()
            self.emit(f"{parts}.append(({p.field.tag}, {payload}))")
            self.depth -= 1
        self.out = outer
        self.emit(f"put_tags({self.out}, {parts}, {var}.unknown_tags)")
        self.depth -= 1
        self.emit(f"else: {self.out}.append(0)")

    # Fields

    def field(self, p: Placed, value: str, label: str) -> None:
        """Write one field whose value is the expression `value`."""
        kind = p.field.kind
        if p.field.nullable[0] != NEVER and not p.nullable:
            self.emit(f"if {value} is None: raise unsupported({label!r}, {self.version})")
        if kind == "array":
            self.array(p, value, label)
        elif kind == "struct":
            self.struct_field(p, value)
        else:
            self.value(kind, value, label, nullable=p.nullable, compact=p.compact)

    def struct_field(self, p: Placed, value: str) -> None:
        assert p.field.struct is not None
        var = self.name("m")
        self.emit(f"{var} = {value}")
        if not p.nullable:
            self.struct(p.field.struct, var)
            return
        self.flush()
        null = 0 if p.where is Where.TAGGED else 255  # see `reading`
        self.emit(f"if {var} is None: {self.out}.append({null})")
        self.emit("else:")
        self.depth += 1
        self.fixed("B", "1")
        self.struct(p.field.struct, var)
        self.flush()
        self.depth -= 1

    def value(self, kind: str, value: str, label: str, *, nullable: bool, compact: bool) -> None:
        """Write a scalar, string, bytes, buffer or records value."""
        if kind in SCALARS:
            if kind == "uuid":
                self.emit(f"if len({value}) != 16: raise bad_uuid({label!r})")
            self.fixed(SCALARS[kind][0], value)
            return
        data, length = self.name("d"), self.name("n")
        encoded = f"{value}.encode()" if kind == "string" else value
        plus = " + 1" if compact else ""
        if nullable:
            self.emit(f'if {value} is None: {data} = b""; {length} = {0 if compact else -1}')
            self.emit(f"else: {data} = {encoded}; {length} = len({data}){plus}")
        else:
            self.emit(f"{data} = {encoded}; {length} = len({data}){plus}")
        if kind == "string":
            most = MAX_STRING_BYTES + 1 if compact else MAX_STRING_BYTES
            self.emit(f"if {length} > {most}: raise too_long({label!r}, len({data}))")
        if compact:
            self.compact_length(length)
        else:
            self.fixed("h" if kind == "string" else "i", length)
            self.flush()
        if self.gather and kind in ("records", "buffer") and self.out == "out":
            self.emit(f"if len({data}) < {GATHER_BYTES}: out += {data}")
            self.emit(f"else: parts += (out, {data}); out = bytearray()")
        else:
            self.emit(f"{self.out} += {data}")

    def array(self, p: Placed, value: str, label: str) -> None:
        """Write an array: its count, then its elements."""
        items = self.name("a")
        self.emit(f"{items} = {value}")
        if p.field.element in SCALARS and p.field.element != "uuid":
            self.scalars(p, items)
            return
        count = self.name("n")
        plus = " + 1" if p.compact else ""
        if p.nullable:
            self.emit(f"if {items} is None: {items} = (); {count} = {0 if p.compact else -1}")
            self.emit(f"else: {count} = len({items}){plus}")
        else:
            self.emit(f"{count} = len({items}){plus}")
        if p.compact:
            self.compact_length(count)
        else:
            self.fixed("i", count)
            self.flush()
        self.loop(p, items, label)

    def scalars(self, p: Placed, items: str) -> None:
        """Write an array of numbers: short ones with one packer for count and elements."""
        self.flush()
        code, count = SCALARS[p.field.element][0], self.name("n")
        prefix, plus = ("B", " + 1") if p.compact else ("i", "")
        if p.nullable:
            null = "append(0)" if p.compact else "extend(b'\\xff\\xff\\xff\\xff')"
            self.emit(f"if {items} is None: {self.out}.{null}")
            self.emit("else:")
            self.depth += 1
        small = self.constant(f"small_{prefix}{code.replace('?', 'o')}", _small(prefix, code))
        self.emit(f"{count} = len({items})")
        self.emit(f"if {count} < {SMALL}:")
        self.emit(f"    {self.out} += {small}[{count}]({count}{plus}, *{items})")
        self.emit("else:")
        if p.compact:
            self.emit(f"    put_uvarint({self.out}, {count} + 1)")
            self.emit(f"    {self.out} += pack('>%d{code}' % {count}, *{items})")
        else:
            self.emit(f"    {self.out} += pack('>i%d{code}' % {count}, {count}, *{items})")
        if p.nullable:
            self.depth -= 1

    def loop(self, p: Placed, items: str, label: str) -> None:
        """Write the elements of an array that are not numbers."""
        item = self.name("m")
        self.emit(f"for {item} in {items}:")
        self.depth += 1
        if p.field.struct is not None:
            self.struct(p.field.struct, item)
        else:
            self.value(p.field.element, item, label, nullable=False, compact=p.compact)
        self.flush()
        if self.lines[-1].endswith(":"):
            self.emit("pass")
        self.depth -= 1


def _small(prefix: str, code: str) -> tuple[Callable[..., bytes], ...]:
    return tuple(struct.Struct(f">{prefix}{count}{code}").pack for count in range(SMALL))
