"""Who may work on the event loop next, of several that have much to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from barnabas.ports import Clock

#: How long one piece of work may hold the loop: short enough for whoever waits beside it.
SLICE_NS: Final = 5_000_000
#: And so many looks at the clock, where code takes no time (the simulator).
LOOKS: Final = 20


class Turns:
    """Gives one turn in each turn of the loop, so that all together hold it no longer than one alone.

    Who somebody waits for goes first; else who came first, so that it is done before the next begins.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now_ns = clock.monotonic_ns
        self._asking: dict[Turn, asyncio.Future[None]] = {}
        self._giving = False
        self._count = 0

    def join(self, urgent: Callable[[], bool]) -> Turn:
        """A place among those who work; `urgent` says whether somebody waits for its work."""
        self._count += 1
        return Turn(self, self._count, urgent)

    async def ask(self, turn: Turn) -> int:
        """Wait; returns when the turn ends (monotonic ns)."""
        self._asking[turn] = asyncio.get_running_loop().create_future()
        if not self._giving:
            self._giving = True
            self._clock.call_later(0, self._give)
        try:
            await self._asking[turn]
        finally:
            del self._asking[turn]
        return self._now_ns() + SLICE_NS

    def over(self, end_ns: int) -> bool:
        """Whether a turn's time is up."""
        return self._now_ns() >= end_ns

    def _give(self) -> None:
        asking = [turn for turn, given in self._asking.items() if not given.done()]
        self._giving = bool(asking)
        if asking:
            self._asking[min(asking, key=Turn.order)].set_result(None)
            self._clock.call_later(0, self._give)


class Turn:
    """One who works in turns."""

    __slots__ = ("_end_ns", "_looks", "_number", "_turns", "_urgent")

    def __init__(self, turns: Turns, number: int, urgent: Callable[[], bool]) -> None:
        self._turns = turns
        self._number = number
        self._urgent = urgent
        self._end_ns = 0
        self._looks = 0

    def order(self) -> tuple[bool, int]:
        """The smallest goes first."""
        return not self._urgent(), self._number

    async def begin(self) -> None:
        """Wait until it is one's turn, and work no longer than until it is `over`."""
        self._end_ns = await self._turns.ask(self)
        self._looks = 0

    @property
    def over(self) -> bool:
        """Whether it is time to let others go on."""
        self._looks += 1
        return self._looks >= LOOKS or self._turns.over(self._end_ns)
