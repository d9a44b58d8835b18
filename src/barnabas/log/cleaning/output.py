"""A segment that a cleaning writes, under `.cleaned` names until all of it is durable."""

from __future__ import annotations

from barnabas.log import names, offset_index, time_index
from barnabas.log.cleaning.plan import CleanedGroup
from barnabas.log.cleaning.rewrite import Kept
from barnabas.log.errors import LogDamaged
from barnabas.log.txn_index import AbortedTxn
from barnabas.ports import Buffer, Disk, File

WRITE_BYTES = 1 << 20
SYNC_BYTES = 8 << 20
"""Written between two syncs: one sync of a whole segment would hold up those of the appends."""


class CleanedSegment:
    """Takes what stays, in order; `finish` makes it durable."""

    def __init__(self, disk: Disk, directory: str, base: int, interval: int) -> None:
        self._disk = disk
        self._path = f"{directory}/{names.offset_name(base)}"
        self._base = base
        self._interval = interval
        for suffix in names.SEGMENT_SUFFIXES:
            disk.unlink(self._path + suffix + names.CLEANED)
        self._log = disk.open(self._path + names.LOG + names.CLEANED, create=True)
        self._buffers: list[Buffer] = []
        self._written = self._synced = self._size = 0
        self._offset_entries = bytearray()
        self._time_entries = bytearray()
        self._indexed = 0
        self._time_last = self._max_timestamp = -1
        self._max_timestamp_offset = base

    @property
    def size(self) -> int:
        """Bytes that it holds by now."""
        return self._size

    def add(self, kept: Kept) -> None:
        """Append; the index entries are those of any append. Raises `OSError`."""
        relative = kept.last_offset - self._base
        if not 0 <= relative <= offset_index.MAX_RELATIVE:
            raise LogDamaged(f"offset {kept.last_offset} does not fit into {self._path}")
        if kept.max_timestamp > self._max_timestamp:
            self._max_timestamp = kept.max_timestamp
            self._max_timestamp_offset = kept.last_offset
        if self._size - self._indexed > self._interval:
            self._offset_entries += offset_index.ENTRY.pack(relative, self._size)
            self._indexed = self._size
            self._add_time_entry()
        self._buffers.append(kept.data)
        self._size += len(kept.data)

    def flush(self) -> int:
        """Write what waits once it is enough; the bytes written."""
        waiting = self._size - self._written
        if waiting < WRITE_BYTES:
            return 0
        self._write()
        return waiting

    def finish(self, bases: tuple[int, ...], txns: list[AbortedTxn], when_ms: int) -> CleanedGroup:
        """Write the rest and the indexes; all of it is durable but for the names.

        `when_ms` becomes the time of the files, as it was that of the newest source.
        """
        self._write()
        self._add_time_entry()
        contents = {
            names.OFFSET_INDEX: bytes(self._offset_entries),
            names.TIME_INDEX: bytes(self._time_entries),
        }
        if txns:
            contents[names.TXN_INDEX] = b"".join(txn.encode() for txn in txns)
        files: list[File] = [self._log]
        try:
            for suffix, data in contents.items():
                file = self._disk.open(self._path + suffix + names.CLEANED, create=True)
                files.append(file)
                file.pwritev([data], 0)
            self._disk.sync_files(files)
        finally:
            for file in files:
                file.close()
        for suffix in (names.LOG, names.OFFSET_INDEX, names.TIME_INDEX):
            self._disk.set_modified_ms(self._path + suffix + names.CLEANED, when_ms)
        return CleanedGroup(
            bases,
            self._size,
            len(self._offset_entries),
            len(self._time_entries),
            bool(txns),
            self._max_timestamp,
            self._max_timestamp_offset,
        )

    def close(self) -> None:
        """Let go of the log file; for a cleaning that ended early."""
        self._log.close()

    def _write(self) -> None:
        if self._buffers:
            self._log.pwritev(self._buffers, self._written)
            self._buffers = []
            self._written = self._size
        if self._written - self._synced >= SYNC_BYTES:
            self._log.sync()
            self._synced = self._written

    def _add_time_entry(self) -> None:
        if self._max_timestamp > self._time_last:
            relative = self._max_timestamp_offset - self._base
            self._time_entries += time_index.ENTRY.pack(self._max_timestamp, relative)
            self._time_last = self._max_timestamp
