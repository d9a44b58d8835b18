"""Streamed jobs in a process of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from barnabas.host import run, worker_main
from barnabas.host.disk import HostDisk
from barnabas.host.executor import HostExecutor
from barnabas.ports import Bench, WorkerLost

LIMIT_S = 30.0
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def jobs_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of this file are unpickled in the worker."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def count(numbers: int, _: Bench) -> Iterator[int]:
    """Numbers, then where they come from."""
    yield from range(numbers)
    yield os.getpid()


def write(path: str, bench: Bench) -> Iterator[int]:
    """A file through the bench's disk."""
    file = bench.disk.open(path, create=True)
    yield file.pwritev([b"written"], 0)
    file.close()


def fail(_: Bench) -> Iterator[int]:
    """An item, then an error."""
    yield 1
    raise FileNotFoundError(2, "gone", "/there")


def move_for_ever(_: Bench) -> Iterator[int]:
    """Yields as long as it is let."""
    while True:
        yield os.getpid()
        time.sleep(0.001)


def with_executor(act: Callable[[HostExecutor], Any]) -> Any:
    """Run a coroutine function with an executor of its own loop."""

    async def main(_: asyncio.Event) -> Any:
        executor = HostExecutor(asyncio.get_running_loop(), 2)
        try:
            return await asyncio.wait_for(act(executor), LIMIT_S)
        finally:
            executor.close()

    return run(main)


async def finish(
    executor: HostExecutor, job: Callable[[Bench], Iterator[Any]]
) -> tuple[list[Any], BaseException | None]:
    """All items of a job, and how it ended."""
    items: list[Any] = []
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    executor.stream(job, items.append, ended.set_result, bytes_per_second=1e9)
    return items, await ended


def test_a_sandbox_that_refuses_another_priority_does_not_keep_it_from_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\ndef nice(_): raise PermissionError(1, 'Operation not permitted')\nos.nice = nice\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    items, error = with_executor(lambda executor: finish(executor, partial(count, 3)))
    assert (items[:3], error) == ([0, 1, 2], None)


def test_items_come_in_order_from_another_process_that_is_used_again() -> None:
    async def act(executor: HostExecutor) -> None:
        first, error = await finish(executor, partial(count, 500))
        assert error is None
        assert first[:-1] == list(range(500))
        again, _ = await finish(executor, partial(count, 0))
        assert again == first[-1:]
        assert again != [os.getpid()]

    with_executor(act)


def test_two_jobs_at_once_have_two_processes() -> None:
    async def act(executor: HostExecutor) -> None:
        one, other = await asyncio.gather(
            finish(executor, partial(count, 1)), finish(executor, partial(count, 1))
        )
        assert one[0][-1] != other[0][-1]

    with_executor(act)


def test_the_bench_has_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "file"

    async def act(executor: HostExecutor) -> None:
        assert await finish(executor, partial(write, str(path))) == ([7], None)

    with_executor(act)
    assert path.read_bytes() == b"written"


def test_an_error_arrives_as_it_was_raised_and_the_process_goes_on() -> None:
    async def act(executor: HostExecutor) -> None:
        items, error = await finish(executor, fail)
        assert items == [1]
        assert isinstance(error, FileNotFoundError)
        assert error.filename == "/there"
        assert (await finish(executor, partial(count, 3)))[0][:3] == [0, 1, 2]

    with_executor(act)


def test_a_cancelled_job_ends_and_the_next_has_a_new_process() -> None:
    async def act(executor: HostExecutor) -> None:
        loop = asyncio.get_running_loop()
        first: asyncio.Future[int] = loop.create_future()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def item(pid: int) -> None:
            if not first.done():
                first.set_result(pid)

        cancel = executor.stream(move_for_ever, item, ended.set_result, bytes_per_second=1e9)
        pid = await first
        cancel()
        assert isinstance(await ended, WorkerLost)
        cancel()
        assert (await finish(executor, partial(count, 0)))[0] != [pid]

    with_executor(act)


def test_a_process_that_is_killed_is_said_to_be_lost() -> None:
    async def act(executor: HostExecutor) -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()
        killed: list[int] = []

        def item(pid: int) -> None:
            if not killed:
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

        executor.stream(move_for_ever, item, ended.set_result, bytes_per_second=1e9)
        assert isinstance(await ended, WorkerLost)

    with_executor(act)


class FakeTime:
    """`time` as the bench uses it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def monotonic(self) -> float:
        """Now."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.slept += seconds


def test_a_job_is_held_to_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeTime()
    monkeypatch.setattr(worker_main, "time", clock)
    bench = worker_main.WorkerBench(HostDisk(), 1000.0, os.getppid())
    for _ in range(50):
        bench.moved(100)
    assert 4.98 <= clock.now <= 5.0
    clock.now += 60  # slow work is not made up for by a burst
    before = clock.slept
    for _ in range(50):
        bench.moved(100)
    assert 3.9 <= clock.slept - before <= 5.0


ORPHAN = """
import asyncio, sys
from barnabas.host import run
from barnabas.host.executor import HostExecutor
from tests.unit.host.test_workers import move_for_ever

async def main(_):
    executor = HostExecutor(asyncio.get_running_loop(), 1)
    told = []
    def item(pid):
        if not told:
            told.append(pid)
            print(pid, flush=True)
    executor.stream(move_for_ever, item, print, bytes_per_second=1e9)
    await asyncio.sleep(60)

run(main)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it dies at its next step")
def test_a_worker_dies_with_the_process_that_started_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait(LIMIT_S)
    parent.stdout.close()
    deadline = time.monotonic() + LIMIT_S
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
