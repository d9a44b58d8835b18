"""What consumers of the classic protocol say to each other: subscriptions and assignments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeVar

from barnabas.wire.codec import decode, writer
from barnabas.wire.errors import ProtocolError
from barnabas.wire.message import Message
from barnabas.wire.messages.consumer_protocol_assignment import (
    ConsumerProtocolAssignment,
    TopicPartition,
)
from barnabas.wire.messages.consumer_protocol_subscription import ConsumerProtocolSubscription

if TYPE_CHECKING:
    from barnabas.groups.consumer.topics import Topics

_VERSION: Final = Struct(">h")
_HIGHEST: Final = 3

M = TypeVar("M", bound=Message)


def version_of(data: bytes) -> int:
    """The version of a subscription or an assignment, as far as we know it.

    Raises `ProtocolError`.
    """
    if len(data) < _VERSION.size:
        raise ProtocolError("no version")
    version: int = _VERSION.unpack_from(data)[0]
    if version < 0:
        raise ProtocolError(f"version {version}")
    return min(version, _HIGHEST)


def _read(kind: type[M], data: bytes) -> M:
    return decode(kind, version_of(data), data, _VERSION.size)


def read_subscription(data: bytes) -> ConsumerProtocolSubscription:
    """What a member subscribes to, and owns. Raises `ProtocolError`."""
    return _read(ConsumerProtocolSubscription, data)


def read_assignment(data: bytes) -> ConsumerProtocolAssignment:
    """What a member was assigned. Raises `ProtocolError`."""
    return _read(ConsumerProtocolAssignment, data)


def write_assignment(
    topics: Topics, partitions: Mapping[bytes, Iterable[int]], version: int
) -> bytes:
    """An assignment as a classic member reads it; topics that are gone are left out."""
    named = []
    for topic_id, numbers in partitions.items():
        topic = topics.by_id(topic_id)
        if topic is not None:
            named.append(TopicPartition(topic.name, sorted(numbers)))
    out = bytearray(_VERSION.pack(version))
    writer(ConsumerProtocolAssignment, version)(ConsumerProtocolAssignment(named), out)
    return bytes(out)
