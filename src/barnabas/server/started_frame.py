"""A frame that has not arrived whole: memory for what came, and more of it as more comes."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from barnabas.ports import Buffer
from barnabas.server.limits import (
    FRAME_FIRST_BYTES,
    FRAME_LEAST_TICK_BYTES,
    FRAME_PATIENCE_TICKS,
)

if TYPE_CHECKING:
    from barnabas.server.connection import Connection
    from barnabas.server.memory_budget import MemoryBudget

_SIZE = Struct(">i")


class StartedFrame:
    """Grows by doubling, so that a promise costs nothing; asks the node's budget before it does.

    The connection is paused while the frame is `starved`. It is a `memory_budget.Reader`.
    """

    __slots__ = (
        "_connection",
        "_mark_filled",
        "_mark_tick",
        "_memory",
        "_view",
        "data",
        "filled",
        "starved",
    )

    def __init__(
        self, connection: Connection, memory: MemoryBudget, start: Buffer, trusted: int, tick: int
    ) -> None:
        """Begin with the bytes of `start`; `trusted` bytes may be allocated on a mere promise."""
        self._connection = connection
        self._memory = memory
        self.data = bytearray()
        self.filled = have = len(start)
        self.starved = False
        # Since when it grows, and how much of it was there then.
        self._mark_tick, self._mark_filled = tick, have
        room = 4 + FRAME_FIRST_BYTES
        if have >= 4:
            (size,) = _SIZE.unpack_from(start)
            room = 4 + min(size, max(trusted, 2 * have))
        if room > 4 + FRAME_FIRST_BYTES and not memory.may_grow(self, room):
            room = max(have, FRAME_FIRST_BYTES)
        self._allocate(room, start)
        self.starved = have == room

    @property
    def size(self) -> int:
        """The promised size without the prefix; -1 while that is not known."""
        return int(_SIZE.unpack_from(self.data)[0]) if self.filled >= 4 else -1

    def space(self) -> memoryview:
        """Where the next bytes go."""
        if self.filled == len(self.data):
            self._grow()  # it waits for memory, and this loop delivers nevertheless
        return self._view[self.filled :]

    def extend(self) -> None:
        """There is no space left: make some, or starve."""
        if self._memory.may_grow(self, self.wanted):
            self._grow()
        else:
            self.starved = True

    @property
    def wanted(self) -> int:
        """Bytes by which it should grow."""
        return 4 + min(self.size, 2 * self.filled) - len(self.data)

    @property
    def lacking(self) -> int:
        """Bytes that have not arrived."""
        return 4 + self.size - self.filled

    def granted(self) -> None:
        """There is memory again."""
        self.starved = False
        self._mark_tick, self._mark_filled = self._connection.tick, self.filled
        if self.filled == len(self.data):
            self._grow()
        self._connection.update_reading()

    def rest(self) -> None:
        """Its connection is not read for a while: others may have the memory that it wants."""
        self._memory.give_up(self)

    def go_on(self) -> None:
        """Its connection is read again: ask anew."""
        if self.starved and self._memory.may_grow(self, self.wanted):
            self.granted()

    def crawls(self, tick: int) -> bool:
        """Whether it came too slowly of late for others to wait for it."""
        ticks = tick - self._mark_tick
        arrived = self.filled - self._mark_filled
        return ticks >= FRAME_PATIENCE_TICKS and arrived < ticks * FRAME_LEAST_TICK_BYTES

    def release(self) -> None:
        """It is whole, or never will be: its memory is no longer that of an unfinished frame."""
        self._memory.used -= len(self.data)
        self._memory.give_up(self)

    def _grow(self) -> None:
        """Double what has arrived."""
        self._allocate(len(self.data) + self.wanted, self.data)

    def _allocate(self, room: int, content: Buffer) -> None:
        data = bytearray(room)
        data[: self.filled] = content
        self._memory.used += room - len(self.data)
        self.data = data
        self._view = memoryview(data)
