"""Topics and their partitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from barnabas.metadata.errors import MetadataError
from barnabas.metadata.image.changes import MapDelta
from barnabas.metadata.image.partition import Partition
from barnabas.metadata.record_types import (
    ClearElrRecord,
    PartitionChangeRecord,
    PartitionRecord,
    RemoveTopicRecord,
    TopicRecord,
)
from barnabas.wire import uuids


def unified_name(name: str) -> str:
    """The form under which names that differ only in `.` and `_` collide (metric names)."""
    return name.replace(".", "_")


def has_collision_chars(name: str) -> bool:
    """Whether a name can collide with another one at all."""
    return "_" in name or "." in name


class Topic(NamedTuple):
    """A topic; `partitions` maps the partition number to its state."""

    name: str
    id: bytes
    partitions: Mapping[int, Partition]


class TopicsImage(NamedTuple):
    """Topics by id and by name; `collisions` maps a unified name to the names that have it."""

    by_id: Mapping[bytes, Topic]
    by_name: Mapping[str, Topic]
    collisions: Mapping[str, tuple[str, ...]]

    @classmethod
    def empty(cls) -> TopicsImage:
        """No topics."""
        return cls({}, {}, {})

    def partition(self, name: str, partition: int) -> Partition | None:
        """One partition by name and number."""
        topic = self.by_name.get(name)
        return None if topic is None else topic.partitions.get(partition)

    def records(
        self, metadata_version: int, elr_enabled: bool
    ) -> Iterator[TopicRecord | PartitionRecord]:
        """Back to records: each topic followed by its partitions."""
        for topic in self.by_id.values():
            yield TopicRecord(name=topic.name, topic_id=topic.id)
            for number, partition in topic.partitions.items():
                yield partition.record(topic.id, number, metadata_version, elr_enabled)


class TopicDelta:
    """Changes to one topic. `base` is its state before, without partitions when it is new."""

    __slots__ = ("base", "created", "partitions")

    def __init__(self, base: Topic, *, created: bool) -> None:
        self.base = base
        self.created = created
        self.partitions: MapDelta[int, Partition] = MapDelta(base.partitions)

    @property
    def changed_partitions(self) -> dict[int, Partition]:
        """New state of the partitions that changed (partitions are never removed one by one)."""
        return {n: p for n, p in self.partitions.changes.items() if p is not None}

    def apply(self) -> Topic:
        """The new topic."""
        return Topic(self.base.name, self.base.id, self.partitions.apply())

    def change(self, record: PartitionChangeRecord) -> None:
        """Merge a PartitionChangeRecord."""
        partition = self.partitions.get(record.partition_id)
        if partition is None:
            raise MetadataError(
                f"change of unknown partition {self.base.name}-{record.partition_id}"
            )
        self.partitions.put(record.partition_id, partition.merge(record))

    def clear_elr(self) -> None:
        """Forget eligible and last known leaders (ClearElrRecord); bumps partition epochs."""
        for number in [*self.partitions.base, *self.partitions.changes]:
            partition = self.partitions.get(number)
            if partition is not None and (partition.elr or partition.last_known_elr):
                change = PartitionChangeRecord(
                    partition_id=number,
                    topic_id=self.base.id,
                    eligible_leader_replicas=[],
                    last_known_elr=[],
                )
                self.partitions.put(number, partition.merge(change))


class TopicsDelta:
    """Folds topic and partition records; `changed` and `deleted` are keyed by topic id."""

    __slots__ = ("changed", "created_names", "deleted", "image")

    def __init__(self, image: TopicsImage) -> None:
        self.image = image
        self.changed: dict[bytes, TopicDelta] = {}
        self.created_names: dict[str, bytes] = {}
        self.deleted: dict[bytes, Topic] = {}

    def create(self, record: TopicRecord) -> None:
        """A new topic, without partitions yet."""
        topic = Topic(record.name, record.topic_id, {})
        self.changed[record.topic_id] = TopicDelta(topic, created=True)
        self.created_names[record.name] = record.topic_id

    def put_partition(self, record: PartitionRecord) -> None:
        """A new partition, or the whole state of a known one."""
        partition = Partition.from_record(record)
        self._topic(record.topic_id).partitions.put(record.partition_id, partition)

    def change_partition(self, record: PartitionChangeRecord) -> None:
        """A change to a known partition."""
        self._topic(record.topic_id).change(record)

    def remove(self, record: RemoveTopicRecord) -> str:
        """Delete a topic; returns its name so that its configs can go too."""
        name = self._topic(record.topic_id).base.name
        del self.changed[record.topic_id]
        before = self.image.by_id.get(record.topic_id)
        if before is not None:
            self.deleted[record.topic_id] = before
        if self.created_names.get(name) == record.topic_id:
            del self.created_names[name]
        return name

    def clear_elr(self, record: ClearElrRecord) -> None:
        """Of one topic by name, or of all topics when the name is empty."""
        if record.topic_name:
            self._topic(self._id_of(record.topic_name)).clear_elr()
            return
        for topic_id, topic in self.image.by_id.items():
            if topic_id in self.changed or topic_id in self.deleted:
                continue
            if any(p.elr or p.last_known_elr for p in topic.partitions.values()):
                self._topic(topic_id).clear_elr()
        for delta in self.changed.values():
            delta.clear_elr()

    def apply(self) -> TopicsImage:
        """The new image."""
        if not self.changed and not self.deleted:
            return self.image
        by_id = dict(self.image.by_id)
        by_name = dict(self.image.by_name)
        for topic_id, topic in self.deleted.items():
            del by_id[topic_id]
            del by_name[topic.name]
        for topic_id, delta in self.changed.items():
            topic = delta.apply()
            by_id[topic_id] = topic
            by_name[topic.name] = topic
        return TopicsImage(by_id, by_name, self._collisions(by_name))

    def _collisions(self, by_name: Mapping[str, Topic]) -> Mapping[str, tuple[str, ...]]:
        names = [t.name for t in self.deleted.values()]
        names += [d.base.name for d in self.changed.values() if d.created]
        names = [name for name in names if has_collision_chars(name)]
        if not names:
            return self.image.collisions
        collisions = dict(self.image.collisions)
        for name in names:
            unified = unified_name(name)
            others = tuple(n for n in collisions.get(unified, ()) if n != name)
            collisions[unified] = (*others, name) if name in by_name else others
            if not collisions[unified]:
                del collisions[unified]
        return collisions

    def _topic(self, topic_id: bytes) -> TopicDelta:
        delta = self.changed.get(topic_id)
        if delta is None:
            topic = None if topic_id in self.deleted else self.image.by_id.get(topic_id)
            if topic is None:
                raise MetadataError(f"no topic with id {uuids.to_text(topic_id)}")
            delta = self.changed[topic_id] = TopicDelta(topic, created=False)
        return delta

    def _id_of(self, name: str) -> bytes:
        # Created first: a topic may be deleted and created again in one batch.
        topic_id = self.created_names.get(name)
        if topic_id is None:
            topic = self.image.by_name.get(name)
            if topic is None or topic.id in self.deleted:
                raise MetadataError(f"no topic named {name} to clear eligible leaders of")
            topic_id = topic.id
        return topic_id
