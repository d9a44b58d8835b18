"""`CheckpointWriter`: the offset checkpoint files of all log directories, written one after another.

Two writes of one file must not overlap, and no older content may replace a newer one. So there is
one write of a kind at a time; who asks meanwhile shares the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from barnabas.log import names
from barnabas.log.checkpoints import TopicPartition
from barnabas.log.directory import LogDirectory

if TYPE_CHECKING:
    from barnabas.log.log import Log
    from barnabas.log.manager import LogManager

Done = Callable[[], None]


class CheckpointWriter:
    """Writes `recovery-point-offset-checkpoint` and its like. Used on the event loop."""

    def __init__(self, manager: LogManager) -> None:
        self._manager = manager
        self._running: set[str] = set()
        self._next: dict[str, list[Done]] = {}
        self._idle: list[Done] = []

    def write(self, name: str, done: Done | None = None) -> None:
        """Write the file `name` of every live directory as things are now.

        `done` once it is durable, or its directory has failed, which the logs there then say.
        """
        waiting = [] if done is None else [done]
        if name in self._running:
            self._next.setdefault(name, []).extend(waiting)
        else:
            self._begin(name, waiting)

    def when_idle(self, done: Done) -> None:
        """Call `done` once nothing is being written."""
        if self._running:
            self._idle.append(done)
        else:
            done()

    def offsets(self, name: str, home: LogDirectory) -> dict[TopicPartition, int]:
        """What the file `name` of a directory has to say now.

        Of a partition that is not open it says what it said before.
        """
        former, of_log = _SOURCES[name]
        offsets = {key: at for key, at in former(home).items() if key in home.partitions}
        if of_log is None:
            return offsets
        for key in home.partitions:
            log = self._manager.logs.get(key)
            if log is None:
                continue
            offset = of_log(log)
            if offset is None:
                offsets.pop(key, None)
            else:
                offsets[key] = offset
        return offsets

    def write_all(self, home: LogDirectory) -> None:
        """Write all of them for one directory, at the clean stop. Blocks. Raises `OSError`."""
        for name, (_, of_log) in _SOURCES.items():
            if of_log is not None:  # else it is written whenever it changes
                home.checkpoint(name, self.offsets(name, home))

    def _begin(self, name: str, waiting: list[Done]) -> None:
        self._running.add(name)
        work = [(home, self.offsets(name, home)) for home in self._manager.live]

        def job() -> list[tuple[LogDirectory, OSError]]:
            errors = []
            for home, offsets in work:
                try:
                    home.checkpoint(name, offsets)
                except OSError as error:
                    errors.append((home, error))
            return errors

        def ended(
            errors: list[tuple[LogDirectory, OSError]] | None, error: BaseException | None
        ) -> None:
            self._running.discard(name)
            if error is not None:
                raise error
            for home, os_error in errors or []:
                self._manager.failed(home, os_error)
            again = self._next.pop(name, None)
            if again is not None:
                self._begin(name, again)
            for done in waiting:
                done()
            if not self._running:
                idle, self._idle = self._idle, []
                for done in idle:
                    done()

        self._manager.executor.submit(job, ended)


def _log_start(log: Log) -> int | None:
    """Said only where it is above the oldest segment, as Kafka does; of the segments that are on
    disk: were the word gone before they are, a crash would bring back what was deleted."""
    return log.log_start_offset if log.log_start_offset > log.disk_base else None


_SOURCES: dict[
    str,
    tuple[Callable[[LogDirectory], dict[TopicPartition, int]], Callable[[Log], int | None] | None],
] = {
    names.RECOVERY_POINTS: (lambda home: home.recovery_points, lambda log: log.recovery_point),
    names.LOG_STARTS: (lambda home: home.log_starts, _log_start),
    names.HIGH_WATERMARKS: (lambda home: home.high_watermarks, lambda log: log.high_watermark),
    names.CLEANER_POINTS: (lambda home: home.cleaner_points, None),
}
"""By file name: what the file said at the start, and what an open log says now. What cleanings
say is kept with the directory."""
