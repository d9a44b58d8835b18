"""Where handlers run: on the event loop, in threads, or in processes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

from barnabas.client.consumer.records import Event
from barnabas.client.errors import ClientError
from barnabas.client.processing.lanes import Work
from barnabas.host.executor import HostExecutor

Handler: TypeAlias = Callable[[Event], Any]
SETTLE_S = 1.0
Ended: TypeAlias = Callable[[Work, BaseException | None], None]
"""Told on the loop when a handler has returned, or with what it raised."""


class Runner(Protocol):
    """Runs one handler for many records."""

    async def open(self) -> None:
        """Make sure that handlers can run at all, so that no record is blamed for it. Raises
        `ClientError`."""

    def start(self, work: Work) -> None:
        """Begin; its end is told of later."""

    def cancel(self, work: Work) -> None:
        """Nobody waits for it any more: end it where that can be done."""

    async def settle(self) -> None:
        """Wait a moment for what was cancelled."""

    def close(self) -> None:
        """Give back what it has; does not wait for handlers that do not end."""


def runner_for(
    handler: Handler,
    loop: asyncio.AbstractEventLoop,
    concurrency: int,
    processes: int,
    ended: Ended,
) -> Runner:
    """The runner for a handler. Raises `ValueError` for a coroutine that is to run elsewhere."""
    call = getattr(handler, "__call__", None)  # noqa: B004 - a callable object may be asynchronous
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call):
        if processes:
            raise ValueError("an async handler runs on the event loop: leave out processes")
        return OnLoop(handler, loop, ended)
    if processes:
        return InProcesses(handler, loop, processes, ended)
    return InThreads(handler, loop, concurrency, ended)


class OnLoop:
    """Coroutines, each a task."""

    def __init__(self, handler: Handler, loop: asyncio.AbstractEventLoop, ended: Ended) -> None:
        self._handler = cast(Callable[[Event], Awaitable[object]], handler)
        self._loop = loop
        self._ended = ended
        self._tasks: dict[Work, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Nothing can go wrong."""

    def start(self, work: Work) -> None:
        """See `Runner`."""
        self._tasks[work] = self._loop.create_task(self._run(work))

    async def _run(self, work: Work) -> None:
        error: BaseException | None = None
        try:
            await self._handler(work.event)
        except BaseException as raised:
            error = raised
        if self._tasks.pop(work, None) is not None:
            self._ended(work, error)

    def cancel(self, work: Work) -> None:
        """Cancel the task. It ends as a failure, which is told like any other."""
        task = self._tasks.get(work)
        if task is not None and not task.cancel():
            self._tasks.pop(work, None)

    async def settle(self) -> None:
        """See `Runner`. A handler that goes on when it is cancelled is left alone."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=SETTLE_S)

    def close(self) -> None:
        """Cancel what is left."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()


class InThreads:
    """Functions that block, in as many threads as may be at work."""

    def __init__(
        self, handler: Handler, loop: asyncio.AbstractEventLoop, threads: int, ended: Ended
    ) -> None:
        self._handler = handler
        self._ended = ended
        self._threads = HostExecutor(loop, threads)

    async def open(self) -> None:
        """Nothing can go wrong."""

    def start(self, work: Work) -> None:
        """See `Runner`."""

        def done(_result: object, error: BaseException | None) -> None:
            self._ended(work, error)

        self._threads.submit(partial(self._handler, work.event), done)

    def cancel(self, work: Work) -> None:
        """A thread cannot be ended."""

    async def settle(self) -> None:
        """Nothing was cancelled."""

    def close(self) -> None:
        """See `Runner`."""
        self._threads.close(wait=self._threads.unfinished == 0)


class InProcesses:
    """Functions that burn time, in processes; handler and errors are pickled."""

    def __init__(
        self, handler: Handler, loop: asyncio.AbstractEventLoop, processes: int, ended: Ended
    ) -> None:
        self._handler = handler
        self._ended = ended
        from barnabas.host.processes import ProcessPool  # what few consumers need is not cheap

        self._loop = loop
        self._pool = ProcessPool(loop, processes)

    async def open(self) -> None:
        """See `Runner`: a process is begun, and gets the handler."""
        begun: asyncio.Future[BaseException | None] = self._loop.create_future()
        self._pool.submit(_get_ready, self._handler, begun.set_result)
        error = await begun
        if error is not None:
            raise ClientError(
                "the handler cannot run in a process: it has to be a function of a module that can "
                f"be imported, and a script has to begin its work below __main__ ({error!r})"
            ) from error

    def start(self, work: Work) -> None:
        """See `Runner`."""

        def done(error: BaseException | None) -> None:
            self._ended(work, error)

        self._pool.submit(self._handler, work.event, done)

    def cancel(self, work: Work) -> None:
        """It ends with the pool, or by itself."""

    async def settle(self) -> None:
        """Nothing was cancelled."""

    def close(self) -> None:
        """End the processes, whatever they do."""
        self._pool.close()


def _get_ready(_handler: Handler) -> None:
    """Runs in the process: the handler has arrived."""
