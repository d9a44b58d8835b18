"""Frames, order of answers and back-pressure of one connection."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest

from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.ports import Buffer
from barnabas.security.principal import ANONYMOUS
from barnabas.server.connection import Connection
from barnabas.server.connection_limits import ConnectionLimits
from barnabas.server.dispatch import Entry
from barnabas.server.limits import (
    BACKLOG_BYTES,
    FRAME_FIRST_BYTES,
    PENDING_REQUESTS,
    RECEIVE_BYTES,
)
from barnabas.server.listener import ListenerContext
from barnabas.server.memory_budget import MemoryBudget
from barnabas.server.quotas import Quotas
from barnabas.server.request import Payload, Request
from barnabas.server.request_times import RequestRecorder

PRODUCE, FETCH, METADATA, COMMIT, HEARTBEAT = 0, 1, 3, 8, 12
MAX_REQUEST = 1 << 20


class FakeTransport:
    def __init__(self) -> None:
        self.peer = ("10.0.0.1", 1234)
        self.local = ("10.0.0.2", 9092)
        self.sent = bytearray()
        self.closed = False
        self.reading = True

    def write(self, data: Buffer) -> None:
        self.sent += data

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        for data in buffers:
            self.sent += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0


class FakeTimer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """`ports.Clock` that moves when told to."""

    def __init__(self) -> None:
        self.time_ns = 0
        self.timers: list[tuple[int, FakeTimer, Callable[[], None]]] = []

    def wall_ms(self) -> int:
        return self.monotonic_ms()

    def monotonic_ms(self) -> int:
        return self.time_ns // 1_000_000

    def monotonic_ns(self) -> int:
        return self.time_ns

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer()
        self.timers.append((self.time_ns + delay_ms * 1_000_000, timer, callback))
        return timer

    async def sleep(self, delay_ms: int) -> None:
        raise NotImplementedError

    def advance(self, ms: int) -> None:
        """Let time pass, and call what is due on the way."""
        end_ns = self.time_ns + ms * 1_000_000
        while due := min((t for t in self.timers if t[0] <= end_ns), default=None, key=_when):
            self.timers.remove(due)
            self.time_ns = max(self.time_ns, due[0])
            if not due[1].cancelled:
                due[2]()
        self.time_ns = end_ns


def _when(timer: tuple[int, FakeTimer, Callable[[], None]]) -> int:
    return timer[0]


class Server:
    """A listener whose handlers do what the test says."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self.parked: list[Request] = []
        self.seen: list[tuple[int, int, bytes]] = []
        self.later: list[Callable[[], None]] = []
        self.answer_at_once = True
        self.exclusive: bool | None = None
        self.clock = FakeClock()
        self.recorder = RequestRecorder(self.clock.monotonic_ns, -1)
        self.memory = MemoryBudget(RECEIVE_BYTES)
        self.config = BrokerConfig.from_properties(default_properties("/d") | (settings or {}))
        self.quotas = Quotas(self.config, self.clock)
        table = {
            (key, version): Entry(self.handle, version >= 9, self.recorder.of(key))
            for key in (PRODUCE, METADATA, COMMIT, HEARTBEAT)
            for version in (5, 9)
        }
        self.context = ListenerContext(
            "PLAINTEXT",
            table,
            Entry(self.handle, False, self.recorder.of(METADATA)),
            controller=False,
            principal=ANONYMOUS,
            max_request_bytes=MAX_REQUEST,
            memory=self.memory,
            limits=ConnectionLimits(lambda: self.config),
            call_soon=self.later.append,
            recorder=self.recorder,
            clock=self.clock,
            quotas=self.quotas,
        )
        self.context.serve()
        self.connection, self.transport = self.connect()

    def connect(self) -> tuple[Connection, FakeTransport]:
        connection = Connection(self.context)
        transport = FakeTransport()
        connection.connection_made(transport)
        return connection, transport

    def handle(self, request: Request) -> Payload | None:
        self.seen.append(
            (request.api_key, request.correlation_id, bytes(request.view[request.body :]))
        )
        if self.exclusive is not None:
            request.exclusive = self.exclusive
        if self.answer_at_once:
            return struct.pack(">i", request.correlation_id)
        self.parked.append(request)
        return None

    def feed(self, data: bytes, chunk: int | None = None) -> None:
        pos = 0
        while pos < len(data):
            view = self.connection.get_buffer(65536)
            n = min(len(view), len(data) - pos, chunk or len(data))
            view[:n] = data[pos : pos + n]
            self.connection.buffer_updated(n)
            pos += n

    def settle(self) -> None:
        while self.later:
            self.later.pop(0)()

    def reading(self) -> bool:
        return self.transport.reading

    def answers(self) -> list[int]:
        self.settle()
        sent, found = bytes(self.transport.sent), []
        for pos in range(0, len(sent), 8):
            size, correlation_id = struct.unpack_from(">ii", sent, pos)
            assert size == 4
            found.append(correlation_id)
        return found


def frame(key: int, correlation_id: int, body: bytes = b"", version: int = 5) -> bytes:
    header = struct.pack(">hhih", key, version, correlation_id, 3) + b"abc"
    if version >= 9:
        header += b"\0"
    return struct.pack(">i", len(header) + len(body)) + header + body


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 64, 1000, None])
def test_frames_are_found_however_the_bytes_arrive(chunk: int | None) -> None:
    server = Server()
    bodies = [b"", b"x", b"y" * 300, b"z" * (FRAME_FIRST_BYTES + 5), b"w" * 70_000, b"last"]
    data = b"".join(frame(METADATA, i, body, 9) for i, body in enumerate(bodies))
    server.feed(data, chunk)
    assert server.seen == [(METADATA, i, body) for i, body in enumerate(bodies)]
    assert server.answers() == list(range(len(bodies)))
    assert server.connection.client_id == "abc"


def test_a_promised_frame_costs_what_has_arrived() -> None:
    server = Server()
    server.feed(struct.pack(">i", MAX_REQUEST) + b"\0\x03\0\x05" + bytes(100_000))
    assert 100_000 <= server.memory.used <= 2 * 100_108 + FRAME_FIRST_BYTES


@pytest.mark.parametrize("size", [-2, -1, 0, 7, MAX_REQUEST + 1, 0x7FFFFFFF, -(2**31)])
def test_an_impossible_size_closes_the_connection(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server()
    server.feed(struct.pack(">i", size) + bytes(60))
    assert server.transport.closed
    assert server.seen == []
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"]
)
def test_other_protocols_are_refused(data: bytes) -> None:
    server = Server()
    server.feed(data)
    assert server.transport.closed


def test_an_unknown_api_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.feed(frame(METADATA, 1) + frame(4, 2) + frame(METADATA, 3))
    assert server.answers() == [1]
    assert server.transport.closed
    assert len(caplog.records) == 1


def test_answers_keep_the_order_of_requests() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(b"".join(frame(PRODUCE, i) for i in range(3)))
    assert [r.correlation_id for r in server.parked] == [0, 1, 2]
    server.parked[2].respond(struct.pack(">i", 2))
    server.parked[1].respond(struct.pack(">i", 1))
    assert server.answers() == []
    server.parked[0].respond(struct.pack(">i", 0))
    assert server.answers() == [0, 1, 2]


def test_an_immediate_answer_waits_for_earlier_ones() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(PRODUCE, 0))
    server.answer_at_once = True
    server.feed(frame(PRODUCE, 1))
    assert server.answers() == []
    server.parked[0].respond(struct.pack(">i", 0))
    assert server.answers() == [0, 1]


def test_only_produce_overlaps_produce() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(PRODUCE, 0) + frame(METADATA, 1) + frame(PRODUCE, 2) + frame(PRODUCE, 3))
    assert [c for _, c, _ in server.seen] == [0]
    server.parked[0].respond(struct.pack(">i", 0))
    assert [c for _, c, _ in server.seen] == [0, 1]
    server.parked[1].respond(struct.pack(">i", 1))
    assert [c for _, c, _ in server.seen] == [0, 1, 2, 3]
    server.parked[3].respond(struct.pack(">i", 3))
    server.parked[2].respond(struct.pack(">i", 2))
    assert server.answers() == [0, 1, 2, 3]


def test_an_exclusive_produce_is_not_overtaken() -> None:
    server = Server()
    server.answer_at_once = False
    handle = server.handle

    def exclusive(request: Request) -> Payload | None:
        request.exclusive = True
        return handle(request)

    server.context.table[(PRODUCE, 9)] = Entry(exclusive, True, server.recorder.of(PRODUCE))
    server.feed(frame(PRODUCE, 0, version=9) + frame(PRODUCE, 1))
    assert [c for _, c, _ in server.seen] == [0]
    server.parked[0].respond(struct.pack(">i", 0))
    assert [c for _, c, _ in server.seen] == [0, 1]


def test_a_request_without_answer_frees_its_place() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(PRODUCE, 0) + frame(PRODUCE, 1))
    server.parked[1].respond(struct.pack(">i", 1))
    server.parked[0].no_response()
    assert server.answers() == [1]


def test_a_full_backlog_stops_reading_until_it_is_drained() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(METADATA, 0))
    body = bytes(100_000)
    count = BACKLOG_BYTES // len(body) + 2
    server.feed(b"".join(frame(METADATA, i + 1, body) for i in range(count)))
    assert not server.reading()
    server.answer_at_once = True
    server.parked[0].respond(struct.pack(">i", 0))
    server.settle()
    assert server.reading()
    assert server.answers() == list(range(count + 1))


def test_a_client_that_does_not_read_is_not_read_from() -> None:
    server = Server()
    server.connection.pause_writing()
    assert not server.transport.reading
    server.connection.resume_writing()
    assert server.transport.reading


def test_a_bug_of_ours_closes_the_connection_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()

    def broken(_: Request) -> Payload | None:
        raise RuntimeError("broken")

    server.context.table[(METADATA, 5)] = Entry(broken, False, server.recorder.of(METADATA))
    server.feed(frame(METADATA, 0))
    assert server.transport.closed
    assert "a bug of ours" in caplog.text


def test_late_answers_to_a_lost_connection_are_dropped() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(PRODUCE, 0))
    server.connection.connection_lost(None)
    server.parked[0].respond(b"")
    assert server.answers() == []
    assert server.context.connections == {}


def end_of_stream(server: Server) -> None:
    """The client closes: the transport says so, closes itself, and is lost."""
    server.connection.eof_received()
    server.connection.connection_lost(None)


def reset(server: Server) -> None:
    server.connection.connection_lost(ConnectionResetError())


@pytest.mark.parametrize("leave", [end_of_stream, reset])
def test_what_a_client_sent_before_it_left_is_carried_out(leave: Callable[[Server], None]) -> None:
    server = Server()
    server.answer_at_once = False
    requests = [(METADATA, 0), (PRODUCE, 1), (PRODUCE, 2), (FETCH, 3), (METADATA, 4), (PRODUCE, 5)]
    server.feed(b"".join(frame(key, number) for key, number in requests))
    leave(server)
    assert [number for _, number, _ in server.seen] == [0]
    server.parked[0].respond(b"")
    assert [number for _, number, _ in server.seen] == [0, 1, 2]
    server.parked[2].no_response()
    server.parked[1].no_response()
    assert [number for _, number, _ in server.seen] == [0, 1, 2, 4]
    server.parked[3].respond(b"")
    assert [number for _, number, _ in server.seen] == [0, 1, 2, 4, 5]
    server.parked[4].no_response()
    assert server.answers() == []
    assert server.memory.used == 0
    assert server.context.connections == {}


def test_a_failure_ends_what_a_client_left_behind() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(METADATA, 0) + frame(PRODUCE, 1) + frame(PRODUCE, 2) + frame(METADATA, 3))
    end_of_stream(server)
    server.parked[0].respond(b"")
    server.parked[1].close("it failed")
    assert [number for _, number, _ in server.seen] == [0, 1, 2]
    assert server.memory.used == 0


def test_a_parked_request_does_not_hold_up_what_is_left_behind() -> None:
    class Waiting:
        def __init__(self, request: Request) -> None:
            self.request = request

        def hurry(self) -> None:
            self.request.respond(b"")

        def abandon(self) -> None:
            raise AssertionError("others wait for it")

    server = Server()
    server.answer_at_once = False
    server.feed(frame(METADATA, 0) + frame(PRODUCE, 1))
    server.connection.parked = Waiting(server.parked[0])
    end_of_stream(server)
    assert [number for _, number, _ in server.seen] == [0, 1]


def test_idle_connections_are_closed_and_busy_ones_kept() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(METADATA, 0))
    for _ in range(5):
        server.context.sweep(3)
    assert not server.transport.closed
    server.parked[0].respond(struct.pack(">i", 0))
    server.settle()
    for _ in range(5):
        server.context.sweep(3)
    assert server.transport.closed


def test_open_files_bound_connections_whatever_is_configured() -> None:
    config = BrokerConfig.from_properties(default_properties("/d"))
    limits = ConnectionLimits(lambda: config, 2)
    assert [limits.admit("PLAINTEXT", "10.0.0.1") for _ in range(2)] == [None, None]
    refusal = limits.admit("PLAINTEXT", "10.0.0.2")
    assert refusal is not None
    assert "open files" in refusal
    limits.leave("PLAINTEXT", "10.0.0.2")
    limits.leave("PLAINTEXT", "10.0.0.1")
    assert limits.admit("PLAINTEXT", "10.0.0.2") is None


def test_heartbeats_and_commits_overlap_each_other_and_nothing_else() -> None:
    server = Server()
    server.answer_at_once, server.exclusive = False, False
    server.feed(frame(COMMIT, 1) + frame(HEARTBEAT, 2) + frame(COMMIT, 3))
    server.feed(frame(PRODUCE, 4) + frame(COMMIT, 5))
    assert [seen[1] for seen in server.seen] == [1, 2, 3]
    for request in server.parked[2::-1]:
        request.respond(struct.pack(">i", request.correlation_id))
    assert server.answers() == [1, 2, 3]
    assert [seen[1] for seen in server.seen] == [1, 2, 3, 4]
    server.parked[3].respond(struct.pack(">i", 4))
    assert [seen[1] for seen in server.seen] == [1, 2, 3, 4, 5]


def test_a_commit_that_is_decided_the_long_way_is_not_overtaken() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(COMMIT, 1) + frame(HEARTBEAT, 2) + frame(COMMIT, 3))
    assert [seen[1] for seen in server.seen] == [1]
    server.parked[0].respond(struct.pack(">i", 1))
    assert [seen[1] for seen in server.seen] == [1, 2]


def test_commits_that_overlap_are_bounded() -> None:
    server = Server()
    server.answer_at_once, server.exclusive = False, False
    server.feed(b"".join(frame(COMMIT, at) for at in range(PENDING_REQUESTS + 5)))
    assert len(server.seen) == PENDING_REQUESTS
