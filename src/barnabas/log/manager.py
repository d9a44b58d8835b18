"""`LogManager`: all logs of a node over its log directories.

Logs are opened on first use. After an unclean stop all of them are recovered in the background;
one that somebody asks for goes first. Used on the event loop; what blocks goes to the executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from barnabas.config.log_config import LogConfig
from barnabas.log import names
from barnabas.log.checkpoint_writer import CheckpointWriter
from barnabas.log.checkpoints import TopicPartition
from barnabas.log.directory import LogDirectory
from barnabas.log.errors import LogDamaged, StorageError
from barnabas.log.files import DEFAULT_LIMIT, FilePool
from barnabas.log.log import Log
from barnabas.log.making import make_partitions, new_log
from barnabas.log.recovery import DAY_MS, open_log
from barnabas.log.truncation import end_below, restart_at, truncate_to
from barnabas.log.writer import LogWriter, Schedule
from barnabas.ports import Clock, Disk, Executor, Random
from barnabas.wire.errors import ErrorCode, KafkaError

Opened = Callable[[Log | None, Exception | None], None]
Done = Callable[[Exception | None], None]


class LogManager:
    """Opens, creates and deletes logs; knows which directory holds which.

    `schedule` is the loop's `call_soon`. `config_for(topic)` is asked for logs that are opened
    for recovery or retention. `on_offline(directory, error)` hears of a failed directory, after
    all its logs are offline.
    """

    def __init__(
        self,
        disk: Disk,
        executor: Executor,
        clock: Clock,
        random: Random,
        *,
        schedule: Schedule,
        config_for: Callable[[str], LogConfig],
        on_offline: Callable[[LogDirectory, OSError], None],
        max_open_files: int = DEFAULT_LIMIT,
        producer_expiration_ms: int = DAY_MS,
    ) -> None:
        self.disk = disk
        self.executor = executor
        self.clock = clock
        self.random = random
        self.config_for = config_for
        self.pool = FilePool(disk, max_open_files)
        self.directories: list[LogDirectory] = []
        self.logs: dict[TopicPartition, Log] = {}
        self.homes: dict[TopicPartition, LogDirectory] = {}
        """Directory of every partition that is on disk, open or not; offline ones included."""
        self.doubles: list[tuple[TopicPartition, LogDirectory]] = []
        """Partitions that were found a second time, for `settle_double`."""
        self.cordoned: frozenset[str] = frozenset()
        """Paths of directories that get no new partitions (KIP-1066)."""
        self.on_made: Callable[[Sequence[TopicPartition]], None] = lambda _: None
        """Told of new partitions, once their directories survive a power cut."""
        self.writer = LogWriter(
            self.pool, executor, clock, schedule=schedule, on_failure=self._failed
        )
        self.checkpoints = CheckpointWriter(self)
        self._on_offline = on_offline
        self.producer_expiration_ms = producer_expiration_ms
        """May change; the next look at idle producers goes by it."""
        self._opening: dict[TopicPartition, list[Opened]] = {}
        self._fresh: dict[TopicPartition, bytes] = {}
        """Made since the start and not used yet, with topic id: nothing to read or recover there."""

    def load(self, directories: Sequence[LogDirectory]) -> None:
        """Take over locked directories and scan them. Blocks; opens no log.

        One that fails to be read is offline, and one that is so already is not looked at; raises
        `BadDirectory` for foreign content.
        """
        for directory in directories:
            self.directories.append(directory)
            if directory.offline is None:
                self._scan(directory)

    def take_in(self, directory: LogDirectory) -> None:
        """Use a directory that was not formatted until now. Blocks. Raises as `load`."""
        directory.offline = None
        self._scan(directory)

    def _scan(self, directory: LogDirectory) -> None:
        try:
            directory.load()
        except OSError as error:
            directory.offline = error
        except LogDamaged as error:
            directory.offline = OSError(str(error))
        for partition in directory.partitions:
            if self.homes.setdefault(partition, directory) is not directory:
                self.doubles.append((partition, directory))

    def directory_of(self, directory_id: bytes | None) -> LogDirectory | None:
        """The live directory with that id."""
        for home in self.live:
            if home.meta is not None and home.meta.directory_id == directory_id:
                return home
        return None

    @property
    def live(self) -> list[LogDirectory]:
        """The directories that did not fail."""
        return [directory for directory in self.directories if directory.offline is None]

    def moves_in(self, partition: TopicPartition) -> bool:
        """Whether a live directory has a `-future` replica, left by a Kafka that was moving it."""
        head = f"/{partition[0]}-{partition[1]}."
        return any(head in path for home in self.live for path in home.futures)

    @property
    def any_offline(self) -> bool:
        """Whether a directory failed, or was missing at the start."""
        return any(directory.offline is not None for directory in self.directories)

    def unrecovered(self) -> list[TopicPartition]:
        """Partitions of uncleanly stopped directories that have not been opened since."""
        return [
            partition
            for partition, home in self.homes.items()
            if not home.clean
            and home.offline is None
            and partition not in self.logs
            and partition not in self._fresh
        ]

    def open(self, topic: str, partition: int, config: LogConfig, done: Opened) -> None:
        """`done(log, None)` with the log of a partition that is on disk, else `done(None, error)`:
        UNKNOWN_TOPIC_OR_PARTITION when it is not, `StorageError`, `LogDamaged`.

        May call back at once. Whoever asks while it is being opened gets the same log.
        """
        key = (topic, partition)
        log = self.logs.get(key)
        home = self.homes.get(key)
        if log is not None:
            done(log, None)
        elif home is None:
            done(None, KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
        elif home.offline is not None:
            done(None, StorageError(f"{home.path} is offline"))
        elif key in self._opening:
            self._opening[key].append(done)
        elif key in self._fresh:
            done(self._opened_fresh(key, home.partitions[key], config), None)
        else:
            self._opening[key] = [done]
            self._open(key, home, home.partitions[key], config)

    def create(
        self,
        topic: str,
        partition: int,
        config: LogConfig,
        topic_id: bytes,
        done: Opened,
        *,
        directory: LogDirectory | None = None,
    ) -> None:
        """Like `open`, but makes the partition when it is not on disk.

        Placed in `directory`, else where the fewest partitions are among live directories that
        are not cordoned (all cordoned: the first live one; KIP-1066).
        """
        key = (topic, partition)
        if key in self.homes:
            self.open(topic, partition, config, done)
            return
        home = directory or self._place()
        if home is None:
            done(None, StorageError("every log directory is offline"))
            return
        self._make([(key, home, topic_id)])
        self.open(topic, partition, config, done)

    def prepare(
        self,
        new: Sequence[tuple[TopicPartition, bytes, LogDirectory | None]],
        done: Callable[[], None] | None = None,
    ) -> None:
        """Make new partitions (key, topic id, directory) in the background, in one go.

        Placed as `create` does. Whoever opens one meanwhile waits; those that are on disk already
        are left alone. `done` when they are made, or their directory failed.
        """
        # One after another: each goes where the fewest are by then.
        self._make(
            (
                (key, home, topic_id)
                for key, topic_id, directory in new
                if key not in self.homes and (home := directory or self._place()) is not None
            ),
            done,
        )

    def _make(
        self,
        new: Iterable[tuple[TopicPartition, LogDirectory, bytes]],
        done: Callable[[], None] | None = None,
    ) -> None:
        made: list[TopicPartition] = []
        paths: dict[str, list[tuple[str, bytes]]] = {}
        for key, home, topic_id in new:
            path = f"{home.path}/{key[0]}-{key[1]}"
            self.homes[key] = home
            home.partitions[key] = path
            self._opening[key] = []
            self._fresh[key] = topic_id
            paths.setdefault(home.path, []).append((path, topic_id))
            made.append(key)
        if not made:
            if done is not None:
                done()
            return

        def job() -> dict[str, OSError]:
            failed: dict[str, OSError] = {}
            for directory, partitions in paths.items():
                try:
                    make_partitions(self.disk, partitions)
                except OSError as error:
                    failed[directory] = error
            return failed

        def ended(failed: dict[str, OSError] | None, error: BaseException | None) -> None:
            if error is not None:
                raise error
            for directory, os_error in (failed or {}).items():
                self._failed(directory, os_error)
            self.on_made([key for key in made if self.homes[key].offline is None])
            for topic, partition in made:
                for opened in self._opening.pop((topic, partition)):
                    self.open(topic, partition, self.config_for(topic), opened)
            if done is not None:
                done()

        self.executor.submit(job, ended)

    def _opened_fresh(self, key: TopicPartition, path: str, config: LogConfig) -> Log:
        log = new_log(
            *key,
            path,
            config,
            self._fresh.pop(key),
            pool=self.pool,
            now_ms=self.clock.wall_ms,
            pick_jitter=self.random.below,
        )
        log.mark_dirty = self.writer.dirty
        self.logs[key] = log
        return log

    def _place(self) -> LogDirectory | None:
        """Where a new partition goes; `None` when every directory is offline."""
        live = self.live
        free = [home for home in live if home.path not in self.cordoned] or live[:1]
        return min(free, key=lambda home: len(home.partitions), default=None)

    def delete(self, topic: str, partition: int, done: Done) -> None:
        """Rename the partition's directory to `-delete` now and remove it after
        `file.delete.delay.ms`. `done(None)` after the rename; harmless when it is not there."""
        self._retire(topic, partition, names.DELETE_DIR, done)

    def keep_one(
        self, partition: TopicPartition, keep: LogDirectory, drop: LogDirectory, done: Done
    ) -> None:
        """Of a partition that is in two directories (`doubles`) the one in `keep` counts; the other
        is set aside. Before either is opened."""
        self.homes[partition] = keep
        self._rename(drop, partition, names.STRAY_DIR, None, done)

    def stray(self, topic: str, partition: int, done: Done) -> None:
        """Set a partition aside that the metadata does not know, under a `-stray` name."""
        self._retire(topic, partition, names.STRAY_DIR, done)

    def truncate(self, log: Log, offset: int, done: Done, *, full: bool = False) -> None:
        """Cut `log` off at `offset`, or with `full` restart it empty there. Until `done` it can
        neither be read nor appended to."""
        log.block()
        key = (log.topic, log.partition)
        home = self.homes[key]

        def flushed(error: StorageError | None) -> None:
            if error is not None:
                done(error)
                return
            self.writer.release(log, released)

        def released() -> None:
            if log.offline is not None:
                done(StorageError(f"{home.path} is offline"))
            else:
                end = (lambda: offset) if full else (lambda: end_below(log, offset))
                self.executor.submit(end, lower)

        def lower(end: int | None, error: BaseException | None) -> None:
            # First on disk: after a crash nothing at or above the cut may be trusted unread.
            if end is None:
                ended(None, error)
                return
            log.recovery_point = min(log.recovery_point, end)
            if home.cleaner_points.get(key, 0) > end:
                home.cleaner_points[key] = end
                self.checkpoints.write(names.CLEANER_POINTS, lowered)
            else:
                lowered()

        def lowered() -> None:
            self.checkpoints.write(names.RECOVERY_POINTS, lambda: self.executor.submit(cut, ended))

        def cut() -> None:
            if log.offline is not None:
                raise StorageError(f"{home.path} is offline")
            if full:
                restart_at(log, offset)
            else:
                truncate_to(log, offset, self.producer_expiration_ms)

        def ended(_: None, error: BaseException | None) -> None:
            log.blocked = False
            if isinstance(error, OSError):
                self.failed(home, error)
            done(error if isinstance(error, Exception) else None)

        self.writer.flush(log, flushed)

    def _open(
        self,
        key: TopicPartition,
        home: LogDirectory,
        path: str,
        config: LogConfig,
    ) -> None:
        def job() -> Log:
            return open_log(
                *key,
                path,
                config,
                pool=self.pool,
                now_ms=self.clock.wall_ms,
                pick_jitter=self.random.below,
                clean=home.clean,
                recovery_point=home.recovery_points.get(key, 0),
                log_start=home.log_starts.get(key, 0),
                high_watermark=home.high_watermarks.get(key, 0),
                producer_expiration_ms=self.producer_expiration_ms,
            )

        self.executor.submit(job, lambda log, error: self._opened(key, home, log, error))

    def _opened(
        self,
        key: TopicPartition,
        home: LogDirectory,
        log: Log | None,
        error: BaseException | None,
    ) -> None:
        waiting = self._opening.pop(key)
        if isinstance(error, OSError):
            self.failed(home, error)
            error = StorageError(f"{home.path} is offline")
        elif home.offline is not None:
            error = StorageError(f"{home.path} is offline")
        if error is not None and not isinstance(error, Exception):
            raise error
        if log is not None and error is None:
            log.mark_dirty = self.writer.dirty
            log.update_config(self.config_for(key[0]))  # it may have changed during a recovery
            self.logs[key] = log
        for done in waiting:
            done(None if error is not None else log, error)

    def _retire(self, topic: str, partition: int, kind: str, done: Done) -> None:
        key = (topic, partition)
        if key in self._opening:  # its files are being looked at: first that, then this
            self._opening[key].append(lambda *_: self._retire(topic, partition, kind, done))
            return
        home = self.homes.pop(key, None)
        log = self.logs.pop(key, None)
        self._fresh.pop(key, None)
        if home is None:
            done(None)
        elif home.offline is not None:  # its files stay as they are; the name is free
            del home.partitions[key]
            done(None)
        else:
            self._rename(home, key, kind, log, done)

    def _rename(
        self, home: LogDirectory, key: TopicPartition, kind: str, log: Log | None, done: Done
    ) -> None:
        """Give the partition directory of `key` in `home` a marked name."""
        topic, partition = key
        path = home.partitions.pop(key)
        unique = self.random.bytes(16)
        target = f"{home.path}/{names.marked_name(topic, partition, unique, kind)}"

        def rename() -> None:
            self.disk.rename(path, target)
            self.disk.sync_dir(home.path)

        def renamed(_: None, error: BaseException | None) -> None:
            if isinstance(error, OSError):
                self.failed(home, error)
            elif kind == names.DELETE_DIR:
                delay = (
                    log.config if log is not None else self.config_for(topic)
                ).file_delete_delay_ms
                self.remove_later(home, target, delay)
            done(error if isinstance(error, Exception) else None)

        def released() -> None:
            if log is not None:
                for segment in log.segments:
                    segment.forget(self.pool)
            self.executor.submit(rename, renamed)

        def forget() -> None:
            # A later partition of this name is all dirty, whatever a crash does.
            if home.cleaner_points.pop(key, None) is None:
                released()
            else:
                self.checkpoints.write(names.CLEANER_POINTS, released)

        if log is None:
            forget()
            return
        log.fail(OSError(f"{topic}-{partition} was deleted"))
        self.writer.release(log, forget)

    def remove_later(self, home: LogDirectory, path: str, delay_ms: int) -> None:
        """Remove a `-delete` directory after `delay_ms`."""

        def removed(_: None, error: BaseException | None) -> None:
            if isinstance(error, OSError):
                self.failed(home, error)

        self.clock.call_later(
            delay_ms,
            lambda: self.executor.submit(lambda: self.disk.remove_tree(path), removed),
        )

    def failed(self, home: LogDirectory, error: OSError) -> None:
        """A directory is offline from now on, and every log in it; for good."""
        if home.offline is not None:
            return
        home.offline = error
        for key in home.partitions:
            log = self.logs.get(key)
            if log is not None:
                log.fail(error)
        self._on_offline(home, error)

    def _failed(self, path: str, error: OSError) -> None:
        for home in self.directories:
            if home.path == path:
                self.failed(home, error)
