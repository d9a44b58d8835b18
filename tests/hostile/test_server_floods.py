"""Too much of everything against the real process: half frames, arrays, answers that nobody reads."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from barnabas.records.builder import build_batch
from barnabas.server.limits import REQUEST_ELEMENTS
from barnabas.wire import codec
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from tests.hostile.target import (
    GROWTH_MAX,
    MEBIBYTE,
    NAMED_VERSION,
    PROBE,
    Client,
    Target,
    frame,
    now_ms,
    produce,
    request,
)

HALF_FRAMES = 300
PROMISED = 90_000_000


def try_send(client: Client, data: bytes) -> None:
    """Hand the kernel what it takes; the node may have stopped reading."""
    client.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError, ConnectionError):
        while data:
            data = data[client.socket.send(data) :]


@pytest.mark.parametrize("sent", [4, 4_000, 400_000])
def test_half_frames_that_promise_much(target: Target, sent: int) -> None:
    start = struct.pack(">ihhih", PROMISED, 0, 9, 1, -1) + bytes(sent)
    # What a connection costs by itself, and what it may have sent without being asked.
    growth = 32 * MEBIBYTE + HALF_FRAMES * 25_000
    with target.attack(growth=growth), ExitStack() as stack:
        for _ in range(HALF_FRAMES):
            client = stack.enter_context(target.connect())
            try_send(client, start[: 4 + sent])
        time.sleep(0.3)
        target.honest()
        with target.connect() as client:
            big = bytes(build_batch([(b"k", bytes(900_000), now_ms(), ())]))
            assert produce(client, "honest", big).error_code == 0
    assert len(target.new_log()) <= HALF_FRAMES


def test_frames_that_queue_behind_a_parked_fetch(target: Target) -> None:
    park = request(fetch("honest", 0, max_wait_ms=2**31 - 1, min_bytes=2**31 - 1), NAMED_VERSION)
    noise = frame(3, 4, b"\0\0\0\1" + struct.pack(">h", 30_000) + b"x" * 30_000 + b"\1")
    with target.attack(), ExitStack() as stack:
        for _ in range(100):
            try_send(stack.enter_context(target.connect()), park + noise * 50)
        target.honest()


@pytest.mark.parametrize("count", [REQUEST_ELEMENTS - 10, 2_000_000])
def test_floods_of_array_elements(target: Target, count: int) -> None:
    floods = [
        frame(3, 12, varint(count + 1) + b"\0" * (19 * count) + b"\1\0\0"),
        frame(3, 4, struct.pack(">i", count) + b"\0\0" * count + b"\1"),
        frame(20, 3, struct.pack(">i", count) + b"\0\1x" * count + struct.pack(">i", 1000)),
        frame(2, 5, struct.pack(">ibi", -1, 0, count) + b"\0\0\0\0\0\0" * count),
        frame(1, 4, struct.pack(">iiiibi", -1, 0, 0, 0, 0, count) + b"\0\0\0\0\0\0" * count),
    ]
    # Beside the decoded message there is the frame, which may have the size that Kafka allows.
    growth = GROWTH_MAX + 3 * max(map(len, floods))
    with target.attack(growth=growth):
        for flood in floods:
            with target.connect() as client:
                assert (client.outcome(flood) is None) == (count > REQUEST_ELEMENTS)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def fetch(topic: str, offset: int, *, max_wait_ms: int = 0, min_bytes: int = 0) -> FetchRequest:
    partition = FetchPartition(0, fetch_offset=offset, partition_max_bytes=2**31 - 1)
    return FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=min_bytes,
        max_bytes=2**31 - 1,
        topics=[FetchTopic(topic, partitions=[partition])],
    )


@pytest.fixture(scope="module")
def large_topic(target: Target) -> str:
    """A topic of 12 MiB."""
    target.make_topic("large")
    batch = bytes(build_batch([(b"k", bytes(1_000_000), now_ms(), ())]))
    with target.connect() as client:
        for _ in range(12):
            assert produce(client, "large", batch).error_code == 0
    return "large"


def test_clients_that_never_read_their_answers(target: Target, large_topic: str) -> None:
    ask = request(fetch(large_topic, 0), NAMED_VERSION)
    with target.attack(lines=60, growth=48 * MEBIBYTE), ExitStack() as stack:
        for _ in range(60):
            client = stack.enter_context(target.connect(receive_buffer=4096))
            client.send(ask * 3)
        time.sleep(0.3)
        target.honest()


def test_a_connection_closed_inside_an_answer(target: Target, large_topic: str) -> None:
    with target.attack(lines=0):
        for _ in range(20):
            with target.connect(receive_buffer=4096) as client:
                client.send(request(fetch(large_topic, 0), NAMED_VERSION))
                assert client.socket.recv(100)


def test_answers_arrive_whole_at_a_slow_reader(target: Target, large_topic: str) -> None:
    with target.attack(lines=0), target.connect(receive_buffer=4096) as client:
        client.send(request(fetch(large_topic, 0), NAMED_VERSION) + PROBE)
        answer = client.receive()
        assert answer is not None
        assert len(answer) > 7_000_000
        response = codec.decode(FetchResponse, NAMED_VERSION, memoryview(answer), 5)
        assert response.error_code == 0
        probe = client.receive()
        assert probe is not None
        assert probe[:4] == PROBE[8:12]


def test_idle_connections_cost_little(target: Target) -> None:
    with target.attack(lines=0, growth=400 * 25_000 + 8 * MEBIBYTE), ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(target.connect())
        target.honest()


def test_a_storm_of_connections(target: Target) -> None:
    with target.attack(lines=0):
        for _ in range(1000):
            with target.connect():
                pass


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Target]:
    """A node with tight limits."""
    settings = {
        "connections.max.idle.ms": "1000",
        "max.connections": "20",
        "connection.failed.authentication.delay.ms": "10",
    }
    node = Target(tmp_path, settings)
    with node:
        yield node


@pytest.mark.effect_of("connections.max.idle.ms")
def test_limits_of_the_configuration(strict: Target) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(strict.connect()) for _ in range(20)]
        with strict.connect() as one_too_many:
            assert one_too_many.closed_by_node()
        assert clients[0].outcome(request(MetadataRequest(topics=[]), 4)) is not None
        half = clients[1]
        half.send(b"\0\0\1\0half")
        for client in clients:
            assert client.closed_by_node()  # idle, within WAIT_SECONDS
    with strict.connect() as client:
        assert client.outcome(request(MetadataRequest(topics=[]), 4)) is not None
    assert len([line for line in strict.new_log() if "max.connections" in line]) == 1
