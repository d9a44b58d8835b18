"""A protocol for tests of networks: notes what it is told, and lets a coroutine wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from barnabas.ports import Listener, Network, StreamProtocol, Transport


class Recorder:
    """A `ports.StreamProtocol` that keeps bytes and the order of calls."""

    def __init__(self, *, echo: bool = False, buffer_size: int = 4096) -> None:
        self.transport: Transport
        self.received = bytearray()
        self.calls: list[str] = []
        self.error: BaseException | None = None
        self.echo = echo
        self.paused = False
        self._buffer = memoryview(bytearray(buffer_size))
        self._changed = asyncio.Event()

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        self._note("made")

    def get_buffer(self, sizehint: int) -> memoryview:
        assert sizehint == -1 or sizehint > 0
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self._buffer)
        self.received += self._buffer[:nbytes]
        if self.echo:
            self.transport.write(bytes(self._buffer[:nbytes]))
        self._note("data")

    def eof_received(self) -> None:
        self._note("eof")

    def connection_lost(self, error: BaseException | None) -> None:
        self.error = error
        self._note("lost")

    def pause_writing(self) -> None:
        self.paused = True
        self._note("pause")

    def resume_writing(self) -> None:
        self.paused = False
        self._note("resume")

    def count(self, call: str) -> int:
        """How often a method was called."""
        return self.calls.count(call)

    async def until(self, condition: Callable[[Recorder], bool]) -> None:
        """Wait until `condition(self)` holds; 10 s at most."""
        async with asyncio.timeout(10):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def lost(self) -> None:
        """Wait for `connection_lost`."""
        await self.until(lambda me: "lost" in me.calls)

    def itself(self) -> Recorder:
        """A factory for exactly this protocol."""
        return self

    def _note(self, call: str) -> None:
        if not (call == "data" and self.calls[-1:] == ["data"]):
            self.calls.append(call)
        self._changed.set()


class Tidy:
    """A network that closes in the end what a case has opened: uvloop's `close` would hang on it.

    (It warns of each open transport inside a libuv callback; here warnings are errors.)
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._listeners: list[Listener] = []
        self._ends: list[Recorder] = []

    async def listen(
        self, host: str, port: int, factory: Callable[[], StreamProtocol], *, backlog: int = 50
    ) -> Listener:
        listener = await self._network.listen(
            host, port, lambda: self._noted(factory()), backlog=backlog
        )
        self._listeners.append(listener)
        return listener

    async def connect(self, host: str, port: int, factory: Callable[[], StreamProtocol]) -> None:
        await self._network.connect(host, port, lambda: self._noted(factory()))

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for end in self._ends:
            if "made" in end.calls:
                end.transport.abort()
                await end.lost()

    def _noted(self, protocol: StreamProtocol) -> StreamProtocol:
        assert isinstance(protocol, Recorder)
        self._ends.append(protocol)
        return protocol
