"""Which of the callbacks that are ready runs next."""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random
from typing import Any, Protocol


class Schedule(Protocol):
    """The ready queue of a loop."""

    def add(self, lane: Any, handle: asyncio.Handle) -> None:
        """Put a callback at the end of its lane."""

    def take(self) -> asyncio.Handle:
        """The next callback. Raises IndexError when none is ready."""

    def __len__(self) -> int: ...


class FifoSchedule:
    """In the order of arrival, as a real loop does it."""

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: deque[asyncio.Handle] = deque()

    def add(self, lane: Any, handle: asyncio.Handle) -> None:  # noqa: ARG002
        """Put a callback at the end."""
        self._ready.append(handle)

    def take(self) -> asyncio.Handle:
        """The oldest callback."""
        return self._ready.popleft()

    def __len__(self) -> int:
        return len(self._ready)


class RandomSchedule:
    """A lane drawn by chance, then the oldest callback of it: a task's own steps stay in order."""

    __slots__ = ("_count", "_lanes", "_random", "_ready")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._lanes: dict[Any, deque[asyncio.Handle]] = {}
        self._ready: list[Any] = []
        self._count = 0

    def add(self, lane: Any, handle: asyncio.Handle) -> None:
        """Put a callback at the end of its lane."""
        queue = self._lanes.get(lane)
        if queue is None:
            self._lanes[lane] = deque((handle,))
            self._ready.append(lane)
        else:
            queue.append(handle)
        self._count += 1

    def take(self) -> asyncio.Handle:
        """The oldest callback of a lane drawn by chance."""
        ready = self._ready
        index = int(self._random.random() * len(ready)) if len(ready) > 1 else 0
        lane = ready[index]
        queue = self._lanes[lane]
        handle = queue.popleft()
        if not queue:
            del self._lanes[lane]
            last = ready.pop()
            if index < len(ready):
                ready[index] = last
        self._count -= 1
        return handle

    def __len__(self) -> int:
        return self._count
