"""Clients that take their time, in numbers: what they cost, and whom they hold up (`make soak`)."""

from __future__ import annotations

import resource
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from barnabas.wire.messages.metadata_request import MetadataRequest
from tests.hostile.target import GROWTH_MAX, Client, Target, request
from tests.hostile.test_server_floods import HALF_FRAMES, PROMISED, fetch, try_send

pytestmark = pytest.mark.soak

CONNECTION_BYTES = 25_000
"""What an open connection may cost."""

IDLE = 5_000
SLOW, SLOW_SECONDS = 200, 15
STORM_CONNECTIONS = 10_000
STORM_THREADS = 4


@pytest.fixture(autouse=True)
def _many_files() -> None:
    """Each connection is a file here, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 1_000
    if soft < wanted:
        if hard < wanted:
            pytest.fail(f"this machine allows {hard} open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def crowd(target: Target, count: int) -> Iterator[list[Client]]:
    """So many open connections."""
    with ExitStack() as stack:
        yield [stack.enter_context(target.connect()) for _ in range(count)]


def test_five_thousand_idle_connections(target: Target) -> None:
    growth = GROWTH_MAX + IDLE * CONNECTION_BYTES
    with target.attack(lines=0, growth=growth), crowd(target, IDLE) as clients:
        target.honest()
        ask = request(MetadataRequest(topics=[]), 4)
        assert all(client.outcome(ask) is not None for client in clients[::97])


def test_one_byte_a_second(target: Target) -> None:
    whole = request(MetadataRequest(topics=[]), 12, correlation=5)
    assert len(whole) > SLOW_SECONDS
    growth = GROWTH_MAX + SLOW * CONNECTION_BYTES
    with target.attack(lines=0, growth=growth), crowd(target, SLOW) as clients:
        for at in range(SLOW_SECONDS):
            for client in clients:
                client.send(whole[at : at + 1])
            target.honest()
            time.sleep(1)
        for client in clients:
            client.send(whole[SLOW_SECONDS:])
            answer = client.receive()
            assert answer is not None
            assert answer[:4] == struct.pack(">i", 5)


def test_a_storm_of_connections_that_ask_something(target: Target) -> None:
    asked = request(MetadataRequest(topics=[]), 4)
    failures: list[BaseException] = []

    def storm() -> None:
        try:
            for _ in range(STORM_CONNECTIONS // STORM_THREADS):
                with target.connect() as client:
                    client.send(asked)
        except BaseException as failure:
            failures.append(failure)

    with target.attack():
        threads = [threading.Thread(target=storm) for _ in range(STORM_THREADS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            target.honest()
            time.sleep(0.05)
        for thread in threads:
            thread.join()
        assert not failures, failures[0]


def test_everything_at_once(target: Target) -> None:
    """Half frames, clients that never read, idle ones: an honest client is served all the while."""
    half = struct.pack(">ihhih", PROMISED, 0, 9, 1, -1) + bytes(4_000)
    ask = request(fetch("honest", 0), 12)
    everybody = 2 * HALF_FRAMES + 1_000
    with (
        target.attack(growth=GROWTH_MAX + everybody * CONNECTION_BYTES),
        crowd(target, HALF_FRAMES) as halves,
        crowd(target, HALF_FRAMES) as deaf,
        crowd(target, 1_000),
    ):
        for client in halves:
            try_send(client, half)
        for client in deaf:
            try_send(client, ask * 20)
        for _ in range(50):
            target.honest()
