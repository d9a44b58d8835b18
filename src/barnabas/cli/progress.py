"""A progress bar on stderr for work that takes longer than a second in front of a person."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from barnabas.ports import Clock

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_MS = 1000


class ProgressBar:
    """Shows itself once the work has taken a second, if stderr is a terminal; else does nothing.

    `total` may be None: then it shows what was done so far. `hidden` when the terminal is busy with
    the data itself. Use it as a context manager.
    """

    def __init__(
        self, title: str, total: int | None, clock: Clock, *, as_bytes: bool, hidden: bool
    ) -> None:
        self._title = title
        self._total = total
        self._as_bytes = as_bytes
        self._wanted = sys.stderr.isatty() and not hidden
        self._clock = clock
        self._begun = clock.monotonic_ms()
        self._done = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, amount: int) -> None:
        """`amount` more is done."""
        if not self._wanted:
            return
        self._done += amount
        if self._bar is None and self._clock.monotonic_ms() - self._begun > PATIENCE_MS:
            self._show()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done)

    def _show(self) -> None:
        from rich import progress
        from rich.console import Console

        amount = progress.DownloadColumn() if self._as_bytes else progress.MofNCompleteColumn()
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            amount,
            progress.TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(self._title, total=self._total)
        self._bar.start()
