"""Producer state at start-up: newest usable snapshot, then the headers of the log behind it."""

from __future__ import annotations

from barnabas.log import names, txn_index
from barnabas.log.checkpoints import read_file, replace_file
from barnabas.log.errors import LogDamaged
from barnabas.log.log import Log
from barnabas.log.lookup import pread_blocking
from barnabas.log.producer_log import (
    newest_snapshot,
    read_snapshot,
    snapshot_path,
    stray_snapshots,
    track_batch,
    write_snapshot,
)
from barnabas.log.rebuild import MAX_INDEX_BYTES, Recovered
from barnabas.log.scan import headers
from barnabas.log.segment import Segment, locate
from barnabas.partition.producer_entry import encode_snapshot
from barnabas.ports import Disk, File
from barnabas.records.batch import CONTROL_BIT, BatchHeader


def recover_producers(
    log: Log,
    snapshots: list[int],
    recovered: list[Recovered],
    *,
    clean: bool,
    trusted: int,
    expiration_ms: int,
) -> None:
    """Fill `log.producers` up to `log.end_offset`, and mend the transaction indexes.

    After a clean stop without any snapshot there are no producers (Kafka's rule, too: it always
    leaves one otherwise). Aborted transactions that end below `trusted` are on disk.
    """
    disk, end = log.disk, log.end_offset
    for offset in [offset for offset in snapshots if offset > end]:
        disk.unlink(snapshot_path(log.path, offset))  # of a future that is gone
        snapshots.remove(offset)
    if not clean:
        for offset in [offset for offset in snapshots if offset > trusted]:
            if read_snapshot(disk, log.path, offset) is None:
                snapshots.remove(offset)
    log.snapshots = snapshots
    log.producers.truncate(end)
    insane = [s for s in log.segments if s.has_txns and not _sane(disk, s)]
    if clean and not snapshots and not insane:
        return
    # Where replay has to begin so that every aborted transaction is met whose entry may be lost.
    begin = end
    if recovered:
        begin = min(begin, max(trusted, recovered[0].segment.base_offset))
    for segment in insane:
        begin = min(begin, segment.base_offset)
    found = newest_snapshot(disk, log.path, snapshots, begin)
    start = log.log_start_offset
    if found is not None and found[0] >= start:
        start = found[0]
        log.producers.load(found[1], start, log.now_ms(), expiration_ms)
    rewritten = {done.segment.base_offset for done in recovered} | {s.base_offset for s in insane}
    for segment in log.segments[: max(0, log.segment_index(start))]:
        if segment.base_offset in rewritten:
            _Replay(log, segment, start, trusted, rewrite=True).finish()
    if found is not None and found[0] == end:
        _Replay(log, log.segments[-1], start, trusted, rewrite=bool(rewritten)).finish()
        return
    for segment in log.segments[max(0, log.segment_index(start)) :]:
        one = _Replay(log, segment, start, trusted, rewrite=segment.base_offset in rewritten)
        one.run(snapshot=segment.base_offset > start and segment.base_offset not in snapshots)
    log.producers.end_offset = end
    if log.producers.producers or snapshots:
        _take_snapshot(log, end)
    for offset in stray_snapshots(snapshots, log.bases):
        disk.unlink(snapshot_path(log.path, offset))
        snapshots.remove(offset)


def replay(log: Log, start: int) -> None:
    """Headers from `start` to the end of the log into its producer state; no file is written."""
    for segment in log.segments[max(0, log.segment_index(start)) :]:
        _Replay(log, segment, start, 0, rewrite=False).run(snapshot=False)


def _take_snapshot(log: Log, offset: int) -> None:
    if offset in log.snapshots or offset <= log.log_start_offset:
        return
    data = encode_snapshot(log.producers.producers.values())
    write_snapshot(log.disk, log.path, offset, data)
    log.snapshots.append(offset)
    log.snapshots.sort()


def _sane(disk: Disk, segment: Segment) -> bool:
    data = read_file(disk, segment.path + names.TXN_INDEX, MAX_INDEX_BYTES) or b""
    return txn_index.sane(data, segment.base_offset)


def _track(log: Log, header: BatchHeader, batch: bytes) -> txn_index.AbortedTxn | None:
    try:
        return track_batch(log.producers, header, batch, header.base_offset)
    except LogDamaged:
        return None  # a control record behind a good CRC that is none: nobody could have used it


class _Replay:
    """One segment into the producer state; with `rewrite` its transaction index from `trusted`."""

    def __init__(
        self, log: Log, segment: Segment, start: int, trusted: int, *, rewrite: bool
    ) -> None:
        self._log = log
        self._segment = segment
        self._start = start
        self._trusted = trusted
        self._rewrite = rewrite
        self._aborted: list[txn_index.AbortedTxn] = []

    def run(self, *, snapshot: bool) -> None:
        """Replay; with `snapshot` take one at the segment's base first, as its roll did."""
        log, segment = self._log, self._segment
        if snapshot:
            _take_snapshot(log, segment.base_offset)
        file = log.disk.open(segment.path + names.LOG)
        try:
            size = file.size()
            for position, header in headers(file, self._begin(file, size), size):
                if header.producer_id < 0 or header.base_offset < self._start:
                    continue
                batch = b""
                if header.attributes & CONTROL_BIT:
                    batch = file.pread(header.size, position)
                txn = _track(log, header, batch)
                if txn is not None:
                    self._aborted.append(txn)
        except LogDamaged:
            # Only below the recovery point, where nothing but headers is looked at, can this be:
            # bit rot, for readers to report. Producer state ends here; the log does not.
            pass
        finally:
            file.close()
        self.finish()

    def _begin(self, file: File, size: int) -> int:
        if self._start <= self._segment.base_offset:
            return 0
        index = self._log.disk.open(self._segment.path + names.OFFSET_INDEX)
        try:
            self._segment.offset_bytes = index.size() // 8 * 8
            place = locate(self._segment, file, index, self._start, size, pread_blocking)
        finally:
            index.close()
        return size if place is None else place[0]

    def finish(self) -> None:
        """The index: entries that end below the recovery point, and those that were met since."""
        if not self._rewrite:
            return
        segment, disk = self._segment, self._log.disk
        path = segment.path + names.TXN_INDEX
        old = (read_file(disk, path, MAX_INDEX_BYTES) or b"") if segment.has_txns else b""
        limit = max(self._trusted, self._start)
        kept = txn_index.believable(old, segment.base_offset)
        kept = [txn for txn in kept if txn.last_offset < limit]
        last = kept[-1].last_offset if kept else -1
        entries = kept + [txn for txn in self._aborted if txn.last_offset > last]
        data = b"".join(txn.encode() for txn in entries)
        if data == old:
            return
        segment.has_txns = bool(data)
        if not data:
            disk.unlink(path)
            return
        replace_file(disk, path, data)  # the entries below the recovery point must not get lost
