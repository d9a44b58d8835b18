"""An event loop in a thread of its own, for callers that block."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from barnabas.host.loop import new_event_loop

T = TypeVar("T")
Lock = threading.Lock


class Latch:
    """Set once, from any thread; others wait for it. Waiting can be interrupted by Ctrl-C."""

    __slots__ = ("_event", "error")

    def __init__(self) -> None:
        self._event = threading.Event()
        self.error: BaseException | None = None

    def set(self, error: BaseException | None = None) -> None:
        """Let all go on; with `error` they raise it."""
        self.error = error
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether it was set."""
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds; False when that was too short. Raises what it was set with."""
        if not self._event.wait(timeout):
            return False
        if self.error is not None:
            raise self.error
        return True


class LoopThread:
    """Runs an event loop in a daemon thread until `stop`."""

    def __init__(self, name: str) -> None:
        self.loop = new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    @property
    def is_current(self) -> bool:
        """Whether the caller is on the loop's own thread."""
        return threading.current_thread() is self._thread

    def soon(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the loop. Raises `RuntimeError` once it is stopped."""
        self.loop.call_soon_threadsafe(callback)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result. Ctrl-C cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the loop and wait for the thread; harmless twice."""
        if self._thread.is_alive() and not self.is_current:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()


def at_fork(in_child: Callable[[], None]) -> None:
    """Call `in_child` in every child process that this one forks, before anything else."""
    os.register_at_fork(after_in_child=in_child)
