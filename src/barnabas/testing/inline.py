"""Streamed jobs (`ports.Executor.stream`) without a process: step by step on an executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from barnabas.ports import Bench, Disk, Executor, WorkerLost

T = TypeVar("T")
_END = object()


class InlineBench:
    """`ports.Bench` on the disk at hand, in no hurry and never too fast."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def moved(self, nbytes: int) -> None:
        """Goes on at once."""


def stream_inline(
    executor: Executor,
    disk: Disk,
    job: Callable[[Bench], Iterator[T]],
    item: Callable[[T], None],
    done: Callable[[BaseException | None], None],
) -> Callable[[], None]:
    """Each step of `job` is submitted once `item` has heard of the one before."""
    steps: list[Iterator[T]] = []
    cancelled = False

    def step() -> object:
        if not steps:
            steps.append(job(InlineBench(disk)))
        return next(steps[0], _END)

    def stepped(result: object, error: BaseException | None) -> None:
        if cancelled:
            done(WorkerLost("cancelled"))
        elif error is not None:
            done(error)
        elif result is _END:
            done(None)
        else:
            item(cast(T, result))
            executor.submit(step, stepped)

    def cancel() -> None:
        nonlocal cancelled
        cancelled = True

    executor.submit(step, stepped)
    return cancel
