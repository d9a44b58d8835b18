"""Requests with one thing wrong: each field of a valid one in turn, and the bytes of the whole."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

from barnabas.records.batch import write_crc
from barnabas.wire.apis import API
from barnabas.wire.layout import Where, place
from barnabas.wire.message import Field, Message
from tests.interop.differential.sent import Case, Tree
from tests.interop.differential.valid import NO_ONE, Base, batch

RANGES = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}
BIG = "x" * 300
TEXTS: tuple[str | None, ...] = ("", "absent", "bad name!", "..", BIG, "__cluster_metadata", None)
BYTES: tuple[bytes | None, ...] = (b"", b"nothing", None)

PATIENT: dict[str, tuple[Any, ...]] = {
    "timeout_ms": (),
    "max_wait_ms": (0, -1),
    "min_bytes": (-1, 0),
    "session_timeout_ms": (0, -1, 5_999, 1_800_001),
    "rebalance_timeout_ms": (-1,),
    "num_partitions": (-2, 0, 10_001),
    "count": (-1, 0, 1, 2),
    "replication_factor": (-2, 0, 2, 32_767),
    "broker_id": (-1, 7, 2**31 - 1),
    "transaction_timeout_ms": (0, -1, 900_001),
    "acks": (-2, 2, 32_767),
    "config_operation": (0, 1, 2, 3, 127),
    "max_version_level": (-1, 0, 2, 99),
    "endpoint_type": (-2, -1, 0, 2, 7),
    "resource_type": (-1, 0, 1, 3, 4, 8, 16, 32, 99),
    "timestamp": (-4, -5, -6, -7, 0, 2**63 - 1),
    "allow_auto_topic_creation": (),
    "validate_only": (),
    "retention_time_ms": (0, 5),
}
"""Values for fields for which some would end the node, or wait for minutes."""

LEFT_OUT = {(57, "validate_only"), (64, "broker_id")}


def _change(at: int, form: str, value: int, *, crc: bool = True) -> bytes:
    data = bytearray(batch(b"one", b"two", b"three"))
    struct.pack_into(">" + form, data, at, value)
    if crc:
        write_crc(data, 0, len(data))
    return bytes(data)


def bad_batches() -> dict[str, bytes | None]:
    """Records that Kafka has an opinion about."""
    good = batch(b"one", b"two", b"three")
    return {
        "empty": b"",
        "a header cut off": good[:60],
        "the last byte missing": good[:-1],
        "two batches": good + good,
        "bytes behind": good + b"x",
        "wrong crc": _change(17, "I", 0xDEADBEEF, crc=False),
        "magic 0": _change(16, "b", 0, crc=False),
        "magic 1": _change(16, "b", 1, crc=False),
        "magic 3": _change(16, "b", 3, crc=False),
        "base offset 5": _change(0, "q", 5),
        "codec 5": _change(21, "h", 5),
        "control": _change(21, "h", 0x20),
        "transactional": _change(21, "h", 0x10),
        "delete horizon": _change(21, "h", 0x40),
        "unused attribute": _change(21, "h", 0x100),
        "last delta 1": _change(23, "i", 1),
        "last delta 5": _change(23, "i", 5),
        "count 2": _change(57, "i", 2),
        "count 4": _change(57, "i", 4),
        "count 0": _change(57, "i", 0),
        "producer without sequence": _change(43, "q", 9),
        "producer -2": _change(43, "q", -2),
        "epoch 1": _change(51, "h", 1),
        "sequence 1": _change(53, "i", 1),
        "max timestamp -1": _change(35, "q", -1),
        "leader epoch 7": _change(12, "i", 7),
        "without a key": batch(b"one", key=None),
        "far in the future": batch(b"one", at=2**53),
        "before all time": batch(b"one", at=-1),
        "long": batch(b"x" * 1_100_000),
    }


def values(field: Field, good: Any) -> Iterator[tuple[str, Any]]:
    """What to try in place of a good value, with a name for it."""
    if field.kind == "array":
        yield "empty", []
        yield "null", None
        if good:
            yield "twice", [good[0], good[0]]
        return
    if field.kind == "struct":
        yield "null", None
        return
    if field.kind == "records":
        yield from bad_batches().items()
        return
    for value in _scalars(field.name, field.kind, good):
        if value != good:
            short = f"{len(value)} letters" if isinstance(value, str) and len(value) > 40 else value
            yield repr(short), value


def _scalars(name: str, kind: str, good: Any) -> tuple[Any, ...]:
    if name in PATIENT:
        return PATIENT[name]
    if kind in RANGES:
        most = 2 ** RANGES[kind] - 1
        return (-2, -1, 0, 1, 7, most, -most - 1)
    match kind:
        case "string":
            return TEXTS
        case "bool":
            return (not good,)
        case "uuid":
            return (bytes(16), NO_ONE)
        case "bytes" | "buffer":
            return BYTES
        case "float64":
            return (0.0, -1.0, 0.5, 1e300, float("inf"))
    return ()


def variations(cls: type[Message], version: int, tree: Tree) -> Iterator[tuple[str, Tree]]:
    """The tree with one field changed, for each field that `version` has and each value."""
    for placed in place(cls, version):
        field = placed.field
        if placed.where is Where.ABSENT or (cls.API_KEY, field.name) in LEFT_OUT:
            continue
        good = tree.get(field.name, getattr(cls(), field.name))
        for what, value in values(field, good):
            yield f"{field.name} {what}", {**tree, field.name: value}
        yield from _inside(field, version, tree, good)


def _inside(field: Field, version: int, tree: Tree, good: Any) -> Iterator[tuple[str, Tree]]:
    if field.struct is not None and field.kind == "array" and good:
        for what, inner in variations(field.struct, version, good[0]):
            yield f"{field.name}.{what}", {**tree, field.name: [inner, *good[1:]]}
    elif field.struct is not None and isinstance(good, Mapping):
        for what, inner in variations(field.struct, version, good):
            yield f"{field.name}.{what}", {**tree, field.name: inner}
    elif field.kind == "array" and field.struct is None and good:
        element = field._replace(kind=field.element, element="")
        for what, value in values(element, good[0]):
            yield f"{field.name}[] {what}", {**tree, field.name: [value, *good[1:]]}


def broken_bytes(key: int, version: int, base: Base) -> Iterator[Case]:
    """The bytes of a valid request cut off, with more behind them, and with an unknown tag."""
    label, tree, before = base
    for cut in (1, 2, 5):
        yield Case(f"{label}, cut by {cut}", key, version, tree, before, cut=cut)
    yield Case(f"{label}, 3 bytes behind", key, version, tree, before, more=b"\0\1\2")
    if version >= API[key].flexible:
        tagged = {**tree, "?tag": True}
        yield Case(f"{label}, unknown tag", key, version, tagged, before, valid=True)


def wrong_versions(key: int, base: Base) -> Iterator[Case]:
    """Versions that there are not."""
    api = API[key]
    label, tree, before = base
    for version in (-1, api.min_version - 1, api.max_version + 1, 2**15 - 1):
        yield Case(f"{label}, no such version", key, version, tree, before)
