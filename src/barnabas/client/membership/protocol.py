"""What members of a classic group tell each other: subscriptions and assignments as bytes.

The formats are ConsumerProtocolSubscription and ConsumerProtocolAssignment, each behind its version
number; the user data of the sticky assignors is that of Kafka's Java client.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError

from barnabas.client.fetch_core import TopicPartition
from barnabas.wire.codec import decode, encode
from barnabas.wire.errors import ProtocolError
from barnabas.wire.messages import consumer_protocol_assignment as assignments
from barnabas.wire.messages import consumer_protocol_subscription as subscriptions

CONSUMER = "consumer"
"""The protocol type."""
NO_GENERATION = -1
_VERSION = Struct(">h")
_INT32 = Struct(">i")
_NEWEST = subscriptions.ConsumerProtocolSubscription.VERSIONS[1]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One member's wishes and belongings."""

    topics: tuple[str, ...]
    user_data: bytes | None = None
    owned: tuple[TopicPartition, ...] = ()
    generation: int = NO_GENERATION
    rack: str | None = None
    instance_id: str | None = None
    """Travels in JoinGroup, not in the subscription."""


def by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    """Partition numbers of each topic, sorted."""
    found: dict[str, list[int]] = {}
    for topic, number in sorted(partitions):
        found.setdefault(topic, []).append(number)
    return found


def encode_subscription(subscription: Subscription) -> bytes:
    """The metadata of a member in JoinGroup, in the newest version."""
    owned = by_topic(subscription.owned).items()
    message = subscriptions.ConsumerProtocolSubscription(
        topics=sorted(subscription.topics),
        user_data=subscription.user_data,
        owned_partitions=[subscriptions.TopicPartition(t, numbers) for t, numbers in owned],
        generation_id=subscription.generation,
        rack_id=subscription.rack,
    )
    return _VERSION.pack(_NEWEST) + encode(message, _NEWEST)


def decode_subscription(data: bytes, instance_id: str | None = None) -> Subscription:
    """What a member wrote, in any version. Raises `ProtocolError`."""
    message = decode(subscriptions.ConsumerProtocolSubscription, _version(data), data, 2)
    owned = [(t.topic, number) for t in message.owned_partitions for number in t.partitions]
    user_data = None if message.user_data is None else bytes(message.user_data)
    return Subscription(
        tuple(message.topics),
        user_data,
        tuple(owned),
        message.generation_id,
        message.rack_id,
        instance_id,
    )


def encode_assignment(partitions: Iterable[TopicPartition]) -> bytes:
    """A member's share, as the leader hands it to SyncGroup."""
    message = assignments.ConsumerProtocolAssignment(
        [assignments.TopicPartition(t, numbers) for t, numbers in by_topic(partitions).items()]
    )
    return _VERSION.pack(_NEWEST) + encode(message, _NEWEST)


def decode_assignment(data: bytes) -> frozenset[TopicPartition]:
    """A member's share. Raises `ProtocolError`."""
    message = decode(assignments.ConsumerProtocolAssignment, _version(data), data, 2)
    return frozenset((t.topic, n) for t in message.assigned_partitions for n in t.partitions)


def _version(data: bytes) -> int:
    """The version to read by: a newer one begins with what the newest known one has."""
    if len(data) < _VERSION.size:
        raise ProtocolError(f"{len(data)} bytes where a version should be")
    version: int = _VERSION.unpack_from(data)[0]
    if version < 0:
        raise ProtocolError(f"version {version} of the consumer protocol")
    return min(version, _NEWEST)


# -- the sticky assignors' user data ---------------------------------------------------------------


def encode_sticky(owned: Iterable[TopicPartition], generation: int) -> bytes:
    """`sticky`, version 1: what the member had, and in which generation."""
    topics = by_topic(owned)
    out = bytearray(_INT32.pack(len(topics)))
    for topic, numbers in topics.items():
        raw = topic.encode()
        out += _VERSION.pack(len(raw)) + raw + _INT32.pack(len(numbers))
        for number in numbers:
            out += _INT32.pack(number)
    return bytes(out + _INT32.pack(generation))


def decode_sticky(data: bytes | None) -> tuple[tuple[TopicPartition, ...], int]:
    """Partitions and generation of version 1 or 0 (which has none); nothing when it is broken."""
    if not data:
        return (), NO_GENERATION
    try:
        owned, pos = _read_topics(data)
        generation: int = NO_GENERATION
        if len(data) >= pos + _INT32.size:
            generation = _INT32.unpack_from(data, pos)[0]
    except (StructError, UnicodeDecodeError, ValueError):
        return (), NO_GENERATION
    return tuple(owned), generation


def _read_topics(data: bytes) -> tuple[list[TopicPartition], int]:
    owned: list[TopicPartition] = []
    (count,), pos = _INT32.unpack_from(data), _INT32.size
    for _ in range(count):
        (size,) = _VERSION.unpack_from(data, pos)
        pos += _VERSION.size
        if not 0 <= size <= len(data) - pos:
            raise ValueError("a topic name is cut off")
        topic = data[pos : pos + size].decode()
        pos += size
        (numbers,) = _INT32.unpack_from(data, pos)
        pos += _INT32.size
        if not 0 <= numbers <= (len(data) - pos) // _INT32.size:
            raise ValueError("partitions are cut off")
        for _ in range(numbers):
            owned.append((topic, _INT32.unpack_from(data, pos)[0]))
            pos += _INT32.size
    return owned, pos


def encode_cooperative(generation: int) -> bytes:
    """`cooperative-sticky`, version 0: the generation; partitions travel in the subscription."""
    return _INT32.pack(generation)


def decode_cooperative(data: bytes | None) -> int:
    """The generation, -1 when there is none."""
    if data is None or len(data) < _INT32.size:
        return NO_GENERATION
    generation: int = _INT32.unpack_from(data)[0]
    return generation
