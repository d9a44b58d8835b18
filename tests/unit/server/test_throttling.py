"""What a muted connection does, whose time is counted, and what its memory does to others."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Generator

import pytest

from barnabas.metadata.delta import MetadataDelta
from barnabas.metadata.image import MetadataImage, Provenance
from barnabas.metadata.record_types import ClientQuotaRecord
from barnabas.metadata.records.client_quota_record import EntityData
from barnabas.server.limits import MUTED_BYTES, RECEIVE_BYTES
from barnabas.server.meter import Meter, Metered
from barnabas.server.request import Payload, Request
from tests.unit.server.test_connection import METADATA, PRODUCE, Server, frame

MS = 1_000_000


class Throttling(Server):
    """Mutes the connection when it answers what the test names."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        super().__init__(settings)
        self.throttle: dict[int, int] = {}
        self.takes_ms: dict[int, int] = {}
        self.throttled: list[int] = []
        self.quotas.listeners = [self.context]

    def handle(self, request: Request) -> Payload | None:
        number = request.correlation_id
        self.clock.time_ns += self.takes_ms.get(number, 0) * MS
        self.throttled.append(
            self.quotas.answered(request, self.throttle.get(number, 0), exempt=False)
        )
        return super().handle(request)

    def limit(self, **values: float) -> None:
        """Quotas of the default client id."""
        image = MetadataImage.empty()
        delta = MetadataDelta(image)
        for key, value in values.items():
            delta.replay(ClientQuotaRecord([EntityData("client-id", None)], key, value, False))
        delta.replay(ClientQuotaRecord([EntityData("client-id", None)], "unknown", 1, False))
        self.quotas.publish(image, delta.apply(Provenance(0, 0, 0)), delta)


def numbers(server: Server) -> list[int]:
    """The requests whose handler ran."""
    return [number for _, number, _ in server.seen]


def test_nothing_begins_while_a_connection_is_muted() -> None:
    server = Throttling()
    server.throttle[1] = 1000
    server.feed(b"".join(frame(PRODUCE, n) for n in range(4)))
    assert (numbers(server), server.answers(), server.reading()) == ([0, 1], [0, 1], False)
    server.clock.advance(999)
    assert (numbers(server), server.reading()) == ([0, 1], False)
    server.clock.advance(1)
    assert (numbers(server), server.answers(), server.reading()) == (
        [0, 1, 2, 3],
        [0, 1, 2, 3],
        True,
    )
    assert server.context.muted == {}


def test_the_longest_throttling_counts() -> None:
    server = Throttling()
    server.connection.mute(500)
    server.connection.mute(1500)
    server.connection.mute(1000)
    server.clock.advance(1499)
    assert not server.reading()
    server.clock.advance(1)
    assert server.reading()
    server.connection.mute(10)
    assert not server.reading()


def test_what_waits_behind_a_mute_was_not_slow() -> None:
    server = Throttling()
    server.throttle[0] = 60_000
    server.feed(frame(PRODUCE, 0) + frame(PRODUCE, 1))
    server.clock.advance(60_000)
    server.settle()
    times = server.recorder.apis[PRODUCE]
    assert numbers(server) == [0, 1]
    assert times.total.total_ns == times.queue.total_ns == 0


def test_a_frame_that_has_begun_waits_for_its_end() -> None:
    server = Throttling()
    server.throttle[0] = 100
    rest = frame(METADATA, 1, bytes(100_000))
    server.feed(frame(METADATA, 0) + rest[:5000])
    assert (numbers(server), server.reading()) == ([0], False)
    server.clock.advance(100)
    assert server.reading()
    server.feed(rest[5000:])
    assert numbers(server) == [0, 1]


def test_a_lost_connection_leaves_no_timer() -> None:
    server = Throttling()
    server.connection.mute(10_000)
    server.connection.connection_lost(None)
    assert [timer.cancelled for _, timer, _ in server.clock.timers] == [True]
    assert server.context.muted == {}


def test_a_silent_connection_is_closed_muted_or_not() -> None:
    server = Throttling()
    server.throttle[0] = 10_000_000
    server.feed(frame(METADATA, 0) + frame(METADATA, 1))
    assert server.connection.held > 0
    for _ in range(6):
        server.context.sweep(5)
    assert server.transport.closed


def test_frames_of_muted_connections_do_not_starve_others() -> None:
    server = Throttling()
    server.throttle[0] = 10_000_000
    big = struct.pack(">i", 900_000) + b"\0\x03\0\x05\0\0\0\x09" + bytes(200_000)
    greedy = []
    while server.memory.used <= RECEIVE_BYTES:
        server.feed(frame(METADATA, 0) + big)
        greedy.append(server.connection)
        server.connection, server.transport = server.connect()
    room = server.memory.limit
    server.memory.set_apart(sum(each.held for each in server.context.muted))
    assert room < server.memory.used < server.memory.limit
    server.feed(big)
    assert server.reading()
    assert all(each.hinders is None for each in greedy)
    # There is an end to that: then they have to go, once others wait.
    server.memory.used += MUTED_BYTES
    server.connection, server.transport = server.connect()
    server.feed(big)
    server.connection, server.transport = server.connect()
    server.feed(big)
    assert not server.reading()
    server.memory.set_apart(MUTED_BYTES + 1)
    assert all("take memory" in (each.hinders or "") for each in greedy)
    server.memory.set_apart(0)
    assert all(each.hinders is None for each in greedy)


@pytest.mark.parametrize("began", [False, True])
def test_a_muted_connection_gives_its_turn_for_memory_to_others(began: bool) -> None:
    server = Throttling()
    server.memory.used = RECEIVE_BYTES  # somebody else's
    size = 900_000
    first, other = server.connection, server.connect()
    data = frame(METADATA, 1, bytes(size))
    if began:
        server.feed(data[:300_000])
        first.mute(1000)
    else:
        server.throttle[0] = 1000
        server.feed(frame(METADATA, 0) + data[:200_000])
    assert not server.reading()
    # One frame at a time may pass the limit: it is not that of the muted connection.
    transport = server.transport
    server.connection, server.transport = other
    next_one = frame(METADATA, 2, bytes(size))
    server.feed(next_one[:200_000], 16_000)
    assert server.reading()
    server.feed(next_one[200_000:])
    assert numbers(server)[-1] == 2
    server.clock.advance(1000)
    server.connection, server.transport = first, transport
    assert server.reading()
    server.feed(data[300_000 if began else 200_000 :])
    assert numbers(server)[-1] == 1
    assert server.memory.used == RECEIVE_BYTES


def test_a_muted_connection_that_waits_for_memory_waits_again() -> None:
    server = Throttling()
    server.memory.used = RECEIVE_BYTES
    first, second = server.connection, server.connect()
    half = frame(METADATA, 1, bytes(900_000))[:300_000]
    server.feed(half)
    server.connection, server.transport = second
    server.feed(half)
    assert not server.reading()
    server.connection.mute(1000)
    first.connection_lost(None)
    assert not server.reading()
    server.clock.advance(1000)
    assert server.reading()


def test_the_time_of_requests_is_charged_while_there_is_a_quota_on_it() -> None:
    server = Throttling()
    server.takes_ms = dict.fromkeys(range(100), 150)
    server.feed(frame(METADATA, 0))
    server.limit(producer_byte_rate=1)
    server.feed(frame(METADATA, 1))
    assert server.connection.outbox.meter is None
    server.limit(request_percentage=3.0)
    # 3 % are 300 ms in ten seconds; 450 ms are 4.5 %, which takes five seconds to get right, but
    # one request is never charged more than a window.
    server.feed(b"".join(frame(METADATA, n) for n in (2, 3, 4, 5)))
    assert (numbers(server), server.throttled) == ([0, 1, 2, 3, 4], [0, 0, 0, 0, 1000])
    server.clock.advance(1000)
    assert numbers(server)[-1] == 5
    other, _ = server.connect()
    assert other.outbox.meter is not None
    server.limit(producer_byte_rate=1)
    assert other.outbox.meter is server.connection.outbox.meter is None


def test_the_time_after_an_answer_is_charged_with_the_next() -> None:
    server = Throttling()
    server.limit(request_percentage=1.0)
    write = server.transport.write

    def slow(data: bytes) -> None:
        server.clock.time_ns += 150 * MS
        write(data)

    server.transport.write = slow  # type: ignore[method-assign, assignment]
    server.feed(frame(METADATA, 0))
    server.feed(frame(METADATA, 1))
    assert server.throttled == [0, 1000]


def test_meters_within_meters() -> None:
    now = [0]
    meter = Meter(lambda: now[0])
    meter.begin()
    now[0] += 5 * MS
    meter.run(lambda: now.__setitem__(0, now[0] + 10 * MS))
    assert meter.take() == pytest.approx(1.5)
    now[0] += 20 * MS
    meter.end()
    now[0] += 40 * MS
    assert meter.take() == pytest.approx(2.0)
    assert meter.take() == 0
    with pytest.raises(ZeroDivisionError):
        meter.run(lambda: now.__setitem__(0, 1 // 0))
    now[0] += MS
    assert meter.take() == 0


def test_a_metered_coroutine_is_timed_where_it_runs() -> None:
    now = [0]
    meter = Meter(lambda: now[0])

    class Step:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def work() -> str:
        now[0] += 10 * MS
        await Step()
        try:
            await Step()
        except KeyError:
            now[0] += 20 * MS
        await asyncio.sleep(0)
        return "done"

    metered = Metered(work(), meter)
    metered.send(None)
    now[0] += 500 * MS
    metered.send(None)
    metered.throw(KeyError())
    now[0] += 500 * MS
    with pytest.raises(StopIteration) as end:
        metered.send(None)
    assert end.value.value == "done"
    assert meter.take() == pytest.approx(3.0)
    closed = Metered(work(), meter)
    closed.send(None)
    closed.close()

    async def main() -> str:
        return await asyncio.get_running_loop().create_task(Metered(work(), meter))

    assert asyncio.run(main()) == "done"
