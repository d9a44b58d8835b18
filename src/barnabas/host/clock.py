"""The machine's clocks and the event loop's timers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class HostClock:
    """`ports.Clock` over the operating system and one event loop.

    uvloop rounds timers to milliseconds and counts from the start of the current loop iteration,
    so a callback may run up to one iteration early by `monotonic_ms`: compare deadlines when it
    runs, do not assume that they have passed.
    """

    __slots__ = ("_loop", "monotonic_ns")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.monotonic_ns = time.monotonic_ns

    def wall_ms(self) -> int:
        """Milliseconds since the epoch; may jump."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds from an arbitrary start; never goes back."""
        return time.monotonic_ns() // 1_000_000

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Run `callback` on the event loop after `delay_ms`."""
        return self._loop.call_later(delay_ms / 1000, callback)

    async def sleep(self, delay_ms: int) -> None:
        """Return after `delay_ms`."""
        await asyncio.sleep(delay_ms / 1000)
