"""Cutting off the end of a log: a follower that diverged, a snapshot that replaces everything.

Both block, and demand a log that nothing is written to: `LogManager.truncate` sees to that.
"""

from __future__ import annotations

from barnabas.log import names, offset_index, time_index, txn_index
from barnabas.log.checkpoints import read_file, replace_file
from barnabas.log.files import FilePool
from barnabas.log.log import Log
from barnabas.log.lookup import pread_blocking
from barnabas.log.producer_log import newest_snapshot, snapshot_path
from barnabas.log.producer_recovery import replay
from barnabas.log.rebuild import MAX_INDEX_BYTES, first_timestamp
from barnabas.log.recovery import DAY_MS, remove_segments
from barnabas.log.segment import Segment, create_files, locate, walk
from barnabas.ports import Disk


def truncate_to(log: Log, offset: int, expiration_ms: int = DAY_MS) -> None:
    """Remove everything at or above `offset` (a whole batch when it lies within one).

    Durable when it returns: were the cut still to be lost, bytes appended at the same place and a
    remainder of the old ones could together look like a log. The caller has lowered the recovery
    point on disk before. Raises `OSError`.
    """
    if offset >= log.end_offset:
        return
    if offset <= log.bases[0]:
        restart_at(log, max(offset, 0))
        return
    disk = log.disk
    keep = log.segment_index(offset - 1) + 1
    for segment in log.segments[keep:]:
        segment.forget(log.pool)
    remove_segments(disk, log.path, log.segments[keep:])
    del log.segments[keep:]
    del log.bases[keep:]
    active = log.segments[-1]
    active.forget(log.pool)
    end, arguments = _cut(disk, active, offset)
    log.epochs.truncate_from_end(end)
    _store_epochs(log)
    _finish(log, end)
    for snapshot in [at for at in log.snapshots if at > end]:
        disk.unlink(snapshot_path(log.path, snapshot))
        log.snapshots.remove(snapshot)
    disk.sync_dir(log.path)
    start = log.log_start_offset
    log.producers.truncate(start)
    found = newest_snapshot(disk, log.path, log.snapshots, end)
    if found is not None and found[0] >= start:
        start = found[0]
        log.producers.load(found[1], start, log.now_ms(), expiration_ms)
    replay(log, start)
    log.producers.end_offset = end
    log.start(*arguments)


def end_below(log: Log, offset: int) -> int:
    """Where the log will end once it is cut at `offset`: batches go as a whole. Blocks."""
    if offset <= log.bases[0]:
        return offset
    segment = log.segments[log.segment_index(offset - 1)]
    pool = FilePool(log.disk, 4)
    try:
        segment.load_sizes(pool)
        file = pool.get(segment.path + names.LOG)
        index = pool.get(segment.path + names.OFFSET_INDEX)
        end, position = offset_index.lookup(
            index, segment.offset_bytes, segment.base_offset, offset - 1, pread_blocking
        )
        for place in walk(file, position, segment.size, pread_blocking):
            if place[2] >= offset:
                break
            end = place[2] + 1
        return end
    finally:
        pool.close()


def restart_at(log: Log, offset: int) -> None:
    """Replace the whole log by an empty one that starts at `offset`. Raises `OSError`."""
    disk = log.disk
    for segment in log.segments:
        segment.forget(log.pool)
    remove_segments(disk, log.path, log.segments)
    for snapshot in log.snapshots:
        disk.unlink(snapshot_path(log.path, snapshot))
    disk.sync_dir(log.path)
    segment = Segment(log.path, offset)
    create_files(disk, segment)
    disk.sync_dir(log.path)
    log.segments = [segment]
    log.bases = [offset]
    log.snapshots = []
    log.log_start_offset = offset
    log.producers.truncate(offset)
    log.epochs.clear()
    _store_epochs(log)
    _finish(log, offset)
    log.start(0, 0, -1, -1)


def _finish(log: Log, end: int) -> None:
    log.marks.clear()
    log.replaced += 1
    log.latest_epoch = log.epochs.latest
    log.end_offset = log.written_offset = log.durable_offset = end
    log.recovery_point = min(log.recovery_point, end)
    log.log_start_offset = min(log.log_start_offset, end)
    log.high_watermark = min(log.high_watermark, end)
    log.snapshot_position = (-1, 0)


def _store_epochs(log: Log) -> None:
    text = log.epochs.encode()
    if text != log.epochs_written:
        replace_file(log.disk, f"{log.path}/{names.LEADER_EPOCHS}", text.encode())
        log.epochs_written = text


def _cut(disk: Disk, segment: Segment, offset: int) -> tuple[int, tuple[int, int, int, int]]:
    """Cut one segment; (log end offset, arguments of `Log.start`)."""
    pool = FilePool(disk, 4)
    base = segment.base_offset
    try:
        segment.load_sizes(pool)
        log = pool.get(segment.path + names.LOG)
        index = pool.get(segment.path + names.OFFSET_INDEX)
        times = pool.get(segment.path + names.TIME_INDEX)
        place = locate(segment, log, index, offset, segment.size, pread_blocking)
        position = segment.size if place is None else place[0]
        log.truncate(position)
        log.sync()
        segment.size = position
        # Entries carry last offsets, so those of the batches that stay are below `offset`.
        segment.offset_bytes = _entries_below(index.pread(segment.offset_bytes, 0), offset - base)
        index.truncate(segment.offset_bytes)
        stamps = times.pread(segment.time_bytes, 0)
        segment.time_bytes = time_index.valid_prefix(stamps, offset - base - 1)
        times.truncate(segment.time_bytes)
        disk.sync_files([index, times])
        _cut_txns(disk, segment, offset)
        _, index_position = offset_index.last(index, segment.offset_bytes, base, pread_blocking)
        stamp, stamp_offset = time_index.last(times, segment.time_bytes, base, pread_blocking)
        segment.max_timestamp, segment.max_timestamp_offset = stamp, stamp_offset
        end = base
        for found in walk(log, index_position, position, pread_blocking):
            end = found[2] + 1
            if found[4] > segment.max_timestamp:
                segment.max_timestamp, segment.max_timestamp_offset = found[4], found[2]
        return end, (position, index_position, stamp, first_timestamp(log, position))
    finally:
        pool.close()


def _entries_below(data: bytes, limit: int) -> int:
    """Bytes of the offset index entries whose relative offset is below `limit`."""
    end = 0
    for relative, _ in offset_index.ENTRY.iter_unpack(data):
        if relative >= limit:
            break
        end += offset_index.WIDTH
    return end


def _cut_txns(disk: Disk, segment: Segment, offset: int) -> None:
    if not segment.has_txns:
        return
    path = segment.path + names.TXN_INDEX
    entries = txn_index.decode(read_file(disk, path, MAX_INDEX_BYTES) or b"")
    data = b"".join(txn.encode() for txn in entries if txn.last_offset < offset)
    replace_file(disk, path, data)
