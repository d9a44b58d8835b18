"""What went through each topic since the start."""

from __future__ import annotations

from typing import Final


class TopicCounters:
    """Counts of one topic. The data path adds to the fields itself."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "bytes_rejected",
        "events_in",
        "failed_fetches",
        "failed_produces",
        "fetches",
        "produces",
    )

    def __init__(self) -> None:
        self.events_in = 0
        self.bytes_in = 0
        self.bytes_out = 0
        #: Of batches that were larger than the topic takes.
        self.bytes_rejected = 0
        #: Partitions asked for by Produce and answered by Fetch, and how many of them got an error.
        self.produces = 0
        self.failed_produces = 0
        self.fetches = 0
        self.failed_fetches = 0

    def add(self, other: TopicCounters) -> None:
        """Take over the counts of another."""
        for name in FIELDS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


FIELDS: Final = TopicCounters.__slots__


class TopicTable:
    """The counters of all topics that were used, and the sum of those that are gone."""

    __slots__ = ("_topics", "gone")

    def __init__(self) -> None:
        self._topics: dict[str, TopicCounters] = {}
        self.gone = TopicCounters()

    def of(self, topic: str) -> TopicCounters:
        """The counters of a topic."""
        counters = self._topics.get(topic)
        if counters is None:
            counters = self._topics[topic] = TopicCounters()
        return counters

    def forget(self, topic: str) -> None:
        """The topic is deleted: its counts go on in the sum alone, which must not fall."""
        counters = self._topics.pop(topic, None)
        if counters is not None:
            self.gone.add(counters)

    def items(self) -> list[tuple[str, TopicCounters]]:
        """Topics and their counters."""
        return list(self._topics.items())
