"""A failing disk under the real process: it says so, stops acknowledging, and loses nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from barnabas.records.builder import build_batch
from barnabas.wire.errors import ErrorCode
from tests.crash.script import SETTINGS, Journal, Script
from tests.crash.test_strace import TracedNode
from tests.crash.verdict import check_node
from tests.hostile.target import Target, now_ms, produce


def sentence(node: Target) -> str:
    """What the operator is told at the end."""
    return "\n".join(line for line in node.log_path.read_text().splitlines() if "stops:" in line)


@pytest.mark.interop  # needs strace, which `make interop` brings
@pytest.mark.parametrize(
    ("kind", "error", "call"), [("sync", "EIO", 20), ("sync", "EIO", 33), ("write", "ENOSPC", 25)]
)
def test_a_call_that_fails_stops_the_node(tmp_path: Path, kind: str, error: str, call: int) -> None:
    journal = Journal()
    failing = TracedNode(tmp_path, kind, f"error={error}:when={call}+", SETTINGS)
    failing.start()
    with failing.connect() as client, contextlib.suppress(AssertionError, OSError):
        Script(client, journal).play()
    assert not journal.finished
    assert failing.process is not None
    assert failing.process.wait(20) not in (0, -9)
    log = failing.log_path.read_text()
    assert "Traceback" not in log
    assert str(failing.data) in sentence(failing)
    node = Target(tmp_path, SETTINGS)
    node.port = failing.port
    with node, node.connect() as client:
        check_node(client, journal)


@pytest.mark.interop  # needs the right to mount
def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    settings = SETTINGS | {"metadata.log.dir": str(tmp_path / "metadata")}
    node = Target(tmp_path, settings)
    node.data = small_disk / "data"
    batch = bytes(build_batch([(b"k", os.urandom(400_000), now_ms(), ())]))
    acknowledged = 0
    with node:
        node.make_topic("steady")
        with node.connect() as client:
            error = 0
            while not error:
                answer = produce(client, "steady", batch)
                error = answer.error_code
                acknowledged += not error
        assert error == ErrorCode.KAFKA_STORAGE_ERROR
        assert acknowledged
        assert node.process is not None
        assert node.process.wait(20) not in (0, -9)
    assert "No space left" in sentence(node)
    assert "Traceback" not in node.log_path.read_text()
    shutil.copytree(node.data, tmp_path / "data")
    larger = Target(tmp_path, settings)
    larger.port = node.port
    with larger, larger.connect() as client:
        assert produce(client, "steady", batch).base_offset == acknowledged
