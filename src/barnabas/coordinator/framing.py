"""Keys and values of coordinator records: a 16-bit type or version, then the message.

The number in front of a key is the type of the record; in front of a value, the value's version.
Keys are never flexible. A null value is a tombstone.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple, TypeAlias

from barnabas.wire.codec import decode, writer
from barnabas.wire.errors import ProtocolError
from barnabas.wire.message import Message
from barnabas.wire.primitives import Buffer

_NUMBER = Struct(">h")

RecordTypes: TypeAlias = Mapping[int, tuple[type[Message], type[Message]]]
"""Record type -> (key class, value class)."""


class CoordinatorRecord(NamedTuple):
    """One record of a coordinator: what it is about, and the state from now on.

    `version` is the version in which the value is written; a value of None is a tombstone.
    """

    key: Message
    value: Message | None
    version: int = 0


class ReadyRecord:
    """A record of a kind that is written so often that it makes its bytes without messages, which
    are there for who asks. It equals the `CoordinatorRecord` of the same messages."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]
    version = 0

    @property
    def key(self) -> Message:
        """What it is about."""
        raise NotImplementedError

    @property
    def value(self) -> Message | None:
        """The state from now on."""
        raise NotImplementedError

    def encode(self) -> tuple[bytes, bytes | None]:
        """Key and value as they stand in the log."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        mine = CoordinatorRecord(self.key, self.value, self.version)
        if isinstance(other, ReadyRecord):
            return mine == (other.key, other.value, other.version)
        return mine == other


AnyRecord: TypeAlias = CoordinatorRecord | ReadyRecord


class DamagedRecord(Exception):
    """The bytes of a coordinator record are no such record."""


def encode_key(key: Message) -> bytes:
    """The bytes of a record's key."""
    out = bytearray(_NUMBER.pack(key.API_KEY))
    writer(type(key), 0)(key, out)
    return bytes(out)


def encode_value(value: Message, version: int) -> bytes:
    """The bytes of a record's value."""
    out = bytearray(_NUMBER.pack(version))
    writer(type(value), version)(value, out)
    return bytes(out)


def encode_record(record: AnyRecord) -> tuple[bytes, bytes | None]:
    """Key and value as they stand in the log."""
    if isinstance(record, ReadyRecord):
        return record.encode()
    value = record.value
    return encode_key(record.key), None if value is None else encode_value(value, record.version)


def decode_record(
    types: RecordTypes, key: Buffer | None, value: Buffer | None
) -> CoordinatorRecord | None:
    """The record, or None for a type or a version of a later release, which a loader skips.

    Raises `DamagedRecord`.
    """
    if key is None or len(key) < _NUMBER.size:
        raise DamagedRecord("a record without the type in its key")
    if value is not None and len(value) < _NUMBER.size:
        raise DamagedRecord("a record without the version in its value")
    (number,) = _NUMBER.unpack_from(key)
    found = types.get(number)
    if found is None:
        return None
    key_class, value_class = found
    try:
        about = decode(key_class, 0, key, _NUMBER.size)
        if value is None:
            return CoordinatorRecord(about, None)
        (version,) = _NUMBER.unpack_from(value)
        low, high = value_class.VERSIONS
        if not low <= version <= high:
            return None
        return CoordinatorRecord(about, decode(value_class, version, value, _NUMBER.size), version)
    except ProtocolError as error:
        raise DamagedRecord(f"damaged {key_class.NAME}: {error}") from error
