"""Answers of one connection on their way out: gathered in a turn of the loop, sent in one write."""

from __future__ import annotations

from functools import partial
from struct import Struct
from typing import TYPE_CHECKING

from barnabas.ports import Buffer, Transport
from barnabas.server.limits import UNSENT_NOTED_BYTES, UNSENT_PATIENCE_TICKS
from barnabas.server.request import Payload, Request

if TYPE_CHECKING:
    from barnabas.server.listener import ListenerContext
    from barnabas.server.meter import Meter

_SIZE = Struct(">i")


class Outbox:
    """What was answered and not yet given to the loop, and how much of that the client has not
    taken."""

    __slots__ = (
        "_blocked_tick",
        "_context",
        "_memory",
        "_out",
        "_scheduled",
        "_unsent",
        "blocked",
        "done",
        "meter",
        "transport",
    )

    def __init__(self, context: ListenerContext) -> None:
        self._context = context
        self._memory = context.memory
        self._out: list[Buffer] = []
        self._scheduled = False
        self._unsent = self._blocked_tick = 0
        self.transport: Transport | None = None
        #: The client does not read.
        self.blocked = False
        #: What was answered since the last flush.
        self.done: list[Request] = []
        #: The connection's share of the loop's time, while somebody has a quota on that.
        self.meter: Meter | None = None

    def add(self, payload: Payload) -> None:
        """An answer, to be sent with the next flush."""
        out = self._out
        if isinstance(payload, list):
            size = sum(map(len, payload))
            out.append(_SIZE.pack(size))
            out.extend(payload)
            if size > UNSENT_NOTED_BYTES:
                self._settle(self._unsent + size)
        else:
            out.append(_SIZE.pack(len(payload)))
            out.append(payload)

    def flush_soon(self) -> None:
        """Send at the end of this turn of the loop."""
        if not self._scheduled and self.done:
            self._scheduled = True
            meter = self.meter
            self._context.call_soon(self.flush if meter is None else partial(meter.run, self.flush))

    def flush(self) -> None:
        """Send."""
        self._scheduled = False
        out, done = self._out, self.done
        transport = self.transport
        if not done:
            return
        self.done = []
        if out and transport is not None:
            self._out = []
            if len(out) == 2:
                transport.write(b"".join(out))
            else:
                transport.writelines(out)
        self._context.record(done)
        if self._unsent and not self.blocked:
            self._context.call_soon(self._recount)

    def block(self) -> None:
        """The client does not take what is sent."""
        self.blocked = True
        self._blocked_tick = self._context.tick
        if self.transport is not None and not self._unsent:
            self._settle(self.transport.get_write_buffer_size())

    def unblock(self) -> None:
        """The client has taken everything."""
        self.blocked = False
        self._settle(0)

    def clear(self) -> None:
        """The client is gone."""
        self.transport = None
        self._settle(0)
        self._out.clear()
        self.done.clear()

    def hinders(self) -> int:
        """Bytes that the client has not taken for too long, should others wait for memory."""
        patient = self._context.tick - self._blocked_tick < UNSENT_PATIENCE_TICKS
        return 0 if patient else self._unsent

    def _settle(self, size: int) -> None:
        """Tell the node how much of its memory waits here for the client to read."""
        self._memory.unsent += size - self._unsent
        self._unsent = size

    def _recount(self) -> None:
        """The loop has handed the kernel what it takes: all, unless writing is paused by now. Of
        an answer that is half sent the loop keeps the whole."""
        if not self.blocked:
            self._settle(0)
