"""What is timed on hot paths: durations go into buckets, and who asks later does the work.

Pure. Nothing here reads a clock: durations are nanoseconds that the caller has measured.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

#: Upper bounds of the buckets, four to each doubling, 4 µs to 67 s: a quantile is off by 9 % at most.
BOUNDS_NS: Final = tuple(round(4000 * 2 ** (step / 4)) for step in range(97))
BUCKETS: Final = len(BOUNDS_NS) + 1
#: Quantiles tell of the last one to two of these.
WINDOW_MS: Final = 60_000


class Times:
    """Durations of one thing.

    Hot paths do not call `add` but what it does: `counts[bisect_left(BOUNDS_NS, ns)] += 1` and
    `total_ns += ns`.
    """

    __slots__ = ("_middle", "_old", "_turned_ms", "counts", "total_ns")

    def __init__(self) -> None:
        #: How many fell into each bucket, since the start.
        self.counts = [0] * BUCKETS
        self.total_ns = 0
        self._old: list[int] = []
        self._middle: list[int] = []
        self._turned_ms: int | None = None

    def add(self, ns: int) -> None:
        """Note one duration."""
        self.counts[bisect_left(BOUNDS_NS, ns)] += 1
        self.total_ns += ns

    @property
    def count(self) -> int:
        """How many, since the start."""
        return sum(self.counts)

    def recent(self, now_ms: int) -> list[int]:
        """Counts per bucket over the last one to two windows (over all, at first).

        `now_ms` is monotonic. Windows turn when somebody asks, so nothing is done while nobody does.
        """
        if self._turned_ms is None:
            self._turned_ms = now_ms
            self._old = self._middle = [0] * BUCKETS
        elif now_ms - self._turned_ms >= WINDOW_MS:
            self._turned_ms = now_ms
            self._old, self._middle = self._middle, list(self.counts)
        return [now - then for now, then in zip(self.counts, self._old, strict=True)]


def quantile_ns(counts: Sequence[int], share: float) -> float:
    """The duration below which `share` (0 to 1) of all in `counts` lie; 0 when there are none."""
    total = sum(counts)
    wanted = share * total
    below = 0
    for index, count in enumerate(counts):
        if count and below + count >= wanted:
            low = BOUNDS_NS[index - 1] if index else 0
            high = BOUNDS_NS[index] if index < len(BOUNDS_NS) else low
            return low + (high - low) * max(0.0, wanted - below) / count
        below += count
    return 0.0
