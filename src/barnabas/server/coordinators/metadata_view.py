"""What coordinators of groups see of the metadata: topics, and the configs of groups."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from barnabas.groups.consumer.topics import TopicFacts
from barnabas.groups.state import ASSIGNMENT_MS, HEARTBEAT_MS, SESSION_MS
from barnabas.metadata.image.configs import GROUP

if TYPE_CHECKING:
    from barnabas.metadata.image.topics import Topic
    from barnabas.server.broker import Broker

log = logging.getLogger("barnabas.server")

#: Config of a group -> the node's limits.
_CONFIGS: Final = {
    SESSION_MS: ("group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
    HEARTBEAT_MS: (
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    ASSIGNMENT_MS: (
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
}


class ImageTopics:
    """The topics of the committed metadata, as consumer groups ask for them (`Topics`)."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @property
    def version(self) -> int:
        """The offset of the last metadata record."""
        return self._broker.image.provenance.offset

    def by_name(self, name: str) -> TopicFacts | None:
        """The topic of this name."""
        return _facts(self._broker.image.topics.by_name.get(name))

    def by_id(self, topic_id: bytes) -> TopicFacts | None:
        """The topic of this id."""
        return _facts(self._broker.image.topics.by_id.get(topic_id))

    def names(self) -> Iterable[str]:
        """All names."""
        return self._broker.image.topics.by_name

    def racks(self, topic_id: bytes, partition: int) -> Sequence[str]:
        """The racks of the replicas whose brokers have one."""
        image = self._broker.image
        topic = image.topics.by_id.get(topic_id)
        found = None if topic is None else topic.partitions.get(partition)
        brokers = [image.cluster.brokers.get(r) for r in (found.replicas if found else ())]
        return [b.rack for b in brokers if b is not None and b.rack is not None]


def _facts(topic: Topic | None) -> TopicFacts | None:
    return None if topic is None else TopicFacts(topic.name, topic.id, len(topic.partitions))


class GroupConfigs:
    """The configs that groups have for themselves, within the limits of the node.

    What is stored beyond the limits (they may have been others then) is taken to the nearest one,
    with a line in the log, as Kafka does.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._known: dict[str, tuple[Mapping[str, str], Mapping[str, int]]] = {}

    def __call__(self, group_id: str) -> Mapping[str, int]:
        """Name -> value, of those that are set."""
        stored = self._broker.image.configs.of(GROUP, group_id)
        if not stored:
            self._known.pop(group_id, None)
            return {}
        known = self._known.get(group_id)
        if known is None or known[0] is not stored:
            known = self._known[group_id] = (stored, self._read(group_id, stored))
        return known[1]

    def _read(self, group_id: str, stored: Mapping[str, str]) -> Mapping[str, int]:
        found = {}
        for name, (lowest, highest) in _CONFIGS.items():
            text = stored.get(name)
            if text is None:
                continue
            try:
                value = int(text)
            except ValueError:
                continue  # of another release: it counts as not set
            low, high = (self._broker.config.get_int(limit) for limit in (lowest, highest))
            found[name] = min(max(value, low), high)
            if found[name] != value:
                log.warning("group %s: %s=%d counts as %d", group_id, name, value, found[name])
        return found
