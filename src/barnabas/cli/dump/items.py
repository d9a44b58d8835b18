"""What a dump is made of."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

from barnabas.ports import Buffer
from barnabas.wire import uuids
from barnabas.wire.message import Message

Item = dict[str, object]
"""One thing found in a file: `kind`, `position` (bytes), and what belongs to the kind."""


class Damage(Exception):
    """The first wrong byte of a file: where, and why."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"position {position}: {reason}")
        self.position = position
        self.reason = reason


def text(value: Buffer | None) -> object:
    """Bytes as a string if they are UTF-8, else as `{"base64": ...}`; None stays."""
    if value is None:
        return None
    raw = bytes(value)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(raw).decode("ascii")}


def moment(timestamp: int) -> object:
    """A timestamp in ms as ISO 8601 in UTC; as the number it is where there is no such time."""
    if timestamp < 0:
        return timestamp
    try:
        when = datetime.fromtimestamp(timestamp / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return timestamp
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def message_fields(message: Message) -> Item:
    """The fields of a message by name, as plain data."""
    plain: Item = {}
    for field in message.FIELDS:
        kind = field.element if field.kind == "array" else field.kind
        plain[field.name] = _plain(getattr(message, field.name), kind)
    return plain


def _plain(value: object, kind: str) -> object:
    if isinstance(value, Message):
        return message_fields(value)
    if isinstance(value, list):
        return [_plain(element, kind) for element in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return uuids.to_text(bytes(value)) if kind == "uuid" else text(value)
    return value
