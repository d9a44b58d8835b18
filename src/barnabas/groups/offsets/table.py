"""The committed offsets of one shard, and those of transactions that are still open."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final, TypeAlias, TypeVar

from barnabas.groups.records.offset_commit_value import OffsetCommitValue

NO_EXPIRY = -1

SHARED_MAX: Final = 10_000
"""Topics, their ids and numbers of partitions of which all offsets share one object."""


class Committed:
    """One committed offset; times in wall ms.

    `leader_epoch` and `expire_ms` are -1 when not given. `record_offset` is where the record stands
    in the log. There may be millions: about 200 bytes each, with their place in the table.
    """

    __slots__ = (
        "commit_ms",
        "expire_ms",
        "leader_epoch",
        "metadata",
        "offset",
        "record_offset",
        "topic_id",
    )

    def __init__(self, value: OffsetCommitValue, record_offset: int) -> None:
        self.offset = value.offset
        self.leader_epoch = value.leader_epoch
        self.metadata = value.metadata
        self.commit_ms = value.commit_timestamp
        self.expire_ms = value.expire_timestamp
        self.topic_id = value.topic_id
        self.record_offset = record_offset


ByTopic: TypeAlias = dict[str, dict[int, Committed]]
Place: TypeAlias = tuple[str, str, int]
"""(group, topic, partition)."""


T = TypeVar("T", bound=Hashable)


def _shared(known: dict[T, T], value: T) -> T:
    if len(known) >= SHARED_MAX and value not in known:
        known.clear()
    return known.setdefault(value, value)


class OffsetTable:
    """Offsets by group, topic and partition; and by producer id those that a transaction holds."""

    def __init__(self) -> None:
        self._groups: dict[str, ByTopic] = {}
        self._count = 0
        self._names: dict[str, str] = {}
        self._ids: dict[bytes, bytes] = {}
        self._numbers: dict[int, int] = {}
        self._last_ms = 0
        """What very many offsets share: topics, their ids, numbers of partitions, the time of their
        commit. One object for each, not one for each offset; what is forgotten here is only shared
        with less."""
        self._pending: dict[int, dict[Place, Committed]] = {}
        self._open: dict[str, dict[tuple[str, int], dict[int, None]]] = {}
        """Group -> (topic, partition) -> producer ids with a pending offset for it."""

    def __len__(self) -> int:
        return self._count

    def of_group(self, group_id: str) -> ByTopic:
        """What a group has committed. Not to be changed."""
        return self._groups.get(group_id, {})

    def count_of(self, group_id: str) -> int:
        """How many offsets a group has committed."""
        return sum(map(len, self._groups.get(group_id, {}).values()))

    def get(self, group_id: str, topic: str, partition: int) -> Committed | None:
        """One committed offset."""
        return self._groups.get(group_id, {}).get(topic, {}).get(partition)

    def unstable(self, group_id: str, topic: str, partition: int) -> bool:
        """Whether an open transaction holds an offset for it."""
        return (topic, partition) in self._open.get(group_id, ())

    def holds_pending(self, group_id: str) -> bool:
        """Whether an open transaction holds an offset of the group."""
        return group_id in self._open

    def places(self, group_id: str) -> Iterator[Place]:
        """Everything of a group, pending or not; each place once."""
        for topic, partitions in self._groups.get(group_id, {}).items():
            for partition in partitions:
                yield group_id, topic, partition
        for topic, partition in self._open.get(group_id, {}):
            if self.get(group_id, topic, partition) is None:
                yield group_id, topic, partition

    def of_topic(self, topic: str, topic_id: bytes, none: bytes) -> Iterator[Place]:
        """Everything committed for a topic that is gone: under its id, or under no id (`none`)."""
        for group_id, topics in self._groups.items():
            for partition, committed in topics.get(topic, {}).items():
                if committed.topic_id in (none, topic_id):
                    yield group_id, topic, partition
        for pending in self._pending.values():
            for place, committed in pending.items():
                if place[1] == topic and committed.topic_id in (none, topic_id):
                    yield place

    # -- replay ----------------------------------------------------------------------------------

    def put(self, place: Place, committed: Committed) -> None:
        """An offset is committed."""
        group_id, topic, partition = place
        partitions = self.place(group_id, topic)
        former = partitions.get(partition)
        committed.commit_ms = self.shared_time(committed.commit_ms)
        if former is not None and former.topic_id == committed.topic_id:
            committed.topic_id = former.topic_id  # which is shared, and so is the key that stays
        else:
            self._count += former is None
            committed.topic_id = self.shared_id(committed.topic_id)
            partition = self.shared_number(partition)
        partitions[partition] = committed

    def place(self, group_id: str, topic: str) -> dict[int, Committed]:
        """Where the offsets of a group for a topic are. For `put` and for `BulkOffsets`, which puts
        something in at once, shares what can be shared, and says how many were `added`."""
        topics = self._groups.get(group_id)
        if topics is None:
            topics = self._groups[group_id] = {}
        partitions = topics.get(topic)
        if partitions is None:
            partitions = topics[_shared(self._names, topic)] = {}
        return partitions

    def added(self, count: int) -> None:
        """So many offsets are there that were not."""
        self._count += count

    def shared_id(self, topic_id: bytes) -> bytes:
        """The one object for a topic's id."""
        return _shared(self._ids, topic_id)

    def shared_number(self, partition: int) -> int:
        """The one object for the number of a partition."""
        return _shared(self._numbers, partition)

    def shared_time(self, ms: int) -> int:
        """The one object for a time, if the last one was the same."""
        if ms != self._last_ms:
            self._last_ms = ms
        return self._last_ms

    def put_pending(self, producer_id: int, place: Place, committed: Committed) -> None:
        """An offset is committed if the transaction of this producer is."""
        self._pending.setdefault(producer_id, {})[place] = committed
        group_id, topic, partition = place
        opened = self._open.setdefault(group_id, {})
        opened.setdefault((topic, partition), {})[producer_id] = None

    def remove(self, place: Place) -> None:
        """A tombstone: what is committed, and what is pending."""
        group_id, topic, partition = place
        topics = self._groups.get(group_id)
        if topics is not None and topic in topics:
            self._count -= topics[topic].pop(partition, None) is not None
            if not topics[topic]:
                del topics[topic]
            if not topics:
                del self._groups[group_id]
        for producer_id in list(self._open.get(group_id, {}).get((topic, partition), ())):
            self._pending[producer_id].pop(place, None)
            self._close(producer_id, place)

    def end_transaction(self, producer_id: int, *, commit: bool) -> None:
        """The marker of a producer: the later record wins over what was committed without it."""
        for place, committed in self._pending.pop(producer_id, {}).items():
            self._close(producer_id, place)
            current = self.get(*place)
            if commit and (current is None or committed.record_offset > current.record_offset):
                self.put(place, committed)

    def _close(self, producer_id: int, place: Place) -> None:
        group_id, topic, partition = place
        opened = self._open[group_id]
        producers = opened[(topic, partition)]
        del producers[producer_id]
        if not producers:
            del opened[(topic, partition)]
        if not opened:
            del self._open[group_id]
