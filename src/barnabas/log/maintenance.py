"""What a node does to its logs now and then: recovery, retention, checkpoints, the clean stop.

Work over many logs is cut into slices, so that ten thousand partitions delay no request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from barnabas.log import names
from barnabas.log.checkpoints import TopicPartition
from barnabas.log.errors import StorageError
from barnabas.log.log import Log
from barnabas.log.manager import LogManager
from barnabas.log.retention import Deletion, delete_old_segments
from barnabas.log.settle import Settling
from barnabas.ports import Timer

SLICE = 32
"""Logs that are looked at in one go on the event loop."""

ROLLED_BYTES = 256 << 20
"""With so much in segments that were closed since the last checkpoint there is another one, whatever
the interval says: a start after a crash reads no more of them."""


class Intervals:
    """Kafka's broker configs of the same meaning, in ms."""

    __slots__ = (
        "high_watermark_checkpoint",
        "initial_delay",
        "log_start_checkpoint",
        "producer_expiration_check",
        "recovery_checkpoint",
        "retention_check",
    )

    def __init__(
        self,
        *,
        retention_check: int = 300000,
        initial_delay: int = 30000,
        recovery_checkpoint: int = 60000,
        log_start_checkpoint: int = 60000,
        high_watermark_checkpoint: int = 5000,
        producer_expiration_check: int = 600000,
    ) -> None:
        self.retention_check = retention_check
        self.initial_delay = initial_delay
        self.recovery_checkpoint = recovery_checkpoint
        self.log_start_checkpoint = log_start_checkpoint
        self.high_watermark_checkpoint = high_watermark_checkpoint
        self.producer_expiration_check = producer_expiration_check


class LogMaintenance:
    """Timers over a `LogManager`. `start` after `LogManager.load`, `stop` for the clean stop."""

    def __init__(self, manager: LogManager, intervals: Intervals | None = None) -> None:
        self._manager = manager
        self._intervals = intervals or Intervals()
        self._timers: dict[str, Timer] = {}
        self._stopping = False
        self._settling = False
        self._after_settling: Callable[[], None] | None = None
        self._retain_again: dict[Log, int] = {}
        self._rolled: dict[Log, int] = {}
        """Bytes of segments that were closed since the last checkpoint of recovery points."""

    def start(self) -> None:
        """Recover what was not stopped cleanly, remove `-delete` directories, start the timers."""
        manager, every = self._manager, self._intervals
        for home in manager.live:
            for path in home.doomed:
                manager.remove_later(home, path, 0)
        self._recover_next(list(reversed(manager.unrecovered())))
        self._repeat("retention", every.initial_delay, every.retention_check, self.retain_all)
        self._again("recovery points", every.recovery_checkpoint, self.checkpoint_all)
        self._again("log starts", every.log_start_checkpoint, self._checkpoint_starts)
        self._again("high watermarks", every.high_watermark_checkpoint, self._checkpoint_marks)
        manager.writer.on_rolled = self._note_rolled
        self._again("producers", every.producer_expiration_check, self._expire_producers)

    def stop(self, broker_epoch: int, done: Callable[[], None]) -> None:
        """The clean stop: flush, close and checkpoint every log, leave the clean marker in each
        directory where all is well, and give the locks back. Nobody may append any more."""
        self._stopping = True
        stop = partial(self._stop, broker_epoch, done)
        if self._settling:  # one after the other: both write the same files
            self._after_settling = partial(self._manager.checkpoints.when_idle, stop)
        else:
            self._manager.checkpoints.when_idle(stop)

    def _stop(self, broker_epoch: int, done: Callable[[], None]) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        manager = self._manager
        unclean = {manager.homes[key].path for key in manager.unrecovered()}

        def closed(failed: set[str]) -> None:
            manager.executor.submit(partial(finish, failed), lambda *_: finished())

        def finish(failed: set[str]) -> None:
            for home in manager.live:
                try:
                    manager.checkpoints.write_all(home)
                    if home.path not in unclean and home.path not in failed:
                        home.mark_clean(broker_epoch)
                except OSError as error:
                    home.offline = error

        def finished() -> None:
            manager.pool.close()
            for home in manager.directories:
                home.unlock()
            done()

        self._settle(list(manager.logs.values()), closing=True, done=closed)

    def retain_all(self) -> None:
        """One retention run over all partitions, open or not."""
        self._retain(list(reversed(self._manager.homes)))

    def checkpoint_all(self, done: Callable[[], None] | None = None) -> None:
        """Move recovery points to what is durable, and write them down.

        In synced mode that is all that is appended by now; otherwise what a roll or `flush.*`
        made durable.
        """
        self._checkpoint(self._manager.logs.values(), done)

    def _note_rolled(self, log: Log, nbytes: int) -> None:
        self._rolled[log] = self._rolled.get(log, 0) + nbytes
        if sum(self._rolled.values()) >= ROLLED_BYTES:
            self._checkpoint(self._rolled)

    def _checkpoint(self, some: Iterable[Log], done: Callable[[], None] | None = None) -> None:
        """Move the recovery points of some logs, and write down all."""
        if self._settling or self._stopping:
            return
        self._settling = True
        logs = [
            log
            for log in some
            if log.offline is None and not log.blocked and log.recovery_point < _settled(log)
        ]
        self._rolled.clear()

        def settled(_: set[str]) -> None:
            self._settling = False
            if self._after_settling is not None:
                self._after_settling()
            else:
                self._manager.checkpoints.write(names.RECOVERY_POINTS, done)

        self._settle(logs, closing=False, done=settled)

    def retain(self, log: Log, high_watermark: int | None = None) -> None:
        """Retention of one log, up to its high watermark."""
        manager = self._manager
        if log.offline is not None or log.blocked or self._stopping:
            return
        mark = log.high_watermark if high_watermark is None else high_watermark
        if log.disk_base < log.bases[0]:
            # Oldest first on disk, too: not before the former deletion has marked its files.
            self._retain_again[log] = mark
            return
        try:
            deletion, rolled = delete_old_segments(log, manager.clock.wall_ms(), mark)
        except OSError as error:
            manager.failed(manager.homes[log.topic, log.partition], error)
            return
        if deletion is not None:
            self._delete(log, deletion)
        if rolled:
            manager.writer.flush(log, lambda error: None if error else self.retain(log, mark))

    def _delete(self, log: Log, deletion: Deletion) -> None:
        manager = self._manager
        home = manager.homes[log.topic, log.partition]

        def marked(_: None, error: BaseException | None) -> None:
            manager.writer.unhold(log)
            again = self._retain_again.pop(log, None)
            if isinstance(error, OSError):
                manager.failed(home, error)
                return
            log.disk_base = deletion.base
            manager.clock.call_later(
                log.config.file_delete_delay_ms,
                lambda: manager.executor.submit(deletion.remove, removed),
            )
            if again is not None:
                self.retain(log, again)

        def removed(_: None, error: BaseException | None) -> None:
            if isinstance(error, OSError):
                manager.failed(home, error)

        manager.writer.hold(log)
        manager.executor.submit(deletion.mark, marked)

    def _retain(self, left: list[TopicPartition]) -> None:
        """A slice of a retention run, then the next."""
        manager = self._manager
        for _ in range(SLICE):
            if not left or self._stopping:
                return
            topic, number = left.pop()
            log = manager.logs.get((topic, number))
            if log is not None:
                self.retain(log)
                continue

            def opened(log: Log | None, _: Exception | None) -> None:
                if log is not None:
                    self.retain(log)
                # Not from here: it may be called at once, and thousands of frames deep.
                manager.clock.call_later(0, lambda: self._retain(left))

            manager.open(topic, number, manager.config_for(topic), opened)
            return
        manager.clock.call_later(1, lambda: self._retain(left))

    def _recover_next(self, left: list[TopicPartition]) -> None:
        """Open the unclean partitions one after another."""
        if left and not self._stopping:
            topic, number = left.pop()
            config = self._manager.config_for(topic)

            def go_on(*_: object) -> None:
                # Not from here: `open` may fail at once, for all that are left.
                self._manager.clock.call_later(0, lambda: self._recover_next(left))

            self._manager.open(topic, number, config, go_on)

    def _settle(self, logs: list[Log], *, closing: bool, done: Callable[[set[str]], None]) -> None:
        """Flush `logs`, then do what `Settling` says; `done` with the paths of failed ones."""
        manager = self._manager
        failed: set[str] = set()
        waiting = len(logs)
        # What each has to do is fixed before its flush, so that the flush covers it.
        work = [Settling(log, closing=closing) for log in logs]
        for log in logs:
            manager.writer.hold(log)

        def flushed(_: StorageError | None) -> None:
            nonlocal waiting
            waiting -= 1
            if waiting <= 0:
                todo = [one for one in work if one.needed]
                manager.executor.submit(partial(_run, manager, todo), ended)

        def ended(
            result: tuple[list[Settling], dict[str, OSError]] | None, error: BaseException | None
        ) -> None:
            if error is not None:
                raise error
            settled, errors = result if result is not None else ([], {})
            for one in settled:
                one.done()
            for log in logs:
                manager.writer.unhold(log)
            for path, os_error in errors.items():
                failed.add(path)
                for home in manager.directories:
                    if home.path == path:
                        manager.failed(home, os_error)
            done(failed)

        if not logs:
            done(failed)
        for log in logs:
            if closing or log.config.ack_mode == "synced":
                manager.writer.flush(log, flushed)
            else:
                flushed(None)

    def _checkpoint_starts(self) -> None:
        self._manager.checkpoints.write(names.LOG_STARTS)

    def _checkpoint_marks(self) -> None:
        self._manager.checkpoints.write(names.HIGH_WATERMARKS)

    def _expire_producers(self) -> None:
        now = self._manager.clock.wall_ms()
        for log in self._manager.logs.values():
            log.producers.expire(now, self._manager.producer_expiration_ms)

    def _again(self, name: str, interval: int, action: Callable[[], None]) -> None:
        self._repeat(name, interval, interval, action)

    def _repeat(self, name: str, delay: int, interval: int, action: Callable[[], None]) -> None:
        def run() -> None:
            if not self._stopping:
                self._repeat(name, interval, interval, action)
                action()

        self._timers[name] = self._manager.clock.call_later(delay, run)


def _settled(log: Log) -> int:
    """How far the recovery point of a log can come at once."""
    return log.end_offset if log.config.ack_mode == "synced" else log.durable_offset


def _run(
    manager: LogManager, work: Iterable[Settling]
) -> tuple[list[Settling], dict[str, OSError]]:
    """On the executor: settle each; what was done, and the first error of each directory."""
    settled: list[Settling] = []
    errors: dict[str, OSError] = {}
    for one in work:
        if one.directory in errors:
            continue
        try:
            one.run(manager.disk)
            settled.append(one)
        except OSError as error:
            errors[one.directory] = error
    return settled, errors
