"""The real process, killed by strace at the N-th write, sync or rename: nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from tests.crash.script import ROUNDS, SETTINGS, Journal, Script
from tests.crash.verdict import check_files, check_node
from tests.hostile.target import Target
from tests.interop.kafka import ToolError

KINDS = {
    "sync": "fdatasync,fsync,syncfs",
    "write": "pwrite64,pwritev,pwritev2,ftruncate",
    "rename": "rename,renameat,renameat2,unlink,mkdir",
}
POINTS = 12
"""Kill points of one ordinary run."""

MODES = ("synced", "page-cache")


class TracedNode(Target):
    """A node under strace, which interferes as `injection` says (strace's own words)."""

    def __init__(
        self, directory: Path, kind: str, injection: str, settings: Mapping[str, str]
    ) -> None:
        super().__init__(directory, dict(settings))
        self._kind = kind
        self._injection = injection
        #: Interfere with calls on this file alone; they are counted by thread.
        self.only: Path | None = None

    def command(self) -> list[str]:
        """The node's command behind strace."""
        strace = shutil.which("strace")
        if strace is None:
            raise ToolError("no strace on the PATH; apt-get install strace")
        calls = KINDS[self._kind]
        inject = f"inject={calls}:{self._injection}"
        options = ["-f", "-o", os.devnull, "-e", f"trace={calls}", "-e", inject]
        if self.only is not None:
            options += ["-P", str(self.only)]
        return [strace, *options, *super().command()]

    def stop(self) -> int:
        """SIGTERM to the node itself: strace would keep it."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL to the node and to strace."""
        if self.process is not None and self.process.poll() is None:
            self._signal(signal.SIGKILL)
        super().kill()

    def _signal(self, number: int) -> None:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), number)


def live(node: Target, journal: Journal, rounds: int) -> None:
    """Play the script until its end or until the node is killed."""
    try:
        node.start()
    except ToolError:
        return  # killed before its first answer
    try:
        with node.connect() as client:
            client.socket.settimeout(30)
            Script(client, journal, rounds).play()
        node.stop()
    except (OSError, AssertionError):
        assert node.process is not None
        assert node.process.wait(10) != 0, "the node lives, and did not answer as it should"


def crash(killed: Target, rounds: int = ROUNDS) -> bool:
    """One crash of a node that something kills, and what comes after it; false when the script ended
    before that."""
    journal = Journal()
    live(killed, journal, rounds)
    died = killed.process is None or killed.process.wait() != 0
    node = Target(killed.directory, killed.settings)
    node.port = killed.port
    logs: list[dict[str, list[bytes]]] = []
    for _ in range(2):  # the second start finds what the first one left
        with node, node.connect() as client:
            check_node(client, journal)
        logs.append(check_files(node.data))
    for name, batches in logs[1].items():
        assert batches == logs[0][name][-len(batches) :], "a clean restart changed a log"
    assert "Traceback" not in node.log_path.read_text()
    shutil.rmtree(killed.directory)
    return died


@pytest.mark.interop  # needs strace, which `make interop` brings
def test_killed_at_calls_drawn_by_chance(tmp_path: Path, seed: int) -> None:
    random = Random(f"strace {seed}")
    died = 0
    for number in range(POINTS):
        kind = random.choice(list(KINDS))
        call = random.randint(1, 1 << random.randint(1, 6))
        mode = random.choice(MODES)
        try:
            settings = {**SETTINGS, "barnabas.ack.mode": mode}
            killing = f"signal=KILL:when={call}"
            died += crash(TracedNode(tmp_path / str(number), kind, killing, settings))
        except (AssertionError, ToolError) as error:
            raise AssertionError(f"killed at {kind} call {call}, {mode}") from error
    assert died >= POINTS // 2
