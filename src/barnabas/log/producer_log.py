"""Producer state from the log: batches and markers into `ProducerStates`, and `.snapshot` files."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from struct import error as StructError

from barnabas.log import names
from barnabas.log.checkpoints import MAX_CHECKPOINT_BYTES, read_file, write_new
from barnabas.log.errors import LogDamaged
from barnabas.log.txn_index import AbortedTxn
from barnabas.partition.producer_entry import CorruptSnapshot, ProducerEntry, decode_snapshot
from barnabas.partition.producers import ProducerStates
from barnabas.ports import Buffer, Disk
from barnabas.records.batch import CONTROL_BIT, BatchHeader
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import read_records

ABORT, COMMIT = 0, 1
_KEY = Struct(">hh")
_VALUE = Struct(">hi")
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
    kind, coordinator_epoch, timestamp = marker
    done = producers.append_marker(
        header.producer_id,
        header.producer_epoch,
        base,
        timestamp,
        commit=kind == COMMIT,
        coordinator_epoch=coordinator_epoch,
    )
    if done is None or not done.aborted:
        return None
    return AbortedTxn(
        done.producer_id, done.first_offset, done.last_offset, done.last_stable_offset
    )


def _marker(header: BatchHeader, batch: Buffer) -> tuple[int, int, int] | None:
    """(ABORT or COMMIT, coordinator epoch, timestamp). Raises `LogDamaged`."""
    if header.records_count == 0:
        return None
    try:
        record = read_records(batch, limit=MAX_CONTROL_BYTES)[0]
        _, kind = _KEY.unpack_from(record.key or b"")
        if kind not in (ABORT, COMMIT):
            return None
        _, coordinator_epoch = _VALUE.unpack_from(record.value or b"")
    except (CorruptRecord, StructError) as error:
        raise LogDamaged(f"broken control record at {header.base_offset}: {error}") from error
    return kind, coordinator_epoch, record.timestamp


def snapshot_path(directory: str, offset: int) -> str:
    """Where the producer snapshot that covers everything below `offset` lives."""
    return f"{directory}/{names.offset_name(offset)}{names.SNAPSHOT}"


def write_snapshot(disk: Disk, directory: str, offset: int, data: bytes) -> None:
    """Write and sync a snapshot file. A torn one is found by its CRC and passed over."""
    write_new(disk, snapshot_path(directory, offset), data)


def newest_snapshot(
    disk: Disk, directory: str, offsets: list[int], end: int
) -> tuple[int, list[ProducerEntry]] | None:
    """(offset, entries) of the newest usable snapshot at or below `end`.

    Those that cannot be used are deleted, as Kafka does, and taken out of `offsets`.
    """
    for offset in sorted(offsets, reverse=True):
        if offset <= end:
            path = snapshot_path(directory, offset)
            try:
                data = read_file(disk, path, MAX_CHECKPOINT_BYTES)
                return offset, decode_snapshot(data or b"")
            except (CorruptSnapshot, LogDamaged):
                disk.unlink(path)
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
