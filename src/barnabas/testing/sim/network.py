"""A simulated network: hosts with addresses, TCP connections between them, faults on the links."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from barnabas.ports import StreamProtocol
from barnabas.testing.sim.loop import SimLoop
from barnabas.testing.sim.plan import FaultPlan
from barnabas.testing.sim.stream import DATA, FIN, RESET, StreamEnd

FIRST_EPHEMERAL_PORT = 32_768
SYN_RETRY_US = 1_000_000
_ANY = ("", "0.0.0.0", "::")
_SELF = ("localhost", "127.0.0.1", "::1")


class Fabric:
    """The cables between all hosts of a world, and what is broken about them.

    `cut` stops one direction between two hosts (bytes wait, as TCP retransmits for ever);
    `partition` and `heal` do that for sets of hosts; `clog` delays one direction until a time.
    """

    def __init__(self, loop: SimLoop, random: Random, plan: FaultPlan) -> None:
        self.loop = loop
        self.random = random
        self.plan = plan
        self.outside = contextvars.Context()
        """Belongs to no host: the network works on while hosts are paused or dead."""
        self.addresses: dict[str, str] = {}
        """Host name -> IP address."""
        self.hosts: dict[str, SimNetwork] = {}
        """IP address -> host."""
        self.pipes: dict[Pipe, None] = {}
        self._cuts: set[tuple[str, str]] = set()
        self._clogs: dict[tuple[str, str], int] = {}

    def add(self, name: str, context: Callable[[], contextvars.Context]) -> SimNetwork:
        """A new host; `context` gives the context that its callbacks run in."""
        address = f"10.0.{len(self.hosts) // 250}.{len(self.hosts) % 250 + 1}"
        network = SimNetwork(self, name, address, context)
        self.addresses[name] = address
        self.hosts[address] = network
        return network

    # -- faults -----------------------------------------------------------------------------

    def cut(self, source: str, target: str) -> None:
        """Nothing gets from host `source` to host `target` (names), until `mend`."""
        self._cuts.add((self.addresses[source], self.addresses[target]))

    def mend(self, source: str, target: str) -> None:
        """Undo `cut`; what waited arrives."""
        self._cuts.discard((self.addresses[source], self.addresses[target]))
        self.wake()

    def partition(self, left: list[str], right: list[str]) -> None:
        """Nothing gets through between the two sets, in both directions."""
        for a in left:
            for b in right:
                self.cut(a, b)
                self.cut(b, a)

    def clog(self, source: str, target: str, duration_us: int) -> None:
        """What goes from `source` to `target` arrives after `duration_us` at the earliest."""
        link = (self.addresses[source], self.addresses[target])
        self._clogs[link] = self.loop.now_us + duration_us

    def heal(self) -> None:
        """Undo all cuts and clogs."""
        self._cuts.clear()
        self._clogs.clear()
        self.wake()

    def is_cut(self, source: str, target: str) -> bool:
        """Whether nothing gets from address `source` to address `target`."""
        return (source, target) in self._cuts or not self.hosts[target].up

    def delay_us(self, source: str, target: str) -> int:
        """How long one segment takes from now on."""
        plan = self.plan
        delay = self.between(plan.latency_us)
        if plan.spike_rate > 0 and self.random.random() < plan.spike_rate:
            delay += plan.spike_us
        return max(delay, self._clogs.get((source, target), 0) - self.loop.now_us)

    def between(self, bounds: tuple[int, int]) -> int:
        """A number drawn from a closed range."""
        low, high = bounds
        return low if low >= high else self.random.randint(low, high)

    def after(self, delay_us: int, callback: Callable[..., object], *args: Any) -> None:
        """Run `callback` outside of all hosts."""
        self.outside.run(self.loop.call_later_us, delay_us, callback, *args)

    def wake(self) -> None:
        """Something was mended: let waiting bytes try again."""
        for pipe in list(self.pipes):
            pipe.arm()


class Pipe:
    """`stream.Wire`: one direction of one connection; segments arrive in order."""

    __slots__ = ("_arrival", "_fabric", "_free_us", "_source", "_stalled_us", "_target", "_wire")

    def __init__(self, fabric: Fabric, source: StreamEnd, target: StreamEnd) -> None:
        self._fabric = fabric
        self._source = source
        self._target = target
        self._wire: deque[tuple[int, int, bytes]] = deque()
        self._free_us = 0
        self._arrival: asyncio.TimerHandle | None = None
        self._stalled_us: int | None = None
        fabric.pipes[self] = None

    def window(self) -> int:
        """Bytes that may be sent and unread."""
        return self._fabric.plan.window

    def segment_size(self) -> int:
        """Bytes of the next segment."""
        return self._fabric.between(self._fabric.plan.segment)

    def read_size(self) -> int:
        """Most bytes of the next read."""
        return self._fabric.between(self._fabric.plan.read)

    def send(self, kind: int, data: bytes) -> None:
        """Put a segment on the wire, behind all others."""
        fabric, plan = self._fabric, self._fabric.plan
        now = fabric.loop.now_us
        if kind == DATA and plan.reset_rate > 0 and fabric.random.random() < plan.reset_rate:
            self._target.other.reset = True
            self._target.other.wake()
            kind, data = RESET, b""
        self._free_us = max(self._free_us, now) + len(data) * 1_000_000 // plan.bandwidth
        delay = fabric.delay_us(self._source.local[0], self._target.local[0])
        arrival = max(self._free_us + delay, self._wire[-1][0] if self._wire else 0)
        self._wire.append((arrival, kind, data))
        self.arm()

    def arm(self) -> None:
        """Wait for the first segment's arrival."""
        if self._arrival is None and self._wire:
            delay = max(0, self._wire[0][0] - self._fabric.loop.now_us)
            self._arrival = self._fabric.outside.run(
                self._fabric.loop.call_later_us, delay, self._arrive
            )

    def close(self) -> None:
        """The connection is forgotten by both ends."""
        self._fabric.pipes.pop(self, None)

    def _arrive(self) -> None:
        self._arrival = None
        fabric = self._fabric
        now = fabric.loop.now_us
        if fabric.is_cut(self._source.local[0], self._target.local[0]):
            if self._stalled_us is None:
                self._stalled_us = now
                fabric.after(fabric.plan.send_timeout_us, self._time_out, now)
            return
        self._stalled_us = None
        while self._wire and self._wire[0][0] <= now:
            _, kind, data = self._wire.popleft()
            self._receive(kind, data)
        self.arm()

    def _receive(self, kind: int, data: bytes) -> None:
        target = self._target
        if target.is_lost():
            if kind == DATA and not self._source.is_lost():
                target.wire.send(RESET, b"")
            return
        if kind == DATA:
            target.inbox.append(data)
            target.inbox_size += len(data)
        elif kind == FIN:
            target.eof = True
        else:
            target.reset = True
        target.wake()

    def _time_out(self, since_us: int) -> None:
        if self._stalled_us == since_us:
            self._source.lose(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))


class SimListener:
    """`ports.Listener`, and the queue of connections that wait to be accepted."""

    __slots__ = ("_address", "_network", "backlog", "factory", "waiting")

    def __init__(
        self,
        network: SimNetwork,
        address: tuple[str, int],
        factory: Callable[[], StreamProtocol],
        backlog: int,
    ) -> None:
        self._network = network
        self._address = address
        self.factory = factory
        self.backlog = backlog
        self.waiting = 0

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on."""
        return self._address

    def close(self) -> None:
        """Stop accepting; open connections stay."""
        self._network.stop_listening(self._address[1], self)


class SimNetwork:
    """`ports.Network` of one host."""

    def __init__(
        self,
        fabric: Fabric,
        name: str,
        address: str,
        context: Callable[[], contextvars.Context],
    ) -> None:
        self.name = name
        self.address = address
        self.up = True
        self.life = 0
        self._fabric = fabric
        self._context = context
        self._listeners: dict[int, SimListener] = {}
        self._next_port = FIRST_EPHEMERAL_PORT
        self._ends: dict[StreamEnd, None] = {}

    @property
    def connections(self) -> list[StreamEnd]:
        """Open ends on this host, oldest first."""
        return list(self._ends)

    async def listen(
        self, host: str, port: int, factory: Callable[[], StreamProtocol], *, backlog: int = 50
    ) -> SimListener:
        """Accept connections on `host`:`port` (0 = any free port).

        Raises OSError when the port is taken or `host` is not this host.
        """
        if host not in (*_ANY, *_SELF, self.name, self.address):
            raise _error(errno.EADDRNOTAVAIL)
        if port == 0:
            port = self._free_port()
        elif port in self._listeners:
            raise _error(errno.EADDRINUSE)
        listener = SimListener(self, (self.address, port), factory, backlog)
        self._listeners[port] = listener
        return listener

    async def connect(self, host: str, port: int, factory: Callable[[], StreamProtocol]) -> None:
        """Open a connection; returns after `connection_made`. Raises OSError when refused."""
        target = self._resolve(host)
        fabric = self._fabric
        answer: asyncio.Future[StreamEnd] = fabric.loop.create_future()
        deadline = fabric.loop.now_us + fabric.plan.connect_timeout_us
        _Attempt(fabric, self, target, port, answer, deadline).send()
        try:
            end = await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                answer.result().abort()
            raise
        try:
            end.attach(factory())
        except BaseException:
            end.abort()
            raise

    def stop_listening(self, port: int, listener: SimListener) -> None:
        """Forget a listener."""
        if self._listeners.get(port) is listener:
            del self._listeners[port]

    def crash(self, *, silently: bool) -> None:
        """All sockets of this host are gone; peers hear of it unless `silently` (power loss)."""
        self.life += 1
        self._listeners.clear()
        for end in self.connections:
            end.vanish(silently=silently)

    def power_on(self) -> None:
        """The machine answers again; what was sent to its former life is answered with resets."""
        self.up = True
        self._fabric.wake()

    # -- connecting -------------------------------------------------------------------------

    def listener(self, port: int) -> SimListener | None:
        """Who listens on `port`."""
        return self._listeners.get(port)

    def new_connection(self, target: SimNetwork, port: int) -> tuple[StreamEnd, StreamEnd]:
        loop = self._fabric.loop
        near, far = (self.address, self._free_port()), (target.address, port)
        mine = StreamEnd(loop, self._context(), near, far)
        theirs = StreamEnd(loop, target._context(), far, near)
        mine.other, theirs.other = theirs, mine
        mine.wire = Pipe(self._fabric, mine, theirs)
        theirs.wire = Pipe(self._fabric, theirs, mine)
        self._adopt(mine)
        target._adopt(theirs)
        return mine, theirs

    def _adopt(self, end: StreamEnd) -> None:
        self._ends[end] = None
        end.on_lost = self._forget

    def _forget(self, end: StreamEnd) -> None:
        self._ends.pop(end, None)
        if end.other.is_lost():
            for wire in (end.wire, end.other.wire):
                assert isinstance(wire, Pipe)
                wire.close()

    def accept(self, listener: SimListener, end: StreamEnd) -> None:
        listener.waiting += 1
        delay = self._fabric.between(self._fabric.plan.late_accept_us)

        def accept() -> None:
            listener.waiting -= 1
            if not end.is_lost():
                end.attach(listener.factory())

        self._context().run(self._fabric.loop.call_later_us, delay, accept)

    def _free_port(self) -> int:
        while True:
            port = self._next_port
            self._next_port = port + 1 if port < 65_535 else FIRST_EPHEMERAL_PORT
            if port not in self._listeners:
                return port

    def _resolve(self, host: str) -> SimNetwork:
        if host in _SELF or host in _ANY:
            return self
        found = self._fabric.hosts.get(self._fabric.addresses.get(host, host))
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, f"no host named {host!r} in this world")
        return found


class _Attempt:
    """One attempt to connect: SYN there, answer back, again when one of them is lost."""

    __slots__ = ("_answer", "_deadline", "_fabric", "_life", "_port", "_source", "_target")

    def __init__(
        self,
        fabric: Fabric,
        source: SimNetwork,
        target: SimNetwork,
        port: int,
        answer: asyncio.Future[StreamEnd],
        deadline: int,
    ) -> None:
        self._fabric = fabric
        self._source = source
        self._target = target
        self._port = port
        self._answer = answer
        self._deadline = deadline
        self._life = source.life

    def send(self) -> None:
        """Send the SYN."""
        if self._is_over():
            return
        fabric = self._fabric
        if fabric.loop.now_us >= self._deadline:
            self._answer.set_exception(_error(errno.ETIMEDOUT))
            return
        source, target = self._source.address, self._target.address
        if fabric.is_cut(source, target) or fabric.is_cut(target, source):
            self._send_again()
        else:
            fabric.after(fabric.delay_us(source, target), self._arrive)

    def _send_again(self) -> None:
        left = max(0, self._deadline - self._fabric.loop.now_us)
        self._fabric.after(min(SYN_RETRY_US, left), self.send)

    def _arrive(self) -> None:
        if self._is_over():
            return
        fabric, target = self._fabric, self._target
        listener = target.listener(self._port)
        if not target.up or (listener is not None and listener.waiting > listener.backlog):
            self._send_again()  # dropped in silence
            return
        delay = fabric.delay_us(target.address, self._source.address)
        rate = fabric.plan.refuse_rate
        if listener is None or (rate > 0 and fabric.random.random() < rate):
            fabric.after(delay, self._refuse)
            return
        mine, theirs = self._source.new_connection(target, self._port)
        target.accept(listener, theirs)
        fabric.after(delay, self._establish, mine)

    def _refuse(self) -> None:
        if not self._is_over():
            self._answer.set_exception(_error(errno.ECONNREFUSED))

    def _establish(self, end: StreamEnd) -> None:
        if self._is_over():
            end.abort()
        else:
            self._answer.set_result(end)

    def _is_over(self) -> bool:
        return self._answer.done() or self._source.life != self._life


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
