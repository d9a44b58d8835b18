"""Compaction by a real node: in a process of its own, which ends with the node."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from barnabas.cli.exits import Exit
from tests.e2e.node import DEADLINE_S, Node, Shell

OFTEN = ("--override", "log.cleaner.backoff.ms=100")
# Slow, so that the worker is there to be seen.
SLOWLY = (*OFTEN, "--override", "log.cleaner.io.max.bytes.per.second=2000")
COMPACT = (
    "--config", "cleanup.policy=compact",
    "--config", "min.cleanable.dirty.ratio=0",
    "--config", "internal.segment.bytes=2000",
)  # fmt: skip


def until(done: Callable[[], bool]) -> None:
    """Wait for something that is bound to happen."""
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fill(sh: Shell) -> None:
    """Two hundred records of ten keys, in many batches."""
    sh("topics", "create", "t", *COMPACT)
    lines = [b"k%d:%d-%s\n" % (at, part, b"v" * 50) for part in range(20) for at in range(10)]
    sh("produce", "t", "-k", ":", "--batch-size", "300", stdin=b"".join(lines))


def cleaned(data: Path) -> bool:
    """Whether the node says that it has cleaned the log."""
    path = data / "cleaner-offset-checkpoint"
    return path.exists() and "t 0 " in path.read_text()


def workers(node: Node) -> list[int]:
    """The process ids of the node's children."""
    tasks = Path(f"/proc/{node.process.pid}/task")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_node_compacts_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    node = Node(tmp_path / "data", *OFTEN)
    sh = Shell(node.address)
    fill(sh)
    until(lambda: cleaned(node.data))
    kept = sh("consume", "t")
    assert 10 <= len(kept.splitlines()) < 100
    assert node.stop() == Exit.OK
    again = Node(tmp_path / "data", *OFTEN)
    sh = Shell(again.address)
    assert sh("consume", "t") == kept
    assert again.stop() == Exit.OK


def test_the_worker_ends_with_the_node_however_that_ends(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        node = Node(tmp_path / f"data-{number}", *SLOWLY)
        fill(Shell(node.address))
        until(lambda node=node: bool(workers(node)))  # type: ignore[misc]
        (worker,) = workers(node)
        node.end(number)
        until(lambda worker=worker: gone(worker))  # type: ignore[misc]
        again = Node(tmp_path / f"data-{number}", *OFTEN)
        until(lambda again=again: cleaned(again.data))  # type: ignore[misc]
        found = Shell(again.address)("consume", "t")
        values = found.splitlines()
        assert {value.partition(b"-")[0] for value in values[-10:]} == {b"19"}
        assert again.stop() == Exit.OK
