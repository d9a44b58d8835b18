"""The blocking halves of the writer: what a write round and a sync round do to the disk.

These functions run on the executor (small write rounds on the event loop). They touch no state
of a `Log`; all they need is fixed when the round begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from barnabas.log import names
from barnabas.log.log import Log
from barnabas.log.pending import Pending
from barnabas.log.producer_log import write_snapshot
from barnabas.log.segment import create_files
from barnabas.ports import Disk, File

Opener = Callable[[str], File]


class SyncPlan(NamedTuple):
    """What one log needs to become durable up to `offset`."""

    log: Log
    offset: int
    position: int
    base: int
    """Segment base and position where `offset` begins."""
    paths: list[str]
    rolled: list[Pending]
    new_names: bool


def write_pieces(disk: Disk, opened: Opener, pieces: list[Pending], *, synced: bool) -> None:
    """Write the pieces of one log. Raises `OSError`; then the log's files are beyond trust.

    Between an old segment and the new one `synced` makes the old one durable first, bytes and
    name: otherwise a power cut could keep the new segment and lose the old one or its end, a hole
    that recovery cannot tell from one left by compaction. (In page-cache mode that risk is
    Kafka's own.)
    """
    for piece in pieces:
        segment = piece.segment
        if piece.new:
            create_files(disk, segment)
        path = segment.path
        log_file = opened(path + names.LOG)
        if piece.buffers:
            log_file.pwritev(piece.buffers, piece.position)
        if piece.offset_entries:
            index = opened(path + names.OFFSET_INDEX)
            index.pwritev([piece.offset_entries], segment.offset_bytes)
        if piece.time_entries:
            index = opened(path + names.TIME_INDEX)
            index.pwritev([piece.time_entries], segment.time_bytes)
        if piece.txn_entries:
            file = disk.open(path + names.TXN_INDEX, create=True)
            try:
                file.pwritev([piece.txn_entries], file.size())
            finally:
                file.close()
        if piece.last and synced:
            log_file.sync()
            disk.sync_dir(path.rpartition("/")[0])


def write_round(
    disk: Disk, work: list[tuple[Log, list[Pending], bool]], files: dict[str, File]
) -> dict[Log, OSError]:
    """A whole round on the executor. What failed, by log.

    `files` are open already; others are opened here, and however often a log has rolled, those of
    one segment at a time.
    """
    failed: dict[Log, OSError] = {}
    for log, pieces, synced in work:
        for piece in pieces:
            opened: dict[str, File] = {}

            def open_file(path: str, opened: dict[str, File] = opened) -> File:
                file = files.get(path) or opened.get(path)
                if file is None:
                    file = opened[path] = disk.open(path)
                return file

            try:
                write_pieces(disk, open_file, [piece], synced=synced)
            except OSError as error:
                failed[log] = error
                break
            finally:
                for file in opened.values():
                    file.close()
    return failed


def sync_round(disk: Disk, plans: list[SyncPlan], files: dict[str, File]) -> dict[str, OSError]:
    """Make everything in `plans` durable. The errors, by log directory; none is ever retried."""
    failed: dict[str, OSError] = {}
    groups: dict[str, list[SyncPlan]] = {}
    for plan in plans:
        groups.setdefault(plan.log.directory, []).append(plan)
    for directory, members in groups.items():
        try:
            disk.sync_files([files[path] for plan in members for path in plan.paths])
            for plan in members:
                if plan.rolled or plan.new_names:
                    _close_segments(disk, plan)
        except OSError as error:
            failed[directory] = error
    return failed


def _close_segments(disk: Disk, plan: SyncPlan) -> None:
    """After the data: producer snapshots of rolled segments, then the names of new files."""
    log = plan.log
    for piece in plan.rolled:
        write_snapshot(disk, log.path, piece.next_base, piece.snapshot)
    disk.sync_dir(log.path)
