"""Frames that wait for memory, clients that hold it, limits on connections."""

from __future__ import annotations

import struct

import pytest

from barnabas.server.limits import (
    FETCH_LEAST_BYTES,
    FETCH_RESPONSE_BYTES,
    FRAME_PATIENCE_TICKS,
    PARKED_BYTES,
    RECEIVE_BYTES,
    SCRATCH_TIGHT_BYTES,
    UNSENT_BYTES,
    UNSENT_PATIENCE_TICKS,
)
from barnabas.server.memory_budget import MemoryBudget
from tests.unit.server.test_connection import (
    MAX_REQUEST,
    METADATA,
    PRODUCE,
    FakeTransport,
    Server,
    frame,
)

LARGE = 900_000
NO_IDLE_LIMIT = -1


def large_frame(correlation_id: int) -> bytes:
    return frame(METADATA, correlation_id, bytes(LARGE))


def start_frames(server: Server, count: int) -> list[FakeTransport]:
    """`count` further connections, each with two thirds of a large frame."""
    mine = server.connection
    transports = []
    for number in range(count):
        server.connection, transport = server.connect()
        data = large_frame(number)[: LARGE * 2 // 3]
        while data and transport.reading:
            server.feed(data[:SCRATCH_TIGHT_BYTES])
            data = data[SCRATCH_TIGHT_BYTES:]
        transports.append(transport)
    server.connection = mine
    return transports


def starving(server: Server) -> Server:
    """A node with a small budget, all of it held by frames that do not get on."""
    server.memory.limit = MAX_REQUEST
    start_frames(server, 4)
    return server


def test_what_arrived_is_counted_and_given_back() -> None:
    server = Server()
    data = large_frame(1)
    server.feed(data[:-1])
    assert LARGE <= server.memory.used <= 2 * LARGE
    server.feed(data[-1:])
    assert server.memory.used == 0
    server.feed(data[:-1])
    server.connection.connection_lost(None)
    assert server.memory.used == 0


def test_frames_behind_a_parked_request_are_counted() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(METADATA, 0) + frame(METADATA, 1, bytes(500)))
    assert 500 <= server.memory.used <= 600
    server.answer_at_once = True
    server.parked[0].respond(b"")
    assert server.memory.used == 0


def test_beyond_the_budget_frames_are_not_read() -> None:
    server = Server()
    transports = start_frames(server, 4 * RECEIVE_BYTES // LARGE)
    assert any(not t.reading for t in transports)
    # The first bytes of each connection are taken at any rate, and one frame may pass.
    assert server.memory.used <= RECEIVE_BYTES + LARGE + 2 * len(transports) * SCRATCH_TIGHT_BYTES
    assert server.memory.frames_wait


def test_those_who_wait_go_on_when_others_are_gone() -> None:
    server = starving(Server())
    assert server.memory.frames_wait
    for connection in list(server.context.connections):
        connection.connection_lost(None)
    assert server.memory.used == 0
    assert not server.memory.frames_wait


def parked_produces(server: Server, count: int) -> list[FakeTransport]:
    """`count` further connections, each with a large Produce that is not answered for now."""
    server.answer_at_once = False
    mine = server.connection
    transports = []
    for number in range(count):
        server.connection, transport = server.connect()
        data = frame(PRODUCE, number, bytes(LARGE))
        while data and transport.reading:
            server.feed(data[:SCRATCH_TIGHT_BYTES])
            data = data[SCRATCH_TIGHT_BYTES:]
        transports.append(transport)
    server.connection = mine
    return transports


def test_whole_frames_that_wait_for_their_answer_are_bounded_for_all_clients_together() -> None:
    server = Server()
    fit = PARKED_BYTES // LARGE
    transports = parked_produces(server, fit + 50)
    assert len(server.parked) == fit + 1
    assert server.memory.used <= 50 * 3 * SCRATCH_TIGHT_BYTES
    assert not any(t.reading for t in transports[fit + 1 :])
    assert not any(t.closed for t in transports)


def test_they_go_on_when_earlier_ones_are_answered_or_gone() -> None:
    server = Server()
    parked_produces(server, PARKED_BYTES // LARGE + 3)
    waiting = [c for c in server.context.connections if c.held]
    assert len(waiting) == 2
    assert server.memory.limit < 0
    server.parked[0].respond(b"")
    assert not any(c._paused for c in waiting)
    assert server.memory.limit == RECEIVE_BYTES
    for connection in list(server.context.connections):
        connection.connection_lost(None)
    assert server.memory.parked == server.memory.used == 0


def test_a_failed_connection_gives_back_what_its_requests_hold() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(PRODUCE, 1, bytes(500)) + frame(PRODUCE, 2, bytes(500)))
    assert 1000 <= server.memory.parked <= 1100
    server.connection.fail("a reason")
    assert server.memory.parked == 0
    server.parked[0].respond(b"")
    server.connection.connection_lost(None)
    assert server.memory.parked == 0


def test_a_request_that_waits_does_not_keep_its_bytes() -> None:
    server = Server()
    server.answer_at_once = False
    server.feed(frame(METADATA, 1, bytes(500)))
    (request,) = server.parked
    assert not request.frame
    assert request.size > 500
    assert server.memory.parked == 0


def test_small_frames_pass_while_large_ones_wait() -> None:
    server = starving(Server())
    server.feed(frame(METADATA, 7, b"small"), chunk=10)
    assert server.answers() == [7]


def test_who_holds_memory_without_getting_on_is_closed_when_others_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = starving(Server())
    server.connection, honest = server.connect()
    data = large_frame(5)
    server.feed(data[: LARGE // 2])
    sent = LARGE // 2
    while sent < len(data):
        for _ in range(FRAME_PATIENCE_TICKS):
            server.context.sweep(NO_IDLE_LIMIT)
            if honest.reading and sent < len(data):
                server.feed(data[sent : sent + 50_000])
                sent += 50_000
        for connection in list(server.context.connections):
            if connection._closed:
                connection.connection_lost(None)
    assert server.seen[-1][1] == 5
    assert not honest.closed
    assert 1 <= len(caplog.records) <= 4


def test_slow_frames_are_nobodys_business_while_there_is_memory() -> None:
    server = Server()
    server.feed(large_frame(1)[:70_000])
    for _ in range(10 * FRAME_PATIENCE_TICKS):
        server.context.sweep(NO_IDLE_LIMIT)
    assert not server.transport.closed


def test_the_more_clients_do_not_read_the_less_a_fetch_is_given() -> None:
    memory = MemoryBudget(RECEIVE_BYTES)
    assert memory.fetch_bytes() == FETCH_RESPONSE_BYTES
    memory.unsent = UNSENT_BYTES - 100_000
    assert memory.fetch_bytes() == 100_000
    memory.unsent = UNSENT_BYTES * 2
    assert memory.fetch_bytes() == FETCH_LEAST_BYTES


def test_a_client_that_does_not_read_is_closed_when_the_room_for_answers_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    monkeypatch.setattr(server.transport, "get_write_buffer_size", lambda: UNSENT_BYTES)
    server.connection.pause_writing()
    assert server.memory.unsent == UNSENT_BYTES
    closed = []
    for _ in range(UNSENT_PATIENCE_TICKS):
        server.context.sweep(NO_IDLE_LIMIT)
        closed.append(server.transport.closed)
    assert closed.count(True) == 1
    server.connection.connection_lost(None)
    assert server.memory.unsent == 0


@pytest.mark.effect_of("max.connections", "max.connections.per.ip")
@pytest.mark.parametrize("name", ["max.connections", "max.connections.per.ip"])
def test_connections_beyond_a_limit_are_closed(name: str, caplog: pytest.LogCaptureFixture) -> None:
    server = Server({name: "2"})
    second, _ = server.connect()
    third, transport = server.connect()
    assert transport.closed
    assert [r.getMessage() for r in caplog.records] == [
        f"closing connection from 10.0.0.1:1234: {name}=2 is reached"
    ]
    third.connection_lost(None)
    second.connection_lost(None)
    assert not server.connect()[1].closed


def test_requests_wait_until_the_listener_serves() -> None:
    server = Server()
    server.context.serving = False
    server.connection, server.transport = server.connect()
    server.feed(frame(METADATA, 1) + frame(METADATA, 2))
    assert server.seen == []
    server.context.serve()
    assert server.answers() == [1, 2]


def test_a_negative_idle_limit_is_none() -> None:
    server = Server()
    for _ in range(10):
        server.context.sweep(-1)
    assert not server.transport.closed


def test_half_a_size_is_half_a_frame() -> None:
    server = Server()
    data = frame(METADATA, 1)
    server.feed(data[:3])
    server.feed(data[3:] + struct.pack(">i", 8))
    assert server.answers() == [1]
