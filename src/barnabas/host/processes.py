"""A pool of processes for functions of an application that burn time.

Each process is a pool of one: when it dies (out of memory, a crash of an extension), it takes no
other job with it, and another one takes its place.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeAlias

from barnabas.ports import WorkerLost

_Done: TypeAlias = Callable[[BaseException | None], None]
_Job: TypeAlias = tuple[Callable[[Any], Any], Any, _Done]


class ProcessPool:
    """Used on the loop. Processes are spawned, so that no thread or lock of this one is in them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, processes: int) -> None:
        self._loop = loop
        self._context = multiprocessing.get_context("spawn")
        self._free: list[ProcessPoolExecutor | None] = [None] * processes
        """Those without a job; None: not started."""
        self._busy: set[ProcessPoolExecutor] = set()
        self._jobs: deque[_Job] = deque()
        self._closed = False

    def submit(self, function: Callable[[Any], Any], argument: object, done: _Done) -> None:
        """Call `done` on the loop with None, or with what `function(argument)` raised: `WorkerLost`
        when its process has died. Function, argument and error are pickled."""
        self._jobs.append((function, argument, done))
        self._next()

    def _next(self) -> None:
        while self._jobs and self._free and not self._closed:
            worker = self._free.pop()
            if worker is None:
                worker = ProcessPoolExecutor(1, self._context, _begin)
            self._busy.add(worker)
            function, argument, done = self._jobs.popleft()
            try:
                future = worker.submit(_call, function, argument)
            except BrokenProcessPool as error:  # it died with nothing to do
                self._jobs.appendleft((function, argument, done))
                self._ended(worker, error)
                continue
            future.add_done_callback(self._teller(worker, done))

    def _teller(self, worker: ProcessPoolExecutor, done: _Done) -> Callable[[Future[None]], None]:
        def tell(future: Future[None]) -> None:  # in a thread of the pool's
            if future.cancelled():
                return
            error = future.exception()
            try:
                self._loop.call_soon_threadsafe(self._told, worker, done, error)
            except RuntimeError:
                return  # the loop is closed: nobody is left to be told

        return tell

    def _told(self, worker: ProcessPoolExecutor, done: _Done, error: BaseException | None) -> None:
        self._ended(worker, error)
        if isinstance(error, BrokenProcessPool):
            error = WorkerLost("the process of the handler has died")
        done(error)
        self._next()

    def _ended(self, worker: ProcessPoolExecutor, error: BaseException | None) -> None:
        self._busy.discard(worker)
        if isinstance(error, BrokenProcessPool):
            worker.shutdown(wait=False)
            self._free.append(None)
        else:
            self._free.append(worker)

    def close(self) -> None:
        """End all processes, whatever they do; their `done`s are not called."""
        self._closed = True
        self._jobs.clear()
        for worker in [*self._busy, *(each for each in self._free if each is not None)]:
            processes = list((worker._processes or {}).values()) if worker in self._busy else []
            for process in processes:
                process.kill()
            worker.shutdown(wait=False, cancel_futures=True)
        self._busy.clear()
        self._free.clear()


def _call(function: Callable[[Any], Any], argument: object) -> None:
    function(argument)  # what it returns stays there


def _begin() -> None:
    """In the process: Ctrl-C is the parent's to handle, and its end is this one's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
