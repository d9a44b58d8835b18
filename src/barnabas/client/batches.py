"""Records on their way: a batch for one partition, and its fate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from barnabas.records.batch import HEADER_SIZE
from barnabas.records.column_builder import assemble_batch, encode_columns, restamp_batch
from barnabas.records.compression import Codec
from barnabas.records.record import Headers


class BatchState(Enum):
    """Where a batch stands."""

    OPEN = 0
    """Takes records."""
    READY = 1
    """Takes no more, has no sequence yet."""
    IN_FLIGHT = 2
    """In a request that has no answer yet."""
    WAITING = 3
    """Was sent, failed in a way that allows another attempt; keeps its sequence."""
    DONE = 4
    """Acknowledged or given up."""


class Identity(NamedTuple):
    """Whom a node takes the producer for (KIP-98)."""

    producer_id: int
    epoch: int


NOBODY = Identity(-1, -1)


class Batch:
    """Records for one partition that travel together, as columns.

    Once it carries a sequence its bytes never change: a node that already has them recognises the
    repetition (KIP-98). `maybe_written` is set when an attempt ended without a definite answer.
    """

    __slots__ = (
        "attempts",
        "base_offset",
        "base_sequence",
        "count",
        "created_ms",
        "data",
        "deadline_ms",
        "error",
        "headers",
        "heard",
        "keys",
        "last_error",
        "listeners",
        "log_append_time",
        "maybe_written",
        "nulls",
        "partition",
        "retry_ms",
        "runs",
        "size",
        "state",
        "timestamp",
        "topic",
        "values",
    )

    def __init__(self, topic: str, partition: int, now_ms: int, deadline_ms: int) -> None:
        self.topic = topic
        self.partition = partition
        self.count = 0
        self.values: list[bytes | None] = []
        self.keys: list[bytes | None] | None = None
        self.headers: list[Headers] | None = None
        self.runs: list[tuple[int, int]] = []
        self.nulls = False
        """Whether a value, or a key among others, is null."""
        self.timestamp: int | None = None
        """Of the last record, ms."""
        self.size = HEADER_SIZE
        self.created_ms = now_ms
        self.deadline_ms = deadline_ms
        self.state = BatchState.OPEN
        self.data: bytearray | None = None
        self.base_sequence = -1
        self.attempts = 0
        self.retry_ms = 0
        self.maybe_written = False
        self.base_offset = -1
        self.log_append_time = -1
        self.error: Exception | None = None
        self.last_error: Exception | None = None
        """Why the last attempt failed."""
        self.heard = False
        """Somebody asked for the fate of a record in it."""
        self.listeners: list[Callable[[Batch], None]] = []

    @property
    def done(self) -> bool:
        """Whether its fate is known."""
        return self.state is BatchState.DONE

    def add(self, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers) -> None:
        """Take a record (timestamp in ms)."""
        count = self.count
        if timestamp != self.timestamp:
            self.runs.append((count, timestamp))
            self.timestamp = timestamp
        if self.keys is not None:
            self.keys.append(key)
            if key is None:
                self.nulls = True
        elif key is not None:
            self.keys = [None] * count
            self.keys.append(key)
            if count:
                self.nulls = True
        if value is None:
            self.nulls = True
        if self.headers is not None:
            self.headers.append(headers)
        elif headers:
            self.headers = [()] * count
            self.headers.append(headers)
        self.values.append(value)
        self.count = count + 1

    def extend(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None,
        timestamps: Sequence[int] | int,
        headers: Sequence[Headers] | None,
        nulls: bool,
    ) -> None:
        """Take records that have their fields in columns."""
        before = self.count
        if isinstance(timestamps, int):
            if timestamps != self.timestamp:
                self.runs.append((before, timestamps))
                self.timestamp = timestamps
        else:
            last = self.timestamp
            for index, timestamp in enumerate(timestamps, before):
                if timestamp != last:
                    self.runs.append((index, timestamp))
                    last = timestamp
            self.timestamp = last
        if keys is not None or self.keys is not None:
            if keys is None or (self.keys is None and before):
                self.nulls = True
            if self.keys is None:
                self.keys = [None] * before
            self.keys += [None] * len(values) if keys is None else keys
        if headers is not None or self.headers is not None:
            if self.headers is None:
                self.headers = [()] * before
            self.headers += [()] * len(values) if headers is None else headers
        self.values += values
        self.nulls |= nulls
        self.count = before + len(values)

    def timestamp_of(self, index: int) -> int:
        """When record `index` was made (ms), or when the node took it if the topic says so."""
        if self.log_append_time >= 0:
            return self.log_append_time
        found = self.runs[0][1]
        for start, timestamp in self.runs:
            if start > index:
                break
            found = timestamp
        return found

    def stamp(
        self,
        codec: Codec,
        level: int | None,
        identity: Identity,
        sequence: int,
        *,
        transactional: bool = False,
    ) -> None:
        """Give it a sequence and make its bytes; the columns are gone then."""
        self.base_sequence = sequence
        if self.data is not None:
            self.data = restamp_batch(self.data, *identity, sequence)
            return
        payload = encode_columns(self.values, self.keys, self.headers, self.runs, nulls=self.nulls)
        self.values, self.keys, self.headers = [], None, None
        self.data = assemble_batch(
            payload,
            self.count,
            self.runs,
            codec=codec,
            level=level,
            producer_id=identity.producer_id,
            producer_epoch=identity.epoch,
            base_sequence=sequence,
            transactional=transactional,
        )

    def finish(self, error: Exception | None) -> None:
        """Its fate is known: tell whoever waits."""
        self.state = BatchState.DONE
        self.error = error
        self.data = None
        self.values, self.keys, self.headers = [], None, None
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            listener(self)
