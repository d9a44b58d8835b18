"""What the application is given: events one by one, or whole batches as columns."""

from __future__ import annotations

from itertools import repeat
from typing import NamedTuple

from barnabas.client.fetch_core import FetchedBatch
from barnabas.records.record import Columns, Headers, record_times


class Event(NamedTuple):
    """One record. `timestamp` is ms since the epoch; `value` None is a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Batch(NamedTuple):
    """Records of one partition as columns of equal length, without an object per record."""

    topic: str
    partition: int
    offsets: list[int]
    timestamps: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers]
    timestamp_type: str
    """"CreateTime" or "LogAppendTime"."""

    def __len__(self) -> int:
        """How many records it has."""
        return len(self.offsets)

    def events(self) -> list[Event]:
        """The records one by one."""
        rows = zip(
            repeat(self.topic),
            repeat(self.partition),
            self.offsets,
            self.timestamps,
            self.keys,
            self.values,
            self.headers,
        )
        return list(map(tuple.__new__, repeat(Event), rows))

    def cut(self, start: int, end: int | None = None) -> Batch:
        """The records at these indexes."""
        if start == 0 and (end is None or end >= len(self.offsets)):
            return self
        part = slice(start, end)
        return Batch(
            self.topic,
            self.partition,
            self.offsets[part],
            self.timestamps[part],
            self.keys[part],
            self.values[part],
            self.headers[part],
            self.timestamp_type,
        )


def decoded(batch: FetchedBatch, limit: int) -> Batch:
    """The records of a fetched batch that its reader wants; `limit` bounds their bytes.

    Raises `ClientError` for damaged data.
    """
    columns: Columns = batch.columns(limit)
    header, base = batch.header, batch.header.base_offset
    deltas = columns.offset_deltas
    offsets = list(range(base, base + len(deltas)))
    if deltas and (deltas[0] != 0 or deltas[-1] != len(deltas) - 1):
        offsets = [base + delta for delta in deltas]  # compaction left gaps
    made = Batch(
        batch.topic,
        batch.partition,
        offsets,
        record_times(header, columns),
        columns.keys,
        columns.values,
        columns.headers,
        batch.time_type,
    )
    if base < batch.first:
        start = sum(offset < batch.first for offset in offsets)
        return made.cut(start)
    return made
