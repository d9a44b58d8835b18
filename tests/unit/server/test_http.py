"""The small HTTP server, in the simulator and against bytes that mean harm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest

from barnabas.ports import Ports
from barnabas.server.http import CONNECTIONS, EXCESS_BYTES, HEAD_BYTES, LIFE_MS, HttpServer, Page
from barnabas.testing.sim import SimWorld
from tests.unit.server.http_client import Answer, dial, get, parse, raw

PORT = 9404


def large() -> Iterator[bytes]:
    for number in range(100):
        yield b"" if number % 2 else b"%06d" % number * 1000


async def small_page() -> Page:
    return Page(200, b"small\n")


async def large_page() -> Page:
    return Page(200, large())


async def broken_page() -> Page:
    raise RuntimeError("on purpose")


class Site:
    """A server on one host and a client on another."""

    def __init__(self, world: SimWorld) -> None:
        self.server_host = world.host("server")
        self.ports: Ports = world.host("client").ports
        self.address = self.server_host.address
        routes = {
            "/small": small_page,
            "/large": large_page,
            "/broken": broken_page,
            "/slow": self.slow_page,
        }
        self.server = HttpServer(routes, self.server_host.ports.clock)

    async def slow_page(self) -> Page:
        await self.server_host.ports.clock.sleep(10_000)
        return await small_page()

    async def get(self, path: str, version: str = "1.1") -> Answer:
        return await get(self.ports, self.address, PORT, path, version)

    async def raw(self, *data: bytes) -> bytes:
        return await raw(self.ports, self.address, PORT, *data)


def served(scenario: Callable[[Site], Awaitable[None]]) -> None:
    world = SimWorld(1)
    site = Site(world)

    async def main() -> None:
        await site.server.listen(site.server_host.ports.network, site.address, PORT)
        await scenario(site)
        site.server.close()

    world.run(main())


def test_pages() -> None:
    async def scenario(site: Site) -> None:
        answer = await site.get("/small")
        assert (answer.status, answer.body) == (200, b"small\n")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert (await site.get("/small?x=1&y")).body == b"small\n"
        whole = b"".join(large())
        assert (await site.get("/large")).body == whole
        old = await site.get("/large", "1.0")
        assert old.body == whole
        assert "Transfer-Encoding" not in old.headers
        missing = await site.get("/elsewhere")
        assert missing.status == 404
        assert b"/small\n" in missing.body

    served(scenario)


def test_a_head_has_no_body() -> None:
    async def scenario(site: Site) -> None:
        for path in (b"/small", b"/large"):
            data = await site.raw(b"HEAD %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            assert data.endswith(b"\r\n\r\n")
            assert data.startswith(b"HTTP/1.1 200 OK\r\n")

    served(scenario)


def test_a_request_may_come_byte_by_byte() -> None:
    async def scenario(site: Site) -> None:
        request = b"GET /small HTTP/1.1\r\nHost: x\r\nUser-Agent: Prometheus/3\r\n\r\n"
        pieces = [request[i : i + 1] for i in range(len(request))]
        assert parse(await site.raw(*pieces)).body == b"small\n"

    served(scenario)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"get /small HTTP/1.1\r\n\r\n", 405),
        (b"GET /small HTTP/2.0\r\n\r\n", 400),
        (b"GET /small\r\n\r\n", 400),
        (b"GET  /small HTTP/1.1\r\n\r\n", 400),
        (b"GET /sm\xc3\xa4ll HTTP/1.1\r\n\r\n", 400),
        (b"GET /small HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /small HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET /small HTTP/1.1\r\nHost: a\nb: c\r\n\r\n", 400),
        (b"GET /small HTTP/1.1\r\nHost: \0\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\0\0\0\x13\0\x12\0\3", 400),  # a Kafka client
        (b"\x16\3\1\2\0\1\0\1", 400),  # TLS
        (b"GET /" + b"x" * HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * HEAD_BYTES, 431),
    ],
)
def test_what_is_no_request_is_told_so(data: bytes, status: int) -> None:
    async def scenario(site: Site) -> None:
        assert parse(await site.raw(data)).status == status
        assert not site.server.connections

    served(scenario)


def test_what_follows_a_request_is_not_read_for_ever() -> None:
    async def scenario(site: Site) -> None:
        exchange = await dial(site.ports, site.address, PORT)
        assert exchange.transport is not None
        exchange.transport.write(b"GET /slow HTTP/1.1\r\n\r\n")
        await site.ports.clock.sleep(100)
        exchange.transport.write(b"x" * EXCESS_BYTES)
        await site.ports.clock.sleep(100)
        assert not exchange.closed.done()
        exchange.transport.write(b"x")
        await exchange.closed
        assert not exchange.received

    served(scenario)


def test_who_does_not_read_the_answer_is_cut_off() -> None:
    async def scenario(site: Site) -> None:
        exchange = await dial(site.ports, site.address, PORT)
        assert exchange.transport is not None
        exchange.transport.pause_reading()
        exchange.transport.write(b"GET /large HTTP/1.1\r\n\r\n")
        await site.ports.clock.sleep(LIFE_MS - 1000)
        assert site.server.connections
        await site.ports.clock.sleep(2000)
        assert not site.server.connections

    served(scenario)


def test_a_silent_client_is_cut_off() -> None:
    async def scenario(site: Site) -> None:
        exchange = await dial(site.ports, site.address, PORT)
        assert exchange.transport is not None
        exchange.transport.write(b"GET /small HT")
        await site.ports.clock.sleep(LIFE_MS - 1000)
        assert not exchange.closed.done()
        await site.ports.clock.sleep(2000)
        assert exchange.closed.done()
        assert not exchange.received

    served(scenario)


def test_the_number_of_connections_is_bounded() -> None:
    async def scenario(site: Site) -> None:
        waiting = [await dial(site.ports, site.address, PORT) for _ in range(CONNECTIONS)]
        one_more = await dial(site.ports, site.address, PORT)
        await one_more.closed
        assert not any(each.closed.done() for each in waiting)
        assert waiting[0].transport is not None
        waiting[0].transport.close()
        await site.ports.clock.sleep(100)
        assert (await site.get("/small")).status == 200

    served(scenario)


def test_a_bug_closes_the_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(site: Site) -> None:
        assert await site.raw(b"GET /broken HTTP/1.1\r\n\r\n") == b""
        assert (await site.get("/small")).status == 200

    served(scenario)
    assert "a bug of ours" in caplog.text
