"""The executor: results, errors, one wake-up for many completions, closing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from barnabas.host import new_event_loop
from barnabas.host.executor import HostExecutor


@pytest.fixture(params=[new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of each kind."""
    loop = request.param()
    yield loop
    loop.close()


@pytest.fixture
def executor(loop: asyncio.AbstractEventLoop) -> Iterator[HostExecutor]:
    """An executor with two threads."""
    executor = HostExecutor(loop, 2)
    yield executor
    executor.close()


def test_run_gives_results_and_errors(
    loop: asyncio.AbstractEventLoop, executor: HostExecutor
) -> None:
    async def main() -> None:
        here = threading.get_ident()
        assert await executor.run(threading.get_ident) != here
        with pytest.raises(ZeroDivisionError):
            await executor.run(lambda: 1 // 0)
        results = await asyncio.gather(*(executor.run(lambda i=i: i * i) for i in range(50)))  # type: ignore[misc]
        assert results == [i * i for i in range(50)]

    loop.run_until_complete(main())


def test_done_runs_on_the_loop(loop: asyncio.AbstractEventLoop, executor: HostExecutor) -> None:
    async def main() -> None:
        told: asyncio.Future[tuple[Any, Any, int]] = loop.create_future()
        executor.submit(lambda: 7, lambda r, e: told.set_result((r, e, threading.get_ident())))
        assert await told == (7, None, threading.get_ident())

    loop.run_until_complete(main())


def test_a_system_without_threads_left_costs_no_job(
    loop: asyncio.AbstractEventLoop, executor: HostExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        await executor.run(lambda: None)
        monkeypatch.setattr(threading.Thread, "start", none_left)
        jobs = [executor.run(lambda i=i: i) for i in range(5)]  # type: ignore[misc]
        assert await asyncio.gather(*jobs) == list(range(5))
        assert executor.unfinished == 0
        monkeypatch.undo()
        later = await asyncio.gather(executor.run(lambda: 1), executor.run(lambda: 2))
        assert list(later) == [1, 2]
        assert executor.unfinished == 0

    loop.run_until_complete(main())


def test_completions_share_one_wake_up(
    loop: asyncio.AbstractEventLoop, executor: HostExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake_ups: list[Callable[..., object]] = []

    class Counting:
        def call_soon_threadsafe(self, callback: Callable[..., object]) -> None:
            wake_ups.append(callback)
            loop.call_soon_threadsafe(callback)

    monkeypatch.setattr(executor, "_loop", Counting())
    finished = threading.Semaphore(0)

    def job(number: int) -> int:
        finished.release()
        return number

    async def main() -> None:
        done: list[int] = []
        for number in range(20):
            executor.submit(partial(job, number), lambda result, _error: done.append(result or 0))
        for _ in range(20):  # the loop stands still until all jobs have run
            finished.acquire()
        while len(done) < 20:
            await asyncio.sleep(0)
        assert sorted(done) == list(range(20))

    loop.run_until_complete(main())
    assert 1 <= len(wake_ups) <= 3


def test_threads_are_bounded_and_started_when_needed(
    loop: asyncio.AbstractEventLoop, executor: HostExecutor
) -> None:
    async def main() -> set[int]:
        assert len(executor._threads) == 0
        await executor.run(int)
        await executor.run(int)
        assert len(executor._threads) == 1
        barrier = threading.Barrier(2, timeout=10)

        def together() -> int:
            barrier.wait()
            return threading.get_ident()

        return set(await asyncio.gather(*(executor.run(together) for _ in range(6))))

    assert len(loop.run_until_complete(main())) == 2


def test_cancelled_caller_does_not_stop_the_job(
    loop: asyncio.AbstractEventLoop, executor: HostExecutor
) -> None:
    started, go, ran = threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        started.set()
        go.wait(10)
        ran.set()

    async def main() -> None:
        task = asyncio.ensure_future(executor.run(job))
        while not started.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        await executor.run(int)
        assert ran.wait(10)

    loop.run_until_complete(main())


def fail() -> None:
    """A callback with a bug."""
    raise ZeroDivisionError


def test_failing_callback_is_reported_and_others_run(
    loop: asyncio.AbstractEventLoop, executor: HostExecutor
) -> None:
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))

    async def main() -> None:
        executor.submit(int, lambda _result, _error: fail())
        assert await executor.run(lambda: 5) == 5
        while not reported:
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


def test_close_lets_queued_jobs_finish(loop: asyncio.AbstractEventLoop) -> None:
    executor = HostExecutor(loop, 1)
    ran: list[int] = []

    async def main() -> None:
        for i in range(5):
            executor.submit(lambda i=i: ran.append(i), lambda _r, _e: None)  # type: ignore[misc]
        executor.close()
        executor.close()
        with pytest.raises(RuntimeError, match="closed"):
            executor.submit(int, lambda _r, _e: None)

    loop.run_until_complete(main())
    assert ran == list(range(5))


def test_at_least_one_thread(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        HostExecutor(loop, 0)
