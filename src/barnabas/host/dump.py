"""SIGQUIT: tell what the process is doing, as a JVM does.

First faulthandler writes the stacks of all threads to stderr, from the signal handler itself: that
works even when the event loop is stuck in a call that never returns. When the loop turns it logs its
tasks, and what the program has to say.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Any, Final, TypeAlias

Line: TypeAlias = tuple[str, Mapping[str, object]]
"""What it is about, and the particulars."""

TASKS_MAX: Final = 200
FRAMES_MAX: Final = 16

log = logging.getLogger("barnabas.dump")


@contextmanager
def dump_on_signal(
    loop: asyncio.AbstractEventLoop, more: Callable[[], Iterable[Line]]
) -> Iterator[None]:
    """Within it, SIGQUIT dumps: threads, tasks, and the lines of `more`, which must be bounded."""
    log.setLevel(logging.INFO)  # asked for by hand: never below the level of the log
    # In this order: faulthandler calls what was there before it, which wakes the loop.
    loop.add_signal_handler(signal.SIGQUIT, dump, loop, more)
    faulthandler.register(signal.SIGQUIT, file=sys.__stderr__ or sys.stderr, chain=True)
    try:
        yield
    finally:
        faulthandler.unregister(signal.SIGQUIT)
        loop.remove_signal_handler(signal.SIGQUIT)


def dump(loop: asyncio.AbstractEventLoop, more: Callable[[], Iterable[Line]]) -> None:
    """Log the tasks of `loop` and the lines of `more`."""
    tasks = asyncio.all_tasks(loop)
    log.info("dump", extra={"tasks": len(tasks)})
    for task in islice(sorted(tasks, key=asyncio.Task.get_name), TASKS_MAX):
        log.info("task", extra={"task": task.get_name(), "stack": stack_of(task.get_coro())})
    for about, particulars in more():
        log.info(about, extra=dict(particulars))
    log.info("end of the dump")


def stack_of(coroutine: Any) -> str:
    """Where a suspended coroutine waits, outermost first, as `file:line function` in one line."""
    frames: list[str] = []
    while coroutine is not None and len(frames) < FRAMES_MAX:
        frame: FrameType | None = getattr(coroutine, "cr_frame", None) or getattr(
            coroutine, "gi_frame", None
        )
        if frame is None:
            break
        name = frame.f_code.co_filename.rpartition("/barnabas/")[2].rpartition("/lib/")[2]
        frames.append(f"{name}:{frame.f_lineno} {frame.f_code.co_qualname}")
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return " > ".join(frames)
