"""A warning before a volume is full: then its log directories would go offline."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from barnabas.log.directory import LogDirectory
from barnabas.ports import Clock, Executor, Timer

log = logging.getLogger("barnabas.server")

CHECK_INTERVAL_MS: Final = 60_000
LOW_PART: Final = 10
#: A tenth of a volume is little, and for a large one so much is enough.
LOW_BYTES: Final = 10 << 30


def low_mark(total: int) -> int:
    """Below so many usable bytes a volume of `total` bytes is about to be full."""
    return min(total // LOW_PART, LOW_BYTES)


class DiskSpace:
    """Looks at the volumes of the log directories once a minute; warns once per crossing.

    A volume counts as recovered only a tenth above the mark, lest one that hovers there fills the
    log instead.
    """

    def __init__(
        self, directories: Sequence[LogDirectory], clock: Clock, executor: Executor
    ) -> None:
        self._directories = directories
        self._clock = clock
        self._executor = executor
        self._low: set[str] = set()
        self._timer: Timer | None = None
        self._stopped = False

    def start(self) -> None:
        """Look now, and again and again until `stop`."""
        self._executor.submit(self._look, self._looked)

    def stop(self) -> None:
        """No more looking."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> list[tuple[LogDirectory, int, int]]:
        found = []
        for home in self._directories:
            if home.offline is not None:
                continue
            try:
                found.append((home, *home.disk.usage(home.path)))
            except OSError:
                continue  # a write will meet it, and say so
        return found

    def _looked(
        self,
        found: list[tuple[LogDirectory, int, int]] | None,
        error: BaseException | None,
    ) -> None:
        if error is not None:
            raise error
        if self._stopped:
            return
        for home, total, usable in found or []:
            self._judge(home.path, total, usable)
        self._timer = self._clock.call_later(CHECK_INTERVAL_MS, self.start)

    def _judge(self, path: str, total: int, usable: int) -> None:
        mark = low_mark(total)
        if path not in self._low and usable < mark:
            self._low.add(path)
            log.warning(
                "the volume of log directory %s has %d MiB left of %d; when it is full the "
                "directory goes offline. Make room, delete topics or records, or keep them shorter.",
                path,
                usable >> 20,
                total >> 20,
            )
        elif path in self._low and usable >= mark + mark // 10:
            self._low.discard(path)
            log.info("the volume of log directory %s has %d MiB left again", path, usable >> 20)
