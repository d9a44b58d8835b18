"""One client connection: bytes to frames, order of answers, back-pressure.

Order (as Kafka's, with one gain): answers leave in the order of the requests. Produce may overlap
Produce, since appends happen in arrival order anyway, and so may heartbeats and commits of groups
each other; any other request starts only when those before it are answered.
"""

from __future__ import annotations

import logging
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING

from barnabas.ports import Transport
from barnabas.server.limits import (
    BACKLOG_BYTES,
    BACKLOG_FRAMES,
    FRAME_FIRST_BYTES,
    FRAME_TRUSTED_BYTES,
    PENDING_BYTES,
    PENDING_REQUESTS,
    SCRATCH_TIGHT_BYTES,
)
from barnabas.server.mute import Mute
from barnabas.server.outbox import Outbox
from barnabas.server.request import OVERLAP, Parked, Request
from barnabas.server.started_frame import StartedFrame
from barnabas.wire.errors import ProtocolError

if TYPE_CHECKING:
    from barnabas.server.listener import ListenerContext
    from barnabas.server.quotas import Quotas

log = logging.getLogger("barnabas.server")

_SIZE = Struct(">i")
_PREFIX = Struct(">hhi")
PRODUCE = 0
FETCH = b"\0\1"


class Connection:
    """The receiving side of a client socket (`ports.StreamProtocol`)."""

    __slots__ = (
        "_backlog_bytes",
        "_closed",
        "_context",
        "_frame",
        "_left",
        "_memory",
        "_mute",
        "_paused",
        "_pending_bytes",
        "_pending_other",
        "_scratch",
        "_trusted",
        "active_tick",
        "backlog",
        "client_id",
        "header_tail",
        "local",
        "outbox",
        "parked",
        "peer",
        "pending",
        "principal",
    )

    def __init__(self, context: ListenerContext) -> None:
        self._context = context
        self._memory = context.memory
        self._scratch = context.scratch
        self.outbox = Outbox(context)
        self._frame: StartedFrame | None = None
        self._trusted = FRAME_FIRST_BYTES
        self.pending: deque[Request] = deque()
        self._pending_bytes = 0
        self._pending_other = False
        self.backlog: deque[tuple[bytearray, int]] = deque()
        self._backlog_bytes = 0
        self._paused = False
        self._mute: Mute | None = None
        self._closed = self._left = False
        self.client_id = ""
        self.header_tail = b""
        self.principal = context.principal
        self.peer = self.local = ("", 0)
        self.active_tick = context.tick
        #: Targets of earlier Produce requests, by the bytes that named them (handlers/produce).
        #: A long-polling Fetch, to be told when the client is gone.
        self.parked: Parked | None = None

    # -- transport callbacks ---------------------------------------------------------------------

    def connection_made(self, transport: Transport) -> None:
        """A client connected."""
        self.outbox.transport = transport
        self.peer = transport.peer
        self.local = transport.local
        refusal = self._context.opened(self)
        if refusal is not None:
            self.fail(refusal)
        elif not self._context.serving:
            self._wait_to_begin()

    def connection_lost(self, error: BaseException | None) -> None:
        """The socket is gone; parked requests are forgotten, but for those that others wait for."""
        del error
        self._leave()
        self._closed = True
        self.outbox.clear()
        if self._left:
            self._drain_backlog()
        else:
            self._release_frames()
            self.pending.clear()
            if self.parked is not None:
                self.parked.abandon()
        self._context.lost(self)

    def _leave(self) -> None:
        """The client is gone: what it sent (acks=0, maybe) is carried out, and not answered."""
        self._end_mute()
        if self.backlog and not self._closed:
            self._left = True
            if self.parked is not None:
                self.parked.hurry()

    def _wait_to_begin(self) -> None:
        """Requests queue behind one that is answered when the listener serves (pausing here would
        have no effect: uvloop reads at once)."""
        before_all = Request(self, bytearray(), -1, -1, 0, 0)
        self._park(before_all)
        self._context.when_serving.append(before_all.no_response)

    def eof_received(self) -> None:
        """The client will send no more: close."""
        self._leave()
        self.close()

    def pause_writing(self) -> None:
        """The client does not read: take nothing more from it."""
        self.outbox.block()
        self.update_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.outbox.unblock()
        self._drain_backlog()
        self.update_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Memory for the next bytes: the rest of the started frame, or the listener's scratch."""
        del sizehint
        frame = self._frame
        if frame is None:
            if self._memory.used > self._memory.limit:
                return self._scratch[:SCRATCH_TIGHT_BYTES]
            return self._scratch
        return frame.space()

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` arrived in the memory that `get_buffer` gave."""
        self.active_tick = self._context.tick
        outbox = self.outbox
        meter = outbox.meter
        if meter is not None:
            meter.begin()
        try:
            if self._frame is None:
                self._split(self._scratch, nbytes)
            else:
                self._continue(self._frame, nbytes)
        except ProtocolError as error:
            self.fail(str(error))
        except Exception:
            log.exception("closing connection from %s:%s: a bug of ours", *self.peer[:2])
            self.close()
        if outbox.done:
            outbox.flush()
        if meter is not None:
            meter.end()

    # -- frames ----------------------------------------------------------------------------------

    def _split(self, scratch: memoryview, nbytes: int) -> None:
        """Cut whole frames (size prefix included) out of a read; keep an incomplete one."""
        pos = 0
        while nbytes - pos >= 4:
            (size,) = _SIZE.unpack_from(scratch, pos)
            self._check_size(size)
            end = pos + 4 + size
            if end > nbytes:
                break
            self._receive(bytearray(scratch[pos:end]))
            if self._closed:
                return
            pos = end
        if pos < nbytes:
            self._keep(scratch[pos:nbytes])

    def _keep(self, rest: memoryview) -> None:
        """Start a frame that has not arrived whole."""
        frame = StartedFrame(self, self._memory, rest, self._trusted, self._context.tick)
        self._frame = frame
        if self._mute is not None:
            frame.rest()
        if frame.starved or self._mute:
            self.update_reading()

    def _frame_done(self) -> None:
        """The started frame is whole, or will never be."""
        frame, self._frame = self._frame, None
        if frame is not None:
            frame.release()

    def _release_frames(self) -> None:
        self._frame_done()
        self._memory.used -= self._backlog_bytes
        self._memory.unpark(self._pending_bytes)
        self._backlog_bytes = self._pending_bytes = 0
        self.backlog.clear()

    def _continue(self, frame: StartedFrame, nbytes: int) -> None:
        """More of a started frame arrived."""
        frame.filled = filled = frame.filled + nbytes
        if filled < 4:
            return
        size = frame.size
        self._check_size(size)
        data = frame.data
        if filled < 4 + size:
            if filled == len(data):
                frame.extend()
                if frame.starved:
                    self.update_reading()
            return
        self._frame_done()
        self._trusted = min(max(self._trusted, size), FRAME_TRUSTED_BYTES)
        if filled == 4 + size == len(data):
            self._receive(data)
        else:
            # The size was unknown when the buffer was made: it may hold the next frames too.
            self._split(memoryview(data), filled)

    def _check_size(self, size: int) -> None:
        if size < 8 or size > self._context.max_request_bytes:
            raise ProtocolError(
                f"frame of {size} bytes (TLS or HTTP on a plain port?); "
                f"8 to {self._context.max_request_bytes} are accepted"
            )

    # -- requests --------------------------------------------------------------------------------

    def _receive(self, frame: bytearray) -> None:
        pending = self.pending
        if (self.backlog or self._mute) or (pending and self._must_wait(frame)):
            self.backlog.append((frame, self._context.now_ns()))
            self._backlog_bytes += len(frame)
            self._memory.used += len(frame)
            self.update_reading()
            return
        self._start(frame, None)

    def _must_wait(self, frame: bytearray) -> bool:
        """Whether a request has to wait for those before it, which are unanswered."""
        pending = self.pending
        if self._pending_other or frame[4] or OVERLAP[frame[5]] != OVERLAP[pending[-1].api_key]:
            return True
        return len(pending) >= PENDING_REQUESTS or self._pending_bytes >= PENDING_BYTES

    def _start(self, frame: bytearray, arrived_ns: int | None) -> None:
        api_key, api_version, correlation_id = _PREFIX.unpack_from(frame, 4)
        context = self._context
        entry = context.table.get((api_key, api_version))
        if entry is None:
            entry = context.unknown(api_key, api_version)
        tail = self.header_tail
        body = 12 + len(tail)
        # The client id repeats from one request to the next: compare it, do not decode it.
        if not tail or not frame.startswith(tail, 12):
            body = context.parse_header(self, frame)
        elif entry.flexible:
            if frame[body : body + 1] == b"\0":
                body += 1
            else:
                body = context.parse_header(self, frame)
        request = Request(self, frame, api_key, api_version, correlation_id, body)
        request.entry = entry
        request.began_ns = began = context.now_ns()
        request.arrived_ns = began if arrived_ns is None else arrived_ns
        payload = entry.handle(request)
        request.left_ns = request.answered_ns = request.taken_ns = context.now_ns()
        if payload is None:
            if not request.settled:
                self._park(request)
                return
            payload = request.payload
        if self._closed:
            return
        if payload is None:
            self.outbox.done.append(request)
        elif self.pending:
            request.payload = payload
            request.settled = True
            self._park(request)
        else:
            self.outbox.add(payload)
            self.outbox.done.append(request)

    def _park(self, request: Request) -> None:
        """Keep the request's place in the order of answers."""
        if not self._closed or self._left:
            self.pending.append(request)
            self._pending_other |= request.exclusive
            if request.api_key != PRODUCE:
                request.forget_frame()
                return
            self._pending_bytes += request.size
            self._memory.park(request.size)

    def settled(self, request: Request) -> None:
        """An answer of a parked request is there: send what is next in order."""
        pending = self.pending
        if not pending or (self._closed and not self._left):
            return
        request.answered_ns = now_ns = self._context.now_ns()
        if not pending[0].settled:
            return
        answered = 0
        while pending and pending[0].settled:
            done = pending.popleft()
            if done.api_key == PRODUCE:
                answered += done.size
            if done.payload is not None and not self._closed:
                self.outbox.add(done.payload)
            if done.api_key >= 0:
                done.taken_ns = now_ns
                self.outbox.done.append(done)
        if answered:
            self._pending_bytes -= answered
            self._memory.unpark(answered)
        if not pending:
            self._pending_other = False
        self.active_tick = self._context.tick
        self.outbox.flush_soon()
        if self.backlog:
            self._drain_backlog()
            self.update_reading()

    def _drain_backlog(self) -> None:
        backlog = self.backlog
        while backlog and (self._left or not (self._closed or self.outbox.blocked or self._mute)):
            frame, arrived_ns = backlog[0]
            if self.pending and self._must_wait(frame):
                return
            backlog.popleft()
            self._backlog_bytes -= len(frame)
            self._memory.used -= len(frame)
            if self._left and frame[4:6] == FETCH:
                continue
            try:
                self._start(frame, arrived_ns)
            except ProtocolError as error:
                self.fail(str(error))
            except Exception:
                log.exception("closing connection from %s:%s: a bug of ours", *self.peer[:2])
                self._left = False
                self.close()
        self.outbox.flush_soon()

    # -- reading -----------------------------------------------------------------------------------

    def update_reading(self) -> None:
        """Read from the client, or not, as its frames, answers and memory are."""
        outbox = self.outbox
        transport = outbox.transport
        if transport is None or self._closed:
            return
        stop = (
            outbox.blocked
            or self._mute is not None
            or (self._frame is not None and self._frame.starved)
            or self._backlog_bytes > (0 if self._memory.tight else BACKLOG_BYTES)
            or len(self.backlog) > BACKLOG_FRAMES
        )
        if stop != self._paused:
            self._paused = stop
            (transport.pause_reading if stop else transport.resume_reading)()
        if stop and self.parked is not None and not outbox.blocked:
            self._context.call_soon(self._hurry)

    def mute(self, ms: int | None) -> None:
        """Read nothing more and begin nothing more for so long; None: until `unmute`, for a new
        connection (of which the loop reads at once, whatever it is told; the first bytes stop it)."""
        if self._closed or self._left:
            return
        if self._mute is None:
            self._mute = Mute(self, self._context.clock)
            self._context.muted[self] = None
            if self._frame is not None:
                self._frame.rest()
        if ms is not None:
            self._mute.last(ms)
            self.update_reading()

    def unmute(self) -> None:
        """Go on, as if what lies here arrived now."""
        self._end_mute()
        now_ns = self._context.now_ns()
        self.backlog = deque((frame, now_ns) for frame, _ in self.backlog)
        if self._frame is not None:
            self._frame.go_on()
        self._drain_backlog()
        self.update_reading()

    def _end_mute(self) -> None:
        if self._mute is not None:
            self._mute.cancel()
            self._mute = None
            del self._context.muted[self]

    def _hurry(self) -> None:
        """While it is not read, a connection does not see that its client is gone: it may not wait
        as long as a Fetch may ask for."""
        if self._paused and self.parked is not None:
            self.parked.hurry()

    # -- end -------------------------------------------------------------------------------------

    @property
    def tick(self) -> int:
        """Sweeps of the listener so far."""
        return self._context.tick

    @property
    def listener_name(self) -> str:
        """The listener that the client reached."""
        return self._context.name

    @property
    def quotas(self) -> Quotas:
        """What its client may use."""
        return self._context.quotas

    @property
    def on_controller(self) -> bool:
        """Whether that is a controller listener."""
        return self._context.controller

    @property
    def served_keys(self) -> tuple[int, ...]:
        """The APIs that the listener serves."""
        return self._context.served_keys

    @property
    def busy(self) -> bool:
        """Whether requests are unanswered (those behind a quota may be so for longer than any client
        waits)."""
        return bool(self.pending or (self.backlog and not self._mute))

    @property
    def held(self) -> int:
        """Bytes of requests that have not begun."""
        return self._backlog_bytes + (0 if self._frame is None else len(self._frame.data))

    @property
    def hinders(self) -> str | None:
        """Why a connection has to go when others wait for the memory that it holds."""
        context, frame = self._context, self._frame
        waited_for = self._memory.frames_wait and not self._paused
        if waited_for and frame is not None and frame.crawls(context.tick):
            return f"a frame came too slowly, {frame.filled} bytes, while others wait"
        if self._memory.muted_too_much and self._mute is not None and self.held:
            return f"throttled, and {self.held} bytes of its requests take memory"
        unsent = self.outbox.hinders() if self._memory.answers_wait else 0
        return f"the client does not read its answers, {unsent} bytes" if unsent else None

    def fail(self, reason: str) -> None:
        """The peer broke the protocol or a limit: one log line, and the connection ends."""
        if not self._closed:
            log.warning("closing connection from %s:%s: %s", *self.peer[:2], reason)
        self._left = False
        self.close()

    def close(self) -> None:
        """Send what is queued, then close; a client that does not read gets nothing more."""
        if not self._left:
            self._release_frames()
        outbox, transport = self.outbox, self.outbox.transport
        if transport is not None and not self._closed:
            outbox.flush()
            self._closed = True
            (transport.abort if outbox.blocked else transport.close)()
