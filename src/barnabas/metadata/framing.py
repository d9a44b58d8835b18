"""The value of a record in the metadata log: frame version, type, version, body.

All three numbers are unsigned varints. An unknown type or version is fatal (`MetadataError`):
metadata.version exists so that a node never meets one.
"""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.metadata.errors import MetadataError
from barnabas.metadata.features import (
    MV_CORDONED_LOG_DIRS,
    MV_DIRECTORY_ASSIGNMENT,
    MV_ELR,
    MV_MINIMUM,
    MV_REGISTER_BROKER_V2,
)
from barnabas.metadata.record_types import (
    RECORD_TYPES,
    BrokerRegistrationChangeRecord,
    PartitionChangeRecord,
    PartitionRecord,
    RegisterBrokerRecord,
)
from barnabas.wire.codec import reader, writer
from barnabas.wire.errors import ProtocolError
from barnabas.wire.message import Message
from barnabas.wire.primitives import Buffer, read_uvarint, write_uvarint

FRAME_VERSION = 1
"""0 was a preview format that no release reads any more."""


def encode_record(record: Message, version: int) -> bytes:
    """The framed value of `record` in `version` of its own format."""
    out = bytearray()
    write_uvarint(out, FRAME_VERSION)
    write_uvarint(out, record.API_KEY)
    write_uvarint(out, version)
    writer(type(record), version)(record, out)
    return bytes(out)


def encode_records(records: Iterable[Message], metadata_version: int) -> list[bytes]:
    """Framed values of records, in the versions of a metadata.version."""
    return [encode_record(r, record_version(r, metadata_version)) for r in records]


def decode_record(value: Buffer) -> Message:
    """The record in a framed value.

    Raises MetadataError: wrong frame version, unknown type or version, damaged or left-over bytes.
    """
    view = memoryview(value)
    try:
        frame_version, pos = read_uvarint(view, 0)
        if frame_version != FRAME_VERSION:
            raise MetadataError(f"metadata frame version {frame_version} is not known")
        record_type, pos = read_uvarint(view, pos)
        version, pos = read_uvarint(view, pos)
        cls = RECORD_TYPES.get(record_type)
        if cls is None:
            raise MetadataError(f"metadata record type {record_type} is not known")
        if not cls.VERSIONS[0] <= version <= cls.VERSIONS[1]:
            raise MetadataError(f"version {version} of {cls.NAME} is not known")
        record, end = reader(cls, version)(view, pos)
    except ProtocolError as error:
        raise MetadataError(f"damaged metadata record: {error}") from error
    if end != len(view):
        raise MetadataError(f"{len(view) - end} bytes follow a {cls.NAME}")
    return record


def record_version(record: Message, metadata_version: int) -> int:
    """The version in which a record is written at a metadata.version, as Kafka 4.3.1 chooses."""
    match record:
        case RegisterBrokerRecord():
            if metadata_version >= MV_CORDONED_LOG_DIRS:
                return 4
            if metadata_version >= MV_DIRECTORY_ASSIGNMENT:
                return 3
            return 2 if metadata_version >= MV_REGISTER_BROKER_V2 else 1
        case PartitionRecord() | PartitionChangeRecord():
            if metadata_version >= MV_ELR:
                return 2
            return 1 if metadata_version >= MV_DIRECTORY_ASSIGNMENT else 0
        case BrokerRegistrationChangeRecord():
            if metadata_version >= MV_CORDONED_LOG_DIRS:
                return 3
            if metadata_version >= MV_DIRECTORY_ASSIGNMENT:
                return 2
            return 1 if metadata_version >= MV_MINIMUM else 0
        case _:
            return 0
