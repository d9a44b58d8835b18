"""The simulated event loop: asyncio's primitives, virtual time, seeded order, refusals."""

from __future__ import annotations

import asyncio
import contextvars
import os
import random
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from barnabas.testing.sim import (
    OutsideWorldError,
    SimDeadlock,
    SimFailure,
    SimLivelock,
    SimLoop,
    SimWorld,
)
from barnabas.testing.sim.guard import EPOCH_US


@pytest.fixture(params=[True, False], ids=["fifo", "random"])
def loop(request: pytest.FixtureRequest, seed: int) -> SimLoop:
    """A loop with either order."""
    return SimLoop(seed, fifo=request.param)


def test_time_jumps(loop: SimLoop) -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert loop.run_until_complete(main()) == pytest.approx(3600, abs=0.001)


def test_timers_fire_at_their_instant_in_order(loop: SimLoop) -> None:
    fired: list[tuple[str, int]] = []

    def note(name: str) -> None:
        fired.append((name, loop.now_us // 1000))

    loop.call_later(0.030, note, "c")
    loop.call_later(0.010, note, "a")
    loop.call_at(0.020, note, "b")
    loop.call_later(0.015, note, "never").cancel()
    loop.run_forever()
    assert fired == [("a", 10), ("b", 20), ("c", 30)]


def test_full_queue_without_reader_is_a_deadlock(loop: SimLoop) -> None:
    async def producer(queue: asyncio.Queue[int]) -> None:
        for i in range(3):
            await queue.put(i)

    with pytest.raises(SimDeadlock, match="producer"):
        loop.run_until_complete(producer(asyncio.Queue(2)))


def test_queue_gather_and_locks(loop: SimLoop) -> None:
    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue(2)
        lock = asyncio.Lock()
        inside = 0

        async def producer() -> None:
            for i in range(20):
                await queue.put(i)

        async def guarded() -> None:
            nonlocal inside
            async with lock:
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                inside -= 1

        async def consumer() -> list[int]:
            return [await queue.get() for _ in range(20)]

        got = await asyncio.gather(consumer(), producer(), *(guarded() for _ in range(5)))
        assert got[0] == list(range(20))

    loop.run_until_complete(main())


def test_timeout_cancels_and_cleans_up(loop: SimLoop) -> None:
    cleaned: list[str] = []

    async def impatient() -> None:
        async with asyncio.timeout(2):
            try:
                await loop.create_future()
            finally:
                cleaned.append("up")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await impatient()
        assert loop.now_us >= 2_000_000
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(9), 1)

    loop.run_until_complete(main())
    assert cleaned == ["up"]


def test_task_group_cancels_siblings(loop: SimLoop) -> None:
    ended: list[str] = []

    async def failing() -> None:
        await asyncio.sleep(1)
        raise ValueError("boom")

    async def waiting() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
            group.create_task(waiting())

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            await both()
        assert isinstance(caught.value.exceptions[0], ValueError)

    loop.run_until_complete(main())
    assert ended == ["cancelled"]
    assert loop.now_us < 2_000_000


def test_context_variables_are_inherited(loop: SimLoop) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")
    seen: list[str] = []

    async def child() -> None:
        seen.append(name.get())
        name.set("child")

    async def main() -> None:
        name.set("parent")
        await asyncio.create_task(child())
        loop.call_soon(lambda: seen.append(name.get()))
        await asyncio.sleep(0.001)
        assert name.get() == "parent"

    loop.run_until_complete(main())
    assert seen == ["parent", "parent"]


def test_async_generators_are_closed(loop: SimLoop) -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for i in range(10):
                await asyncio.sleep(0)
                yield i
        finally:
            await asyncio.sleep(0.01)
            closed.append(True)

    async def main() -> None:
        async for number in numbers():
            if number == 3:
                break
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    assert closed == [True]


def test_steps_of_a_task_and_of_an_object_stay_in_order(seed: int) -> None:
    class Thing:
        def __init__(self) -> None:
            self.calls: list[int] = []

        def call(self, i: int) -> None:
            self.calls.append(i)

    loop = SimLoop(seed)
    things = [Thing() for _ in range(5)]
    for i in range(50):
        for thing in things:
            loop.call_soon(thing.call, i)
    loop.run_forever()
    assert all(thing.calls == list(range(50)) for thing in things)


def order_of(loop: SimLoop) -> list[int]:
    """In which order ten tasks take their steps."""
    order: list[int] = []

    async def worker(number: int) -> None:
        for _ in range(3):
            order.append(number)
            await asyncio.sleep(0)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(worker(number))

    loop.run_until_complete(main())
    return order


def test_seed_decides_the_order() -> None:
    fifo = order_of(SimLoop(1, fifo=True))
    assert fifo == list(range(10)) * 3
    assert order_of(SimLoop(7)) == order_of(SimLoop(7))
    assert len({tuple(order_of(SimLoop(seed))) for seed in range(20)}) == 20


def test_trace_tells_runs_apart() -> None:
    def digest(seed: int) -> str:
        loop = SimLoop(seed)
        order_of(loop)
        return loop.trace.digest()

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_deadlock_names_who_waits(loop: SimLoop) -> None:
    async def stuck() -> None:
        await loop.create_future()

    with pytest.raises(SimDeadlock, match="stuck"):
        loop.run_until_complete(stuck())


def test_livelock_is_noticed(loop: SimLoop) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    loop.max_steps = 1000
    with pytest.raises(SimLivelock):
        loop.run_until_complete(spin())


def test_spinning_lets_time_pass(loop: SimLoop) -> None:
    async def main() -> None:
        while loop.time() < 0.001:
            await asyncio.sleep(0)

    loop.run_until_complete(main())


async def _fail() -> None:
    await asyncio.sleep(0.01)
    raise ZeroDivisionError("nobody hears")


def test_unheard_task_error_fails_the_run() -> None:
    async def main() -> None:
        task = asyncio.create_task(_fail())
        await asyncio.sleep(1)
        assert task.done()

    with pytest.raises(SimFailure) as caught:
        SimWorld(1).run(main())
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)


def test_dropped_task_error_fails_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().create_task(_fail())
        await asyncio.sleep(1)

    with pytest.raises(SimFailure):
        SimWorld(1).run(main())


def test_callback_error_fails_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(SimFailure):
        SimWorld(1).run(main())


def test_heard_error_does_not(loop: SimLoop) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.create_task(_fail())

    SimWorld(1).run(main())
    loop.run_until_complete(main())
    assert loop.errors == loop.unheard_errors() == []


def test_leftover_tasks_are_cancelled_at_the_end() -> None:
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            await asyncio.sleep(1)
            ended.append("cleaned up")

    async def main() -> None:
        task = asyncio.create_task(background())
        await asyncio.sleep(1)
        assert not task.done()

    SimWorld(1).run(main())
    assert ended == ["cleaned up"]


OUTSIDE: dict[str, Callable[[], Any]] = {
    "open": lambda: open("/dev/null"),  # noqa: SIM115
    "path": lambda: Path("/dev/null").read_bytes(),
    "os.open": lambda: os.open("/dev/null", os.O_RDONLY),
    "os.urandom": lambda: os.urandom(1),
    "uuid4": uuid.uuid4,
    "socket": socket.socket,
    "thread": lambda: threading.Thread(target=int).start(),
    "process": lambda: subprocess.run(["true"], check=True),
    "sleep": lambda: time.sleep(0),
    "random": lambda: random.randrange(3),
}


@pytest.mark.parametrize("way", OUTSIDE)
def test_the_outside_is_refused(way: str, loop: SimLoop) -> None:
    async def main() -> None:
        with pytest.raises(OutsideWorldError):
            OUTSIDE[way]()

    loop.run_until_complete(main())


def test_asyncio_io_is_refused_at_the_call(loop: SimLoop) -> None:
    async def main() -> None:
        with pytest.raises(OutsideWorldError):
            await asyncio.to_thread(int)
        with pytest.raises(OutsideWorldError):
            await asyncio.open_connection("127.0.0.1", 1)
        with pytest.raises(OutsideWorldError):
            await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        with pytest.raises(OutsideWorldError):
            await asyncio.create_subprocess_exec("true")
        with pytest.raises(OutsideWorldError):
            loop.call_soon_threadsafe(int)
        with pytest.raises(OutsideWorldError):
            loop.add_signal_handler(2, int)

    loop.run_until_complete(main())


def test_other_threads_keep_the_real_world(loop: SimLoop) -> None:
    """A test broker of the whole session lives on in one while this runs."""
    go, seen = threading.Event(), list[float]()

    def elsewhere() -> None:
        go.wait()
        inner = threading.Thread(target=lambda: seen.append(time.time()))
        inner.start()
        inner.join()

    thread = threading.Thread(target=elsewhere)
    thread.start()

    async def main() -> None:
        go.set()
        thread.join()

    loop.run_until_complete(main())
    assert seen[0] > EPOCH_US / 1e6 + 86_400


def test_the_outside_comes_back(loop: SimLoop) -> None:
    before = (time.time, os.urandom, random.random, socket.socket.__init__)

    async def main() -> float:
        await asyncio.sleep(5)
        return time.time()

    assert loop.run_until_complete(main()) == pytest.approx(EPOCH_US / 1e6 + 5, abs=0.001)
    assert before == (time.time, os.urandom, random.random, socket.socket.__init__)
    assert len(os.urandom(4)) == 4


def test_closed_loop_refuses(loop: SimLoop) -> None:
    loop.close()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(int)
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_forever()
