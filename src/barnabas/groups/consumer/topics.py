"""The topics of the cluster as consumer groups see them, and the hash that tells that they changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final, NamedTuple, Protocol

from xxhash import xxh3_64_intdigest

_MAGIC: Final = b"\x00"
_INT: Final = Struct("<i")
_HASH: Final = Struct("<Q")


class TopicFacts(NamedTuple):
    """One topic; `partitions` is how many it has."""

    name: str
    topic_id: bytes
    partitions: int


class Topics(Protocol):
    """The committed metadata, read-only."""

    @property
    def version(self) -> int:
        """Rises with every change: the offset of the last metadata record."""

    def by_name(self, name: str) -> TopicFacts | None:
        """The topic of this name."""

    def by_id(self, topic_id: bytes) -> TopicFacts | None:
        """The topic of this id."""

    def names(self) -> Iterable[str]:
        """All names."""

    def racks(self, topic_id: bytes, partition: int) -> Sequence[str]:
        """The racks of a partition's replicas, as far as they are known, one for each replica."""


class NoTopics:
    """A cluster without topics."""

    version = -1

    def by_name(self, name: str) -> TopicFacts | None:
        """None."""
        del name
        return None

    def by_id(self, topic_id: bytes) -> TopicFacts | None:
        """None."""
        del topic_id
        return None

    def names(self) -> Iterable[str]:
        """None."""
        return ()

    def racks(self, topic_id: bytes, partition: int) -> Sequence[str]:
        """None."""
        del topic_id, partition
        return ()


class TopicHashes:
    """Kafka's metadata hash (KIP-1101), with the hash of each topic remembered.

    `forget` is to be called for each topic that changed.
    """

    __slots__ = ("_known", "_topics")

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._known: dict[str, int] = {}

    def forget(self, names: Iterable[str]) -> None:
        """These topics are not what they were."""
        for name in names:
            self._known.pop(name, None)

    def of_group(self, names: Iterable[str]) -> int:
        """The hash over the topics of these names that exist, as a signed number; 0 for none."""
        out = bytearray()
        for name in sorted(names, key=_utf16):
            topic = self._topics.by_name(name)
            if topic is not None:
                out += _HASH.pack(self._of_topic(topic))
        return _signed(xxh3_64_intdigest(bytes(out))) if out else 0

    def _of_topic(self, topic: TopicFacts) -> int:
        known = self._known.get(topic.name)
        if known is None:
            known = self._known[topic.name] = topic_hash(self._topics, topic)
        return known


def topic_hash(topics: Topics, topic: TopicFacts) -> int:
    """The hash of one topic: its id, name, partitions and their racks."""
    out = bytearray(_MAGIC)
    out += topic.topic_id[7::-1] + topic.topic_id[:7:-1]
    out += _text(topic.name)
    out += _INT.pack(topic.partitions)
    for partition in range(topic.partitions):
        out += _INT.pack(partition)
        for rack in sorted(topics.racks(topic.topic_id, partition), key=_utf16):
            text = _text(rack)
            out += text[-_INT.size :] + text
    return xxh3_64_intdigest(bytes(out))


def _text(text: str) -> bytes:
    units = text.encode("utf-16-le", "surrogatepass")
    return units + _INT.pack(len(units) // 2)


def _utf16(text: str) -> bytes:
    """Java compares strings by UTF-16 units."""
    return text.encode("utf-16-be", "surrogatepass")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
