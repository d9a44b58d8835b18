"""A rate over a sliding window of samples, as Kafka measures it.

A sample begins with the first event after the one before it is complete, and is as long as a
window. So that a burst does not count as a rate, the time by which the sum is divided is never less
than all samples but one; it reaches back to the start of the oldest sample.
"""

from __future__ import annotations

from math import floor
from typing import Final

MAX_THROTTLE_MS: Final = 2**31 - 1


class Rate:
    """Sums per sample in a ring of one slot more than `samples`; times are monotonic ms."""

    __slots__ = ("_current", "_horizon_ms", "_lasts", "_samples", "_starts", "_sums", "_window_ms")

    def __init__(self, samples: int, window_ms: int) -> None:
        self._samples = samples
        self._window_ms = window_ms
        self._horizon_ms = samples * window_ms
        self._current = 0
        self._starts: list[int] = []
        self._lasts: list[int] = []
        self._sums: list[float] = []

    def add(self, value: float, now_ms: int) -> None:
        """Count `value` now; a negative one takes back what was counted."""
        starts = self._starts
        at = self._current
        if not starts:
            starts.append(now_ms)
            self._lasts.append(now_ms)
            self._sums.append(0.0)
        elif now_ms - starts[at] >= self._window_ms:
            self._current = at = (at + 1) % (self._samples + 1)
            if at == len(starts):
                starts.append(now_ms)
                self._lasts.append(now_ms)
                self._sums.append(0.0)
            else:
                starts[at] = now_ms
                self._sums[at] = 0.0
        self._sums[at] += value
        self._lasts[at] = now_ms

    def throttle_ms(self, limit: float, now_ms: int, longest_ms: int = MAX_THROTTLE_MS) -> int:
        """How long nothing may be added until the rate (per second) is back at `limit`; 0 when it
        is not above it. Call `add` before."""
        lasts, starts = self._lasts, self._starts
        if now_ms - min(lasts) >= self._horizon_ms:
            for at, last_ms in enumerate(lasts):
                if now_ms - last_ms >= self._horizon_ms:
                    starts[at] = lasts[at] = now_ms
                    self._sums[at] = 0.0
        window_ms = self._window_ms
        elapsed_ms = now_ms - min(starts)
        missing = self._samples - 1 - elapsed_ms // window_ms
        if missing > 0:
            elapsed_ms += missing * window_ms
        elapsed_ms = max(elapsed_ms, 1)
        rate = sum(self._sums) / (elapsed_ms / 1000)
        if not rate > limit:
            return 0
        if limit <= 0:
            return longest_ms
        return floor(min((rate - limit) / limit * elapsed_ms + 0.5, longest_ms))

    def idle(self, now_ms: int) -> bool:
        """Whether it is like a new one: nothing of what was added counts any more."""
        return now_ms - max(self._lasts, default=0) >= self._horizon_ms
