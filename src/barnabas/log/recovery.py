"""Opening a partition directory, after a clean stop or a crash (facts: log-format section 14).

After a clean stop only the end of the active segment is read, from its last index entry on. After
a crash every batch above the recovery point is checked; the first invalid one ends the log. Below
the recovery point data, index entries, epochs and aborted transactions are durable (see
`LogManager` and `LogWriter`), so that even in the segment that contains it nothing before the last
index entry below it is read.

Everything here blocks and runs on the executor; it makes a `Log` and touches no other.
Interrupted at any step and repeated, it comes to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from barnabas.config.log_config import LogConfig
from barnabas.log import names, offset_index, time_index
from barnabas.log.checkpoints import decode_partition_metadata, read_file, replace_file
from barnabas.log.errors import LogDamaged
from barnabas.log.files import FilePool
from barnabas.log.log import Log
from barnabas.log.lookup import pread_blocking
from barnabas.log.producer_recovery import recover_producers
from barnabas.log.rebuild import Recovered, first_timestamp, recover_segment
from barnabas.log.segment import Segment, create_files, walk
from barnabas.log.tidy import list_segments, remove_leftovers
from barnabas.partition.epochs import LeaderEpochs
from barnabas.ports import Disk

DAY_MS = 86400000


def open_log(
    topic: str,
    partition: int,
    path: str,
    config: LogConfig,
    *,
    pool: FilePool,
    now_ms: Callable[[], int],
    pick_jitter: Callable[[int], int],
    clean: bool,
    recovery_point: int = 0,
    log_start: int = 0,
    high_watermark: int = 0,
    producer_expiration_ms: int = DAY_MS,
) -> Log:
    """The log in directory `path`, which must exist.

    `clean`: the log directory was stopped cleanly. `recovery_point`, `log_start` and
    `high_watermark` are what the checkpoint files say, 0 when they say nothing. `pool` is where
    the log will open its files; it is not used here, so that this may run on any thread.

    Raises `LogDamaged` for broken checkpoint files, `OSError`.
    """
    opening = _Opening(pool.disk, path, config, clean, recovery_point, log_start)
    log = Log(topic, partition, path, config, pool=pool, now_ms=now_ms, pick_jitter=pick_jitter)
    opening.load_small_files(log)
    opening.load_segments()
    end = opening.open_active()
    opening.settle_epochs(log, end)
    log.segments = opening.segments
    log.bases = [segment.base_offset for segment in log.segments]
    log.log_start_offset = max(log_start, log.bases[0])
    log.end_offset = log.written_offset = end
    recover_producers(
        log,
        opening.snapshots,
        opening.recovered,
        clean=clean and not opening.recovered,
        trusted=min(recovery_point, end),
        expiration_ms=producer_expiration_ms,
    )
    opening.make_durable(log)
    log.durable_offset = log.recovery_point = end
    log.high_watermark = min(max(high_watermark, log.log_start_offset), end)
    log.start(*opening.active)
    return log


class _Opening:
    """The state of one `open_log`."""

    def __init__(
        self,
        disk: Disk,
        path: str,
        config: LogConfig,
        clean: bool,
        recovery_point: int,
        log_start: int,
    ) -> None:
        self.disk = disk
        self.path = path
        self.config = config
        self.clean = clean
        self.recovery_point = recovery_point
        self.log_start = log_start
        self.segments: list[Segment] = []
        self.snapshots: list[int] = []
        self.recovered: list[Recovered] = []
        self.epochs = LeaderEpochs()
        self.new_names = False
        self.active = (0, 0, -1, -1)
        """Arguments of `Log.start`."""

    def load_small_files(self, log: Log) -> None:
        """`partition.metadata` and `leader-epoch-checkpoint`."""
        data = read_file(self.disk, f"{self.path}/{names.PARTITION_METADATA}")
        if data is not None:
            log.topic_id = decode_partition_metadata(data)
        data = read_file(self.disk, f"{self.path}/{names.LEADER_EPOCHS}")
        if data:
            try:
                self.epochs = LeaderEpochs.decode(data.decode())
            except ValueError as error:
                raise LogDamaged(f"{self.path}/{names.LEADER_EPOCHS}: {error}") from error
            log.epochs_written = self.epochs.encode()

    def load_segments(self) -> None:
        """List segments, recover what has to be; afterwards there is at least one."""
        present = remove_leftovers(self.disk, self.path)
        self.segments, self.snapshots, files = list_segments(self.path, present)
        for at, segment in enumerate(self.segments):
            behind = self.segments[at + 1].base_offset if at + 1 < len(self.segments) else None
            # A segment that ends at the recovery point may have been active when that was noted,
            # and have got its last time index entry later: so >=.
            unsafe = not self.clean and (behind is None or behind >= self.recovery_point)
            whole = names.OFFSET_INDEX not in files[segment.base_offset]
            if (unsafe or whole) and self._recover(at, trust=not whole):
                break
        if self.segments:
            self._drop_if_below_start()
        if not self.segments:
            segment = Segment(self.path, self.log_start)
            create_files(self.disk, segment)
            self.segments.append(segment)
            self.new_names = True

    def open_active(self) -> int:
        """Learn where the last segment ends; the log end offset."""
        segment = self.segments[-1]
        for done in self.recovered:
            if done.segment is segment:
                self.active = done.start_arguments()
                return done.next_offset
        try:
            return self._read_tail(segment)
        except LogDamaged:
            # The stop was said to be clean, or the segment to be safe, and is not: check it all.
            self._recover(len(self.segments) - 1, trust=False)
            self.active = self.recovered[-1].start_arguments()
            return self.recovered[-1].next_offset

    def settle_epochs(self, log: Log, end: int) -> None:
        """Epochs that recovery met in batches; none may begin beyond the end of the log."""
        for done in self.recovered:
            for epoch, start in done.epochs:
                if epoch > self.epochs.latest:
                    self.epochs.assign(epoch, start)
        # At the very end one may begin: of a leader that has not appended yet.
        self.epochs.truncate_from_end(end + 1 if self.clean else end)
        self.epochs.truncate_from_start(max(self.log_start, self.segments[0].base_offset))
        log.epochs = self.epochs
        log.latest_epoch = self.epochs.latest

    def make_durable(self, log: Log) -> None:
        """After a recovery nothing may rest on the page cache: the process that wrote it died,
        and what we found would count as durable from now on."""
        for done in self.recovered:
            for path in done.paths(self.disk):
                file = self.disk.open(path)
                try:
                    file.sync()
                finally:
                    file.close()
        text = self.epochs.encode()
        if text != log.epochs_written:
            replace_file(self.disk, f"{self.path}/{names.LEADER_EPOCHS}", text.encode())
            log.epochs_written = text
        if self.recovered or self.new_names:
            self.disk.sync_dir(self.path)

    def _recover(self, at: int, *, trust: bool) -> bool:
        """Check one segment; true when it ended early and all later ones were dropped."""
        segment = self.segments[at]
        done = recover_segment(
            self.disk,
            segment,
            self.config.index_interval_bytes,
            trusted=self.recovery_point if trust else 0,
        )
        damaged = done.end < done.file_size
        if damaged:
            # Later segments go first: were the damage cut off first, a crash would leave a log
            # that looks whole with a hole in it.
            remove_segments(self.disk, self.path, self.segments[at + 1 :])
            del self.segments[at + 1 :]
        done.write(self.disk)
        self.recovered.append(done)
        return damaged

    def _read_tail(self, segment: Segment) -> int:
        """From the last index entry to the end, by headers. Raises `LogDamaged` if that fails."""
        pool = FilePool(self.disk, 4)
        try:
            segment.load_sizes(pool)
            base = segment.base_offset
            log = pool.get(segment.path + names.LOG)
            index = pool.get(segment.path + names.OFFSET_INDEX)
            times = pool.get(segment.path + names.TIME_INDEX)
            _, index_position = offset_index.last(index, segment.offset_bytes, base, pread_blocking)
            stamp, stamp_offset = time_index.last(times, segment.time_bytes, base, pread_blocking)
            if segment.offset_bytes and (index_position >= segment.size):
                raise LogDamaged(f"{segment.path}: index points behind the log")
            if segment.offset_bytes > offset_index.WIDTH and index_position == 0:
                raise LogDamaged(f"{segment.path}: index ends in zeros")
            segment.max_timestamp, segment.max_timestamp_offset = stamp, stamp_offset
            end, position = base, index_position
            for place in walk(log, index_position, segment.size, pread_blocking):
                end, position = place[2] + 1, place[0] + place[3]
                if place[4] > segment.max_timestamp:
                    segment.max_timestamp, segment.max_timestamp_offset = place[4], place[2]
            if position != segment.size:
                raise LogDamaged(f"{segment.path}: ends within a batch")
            self.active = (segment.size, index_position, stamp, first_timestamp(log, segment.size))
            return end
        finally:
            pool.close()

    def _drop_if_below_start(self) -> None:
        """Kafka: a log that ends below its checkpointed start was deleted; begin at the start."""
        if self.log_start <= self.segments[-1].base_offset:
            return
        if self.open_active() >= self.log_start:
            return
        remove_segments(self.disk, self.path, self.segments)
        self.segments.clear()
        self.recovered.clear()
        self.epochs.clear()
        self.new_names = True


def remove_segments(disk: Disk, directory: str, segments: Sequence[Segment]) -> None:
    """Unlink segments at the end of a log.

    Last segment first and each durably before the next, so that a crash never leaves a hole; within
    one `.log` goes first, because an index without log is removed at start.
    """
    for segment in reversed(segments):
        for path in segment.file_names():
            disk.unlink(path)
        disk.sync_dir(directory)
