"""Writes snapshots of the committed image, and drops old ones with the log behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from barnabas.log.log import Log
from barnabas.log.retention import Deletion, delete_old_segments
from barnabas.log.settle import Settling
from barnabas.log.writer import LogWriter
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.snapshot import write_snapshot
from barnabas.ports import Clock, Disk, Executor, Random
from barnabas.raft.types import OffsetAndEpoch
from barnabas.records.control import ControlType
from barnabas.replication.metadata_files import (
    SnapshotFile,
    remove_snapshots,
    write_snapshot_file,
)
from barnabas.replication.metadata_load import LoadedLog
from barnabas.replication.snapshotter import SnapshotSchedule, SnapshotSettings, expendable
from barnabas.wire.message import Message
from barnabas.wire.messages.kraft_version_record import KRaftVersionRecord


class SnapshotWriter:
    """One snapshot at a time, off the loop. `snapshots`: complete ones, oldest first."""

    def __init__(
        self,
        log: Log,
        settings: SnapshotSettings,
        loaded: LoadedLog,
        *,
        clock: Clock,
        random: Random,
        executor: Executor,
        disk: Disk,
        writer: LogWriter,
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.snapshots: list[SnapshotFile] = loaded.snapshots
        self._log = log
        self._settings = settings
        self._membership = loaded.membership
        self._clock = clock
        self._random = random
        self._executor = executor
        self._disk = disk
        self._writer = writer
        self._on_error = on_error
        self._timestamps: dict[OffsetAndEpoch, int] = {}
        self._schedule = SnapshotSchedule(settings, loaded.bytes_replayed, clock.monotonic_ms())
        self._writing = False
        self._stopped = False
        self._idle = asyncio.Event()
        self._idle.set()

    def committed(self, nbytes: int) -> None:
        """`nbytes` of batches were committed."""
        self._schedule.committed(nbytes)

    def maybe_start(self, image: MetadataImage) -> None:
        """Write a snapshot of the committed `image` if one is due and none is being written."""
        if self._writing or self._stopped or not self._schedule.due(self._clock.monotonic_ms()):
            return
        snapshot = OffsetAndEpoch(image.provenance.offset + 1, image.provenance.epoch)
        self._schedule.taken(self._clock.monotonic_ms())
        self._writing = True
        self._idle.clear()
        batches = write_snapshot(
            image.records(),
            epoch=snapshot.epoch,
            metadata_version=image.features.version,
            last_contained_timestamp_ms=image.provenance.timestamp_ms,
            now_ms=self._clock.wall_ms(),
            control=self._control(),
        )
        self._timestamps[snapshot] = image.provenance.timestamp_ms
        unique = str(int.from_bytes(self._random.bytes(8), "big"))
        directory = self._log.path
        self._executor.submit(
            lambda: write_snapshot_file(self._disk, directory, snapshot, batches, unique),
            self._written,
        )

    async def stop(self) -> None:
        """Start no more; return when the present one is finished."""
        self._stopped = True
        await self._idle.wait()

    def _control(self) -> list[tuple[ControlType, Message]]:
        membership = self._membership
        if membership.kraft_version == 0 or membership.record is None:
            return []
        version = KRaftVersionRecord(kraft_version=membership.kraft_version)
        return [
            (ControlType.KRAFT_VERSION, version),
            (ControlType.KRAFT_VOTERS, membership.record),
        ]

    def _written(self, snapshot: SnapshotFile | None, error: BaseException | None) -> None:
        if error is not None or snapshot is None:
            self._end(error)
            return
        self.snapshots.append(snapshot)
        try:
            gone = expendable(
                self.snapshots,
                self._timestamps,
                self._log.size(),
                self._settings,
                self._clock.wall_ms(),
            )
        except OSError as failure:
            self._end(failure)
            return
        if gone:
            self._writer.flush(self._log, lambda failed: self._settle(gone, failed))
        else:
            self._end(None)

    def _settle(self, gone: list[OffsetAndEpoch], error: BaseException | None) -> None:
        """Move the recovery point first: the writer is done with all segments below it."""
        if error is not None:
            self._end(error)
            return
        settling = Settling(self._log, closing=False)

        def settled(_: None, error: BaseException | None) -> None:
            if error is not None:
                self._end(error)
                return
            settling.done()
            self._drop(gone)

        if settling.needed:
            self._executor.submit(lambda: settling.run(self._disk), settled)
        else:
            self._drop(gone)

    def _drop(self, gone: list[OffsetAndEpoch]) -> None:
        """Drop what retention lets go: snapshots, and segments below the oldest one left.

        A newer snapshot is complete and durable by now, so that after a crash at any point the
        newest one and all of the log behind it are there.
        """
        self.snapshots[:] = [s for s in self.snapshots if s.id not in gone]
        for snapshot in gone:
            self._timestamps.pop(snapshot, None)
        log = self._log
        oldest = next(s.id for s in self.snapshots if s.id.offset > 0)
        # Strictly below the recovery point: a segment that was rolled right there may still wait
        # for its sync. What is left now goes next time.
        start = min(oldest.offset, log.recovery_point - 1)
        log.log_start_offset = max(log.log_start_offset, start)
        try:
            deletion, _ = delete_old_segments(log, self._clock.wall_ms(), log.high_watermark)
        except OSError as failure:
            self._end(failure)
            return

        def remove() -> None:
            remove_snapshots(self._disk, log.path, gone)
            _remove_segments(deletion)

        self._executor.submit(remove, lambda _, error: self._end(error))

    def _end(self, error: BaseException | None) -> None:
        self._writing = False
        self._idle.set()
        if error is not None:
            self._on_error(error)


def _remove_segments(deletion: Deletion | None) -> None:
    # No delay: nobody but this node's readers has the files, and they hold them open.
    if deletion is not None:
        deletion.mark()
        deletion.remove()
