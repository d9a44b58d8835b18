"""`.log` files and `.checkpoint` snapshots: batches and the records in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from barnabas.cli.dump.items import Damage, Item, message_fields, moment, text
from barnabas.metadata.errors import MetadataError
from barnabas.metadata.framing import decode_record
from barnabas.records.batch import (
    CRC_OFFSET,
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAGIC,
    MAGIC_OFFSET,
    MIN_BATCH_LENGTH,
    BatchHeader,
    crc_valid,
    read_header,
)
from barnabas.records.compression import Codec
from barnabas.records.control import ControlType, parse_control_key, read_control, read_marker
from barnabas.records.errors import CorruptRecord
from barnabas.records.legacy import LegacyMessage, message_crc_valid, read_message, unwrap
from barnabas.records.record import Record, read_records

_LENGTH = Struct(">i")
_ATTRIBUTES_OFFSET = 21
_LAST_DELTA_OFFSET = 23
_KNOWN_ATTRIBUTES = 0x7F


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What to look at. `base` is the offset in the file's name, -1 when it has none."""

    base: int = -1
    records: bool = False
    metadata: bool = False
    """The values are framed metadata records."""
    verify: bool = False
    max_inflated_bytes: int = 256 * 1024 * 1024


class _Order:
    """What the next batch must not fall below."""

    __slots__ = ("epoch", "offset")

    def __init__(self, base: int) -> None:
        self.offset = max(base, 0)
        self.epoch = -1


def dump_log(view: memoryview, options: LogOptions) -> Iterator[Item]:
    """Batches, each followed by its records if wanted. Raises `Damage`.

    Always checked: that batch follows batch. With `verify` also order, CRC and every record, and
    the first thing wrong ends it; without, a wrong CRC is only told.
    """
    position = 0
    order = _Order(options.base)
    while position < len(view):
        size = check_frame(view, position)
        if view[position + MAGIC_OFFSET] != MAGIC:
            yield from _legacy(view, position, size, options)
        else:
            yield from _batch(view, position, order, options)
        position += size


def check_frame(view: memoryview, position: int) -> int:
    """The size of the batch at `position`, which lies in the file whole. Raises `Damage`."""
    left = len(view) - position
    if left < LOG_OVERHEAD + 5:
        raise Damage(position, f"{left} bytes are left, too few for a batch")
    length = _LENGTH.unpack_from(view, position + 8)[0]
    magic = view[position + MAGIC_OFFSET]
    if length == 0 and magic == 0 and not any(view[position : position + HEADER_SIZE]):
        raise Damage(position, f"zeros where a batch should begin, {left} bytes before the end")
    least = MIN_BATCH_LENGTH if magic >= MAGIC else 14
    if length < least:
        raise Damage(position + 8, f"batch length {length} is below the least, {least}")
    if magic > MAGIC:
        raise Damage(position + MAGIC_OFFSET, f"magic {magic} is not known")
    size = length + LOG_OVERHEAD
    if size > left:
        raise Damage(position, f"the batch has {size} bytes, only {left} are left in the file")
    return int(size)


def _batch(view: memoryview, position: int, order: _Order, options: LogOptions) -> Iterator[Item]:
    header = read_header(view, position)
    good = crc_valid(view, position, header.size)
    if options.verify:
        _check_header(position, header, order, good)
    yield batch_item(position, header, good)
    if not options.records and not options.verify:
        return
    try:
        records = read_records(view, position, limit=options.max_inflated_bytes)
        items = [_record_item(position, header, record, options) for record in records]
        if options.verify:
            _check_offsets(header, records)
    except (CorruptRecord, MetadataError) as error:
        if options.verify:
            where = position + HEADER_SIZE
            raise Damage(where, f"the records of the batch at {position}: {error}") from None
        yield {"kind": "damage", "position": position + HEADER_SIZE, "reason": str(error)}
        return
    if options.records:
        yield from items


def _check_header(position: int, header: BatchHeader, order: _Order, good: bool) -> None:
    if header.base_offset < order.offset:
        raise Damage(
            position, f"base offset {header.base_offset} where at least {order.offset} is due"
        )
    if header.leader_epoch < order.epoch:
        raise Damage(
            position + LOG_OVERHEAD,
            f"leader epoch {header.leader_epoch} follows epoch {order.epoch}",
        )
    if not good:
        raise Damage(
            position + CRC_OFFSET,
            f"the CRC of the batch at {position} says {header.crc:#010x}, "
            f"but bytes {position + _ATTRIBUTES_OFFSET} to {position + header.size - 1} differ",
        )
    if header.attributes & ~_KNOWN_ATTRIBUTES or header.codec > Codec.ZSTD:
        raise Damage(
            position + _ATTRIBUTES_OFFSET, f"attributes {header.attributes:#06x} are not known"
        )
    if header.last_offset_delta < 0:
        raise Damage(position + _LAST_DELTA_OFFSET, f"last offset delta {header.last_offset_delta}")
    order.offset = header.next_offset
    order.epoch = header.leader_epoch


def _check_offsets(header: BatchHeader, records: list[Record]) -> None:
    previous = header.base_offset - 1
    for record in records:
        if not previous < record.offset <= header.last_offset:
            raise CorruptRecord(f"offset {record.offset} follows {previous}")
        previous = record.offset


def batch_item(position: int, header: BatchHeader, good: bool) -> Item:
    """A batch's header as plain data."""
    codec = header.codec
    item: Item = {
        "kind": "batch",
        "position": position,
        "size": header.size,
        "base_offset": header.base_offset,
        "last_offset": header.last_offset,
        "records": header.records_count,
        "leader_epoch": header.leader_epoch,
        "codec": Codec(codec).name.lower() if codec <= Codec.ZSTD else codec,
        "timestamp_type": "LogAppendTime" if header.log_append_time else "CreateTime",
        "max_timestamp": moment(header.max_timestamp),
        "crc": f"{header.crc:#010x}",
        "crc_valid": good,
    }
    if header.producer_id >= 0:
        item["producer_id"] = header.producer_id
        item["producer_epoch"] = header.producer_epoch
        item["base_sequence"] = header.base_sequence
        item["last_sequence"] = header.last_sequence
    if header.is_transactional:
        item["transactional"] = True
    if header.is_control:
        item["control"] = True
    if header.has_delete_horizon:
        item["delete_horizon"] = moment(header.base_timestamp)
    return item


def _record_item(position: int, header: BatchHeader, record: Record, options: LogOptions) -> Item:
    item: Item = {
        "kind": "record",
        "position": position,
        "offset": record.offset,
        "timestamp": moment(record.timestamp),
    }
    if header.is_control:
        return item | {"kind": "control"} | _control(record)
    if options.metadata:
        message = decode_record(record.value or b"")
        return item | {
            "kind": "metadata",
            "type": message.NAME,
            "data": message_fields(message),
        }
    item["key"] = text(record.key)
    item["value"] = text(record.value)
    if record.headers:
        item["headers"] = [[name, text(value)] for name, value in record.headers]
    return item


def _control(record: Record) -> Item:
    kind = parse_control_key(record.key)
    if kind in (ControlType.ABORT, ControlType.COMMIT):
        marker = read_marker(record)
        return {"type": ControlType(kind).name, "coordinator_epoch": marker.coordinator_epoch}
    message = read_control(record)
    if message is None:
        return {"type": kind, "value": text(record.value)}
    return {"type": ControlType(kind).name, "data": message_fields(message)}


def _legacy(view: memoryview, position: int, size: int, options: LogOptions) -> Iterator[Item]:
    """A message of magic 0 or 1, as Kafka wrote them before 0.11."""
    try:
        message = read_message(view, position)
        good = message_crc_valid(view, position, size)
        if options.verify and not good:
            raise Damage(position + 12, f"the CRC of the message at {position} is wrong")
        yield _legacy_item(position, message, good)
        if options.records or options.verify:
            for record in unwrap(message, limit=options.max_inflated_bytes):
                if options.records:
                    yield {
                        "kind": "record",
                        "position": position,
                        "offset": record.offset,
                        "timestamp": moment(record.timestamp),
                        "key": text(record.key),
                        "value": text(record.value),
                    }
    except CorruptRecord as error:
        raise Damage(position, str(error)) from None


def _legacy_item(position: int, message: LegacyMessage, good: bool) -> Item:
    return {
        "kind": "message",
        "position": position,
        "size": message.size,
        "magic": message.magic,
        "offset": message.offset,
        "timestamp": moment(message.timestamp),
        "crc_valid": good,
    }
