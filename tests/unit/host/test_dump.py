"""The dump on SIGQUIT, in a process of its own each time."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from barnabas.host.dump import stack_of

HEAD = """
import asyncio, logging, sys, time
from barnabas.host import run
from barnabas.host.dump import dump_on_signal

logging.basicConfig(format="%(name)s %(message)s", level=logging.CRITICAL)

def more():
    yield "of the program", {"answer": 42}

async def waits_for_ever():
    await asyncio.Event().wait()

def stuck_for_ever():
    print("ready", flush=True)
    while True:
        time.sleep(0.01)

async def main(stop):
    with dump_on_signal(asyncio.get_running_loop(), more):
"""
TURNS = "        print('ready', flush=True)\n        await waits_for_ever()\n\nrun(main)\n"
STUCK = "        stuck_for_ever()\n\nrun(main)\n"


def dumped(tmp_path: Path, program: str, *expected: str) -> str:
    """Run, send SIGQUIT, and read until everything expected has come."""
    log = tmp_path / "stderr"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=stderr
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGQUIT)
        while any(each not in log.read_text() for each in expected):
            assert process.poll() is None, log.read_text()
        process.kill()
    return log.read_text()


def test_threads_tasks_and_what_the_program_says(tmp_path: Path) -> None:
    said = dumped(tmp_path, HEAD + TURNS, "end of the dump")
    assert "Current thread" in said or "Thread 0x" in said
    assert said.index("hread 0x") < said.index("barnabas.dump dump")
    for line in ("barnabas.dump task", "barnabas.dump of the program"):
        assert line in said


def test_a_loop_that_is_stuck_still_shows_where(tmp_path: Path) -> None:
    said = dumped(tmp_path, HEAD + STUCK, "in stuck_for_ever", "in main")
    assert "barnabas.dump" not in said


def test_the_stack_of_a_task_is_the_chain_of_what_it_waits_for() -> None:
    async def inner() -> None:
        await asyncio.Event().wait()

    async def outer() -> None:
        await inner()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(outer())
            await asyncio.wait([task], timeout=0)
            names = [part.rpartition(".")[2] for part in stack_of(task.get_coro()).split(" > ")]
            assert names == ["outer", "inner", "wait"]
            task.cancel()

    asyncio.run(main())
