"""300 half frames that promise 90 MB each: a node of ours serves on, a real Kafka does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.hostile.target import MEBIBYTE, Client
from tests.hostile.test_server_floods import HALF_FRAMES, PROMISED, try_send
from tests.interop.kafka import HOST, BarnabasProcess, KafkaProcess, Node, answers

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("java"), pytest.mark.timeout(300)]

START = PROMISED.to_bytes(4, "big") + bytes(4_000)
WAIT_SECONDS = 60.0
TRIES = 3


@contextmanager
def half_frames(node: Node) -> Iterator[None]:
    """So many clients that have begun a large request."""
    with ExitStack() as stack:
        for _ in range(HALF_FRAMES):
            client = Client((HOST, node.port))
            stack.callback(client.close)
            try_send(client, START)
        yield


def silent(node: Node) -> bool:
    """Whether nobody is answered any more, asked several times."""
    return not any(answers(node.port, timeout=3.0) for _ in range(TRIES))


def test_a_real_kafka_with_a_heap_of_one_gigabyte_stops_answering(tmp_path: Path) -> None:
    node = KafkaProcess(tmp_path)
    assert node.heap == "-Xmx1G"
    node.start()
    try:
        with half_frames(node):
            deadline = time.monotonic() + WAIT_SECONDS
            while not silent(node):
                assert time.monotonic() < deadline, "it answers on"
        assert "OutOfMemoryError" in node.log_text()
    finally:
        node.kill()


def test_a_node_of_ours_answers_on(tmp_path: Path) -> None:
    with BarnabasProcess(tmp_path) as node:
        assert answers(node.port)
        before = node.resident_bytes()
        with half_frames(node):
            assert all(answers(node.port) for _ in range(TRIES))
            assert node.resident_bytes() - before < 32 * MEBIBYTE + HALF_FRAMES * 25_000
        assert answers(node.port)
