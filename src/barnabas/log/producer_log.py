"""Producer state from the log: batches and markers into `ProducerStates`, and `.snapshot` files."""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.log import names
from barnabas.log.checkpoints import MAX_CHECKPOINT_BYTES, read_file, replace_unsynced
from barnabas.log.errors import LogDamaged
from barnabas.log.txn_index import AbortedTxn
from barnabas.partition.producer_entry import CorruptSnapshot, ProducerEntry, decode_snapshot
from barnabas.partition.producers import ProducerStates
from barnabas.ports import Buffer, Disk
from barnabas.records.batch import CONTROL_BIT, BatchHeader
from barnabas.records.control import ControlType, EndMarker, parse_control_key, read_marker
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import read_records

MAX_CONTROL_BYTES = 1 << 20
"""Control batches are never compressed; this only bounds a broken one."""


def track_batch(
    producers: ProducerStates, header: BatchHeader, batch: Buffer, base: int
) -> AbortedTxn | None:
    """Take note of a batch with a producer id at `base`; the transaction that it aborts, if any.

    A control batch emptied by compaction, or of another kind than a marker, changes nothing.
    """
    if not header.attributes & CONTROL_BIT:
        producers.append(header, base, header.max_timestamp)
        return None
    marker = _marker(header, batch)
    if marker is None:
        return None
    end, timestamp = marker
    done = producers.append_marker(
        header.producer_id,
        header.producer_epoch,
        base,
        timestamp,
        commit=end.commit,
        coordinator_epoch=end.coordinator_epoch,
    )
    if done is None or not done.aborted:
        return None
    return AbortedTxn(
        done.producer_id, done.first_offset, done.last_offset, done.last_stable_offset
    )


def _marker(header: BatchHeader, batch: Buffer) -> tuple[EndMarker, int] | None:
    """The marker and its timestamp. Raises `LogDamaged`."""
    if header.records_count == 0:
        return None
    try:
        record = read_records(batch, limit=MAX_CONTROL_BYTES)[0]
        if parse_control_key(record.key) not in (ControlType.ABORT, ControlType.COMMIT):
            return None
        return read_marker(record), record.timestamp
    except CorruptRecord as error:
        raise LogDamaged(f"broken control record at {header.base_offset}: {error}") from error


def snapshot_path(directory: str, offset: int) -> str:
    """Where the producer snapshot that covers everything below `offset` lives."""
    return f"{directory}/{names.offset_name(offset)}{names.SNAPSHOT}"


def write_snapshot(disk: Disk, directory: str, offset: int, data: bytes) -> None:
    """Write a snapshot file. It is there for good once the caller has synced the directory."""
    replace_unsynced(disk, snapshot_path(directory, offset), data)


def read_snapshot(disk: Disk, directory: str, offset: int) -> list[ProducerEntry] | None:
    """A snapshot's entries; `None` when it cannot be used: then it is deleted, as Kafka does."""
    path = snapshot_path(directory, offset)
    try:
        return decode_snapshot(read_file(disk, path, MAX_CHECKPOINT_BYTES) or b"")
    except (CorruptSnapshot, LogDamaged):
        disk.unlink(path)
        return None


def newest_snapshot(
    disk: Disk, directory: str, offsets: list[int], end: int
) -> tuple[int, list[ProducerEntry]] | None:
    """(offset, entries) of the newest usable snapshot at or below `end`.

    Those that cannot be used are taken out of `offsets`.
    """
    for offset in sorted(offsets, reverse=True):
        if offset <= end:
            entries = read_snapshot(disk, directory, offset)
            if entries is not None:
                return offset, entries
            offsets.remove(offset)
    return None


def stray_snapshots(offsets: Iterable[int], bases: Iterable[int]) -> list[int]:
    """Snapshots that no segment starts at, but the newest when it lies beyond the last base.

    Kafka deletes them at load; so do we, and after each snapshot taken between two rolls.
    """
    known = set(bases)
    strays = sorted(offset for offset in offsets if offset not in known)
    if strays and strays[-1] >= max(known, default=0):
        strays.pop()
    return strays
