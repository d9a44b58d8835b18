"""Making recovery short: what is durable besides the data before the recovery point moves.

This is the only place that writes the epochs of a log in use (`LogManager.truncate` apart, which
waits for it), so that no older content replaces a newer one.

The recovery point says "nothing below was left to the page cache". For a log whose data is durable
up to its end this means, in this order: index files synced, producer snapshot written, epochs
written. After it the recovery point may be checkpointed. At a clean stop the same, with the last
entry of the time index and a producer snapshot at the very end.
"""

from __future__ import annotations

from barnabas.log import names
from barnabas.log.checkpoints import replace_file
from barnabas.log.log import Log
from barnabas.log.producer_log import snapshot_path, stray_snapshots, write_snapshot
from barnabas.log.segment import Segment
from barnabas.partition.producer_entry import encode_snapshot
from barnabas.ports import Disk, File

SNAPSHOT_EVERY_BYTES = 16 << 20
"""A checkpoint takes a producer snapshot when so much was appended since the last one: recovery
replays no more headers than that."""


class Settling:
    """The work for one log, fixed on the event loop; `run` does it, `done` notes it."""

    def __init__(self, log: Log, *, closing: bool) -> None:
        segment = log.segments[-1]
        self._log = log
        self._segment: Segment = segment
        synced = closing or log.config.ack_mode == "synced"
        self.offset = log.end_offset if synced else log.durable_offset
        self._time_entry = log.closing_time_entry() if closing else b""
        self._snapshot: bytes | None = None
        if synced and self._needs_snapshot(closing):
            self._snapshot = encode_snapshot(log.producers.producers.values())
        text = log.epochs.encode()
        self._epochs = text if text != log.epochs_written else None
        taken = [*log.snapshots, self.offset] if self._snapshot is not None else log.snapshots
        # Between two rolls only the newest snapshot is of use; at a stop Kafka's rule holds.
        self._strays = stray_snapshots(taken, log.bases) if self._snapshot is not None else []
        self._clean_indexes = log.recovery_point >= self.offset and not self._time_entry

    @property
    def directory(self) -> str:
        """Path of the log directory."""
        return self._log.path.rpartition("/")[0]

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        if self._log.offline is not None or self._log.durable_offset < self.offset:
            return False  # the directory failed, or the log was cut meanwhile
        return not (self._clean_indexes and self._snapshot is None and self._epochs is None)

    def run(self, disk: Disk) -> None:
        """Blocks. Raises `OSError`."""
        log, path = self._log, self._segment.path
        if not self._clean_indexes:
            files: list[File] = []
            try:
                suffixes = [names.OFFSET_INDEX, names.TIME_INDEX]
                if self._segment.has_txns:
                    suffixes.append(names.TXN_INDEX)
                for suffix in suffixes:
                    files.append(disk.open(path + suffix, create=True))
                if self._time_entry:
                    files[1].pwritev([self._time_entry], self._segment.time_bytes)
                disk.sync_files(files)
            finally:
                for file in files:
                    file.close()
        if self._snapshot is not None:
            write_snapshot(disk, log.path, self.offset, self._snapshot)
            disk.sync_dir(log.path)
            for offset in self._strays:
                disk.unlink(snapshot_path(log.path, offset))
        if self._epochs is not None:
            replace_file(disk, f"{log.path}/{names.LEADER_EPOCHS}", self._epochs.encode())

    def done(self) -> None:
        """It is all durable: the recovery point moves."""
        log = self._log
        log.recovery_point = max(log.recovery_point, self.offset)
        self._segment.time_bytes += len(self._time_entry)
        if self._epochs is not None:
            log.epochs_written = self._epochs
        if self._snapshot is not None:
            log.snapshots = [at for at in log.snapshots if at not in self._strays]
            log.snapshots.append(self.offset)
            log.snapshot_position = (self._segment.base_offset, self._segment.size)

    def _needs_snapshot(self, closing: bool) -> bool:
        log = self._log
        if self.offset in log.snapshots or self.offset <= log.log_start_offset:
            return False
        if closing:
            # Without producers and without any snapshot an empty one would say nothing new. (A
            # roll that is not durable yet will bring one.)
            rolling = log.durable_offset < self.offset and len(log.bases) > 1
            return rolling or bool(log.producers.producers or log.snapshots)
        base, position = log.snapshot_position
        if base != self._segment.base_offset:
            position = 0  # at its base there is the one of the roll
        return self._segment.size - position >= SNAPSHOT_EVERY_BYTES
