"""One end of a simulated TCP connection."""

from __future__ import annotations

import contextvars
import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from barnabas.ports import Buffer, StreamProtocol
from barnabas.testing.sim.loop import SimLoop

HIGH_WATER = 65_536
"""`pause_writing` above this many bytes not yet taken by the kernel (asyncio's default)."""
LOW_WATER = HIGH_WATER // 4
READ_SIZE_HINT = 65_536

DATA, FIN, RESET = range(3)


class Wire(Protocol):
    """What carries segments to the other end; made by the network."""

    def send(self, kind: int, data: bytes) -> None:
        """Put a segment on the wire, behind all others."""

    def segment_size(self) -> int:
        """Bytes of the next segment."""

    def read_size(self) -> int:
        """Most bytes of the next read."""

    def window(self) -> int:
        """Bytes that may be sent and unread."""


class StreamEnd:
    """`ports.Transport`, and the kernel's part of one end.

    What belongs to the process (protocol calls, flushing) runs in the host's context and waits
    while the host is paused. As with uvloop, `write` gives the kernel at once what it has room for,
    and keeps the rest by reference: a buffer that is changed before that leaves is sent changed.
    """

    __slots__ = (
        "_closing",
        "_context",
        "_delivering",
        "_eof_seen",
        "_fin_sent",
        "_half_closed",
        "_local",
        "_loop",
        "_lost",
        "_out",
        "_out_size",
        "_peer",
        "_protocol",
        "_pumping",
        "_reading_paused",
        "_writing_paused",
        "eof",
        "inbox",
        "inbox_size",
        "on_lost",
        "other",
        "reset",
        "unread",
        "wire",
    )

    def __init__(
        self,
        loop: SimLoop,
        context: contextvars.Context,
        local: tuple[str, int],
        peer: tuple[str, int],
    ) -> None:
        self._loop = loop
        self._context = context
        self._local = local
        self._peer = peer
        self._protocol: StreamProtocol | None = None
        self._out: deque[memoryview] = deque()
        self._out_size = 0
        self._pumping = self._delivering = False
        self._reading_paused = self._writing_paused = False
        self._closing = self._lost = False
        self._half_closed = self._fin_sent = self._eof_seen = False
        self.inbox: deque[bytes] = deque()
        self.inbox_size = 0
        self.eof = self.reset = False
        self.unread = 0
        """Bytes sent from here that the other process has not read."""
        self.wire: Wire
        self.other: StreamEnd
        self.on_lost: Callable[[StreamEnd], None]

    # -- ports.Transport --------------------------------------------------------------------

    @property
    def peer(self) -> tuple[str, int]:
        """Address of the other side."""
        return self._peer

    @property
    def local(self) -> tuple[str, int]:
        """Address of this side."""
        return self._local

    def write(self, data: Buffer) -> None:
        """Queue bytes; ignored after `close`."""
        self.writelines((data,))

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Queue several buffers as one."""
        if self._closing or self._lost or self._half_closed:
            return
        for data in buffers:
            view = memoryview(data).cast("B")
            if len(view):
                self._out.append(view)
                self._out_size += len(view)
        if not self.reset:
            self._send_what_fits()
        if self._out or self.reset:
            self._schedule_pump()
        if self._out_size > HIGH_WATER and not self._writing_paused and self._protocol is not None:
            self._writing_paused = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        """Half-close: flush, then end this direction only (for clients that do so)."""
        self._half_closed = True
        self._schedule_pump()

    def pause_reading(self) -> None:
        """Stop delivering received bytes; a reset or end of stream is not noticed either."""
        self._reading_paused = True

    def resume_reading(self) -> None:
        """Deliver received bytes again."""
        self._reading_paused = False
        self.wake()

    def close(self) -> None:
        """Flush what is queued, then close."""
        if not self._closing and not self._lost:
            self._closing = True
            self._schedule_pump()

    def abort(self) -> None:
        """Close now, dropping what is queued."""
        if self._lost:
            return
        self._closing = True
        self._drop_queue()
        self._say_goodbye()
        self.lose(None)

    def get_write_buffer_size(self) -> int:
        """Bytes queued and not yet taken by the kernel."""
        return self._out_size

    # -- process side -----------------------------------------------------------------------

    def attach(self, protocol: StreamProtocol) -> None:
        """Give the connection to its protocol; run it in the host's context."""
        self._protocol = protocol
        protocol.connection_made(self)
        self.wake()

    def wake(self) -> None:
        """Something may be there to deliver."""
        if self._delivering or self._lost or self._protocol is None:
            return
        self._delivering = True
        self._loop.call_soon(self._deliver, context=self._context)

    def window_opened(self, nbytes: int) -> None:
        """The other process has read `nbytes` of ours."""
        self.unread -= nbytes
        if self._out or self._closing:
            self._schedule_pump()

    def _schedule_pump(self) -> None:
        if not self._pumping and not self._lost:
            self._pumping = True
            self._loop.call_soon(self._pump, context=self._context)

    def _pump(self) -> None:
        self._pumping = False
        if self._lost:
            return
        if self.reset:  # writing finds out, even when reading is paused
            self._break()
            return
        self._send_what_fits()
        if self._writing_paused and self._out_size <= LOW_WATER:
            self._writing_paused = False
            self._guarded(self._resume_writing)
        if not self._out and not self._lost:
            if self._closing:
                self._say_goodbye()
                self.lose(None)
            elif self._half_closed and not self._fin_sent:
                self._fin_sent = True
                self.wire.send(FIN, b"")

    def _send_what_fits(self) -> None:
        while self._out and (room := self.wire.window() - self.unread) > 0:
            self._send_some(min(room, self.wire.segment_size()))

    def _send_some(self, size: int) -> None:
        parts: list[bytes] = []
        while size > 0 and self._out:
            head = self._out[0]
            part = head[:size]
            parts.append(bytes(part))
            if len(part) == len(head):
                self._out.popleft()
            else:
                self._out[0] = head[size:]
            size -= len(part)
        data = b"".join(parts)
        self._out_size -= len(data)
        self.unread += len(data)
        self.wire.send(DATA, data)

    def _resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

    def _deliver(self) -> None:
        self._delivering = False
        if self._lost or self._closing or self._reading_paused or self._protocol is None:
            return
        if self.inbox:
            self._guarded(self._hand_over)
            if self.inbox or self.eof or self.reset:
                self.wake()
        elif self.reset:
            self._break()
        elif self.eof and not self._eof_seen:
            self._eof_seen = True
            self._guarded(self._protocol.eof_received)
            self.close()

    def _hand_over(self) -> None:
        assert self._protocol is not None
        buffer = self._protocol.get_buffer(READ_SIZE_HINT)
        room = min(len(buffer), self.wire.read_size())
        if room <= 0:
            raise RuntimeError("get_buffer() returned an empty buffer")
        taken = 0
        while self.inbox and taken < room:
            head = self.inbox[0]
            part = head[: room - taken]
            buffer[taken : taken + len(part)] = part
            taken += len(part)
            if len(part) == len(head):
                self.inbox.popleft()
            else:
                self.inbox[0] = head[len(part) :]
        self.inbox_size -= taken
        self.other.window_opened(taken)
        self._protocol.buffer_updated(taken)

    def _guarded(self, call: Callable[[], None]) -> None:
        """asyncio closes a connection whose protocol raises, and reports the error."""
        try:
            call()
        except Exception as error:
            self._loop.call_exception_handler({"message": "protocol failed", "exception": error})
            self._drop_queue()
            self.wire.send(RESET, b"")
            self.lose(error)

    def _break(self) -> None:
        self._drop_queue()
        self.lose(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    # -- both -------------------------------------------------------------------------------

    def lose(self, error: BaseException | None) -> None:
        """The connection is over for this end; tells the protocol once."""
        if self._lost:
            return
        self._lost = True
        self._drop_queue()
        self.inbox.clear()
        self.on_lost(self)
        if self._protocol is not None:
            self._loop.call_soon(self._protocol.connection_lost, error, context=self._context)

    def is_lost(self) -> bool:
        """Whether this end is closed: what arrives now is answered with a reset."""
        return self._lost

    def vanish(self, *, silently: bool) -> None:
        """The process died: its kernel says so, or (power loss) nobody does."""
        if self._lost:
            return
        self._lost = True
        self._out.clear()
        self._out_size = 0
        self.on_lost(self)
        if not silently:
            self.wire.send(RESET if self.inbox else FIN, b"")

    def _say_goodbye(self) -> None:
        # Linux resets a connection that is closed over unread bytes.
        self.wire.send(RESET if self.inbox else FIN, b"")

    def _drop_queue(self) -> None:
        for view in self._out:
            view.release()
        self._out.clear()
        self._out_size = 0
