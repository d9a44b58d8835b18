"""A protocol for tests of networks: notes what it is told, and lets a coroutine wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from barnabas.ports import Transport


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
