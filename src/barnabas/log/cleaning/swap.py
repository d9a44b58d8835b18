"""A cleaned group takes the place of its sources (Kafka's `LocalLog.replaceSegments`).

1. `promote`: `.cleaned` becomes `.swap`. Until all of it is durable a start throws it away.
2. `replace`, in memory: readers take the new segment from now on, under its `.swap` names; reads
   under way keep the files that they have open.
3. `retire`: the sources become `.deleted`. A start that finds `.swap` files finishes from here.
4. `rename`, on the event loop: the new segment gets its names, between two reads of the log.
5. `conclude`: these names are durable, and producer snapshots without a segment go.

The directory is synced between them: each step relies on the one before. Groups are swapped from
the oldest on, since a start throws away `.swap` files that are not below every `.cleaned`.
"""

from __future__ import annotations

from barnabas.log import names
from barnabas.log.cleaning.plan import CleanedGroup
from barnabas.log.log import Log
from barnabas.log.producer_log import snapshot_path
from barnabas.log.segment import UNKNOWN, Segment
from barnabas.ports import Disk


class Swap:
    """One group; the methods in their order. All but `replace` and `rename` block."""

    def __init__(self, log: Log, group: CleanedGroup) -> None:
        self._disk = log.disk
        self._directory = log.path
        self._log = log
        self._group = group
        self._new = Segment(log.path, group.bases[0])
        self._snapshots: list[int] = []

    def promote(self) -> None:
        """Step 1. Raises `OSError`."""
        path = self._new.path
        for suffix in names.SEGMENT_SUFFIXES:
            if self._disk.exists(path + suffix + names.CLEANED):
                self._disk.rename(path + suffix + names.CLEANED, path + suffix + names.SWAP)
        self._disk.sync_dir(self._directory)

    def replace(self) -> None:
        """Step 2, on the event loop."""
        log, group, new = self._log, self._group, self._new
        new.mark = names.SWAP
        new.size = group.size
        new.offset_bytes = group.offset_bytes
        new.time_bytes = group.time_bytes
        new.has_txns = group.has_txns
        new.max_timestamp = group.max_timestamp
        new.max_timestamp_offset = group.max_timestamp_offset
        new.first_timestamp = UNKNOWN
        first = log.bases.index(group.bases[0])
        last = first + len(group.bases)
        for old in log.segments[first:last]:
            old.forget(log.pool)
        log.segments[first:last] = [new]
        log.bases[first:last] = [new.base_offset]
        gone = set(group.bases[1:])
        self._snapshots = [offset for offset in log.snapshots if offset in gone]
        log.snapshots = [offset for offset in log.snapshots if offset not in gone]
        log.marks.clear()
        log.replaced += 1

    def retire(self) -> None:
        """Step 3. Raises `OSError`."""
        disk = self._disk
        for base in self._group.bases:
            path = f"{self._directory}/{names.offset_name(base)}"
            for suffix in names.SEGMENT_SUFFIXES:
                if disk.exists(path + suffix):
                    disk.rename(path + suffix, path + suffix + names.DELETED)
        disk.sync_dir(self._directory)

    def rename(self) -> None:
        """Step 4, on the event loop. Raises `OSError`."""
        new = self._new
        new.forget(self._log.pool)
        # The log first, as at a start: an index that keeps its suffix is simply renamed there.
        for suffix in names.SEGMENT_SUFFIXES:
            if suffix != names.TXN_INDEX or new.has_txns:
                self._disk.rename(new.path + suffix + names.SWAP, new.path + suffix)
        new.mark = ""
        self._log.replaced += 1

    def conclude(self) -> None:
        """Step 5. Raises `OSError`."""
        self._disk.sync_dir(self._directory)
        for offset in self._snapshots:
            self._disk.unlink(snapshot_path(self._directory, offset))

    def remove(self) -> None:
        """Unlink the sources, `file.delete.delay.ms` later. Raises `OSError`."""
        for base in self._group.bases:
            path = f"{self._directory}/{names.offset_name(base)}"
            for suffix in names.SEGMENT_SUFFIXES:
                self._disk.unlink(path + suffix + names.DELETED)


def discard(disk: Disk, directory: str) -> None:
    """Remove what a cleaning left that came to nothing. Raises `OSError`."""
    if not disk.exists(directory):
        return
    for name in disk.list_dir(directory):
        if name.endswith(names.CLEANED):
            disk.unlink(f"{directory}/{name}")
