"""What the cleaner knows of itself: the figures behind Kafka's `LogCleaner` and `LogCleanerManager`."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from barnabas.log.cleaning.plan import Summary


class Cleaned(NamedTuple):
    """The last cleaning of one of those that run at once."""

    took_ms: int
    summary: Summary


class CleanerStats:
    """Of the last look at all logs, and of the last cleanings, as many as may run at once.

    Times are monotonic milliseconds.
    """

    def __init__(self, now_ms: int) -> None:
        self.looked_ms = now_ms
        """When it last looked for work."""
        self.dirtiest = 0.0
        """The highest share of cleanable bytes in a log."""
        self.overdue_ms = 0
        """How long records had waited beyond `max.compaction.lag.ms` when something was cleaned."""
        self.last: deque[Cleaned] = deque(maxlen=1)

    def looked(self, now_ms: int, dirtiest: float, overdue_ms: int | None) -> None:
        """All logs were looked at; `overdue_ms` when one of them is to be cleaned."""
        self.looked_ms = now_ms
        self.dirtiest = dirtiest
        if overdue_ms is not None:
            self.overdue_ms = overdue_ms

    def cleaned(self, took_ms: int, summary: Summary, threads: int) -> None:
        """A cleaning came to its end."""
        if self.last.maxlen != threads:
            self.last = deque(self.last, maxlen=threads)
        self.last.append(Cleaned(took_ms, summary))

    @property
    def recopied(self) -> float:
        """Share of the bytes read that was written again."""
        read = sum(one.summary.bytes_read for one in self.last)
        return sum(one.summary.bytes_written for one in self.last) / max(read, 1)

    @property
    def longest_ms(self) -> int:
        """How long the longest took."""
        return max((one.took_ms for one in self.last), default=0)

    @property
    def fullest(self) -> float:
        """The highest share of its memory that a map of keys took."""
        return max((one.summary.map_used for one in self.last), default=0.0)
