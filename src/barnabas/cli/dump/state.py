"""Producer snapshots and the small text files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from struct import Struct

from barnabas.cli.dump.items import Damage, Item, moment
from barnabas.config.properties import load
from barnabas.config.values import ConfigError
from barnabas.records.checksum import crc32c
from barnabas.wire import uuids

_PREFIX = Struct(">hIi")
_PRODUCER = Struct(">qhiqiqiq")
_PRODUCER_FIELDS = (
    *("producer_id", "producer_epoch", "last_sequence", "last_offset", "offset_delta"),
    *("timestamp", "coordinator_epoch", "txn_first_offset"),
)


def dump_producer_snapshot(view: memoryview) -> Iterator[Item]:
    """`.snapshot`: what a partition remembers of its producers. Raises `Damage`."""
    if len(view) < _PREFIX.size:
        raise Damage(0, f"{len(view)} bytes are too few for a producer snapshot")
    version, crc, count = _PREFIX.unpack_from(view)
    if version != 1:
        raise Damage(0, f"version {version} is not known")
    actual = crc32c(view[6:])
    if actual != crc:
        raise Damage(2, f"the CRC says {crc:#010x}, the bytes from 6 on give {actual:#010x}")
    if len(view) != _PREFIX.size + count * _PRODUCER.size:
        raise Damage(6, f"{count} producers do not take {len(view)} bytes")
    for position in range(_PREFIX.size, len(view), _PRODUCER.size):
        fields = _PRODUCER.unpack_from(view, position)
        item: Item = {"kind": "producer", "position": position}
        item |= zip(_PRODUCER_FIELDS, fields, strict=True)
        yield item | {"timestamp": moment(fields[5])}


def _lines(view: memoryview) -> Iterator[tuple[int, str]]:
    position = 0
    for raw in bytes(view).splitlines(keepends=True):
        try:
            yield position, raw.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise Damage(position + error.start, "this byte is not UTF-8 text") from None
        position += len(raw)


def _checkpoint_lines(view: memoryview) -> Iterator[tuple[int, list[str]]]:
    """The entries of a checkpoint file, split at blanks; version and count are checked."""
    lines = list(_lines(view))
    if not lines or lines[0][1].strip() != "0":
        raise Damage(0, f"version {lines[0][1] if lines else ''!r} is not 0")
    if len(lines) < 2 or not lines[1][1].strip().isdigit():
        raise Damage(lines[0][0] + len(lines[0][1]) + 1, "the count of entries is missing")
    count = int(lines[1][1])
    for position, line in lines[2:]:
        yield position, line.split()
    if count != len(lines) - 2:
        raise Damage(lines[1][0], f"{count} entries are announced, {len(lines) - 2} are there")


def _number(position: int, fields: list[str], index: int) -> int:
    try:
        return int(fields[index])
    except ValueError:
        raise Damage(position, f"{fields[index]!r} is no number") from None


def dump_offsets(view: memoryview) -> Iterator[Item]:
    """A checkpoint of a directory: topic, partition, offset. Raises `Damage`."""
    for position, fields in _checkpoint_lines(view):
        if len(fields) != 3:
            raise Damage(position, f"{len(fields)} fields instead of topic, partition, offset")
        yield {
            "kind": "offset",
            "position": position,
            "topic": fields[0],
            "partition": _number(position, fields, 1),
            "offset": _number(position, fields, 2),
        }


def dump_leader_epochs(view: memoryview) -> Iterator[Item]:
    """`leader-epoch-checkpoint`: epoch and its first offset. Raises `Damage`."""
    before = (-1, -1)
    for position, fields in _checkpoint_lines(view):
        if len(fields) != 2:
            raise Damage(position, f"{len(fields)} fields instead of epoch, start offset")
        epoch, start = _number(position, fields, 0), _number(position, fields, 1)
        yield {"kind": "epoch", "position": position, "epoch": epoch, "start_offset": start}
        if epoch <= before[0] or start < before[1]:
            raise Damage(position, f"epoch {epoch} at {start} does not follow {before}")
        before = (epoch, start)


def dump_partition_metadata(view: memoryview) -> Iterator[Item]:
    """`partition.metadata`: the topic's id. Raises `Damage`."""
    fields: dict[str, tuple[int, str]] = {}
    for position, line in _lines(view):
        name, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise Damage(position, f"{line!r} is not NAME: VALUE")
        fields[name.strip()] = (position, value.strip())
    position, version = fields.get("version", (0, ""))
    if version != "0":
        raise Damage(position, f"version {version!r} is not 0")
    position, topic_id = fields.get("topic_id", (len(view), ""))
    try:
        uuids.from_text(topic_id)
    except ValueError as error:
        raise Damage(position, str(error)) from None
    yield {"kind": "partition", "position": 0, "topic_id": topic_id}


def dump_properties(view: memoryview) -> Iterator[Item]:
    """`meta.properties` and its like. Raises `Damage`."""
    try:
        found = load(bytes(view).decode("latin-1"))
    except ConfigError as error:
        raise Damage(0, str(error)) from None
    for name, value in found.items():
        yield {"kind": "property", "position": 0, "name": name, "value": value}


def dump_json(view: memoryview) -> Iterator[Item]:
    """`quorum-state` and `.kafka_cleanshutdown`. Raises `Damage`."""
    if not len(view):
        return  # the clean marker of older releases
    try:
        found = json.loads(bytes(view))
    except json.JSONDecodeError as error:
        raise Damage(error.pos, error.msg) from None
    except UnicodeDecodeError as error:
        raise Damage(error.start, "this byte is not UTF-8 text") from None
    if not isinstance(found, dict):
        raise Damage(0, "not a JSON object")
    yield {"kind": "state", "position": 0} | found
