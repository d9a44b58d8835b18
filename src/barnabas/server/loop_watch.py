"""How busy the event loop is, measured by the node's sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from barnabas.instruments import Times

#: The idle share is an average over about this time.
AVERAGE_NS: Final = 60_000_000_000
_MS: Final = 1_000_000


class LoopWatch:
    """Lag: how late the sweep's timer was called, so how long anybody had to wait for the loop.

    Idle share: processor time of the loop's thread against the clock. What blocks without working
    (a write that the disk holds up) looks idle here, and shows in the lag.
    """

    __slots__ = ("_cpu_ns", "_due_ns", "_loop_cpu_ns", "_now_ns", "_seen_ns", "idle", "lag")

    def __init__(self, now_ns: Callable[[], int], loop_cpu_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._loop_cpu_ns = loop_cpu_ns
        self._seen_ns = now_ns()
        self._cpu_ns = loop_cpu_ns()
        self._due_ns: int | None = None
        self.lag = Times()
        #: Share of the last minute that the loop had nothing to do, 0 to 1.
        self.idle = 1.0

    def swept(self, next_ms: int) -> None:
        """The sweep runs; its next turn is in `next_ms`."""
        now, cpu = self._now_ns(), self._loop_cpu_ns()
        if self._due_ns is not None:
            self.lag.add(max(0, now - self._due_ns))
        self._due_ns = now + next_ms * _MS
        passed = now - self._seen_ns
        if passed > 0:
            idle = max(0.0, 1.0 - (cpu - self._cpu_ns) / passed)
            weight = min(1.0, passed / AVERAGE_NS)
            self.idle += (idle - self.idle) * weight
        self._seen_ns, self._cpu_ns = now, cpu
