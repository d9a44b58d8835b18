"""What a partition remembers of one producer, and the `.snapshot` file that keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from barnabas.records.batch import MAX_INT32, NO_SEQUENCE, NO_TIMESTAMP, BatchHeader
from barnabas.records.checksum import crc32c
from barnabas.wire.primitives import Buffer

NO_EPOCH = -1
NO_OFFSET = -1
BATCHES_KEPT = 5
"""As many as an idempotent producer may have in flight."""

SNAPSHOT_VERSION = 1
_PREFIX = Struct(">hI")
_COUNT = Struct(">i")
_ENTRY = Struct(">qhiqiqiq")

_new = tuple.__new__


class CorruptSnapshot(ValueError):
    """A producer snapshot cannot be used; the next older one must do."""


class SentBatch(NamedTuple):
    """One appended batch of a producer, to recognise when it is sent again."""

    first_sequence: int
    last_sequence: int
    base_offset: int
    last_offset: int
    timestamp: int
    """Max timestamp as stored, ms; answered as the append time of a duplicate."""


class Verification:
    """A transaction that the coordinator is being asked about (KIP-890). Its identity is the guard.

    `lowest_sequence` keeps a later batch of the producer from overtaking one that is retried.
    """

    __slots__ = ("epoch", "lowest_sequence", "started_ms", "supports_epoch_bump")

    def __init__(self, started_ms: int, sequence: int, epoch: int, bump: bool) -> None:
        self.started_ms = started_ms
        self.lowest_sequence = sequence
        self.epoch = epoch
        self.supports_epoch_bump = bump

    def saw(self, sequence: int, epoch: int) -> None:
        """Another request waits for the same answer."""
        if epoch > self.epoch or (epoch == self.epoch and sequence < self.lowest_sequence):
            self.epoch = epoch
            self.lowest_sequence = sequence


class ProducerEntry:
    """One producer: its epochs, its last batches (oldest first) and where its transaction began.

    `next_sequence` is what its next batch starts with, or -1 when no batch is remembered.
    """

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "epoch",
        "last_timestamp",
        "next_sequence",
        "producer_id",
        "txn_first_offset",
    )

    def __init__(self, producer_id: int) -> None:
        self.producer_id = producer_id
        self.epoch = NO_EPOCH
        self.coordinator_epoch = -1
        self.last_timestamp = NO_TIMESTAMP
        self.txn_first_offset = NO_OFFSET
        self.batches: list[SentBatch] = []
        self.next_sequence = NO_SEQUENCE

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record, or -1 when no batch is remembered."""
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    def duplicate_of(self, header: BatchHeader) -> SentBatch | None:
        """The remembered batch with the same epoch, first and last sequence."""
        if header.producer_epoch != self.epoch:
            return None
        first = header.base_sequence
        last = header.last_sequence
        for batch in self.batches:
            if batch.first_sequence == first and batch.last_sequence == last:
                return batch
        return None

    def add(self, header: BatchHeader, base_offset: int, timestamp: int) -> None:
        """Remember an appended data batch; a new epoch forgets those of the old one."""
        batches = self.batches
        if header.producer_epoch != self.epoch:
            self.epoch = header.producer_epoch
            batches.clear()
        first = header.base_sequence
        delta = header.last_offset_delta
        last = header.last_sequence
        batches.append(_new(SentBatch, (first, last, base_offset, base_offset + delta, timestamp)))
        if len(batches) > BATCHES_KEPT:
            del batches[0]
        self.next_sequence = _after(last)
        self.last_timestamp = timestamp

    def end_transaction(self, epoch: int, coordinator_epoch: int, timestamp: int) -> None:
        """A marker was appended; it sets the epoch, and keeps the batches of the same one."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.batches.clear()
            self.next_sequence = NO_SEQUENCE
        self.coordinator_epoch = coordinator_epoch
        self.last_timestamp = timestamp
        self.txn_first_offset = NO_OFFSET

    def idle(self, now_ms: int, expiration_ms: int) -> bool:
        """Whether it may be forgotten: no open transaction, nothing written for so long."""
        return self.txn_first_offset < 0 and now_ms - self.last_timestamp >= expiration_ms


def _after(sequence: int) -> int:
    if sequence < 0:
        return NO_SEQUENCE
    return 0 if sequence == MAX_INT32 else sequence + 1


def encode_snapshot(entries: Iterable[ProducerEntry]) -> bytes:
    """A `.snapshot` file; only the last batch of each producer is kept."""
    body = bytearray(_COUNT.size)
    count = 0
    for entry in entries:
        count += 1
        last_sequence, last_offset, delta = NO_SEQUENCE, NO_OFFSET, 0
        if entry.batches:
            batch = entry.batches[-1]
            last_sequence, last_offset = batch.last_sequence, batch.last_offset
            delta = batch.last_offset - batch.base_offset
        body += _ENTRY.pack(
            entry.producer_id,
            entry.epoch,
            last_sequence,
            last_offset,
            delta,
            entry.last_timestamp,
            entry.coordinator_epoch,
            entry.txn_first_offset,
        )
    _COUNT.pack_into(body, 0, count)
    return _PREFIX.pack(SNAPSHOT_VERSION, crc32c(body)) + body


def decode_snapshot(data: Buffer) -> list[ProducerEntry]:
    """Read a `.snapshot` file. Raises `CorruptSnapshot`: version, CRC or length is wrong."""
    with memoryview(data) as view, view[_PREFIX.size :] as body:
        try:
            version, crc = _PREFIX.unpack_from(view)
            count = _COUNT.unpack_from(body)[0]
        except StructError:
            raise CorruptSnapshot("producer snapshot is cut off") from None
        if version != SNAPSHOT_VERSION:
            raise CorruptSnapshot(f"producer snapshot of version {version}")
        if crc32c(body) != crc:
            raise CorruptSnapshot("producer snapshot has a wrong CRC")
        if len(body) != _COUNT.size + count * _ENTRY.size:
            raise CorruptSnapshot(f"producer snapshot of {count} entries has {len(body)} bytes")
        return [_entry(*fields) for fields in _ENTRY.iter_unpack(body[_COUNT.size :])]


def _entry(
    producer_id: int,
    epoch: int,
    last_sequence: int,
    last_offset: int,
    delta: int,
    timestamp: int,
    coordinator_epoch: int,
    txn_first_offset: int,
) -> ProducerEntry:
    entry = ProducerEntry(producer_id)
    entry.epoch = epoch
    entry.coordinator_epoch = coordinator_epoch
    entry.last_timestamp = timestamp
    entry.txn_first_offset = max(txn_first_offset, NO_OFFSET)
    if last_offset >= 0:
        first = last_sequence - delta if last_sequence >= delta else last_sequence - delta + 2**31
        entry.batches.append(
            SentBatch(first, last_sequence, last_offset - delta, last_offset, timestamp)
        )
        entry.next_sequence = _after(last_sequence)
    return entry
