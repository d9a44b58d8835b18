"""Control records: transaction markers, and what KRaft writes between its metadata records.

The key of each is two int16, version and type. Consumers skip control batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from barnabas.records.batch import NO_LEADER_EPOCH
from barnabas.records.builder import NewRecord, build_batch
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import Record
from barnabas.wire.codec import decode, encode
from barnabas.wire.errors import ProtocolError
from barnabas.wire.message import Message
from barnabas.wire.messages.kraft_version_record import KRaftVersionRecord
from barnabas.wire.messages.leader_change_message import LeaderChangeMessage
from barnabas.wire.messages.snapshot_footer_record import SnapshotFooterRecord
from barnabas.wire.messages.snapshot_header_record import SnapshotHeaderRecord
from barnabas.wire.messages.voters_record import VotersRecord

_KEY = Struct(">hh")
_MARKER = Struct(">hi")
_VALUE_VERSION = 0


class ControlType(IntEnum):
    """Kinds of control records. A reader skips kinds that it does not know."""

    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


_MESSAGES: dict[int, type[Message]] = {
    ControlType.LEADER_CHANGE: LeaderChangeMessage,
    ControlType.SNAPSHOT_HEADER: SnapshotHeaderRecord,
    ControlType.SNAPSHOT_FOOTER: SnapshotFooterRecord,
    ControlType.KRAFT_VERSION: KRaftVersionRecord,
    ControlType.KRAFT_VOTERS: VotersRecord,
}


class EndMarker(NamedTuple):
    """How a transaction ended, and the epoch of the coordinator that says so."""

    commit: bool
    coordinator_epoch: int


def control_key(kind: ControlType) -> bytes:
    """The key of a control record."""
    return _KEY.pack(0, kind)


def parse_control_key(key: bytes | None) -> int:
    """The kind of control record, perhaps none of `ControlType`. Raises `CorruptRecord`.

    A version above 0 is read as 0: versions only add to the end.
    """
    if key is None or len(key) < _KEY.size:
        raise CorruptRecord("control record key is cut off")
    version, kind = _KEY.unpack_from(key)
    if version < 0:
        raise CorruptRecord(f"control record key of version {version}")
    return int(kind)


def read_marker(record: Record) -> EndMarker:
    """The transaction marker in a record of a control batch. Raises `CorruptRecord`."""
    kind = parse_control_key(record.key)
    if kind not in (ControlType.ABORT, ControlType.COMMIT):
        raise CorruptRecord(f"control record of type {kind} is no transaction marker")
    try:
        version, coordinator_epoch = _MARKER.unpack_from(record.value or b"")
    except StructError:
        raise CorruptRecord("transaction marker is cut off") from None
    if version < 0:
        raise CorruptRecord(f"transaction marker of version {version}")
    return EndMarker(kind == ControlType.COMMIT, coordinator_epoch)


def build_marker(
    producer_id: int,
    producer_epoch: int,
    marker: EndMarker,
    timestamp: int,
    *,
    base_offset: int = 0,
    leader_epoch: int = NO_LEADER_EPOCH,
) -> bytearray:
    """The batch that ends a transaction on one partition; `timestamp` in ms."""
    kind = ControlType.COMMIT if marker.commit else ControlType.ABORT
    value = _MARKER.pack(0, marker.coordinator_epoch)
    return build_batch(
        [(control_key(kind), value, timestamp, ())],
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        transactional=True,
        control=True,
    )


def read_control(record: Record) -> Message | None:
    """The KRaft message in a record of a control batch; None for kinds unknown, and markers.

    Raises `CorruptRecord`. A higher version is read as 0, as Kafka does.
    """
    message = _MESSAGES.get(parse_control_key(record.key))
    if message is None:
        return None
    try:
        return decode(message, _VALUE_VERSION, record.value or b"")
    except ProtocolError as error:
        raise CorruptRecord(f"{message.NAME}: {error}") from None


def build_control(
    messages: Sequence[tuple[ControlType, Message]],
    timestamp: int,
    *,
    base_offset: int = 0,
    leader_epoch: int,
) -> bytearray:
    """A control batch of KRaft messages, one record each; `timestamp` in ms."""
    records: list[NewRecord] = [
        (control_key(kind), encode(message, _VALUE_VERSION), timestamp, ())
        for kind, message in messages
    ]
    return build_batch(records, base_offset=base_offset, leader_epoch=leader_epoch, control=True)
