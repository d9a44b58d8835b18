"""Work in the background, one piece of each name at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Chores:
    """`ended` is called after each, with the exception that ended it if there was one."""

    def __init__(self, ended: Callable[[BaseException | None], None]) -> None:
        self._ended = ended
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` unless it is running already."""
        if name in self._tasks:
            return

        def done(task: asyncio.Task[None]) -> None:
            if self._tasks.get(name) is task:
                del self._tasks[name]
            if not task.cancelled():
                self._ended(task.exception())

        task = asyncio.ensure_future(work())
        self._tasks[name] = task
        task.add_done_callback(done)

    def over(self, name: str) -> None:
        """The one of this name is about to end: it may be started again."""
        self._tasks.pop(name, None)

    def named(self, prefix: str) -> list[asyncio.Task[None]]:
        """Those that run and whose name begins so."""
        return [task for name, task in self._tasks.items() if name.startswith(prefix)]

    async def cancel(self) -> None:
        """End all of them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
