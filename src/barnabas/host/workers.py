"""Processes for streamed jobs (`ports.Executor.stream`): started when needed, ended when idle.

Such a job burns Python time for minutes; in a thread it would take the interpreter from the event
loop. Each process has a thread here that talks to it over pipes.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import IO, Any, TypeAlias

from barnabas.host.worker_main import END, ITEM, LENGTH
from barnabas.ports import WorkerLost

IDLE_S = 20.0
"""How long a process waits for another job."""
JOIN_TIMEOUT_S = 5.0
COMMAND = (sys.executable, "-P", "-m", "barnabas.host.worker_main")

_Item: TypeAlias = Callable[[Any], None]
_Done: TypeAlias = Callable[[BaseException | None], None]


class Workers:
    """The processes of one executor. Used on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._workers: list[_Worker] = []

    def stream(
        self, job: object, item: _Item, done: _Done, bytes_per_second: float
    ) -> Callable[[], None]:
        """See `ports.Executor.stream`."""
        message = pickle.dumps((job, bytes_per_second))
        worker = next((one for one in self._workers if one.task is None), None)
        if worker is None:
            worker = _Worker(self._loop)
            self._workers.append(worker)
        return self._give(worker, _Task(message, item, done))

    def _give(self, worker: _Worker, task: _Task) -> Callable[[], None]:
        told = task.done

        def ended(error: BaseException | None) -> None:
            worker.task = None
            if worker.killed or isinstance(error, WorkerLost):
                self._drop(worker)
            else:
                worker.timer = self._loop.call_later(IDLE_S, self._drop, worker)
            told(error)

        def cancel() -> None:
            if worker.task is task:
                worker.kill()

        task.done = ended
        worker.take(task)
        return cancel

    def close(self) -> None:
        """End all processes, whatever they do."""
        for worker in list(self._workers):
            self._drop(worker)
            worker.kill()
            worker.thread.join(JOIN_TIMEOUT_S)

    @property
    def pids(self) -> list[int]:
        """Process ids of those that have started, for people and tests."""
        return [one.process.pid for one in self._workers if one.process is not None]

    def _drop(self, worker: _Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            worker.close()


class _Task:
    """A job on its way: pickled, and who hears of it."""

    __slots__ = ("done", "item", "message")

    def __init__(self, message: bytes, item: _Item, done: _Done) -> None:
        self.message = message
        self.item = item
        self.done = done


class _Worker:
    """One process and the thread that starts it, and with whose end it would die."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self.task: _Task | None = None
        self.killed = False
        self.timer: asyncio.TimerHandle | None = None
        self.process: subprocess.Popen[bytes] | None = None
        # Daemon: a process stuck in a dead disk must not keep this one alive.
        self.thread = threading.Thread(target=self._run, name="barnabas-worker", daemon=True)
        self.thread.start()

    def take(self, task: _Task) -> None:
        """Give it something to do."""
        self.task = task
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self._tasks.put(task)

    def kill(self) -> None:
        """End the process; the job that it does is lost."""
        self.killed = True
        if self.process is not None:  # else the thread sees the flag once it has started it
            self.process.kill()

    def close(self) -> None:
        """Let it end after what it does."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self._tasks.put(None)

    # -- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (task := self._tasks.get()) is not None:
                try:
                    self._do(task)
                except (OSError, EOFError, pickle.UnpicklingError) as error:
                    self._tell(task.done, WorkerLost(f"the worker process ended: {error}"))
                    return
        finally:
            if self.process is not None:
                self._end(self.process)

    def _do(self, task: _Task) -> None:
        process = self.process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(LENGTH.pack(len(task.message)) + task.message)
        process.stdin.flush()
        while True:
            kind, value = _receive(process.stdout)
            if kind != ITEM:
                self._tell(task.done, None if kind == END else value)
                return
            self._tell(task.item, value)

    def _start(self) -> subprocess.Popen[bytes]:
        command = (*COMMAND, str(os.getpid()))
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        if self.killed:
            self.process.kill()
        return self.process

    def _tell(self, who: Callable[[Any], None], what: object) -> None:
        try:
            self._loop.call_soon_threadsafe(who, what)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            return

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        """The end of its input ends it."""
        for pipe in (process.stdin, process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:  # what was not written yet found it dead
                continue
        process.wait()


def _receive(pipe: IO[bytes]) -> tuple[bytes, Any]:
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError("no more results")
    data = pipe.read(LENGTH.unpack(head)[0])
    return data[:1], pickle.loads(data[1:])
