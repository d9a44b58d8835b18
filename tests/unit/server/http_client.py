"""The least HTTP client: bytes out, everything back until the server closes."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from barnabas.ports import Ports, Transport


class Answer(NamedTuple):
    """A parsed answer; the body's chunks are put together."""

    status: int
    headers: dict[str, str]
    body: bytes


class Exchange:
    """`ports.StreamProtocol` that gathers what comes."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.transport: Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = bytearray(65_536)

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self._buffer[:nbytes]

    def eof_received(self) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...

    def connection_lost(self, error: BaseException | None) -> None:
        del error
        if not self.closed.done():
            self.closed.set_result(None)


async def dial(ports: Ports, host: str, port: int) -> Exchange:
    """An open connection."""
    exchange = Exchange()
    await ports.network.connect(host, port, lambda: exchange)
    return exchange


async def raw(ports: Ports, host: str, port: int, *data: bytes) -> bytes:
    """Send each piece on its own; everything that comes until the server closes."""
    exchange = await dial(ports, host, port)
    for piece in data:
        if exchange.transport is not None and not exchange.closed.done():
            exchange.transport.write(piece)
        await ports.clock.sleep(1)
    await exchange.closed
    return bytes(exchange.received)


async def get(ports: Ports, host: str, port: int, path: str, version: str = "1.1") -> Answer:
    """One GET."""
    request = f"GET {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode()
    return parse(await raw(ports, host, port, request))


def parse(data: bytes) -> Answer:
    """An answer; fails when it is none."""
    head, blank, body = data.partition(b"\r\n\r\n")
    assert blank, data
    first, *lines = head.decode("ascii").split("\r\n")
    protocol, status, _ = first.split(" ", 2)
    assert protocol == "HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers["Connection"] == "close"
    if "Content-Length" in headers:
        assert len(body) in (0, int(headers["Content-Length"]))
    elif headers.get("Transfer-Encoding") == "chunked":
        body = _joined(body)
    return Answer(int(status), headers, body)


def _joined(body: bytes) -> bytes:
    out, pos = bytearray(), 0
    while pos < len(body):
        end = body.index(b"\r\n", pos)
        length = int(body[pos:end], 16)
        pos = end + 2 + length
        out += body[end + 2 : pos]
        assert body[pos : pos + 2] == b"\r\n"
        pos += 2
        assert length or pos == len(body)
    return bytes(out)
