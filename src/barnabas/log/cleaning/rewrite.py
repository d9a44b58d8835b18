"""What stays of a batch (Kafka's `Cleaner.cleanInto` and `MemoryRecords.filterTo`)."""

from __future__ import annotations

from barnabas.log.cleaning.offset_map import OffsetMap
from barnabas.log.cleaning.plan import Plan
from barnabas.log.cleaning.transactions import CleanedTransactions
from barnabas.log.errors import LogDamaged
from barnabas.ports import Buffer
from barnabas.records.batch import APPEND_TIME_BIT, HEADER_SIZE, BatchHeader, crc_valid, read_header
from barnabas.records.builder import build_batch, rebuild_batch, recode_batch
from barnabas.records.compression import decompress
from barnabas.records.control import parse_control_key
from barnabas.records.errors import CorruptRecord
from barnabas.records.keys import KeyColumns, read_keys
from barnabas.records.legacy import LegacyMessage, message_crc_valid, unwrap
from barnabas.records.record import Record, read_records

MAX_INFLATED = 128 << 20
"""Of one batch; a larger one counts as broken."""
_MAX_LONG = 2**63 - 1


class Kept:
    """What is written instead of a batch; offsets and timestamp are for the indexes."""

    __slots__ = ("data", "last_offset", "max_timestamp")

    def __init__(self, data: Buffer, last_offset: int, max_timestamp: int) -> None:
        self.data = data
        self.last_offset = last_offset
        self.max_timestamp = max_timestamp


def keys_of(batch: memoryview, header: BatchHeader) -> tuple[Buffer, KeyColumns]:
    """The inflated records of a data batch, and their keys. Raises `CorruptRecord`."""
    payload = decompress(header.codec, batch[HEADER_SIZE:], MAX_INFLATED)
    return payload, read_keys(payload, header.records_count)


def control_kind(batch: Buffer, header: BatchHeader) -> int | None:
    """The kind of a control batch, `None` for one that was emptied. Raises `LogDamaged`."""
    if not header.records_count:
        return None
    try:
        return parse_control_key(read_records(batch, limit=MAX_INFLATED)[0].key)
    except CorruptRecord as error:
        text = f"broken control record at {header.base_offset}: {error}"
        raise LogDamaged(text) from error


class Rewriter:
    """One cleaning: batch after batch, in the order of the log."""

    def __init__(self, plan: Plan, newest: OffsetMap, transactions: CleanedTransactions) -> None:
        self._newest = newest
        self._transactions = transactions
        self._now_ms = plan.now_ms
        self._horizon = min(plan.now_ms + plan.delete_retention_ms, _MAX_LONG)
        self._bound = plan.first_uncleanable
        self._last_records = plan.last_records
        self.broken = 0
        """Batches that were kept because their records cannot be read."""

    def rewrite(self, batch: memoryview, header: BatchHeader) -> Kept | None:
        """What of a whole batch of magic 2 stays, `None` for nothing.

        Raises `LogDamaged` for a wrong CRC: a new one would make the damage look sound.
        """
        if not crc_valid(batch, 0, header.size):
            raise LogDamaged(f"the batch at {header.base_offset} has a wrong CRC")
        if header.is_control:
            return self._control(batch, header)
        if self._transactions.on_data(header):
            return self._emptied(header)
        if not header.records_count:
            return self._emptied(header)
        return self._data(batch, header)

    def _control(self, batch: memoryview, header: BatchHeader) -> Kept | None:
        """A marker stays until nothing of its transaction is left, then for another
        `delete.retention.ms`, so that slow readers still meet it."""
        kind = control_kind(batch, header)
        ended = self._transactions.on_control(header, kind)
        horizon = header.base_timestamp if header.has_delete_horizon else None
        gone = ended and horizon is not None and horizon <= self._now_ms
        if kind is None or gone:
            return self._emptied(header)
        if ended and horizon is None:
            records = read_records(batch, limit=MAX_INFLATED)
            rebuilt = rebuild_batch(header, records, delete_horizon=self._horizon)
            return Kept(rebuilt, header.last_offset, header.max_timestamp)
        return Kept(batch, header.last_offset, header.max_timestamp)

    def _data(self, batch: memoryview, header: BatchHeader) -> Kept | None:
        try:
            payload, columns = keys_of(batch, header)
        except CorruptRecord:
            self.broken += 1
            return Kept(batch, header.last_offset, header.max_timestamp)
        kept = self._newest.newest(columns.keys, columns.offset_deltas, header.base_offset)
        deleted = False
        if columns.tombstones:
            kept, deleted = self._without_old_tombstones(kept, columns, header)
        if not kept:
            return self._emptied(header)
        if deleted and not header.has_delete_horizon:
            return self._with_horizon(batch, header, kept)
        if len(kept) == header.records_count:
            return Kept(batch, header.last_offset, header.max_timestamp)
        return _cut_out(payload, header, columns, kept)

    def _without_old_tombstones(
        self, kept: list[int], columns: KeyColumns, header: BatchHeader
    ) -> tuple[list[int], bool]:
        """`kept` without the tombstones whose time is over, and whether any is left."""
        tombstones = set(columns.tombstones)
        if header.has_delete_horizon and header.base_timestamp <= self._now_ms:
            base, latest = header.base_offset, self._newest.latest
            deltas = columns.offset_deltas
            kept = [at for at in kept if at not in tombstones or base + deltas[at] > latest]
        return kept, not tombstones.isdisjoint(kept)

    def _with_horizon(self, batch: memoryview, header: BatchHeader, kept: list[int]) -> Kept:
        """The first time that a cleaning keeps a tombstone: its time begins to run."""
        records = read_records(batch, limit=MAX_INFLATED)
        records = [records[at] for at in kept]
        rebuilt = rebuild_batch(header, records, delete_horizon=self._horizon)
        return Kept(rebuilt, header.last_offset, _largest(header, [r.timestamp for r in records]))

    def _emptied(self, header: BatchHeader) -> Kept | None:
        """Nothing of the batch, or its header alone when something hangs on it: the sequence or
        epoch of an active producer, or the end of what was cleaned."""
        if not self._is_last_of_producer(header) and header.next_offset != self._bound:
            return None
        bare = rebuild_batch(header, [])
        return Kept(bare, header.last_offset, header.max_timestamp)

    def _is_last_of_producer(self, header: BatchHeader) -> bool:
        if header.producer_id < 0:
            return False
        last = self._last_records.get(header.producer_id)
        if last is None:
            return False
        if last.data_offset >= 0:
            return header.last_offset == last.data_offset
        return header.is_control and header.producer_epoch == last.epoch

    def rewrite_old(self, raw: bytes, message: LegacyMessage, keep_deletes: bool) -> Kept | None:
        """The same for a message of magic 0 or 1, which becomes a batch of magic 2.

        `keep_deletes`: its segment is too young for tombstones to go.
        """
        if not message_crc_valid(raw, 0, len(raw)):
            raise LogDamaged(f"the message at {message.offset} has a wrong CRC")
        records = unwrap_old(message)
        keys = [record.key for record in records]
        offsets = [record.offset for record in records]
        kept = [records[at] for at in self._newest.newest(keys, offsets, 0)]
        if not keep_deletes:
            latest = self._newest.latest
            kept = [one for one in kept if one.value is not None or one.offset > latest]
        return _modern(message, kept, self._horizon) if kept else None


def unwrap_old(message: LegacyMessage) -> list[Record]:
    """The records of an old message. Raises `LogDamaged`."""
    try:
        return unwrap(message, limit=MAX_INFLATED)
    except CorruptRecord as error:
        raise LogDamaged(f"broken message at {message.offset}: {error}") from error


def _cut_out(payload: Buffer, header: BatchHeader, columns: KeyColumns, kept: list[int]) -> Kept:
    """The batch with the records `kept`, whose bytes stay as they are."""
    ends = columns.ends
    parts = []
    with memoryview(payload) as view:
        start = end = 0
        for at in kept:
            begin = ends[at - 1] if at else 0
            if begin != end:
                if end > start:
                    parts.append(view[start:end])
                start = begin
            end = ends[at]
        parts.append(view[start:end])
        data = b"".join(parts)
        for part in parts:
            part.release()
    times = columns.timestamp_deltas
    base = header.base_timestamp
    largest = _largest(header, [base + times[at] for at in kept])
    left = header._replace(max_timestamp=largest, records_count=len(kept))
    return Kept(recode_batch(left, data, header.codec, None), header.last_offset, largest)


def _largest(header: BatchHeader, timestamps: list[int]) -> int:
    """The largest timestamp of what is left, within 64 bits whatever its deltas said."""
    if header.log_append_time:
        return header.max_timestamp
    return min(max(timestamps), _MAX_LONG)


def _modern(message: LegacyMessage, records: list[Record], horizon: int) -> Kept:
    """Old records as a batch of magic 2, as Kafka converts them while it cleans."""
    first, last = records[0].offset, records[-1].offset
    append_time = message.magic == 1 and bool(message.attributes & APPEND_TIME_BIT)
    built = build_batch(
        [(one.key, one.value, one.timestamp, ()) for one in records],
        base_offset=first,
        codec=message.codec,
        log_append_time=message.timestamp if append_time else None,
    )
    header = read_header(built)._replace(last_offset_delta=last - first)
    tombstones = any(one.value is None for one in records)
    rebuilt = rebuild_batch(header, records, delete_horizon=horizon if tombstones else None)
    return Kept(rebuilt, last, header.max_timestamp)
