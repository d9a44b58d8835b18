"""Where the time of a request went, and the lines about slow ones."""

from __future__ import annotations

import logging

import pytest

from barnabas.server.dispatch import Entry
from barnabas.server.listener import ListenerContext
from barnabas.server.request import Payload, Request
from barnabas.server.request_times import PATIENT, SLOW_LINES, SLOW_SWEEPS, RequestRecorder
from tests.unit.server.test_connection import METADATA, PRODUCE, Server, frame

MS = 1_000_000


class Timed(Server):
    """A server whose handlers take a millisecond of the loop, and whose answers are told slow."""

    def __init__(self, slow_ms: int = -1) -> None:
        super().__init__()
        self.recorder = RequestRecorder(self.clock.monotonic_ns, slow_ms)
        self.context.record = self.recorder.record
        for (key, version), entry in self.context.table.items():
            self.context.table[key, version] = Entry(
                self.handle, entry.flexible, self.recorder.of(key)
            )

    def handle(self, request: Request) -> Payload | None:
        self.clock.time_ns += MS
        return super().handle(request)

    def phases(self, key: int) -> dict[str, tuple[int, int]]:
        """Count and sum (ms) of every phase of an API."""
        times = self.recorder.of(key)
        names = ("queue", "local", "remote", "held", "sending", "total")
        found = {name: getattr(times, name) for name in names}
        return {name: (each.count, each.total_ns // MS) for name, each in found.items()}


def count(context: ListenerContext, key: int) -> int:
    return sum(entry.count for (each, _), entry in context.table.items() if each == key)


def test_an_answer_at_once_is_local_time_alone() -> None:
    server = Timed()
    server.feed(frame(METADATA, 1) + frame(METADATA, 2))
    assert server.answers() == [1, 2]
    # Both leave at the end of the read: the first waited for the handler of the second.
    assert server.phases(METADATA) == {
        "queue": (0, 0),
        "local": (2, 2),
        "remote": (0, 0),
        "held": (0, 0),
        "sending": (2, 1),
        "total": (2, 3),
    }
    assert count(server.context, METADATA) == 2


def test_every_phase_of_requests_that_wait() -> None:
    server = Timed()
    server.answer_at_once = False
    server.feed(frame(PRODUCE, 1) + frame(PRODUCE, 2) + frame(METADATA, 3))
    first, second = server.parked
    server.clock.time_ns += 10 * MS
    second.respond(b"\0\0\0\2")
    server.clock.time_ns += 5 * MS
    server.answer_at_once = True
    first.respond(b"\0\0\0\1")
    assert server.answers() == [1, 2, 3]
    produce, metadata = server.phases(PRODUCE), server.phases(METADATA)
    assert produce["local"] == (2, 2)
    assert produce["remote"] == (2, 16 + 10)
    assert produce["held"] == (1, 5)
    assert produce["queue"] == (0, 0)
    assert metadata["queue"] == (1, 15)
    assert metadata["local"] == (1, 1)
    for phases in (produce, metadata):
        parts = sum(spent for name, (_, spent) in phases.items() if name != "total")
        assert phases["total"][1] == parts


def test_a_request_without_an_answer_counts() -> None:
    server = Timed()
    server.context.table[PRODUCE, 5].handle = _no_answer
    server.feed(frame(PRODUCE, 1))
    assert count(server.context, PRODUCE) == 1
    assert server.answers() == []


def _no_answer(request: Request) -> None:
    request.settled = True


def slow_lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [r for r in caplog.records if r.name == "barnabas.request"]


def test_a_slow_request_gets_a_line_with_all_that_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Timed(slow_ms=50)
    server.answer_at_once = False
    server.feed(frame(METADATA, 7))
    server.clock.time_ns += 50 * MS
    server.parked[0].respond(b"\0\0\0\7")
    server.settle()
    (line,) = slow_lines(caplog)
    told = {name: getattr(line, name) for name in ("api", "version", "client", "client_id")}
    assert told == {
        "api": "Metadata",
        "version": 5,
        "client": "10.0.0.1:1234",
        "client_id": "abc",
    }
    assert (line.__dict__["total_ms"], line.__dict__["remote_ms"]) == (51.0, 50.0)


def test_what_a_fetch_may_wait_is_not_slow(caplog: pytest.LogCaptureFixture) -> None:
    server = Timed(slow_ms=50)
    server.answer_at_once = False
    server.feed(frame(METADATA, 1))
    server.parked[0].patience_ns = 500 * MS
    server.clock.time_ns += 500 * MS
    server.parked[0].respond(b"\0\0\0\1")
    server.settle()
    assert slow_lines(caplog) == []


def test_what_others_made_it_wait_for_is_not_slow(caplog: pytest.LogCaptureFixture) -> None:
    server = Timed(slow_ms=50)
    server.answer_at_once = False
    server.feed(frame(PRODUCE, 1) + frame(PRODUCE, 2) + frame(METADATA, 3))
    first, second = server.parked
    second.respond(b"\0\0\0\2")
    server.clock.time_ns += 100 * MS
    server.answer_at_once = True
    first.respond(b"\0\0\0\1")
    assert server.answers() == [1, 2, 3]
    assert [r.__dict__["correlation_id"] for r in slow_lines(caplog)] == [1]


@pytest.mark.parametrize("key", sorted(PATIENT))
def test_who_waits_for_other_members_is_not_slow(
    key: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = Timed(slow_ms=50)
    server.context.table[key, 2] = Entry(server.handle, False, server.recorder.of(key))
    server.answer_at_once = False
    server.feed(frame(key, 1, version=2))
    server.clock.time_ns += 500 * MS
    server.parked[0].respond(b"\0\0\0\1")
    server.settle()
    assert slow_lines(caplog) == []
    assert server.phases(key)["remote"] == (1, 500)


def test_slow_requests_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    server = Timed(slow_ms=0)
    for number in range(SLOW_LINES + 3):
        server.feed(frame(METADATA, number))
    assert [r.message for r in slow_lines(caplog)] == ["slow request"] * SLOW_LINES
    for _ in range(SLOW_SWEEPS):
        assert [r.message for r in slow_lines(caplog)] == ["slow request"] * SLOW_LINES
        server.recorder.sweep()
    assert slow_lines(caplog)[-1].__dict__["count"] == 3
    server.feed(frame(METADATA, 99))
    assert slow_lines(caplog)[-1].message == "slow request"


def test_each_request_gets_a_line_when_the_level_is_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "barnabas.request")
    server = Timed()
    server.feed(frame(METADATA, 1))
    assert [(r.levelname, r.message) for r in slow_lines(caplog)] == [("DEBUG", "request")]
