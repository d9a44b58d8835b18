"""Very many timers that are moved far more often than they run out: the sessions of members."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final, TypeAlias

from barnabas.ports import Clock, Timer

if TYPE_CHECKING:
    from barnabas.coordinator.effects import TimerKey

Name: TypeAlias = "tuple[int, TimerKey]"
"""(partition of the coordinator's topic, key of the shard)."""

#: Timers that run out in one turn of the loop; the rest waits for the next one.
FIRED_AT_ONCE: Final = 200


class Timers:
    """One heap and one clock timer for all shards of a coordinator.

    To move a deadline back costs a dictionary entry: the heap learns of it when the former deadline
    comes. `fire(partition, key)` is called on the loop, after the timer is forgotten.
    """

    def __init__(self, clock: Clock, fire: Callable[[int, TimerKey], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._deadlines: dict[Name, int] = {}
        self._heap: list[tuple[int, int, Name]] = []
        self._queued: dict[Name, int] = {}  # earliest heap entry of a name
        self._numbers = count()
        self._wake: Timer | None = None
        self._wake_at = 0

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, name: Name, at_ms: int) -> None:
        """Run out at this monotonic time; replaces what was set under `name`."""
        self._deadlines[name] = at_ms
        queued = self._queued.get(name)
        if queued is None or at_ms < queued:
            self._queue(name, at_ms)
            self._arm()

    def cancel(self, name: Name) -> None:
        """Forget it; harmless when there is none."""
        self._deadlines.pop(name, None)

    def drop(self, partition: int) -> None:
        """Forget all timers of a shard."""
        for name in [name for name in self._deadlines if name[0] == partition]:
            del self._deadlines[name]
        self._heap = [entry for entry in self._heap if entry[2][0] != partition]
        heapify(self._heap)
        self._queued = {name: at for name, at in self._queued.items() if name[0] != partition}

    def close(self) -> None:
        """Forget everything."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        self._deadlines.clear()
        self._queued.clear()
        self._heap.clear()

    def _queue(self, name: Name, at_ms: int) -> None:
        self._queued[name] = at_ms
        heappush(self._heap, (at_ms, next(self._numbers), name))

    def _arm(self) -> None:
        if not self._heap:
            return
        at = self._heap[0][0]
        if self._wake is not None:
            if self._wake_at <= at:
                return
            self._wake.cancel()
        self._wake_at = at
        delay = max(0, at - self._clock.monotonic_ms())
        self._wake = self._clock.call_later(delay, self._run)

    def _run(self) -> None:
        self._wake = None
        now = self._clock.monotonic_ms()
        for name in self._due(now):
            # One that ran out before it in this turn may have cancelled or moved it.
            deadline = self._deadlines.get(name)
            if deadline is not None and deadline <= now:
                del self._deadlines[name]
                self._fire(*name)
        self._arm()

    def _due(self, now: int) -> list[Name]:
        """Names whose time has come, out of the heap; those that were moved go back in."""
        due: list[Name] = []
        while self._heap and self._heap[0][0] <= now and len(due) < FIRED_AT_ONCE:
            at, _, name = heappop(self._heap)
            if self._queued.get(name) != at:
                continue  # an earlier deadline was queued for it since
            del self._queued[name]
            deadline = self._deadlines.get(name)
            if deadline is None:
                continue
            if deadline <= now:
                due.append(name)
            else:
                self._queue(name, deadline)
        return due
