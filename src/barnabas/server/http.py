"""A small HTTP/1.1 server for what programs ask a node: metrics and health.

GET and HEAD of a few fixed paths, one request per connection, everything bounded. Ours, because the
simulator must be able to run it, because a node with metrics shall start as fast and stay as small
as one without (uvicorn with h11 brings 6 MB and takes 0.1 s), and because so much of HTTP is a page
of code.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple

from barnabas.ports import Clock, Listener, Network, Timer, Transport

log = logging.getLogger("barnabas.http")

HEAD_BYTES: Final = 8 * 1024
#: What may come behind a request that needs no body, before the connection is cut.
EXCESS_BYTES: Final = 64 * 1024
CONNECTIONS: Final = 32
#: A connection has so long for everything.
LIFE_MS: Final = 30_000

_REQUEST_LINE = re.compile(rb"([!-~]+) ([!-~]+) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[^\x00\r\n]*")
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
TEXT: Final = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """An answer. A body in pieces leaves the loop to others between them; empty ones only do that."""

    status: int
    body: bytes | Iterable[bytes]
    content_type: str = TEXT


Route = Callable[[], Awaitable[Page]]


class HttpServer:
    """Serves `routes`, by path."""

    def __init__(self, routes: Mapping[str, Route], clock: Clock) -> None:
        self.routes = routes
        self.clock = clock
        self.connections: dict[HttpConnection, None] = {}
        self._listener: Listener | None = None

    async def listen(self, network: Network, host: str, port: int) -> tuple[str, int]:
        """Open the port; returns the address. Raises `OSError`."""
        self._listener = await network.listen(host, port, lambda: HttpConnection(self))
        return self._listener.address

    def close(self) -> None:
        """Stop accepting and cut every connection."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.abort()


class HttpConnection:
    """One client (`ports.StreamProtocol`): a request, an answer, the end."""

    __slots__ = (
        "_buffer",
        "_drained",
        "_excess",
        "_filled",
        "_server",
        "_task",
        "_timer",
        "_transport",
    )

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._buffer = bytearray(HEAD_BYTES)
        self._filled = 0
        self._excess = 0
        self._transport: Transport | None = None
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    def connection_made(self, transport: Transport) -> None:
        """A client connected."""
        self._transport = transport
        if len(self._server.connections) >= CONNECTIONS:
            transport.abort()
            return
        self._server.connections[self] = None
        self._timer = self._server.clock.call_later(LIFE_MS, self.abort)

    def connection_lost(self, error: BaseException | None) -> None:
        """The client is gone."""
        del error
        self._transport = None
        self._server.connections.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> None:
        """The client sends no more; the transport closes itself once it has sent what it holds."""

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It does again."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for the head of a request; behind it, for what nobody reads."""
        del sizehint
        return memoryview(self._buffer)[self._filled if self._task is None else 0 :]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        if self._task is not None:
            self._excess += nbytes
            if self._excess > EXCESS_BYTES:
                self.abort()
            return
        self._filled += nbytes
        end = self._buffer.find(b"\r\n\r\n", 0, self._filled)
        if end >= 0:
            self._begin(self._answer(bytes(self._buffer[:end])))
        elif self._filled == HEAD_BYTES:
            self._begin(self._send(Page(431, b"the head of the request is too large\n")))
        elif not _may_begin(self._buffer[: self._filled]):
            self._begin(self._send(Page(400, b"this is not HTTP\n")))

    def _begin(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception:
                log.exception("a bug of ours: an HTTP request failed")
                self.abort()

        self._task = asyncio.get_running_loop().create_task(run())

    async def _answer(self, head: bytes) -> None:
        """Parse the head and answer."""
        request_line, *headers = head.split(b"\r\n")
        found = _REQUEST_LINE.fullmatch(request_line)
        if found is None or not all(map(_HEADER.fullmatch, headers)):
            await self._send(Page(400, b"this is not an HTTP/1.1 request\n"))
            return
        method, target, chunked = found[1], found[2], found[3] == b"1"
        if method not in (b"GET", b"HEAD"):
            await self._send(Page(405, b"only GET and HEAD are served here\n"))
            return
        route = self._server.routes.get(target.partition(b"?")[0].decode("ascii"))
        if route is None:
            known = "".join(f"{path}\n" for path in self._server.routes)
            page = Page(404, f"there is nothing here; try one of\n{known}".encode())
        else:
            page = await route()
        await self._send(page, chunked=chunked, with_body=method == b"GET")

    async def _send(self, page: Page, *, chunked: bool = False, with_body: bool = True) -> None:
        """Send the answer and close."""
        lines = [
            f"HTTP/1.1 {page.status} {_REASONS[page.status]}",
            f"Content-Type: {page.content_type}",
            "Cache-Control: no-store",
            "Connection: close",
        ]
        if page.status == 405:
            lines.append("Allow: GET, HEAD")
        body = page.body
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
            await self._write("\r\n".join([*lines, "", ""]).encode() + (body if with_body else b""))
        else:
            if chunked:
                lines.append("Transfer-Encoding: chunked")
            await self._write("\r\n".join([*lines, "", ""]).encode())
            if with_body:
                await self._write_pieces(body, chunked)
        if self._transport is not None:
            self._transport.close()

    async def _write_pieces(self, body: Iterable[bytes], chunked: bool) -> None:
        for piece in body:
            if piece:
                await self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await self._server.clock.sleep(0)
        if chunked:
            await self._write(b"0\r\n\r\n")

    async def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
        if self._drained is not None:
            await self._drained


def _may_begin(head: bytearray) -> bool:
    """Whether these bytes can become a request: so that a Kafka client or TLS is told at once."""
    return all(0x20 < byte < 0x7F for byte in head[:3])
