"""The real process, killed at each write, sync and change of names of a run: nothing acknowledged is
lost (`make soak`). A preloaded library numbers the calls of all threads together, so none is left out.

The data lies in memory where that is possible: `kill -9` leaves the page cache alone, and the syncs
of a disk would take most of the time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.script import SETTINGS
from tests.crash.test_strace import MODES, crash
from tests.hostile.target import Target
from tests.interop.conftest import absent
from tests.interop.kafka import ToolError, run

pytestmark = pytest.mark.soak

SOURCE = Path(__file__).with_name("nth_call.c")
MEMORY = Path("/dev/shm")
ROUNDS = 40
AT_ONCE = 8 * (os.cpu_count() or 1)
"""Numbers tried before the next look whether any call was left."""

KINDS = {"s": "sync", "w": "write", "n": "name"}


class CountedNode(Target):
    """A node that dies instead of making its call number `nth`; 0: it does not die."""

    def __init__(self, directory: Path, library: Path, nth: int, mode: str) -> None:
        super().__init__(directory, {**SETTINGS, "barnabas.ack.mode": mode})
        self._library = library
        self._nth = nth
        self.trace = directory.parent / f"trace-{nth}"

    def command(self) -> list[str]:
        """The node's command with the library in front of libc."""
        variables = {
            "LD_PRELOAD": self._library,
            "NTH_CALL": self._nth,
            "NTH_CALL_TRACE": self.trace,
        }
        return ["env", *(f"{key}={value}" for key, value in variables.items()), *super().command()]

    def stop(self) -> int:
        """SIGTERM; the process is kept, so that one can see how it ended."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`nth_call.c`, compiled."""
    compiler = shutil.which("cc")
    if compiler is None:
        absent("a C compiler")
    assert compiler is not None
    path = tmp_path_factory.mktemp("library") / "nth_call.so"
    run([compiler, "-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(path), str(SOURCE)])
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A place in memory, if there is one."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="barnabas-calls-", dir=MEMORY) as path:
        yield Path(path)


def kill_at(folder: Path, library: Path, nth: int, mode: str) -> str:
    """One crash; the kind of call that it came instead of, empty when there were not so many."""
    node = CountedNode(folder / str(nth), library, nth, mode)
    try:
        died = crash(node, ROUNDS)
    except (AssertionError, ToolError) as error:
        raise AssertionError(f"killed at call {nth}, {mode}") from error
    calls = node.trace.read_text()
    assert died == (len(calls) >= nth)
    return KINDS[calls[nth - 1]] if died else ""


@pytest.mark.parametrize("mode", MODES)
def test_killed_at_every_call(folder: Path, library: Path, mode: str) -> None:
    whole = CountedNode(folder / "0", library, 0, mode)
    assert not crash(whole, ROUNDS)
    calls = len(whole.trace.read_text())
    killed: Counter[str] = Counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        first = 1
        while True:
            numbers = range(first, first + AT_ONCE)
            kinds = list(pool.map(lambda nth: kill_at(folder, library, nth, mode), numbers))
            killed.update(kind for kind in kinds if kind)
            if not any(kinds):
                break
            first += AT_ONCE
    print(f"{mode}: {calls} calls in a whole run, killed at {dict(killed)}")
    assert set(killed) == set(KINDS.values())
    # Runs differ by what is done at once, and by how often the clock asks for a checkpoint.
    assert killed.total() >= calls // 2
