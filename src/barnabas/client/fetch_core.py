"""The consumer's fetching without sockets and clocks: what to ask for, and what to hand out.

Positions advance when records are handed out, so that what was fetched but not yet delivered is
fetched again after a failure. Control batches are never handed out but their offsets count; under
read_committed so are the records of aborted transactions (KIP-98).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from barnabas.client.config import FetchConfig
from barnabas.client.errors import ClientError, error_code
from barnabas.ports import Buffer
from barnabas.records.batch import BatchHeader, crc_valid, iter_batches
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import Columns, Record, read_columns, read_records
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.fetch_response import AbortedTransaction, PartitionData

MAX_MARKER_BYTES = 65_536
PAUSE_MS = 100
"""How long a partition that can't be read is left alone."""
TopicPartition = tuple[str, int]


class FetchedRecords(NamedTuple):
    """Records of one batch of one partition, in order; never empty."""

    topic: str
    partition: int
    records: list[Record]
    time_type: str
    """"CreateTime" or "LogAppendTime"."""


class FetchedBatch(NamedTuple):
    """A batch that was handed out undecoded, and unchecked but for its header.

    `first`: where in it the reader stands. `visible`: whether its records are for the application;
    markers and aborted records are not, but the position moves past them.
    """

    topic: str
    partition: int
    data: Buffer
    at: int
    header: BatchHeader
    first: int
    visible: bool

    @property
    def time_type(self) -> str:
        """ "CreateTime" or "LogAppendTime"."""
        return "LogAppendTime" if self.header.log_append_time else "CreateTime"

    def columns(self, limit: int) -> Columns:
        """All its records, also those before `first`, at most `limit` bytes of them when inflated.

        Raises `ClientError` for damaged data.
        """
        try:
            if not crc_valid(self.data, self.at, self.header.size):
                raise CorruptRecord("the batch does not match its CRC")
            return read_columns(self.data, self.at, self.header, limit=limit)
        except CorruptRecord as error:
            raise _corrupt((self.topic, self.partition), self.header.base_offset, error) from error


class _Chunk:
    """What one response brought for one partition, and how far it was handed out."""

    __slots__ = ("aborted", "batches", "came_ms", "data", "open_aborts")

    def __init__(self, data: Buffer, aborted: Sequence[AbortedTransaction], now: int) -> None:
        self.data = data
        self.came_ms = now
        self.batches = deque(iter_batches(data))
        self.aborted = deque(sorted((entry.first_offset, entry.producer_id) for entry in aborted))
        self.open_aborts: set[int] = set()


class _Assigned:
    """One partition's place in the log."""

    __slots__ = (
        "chunk",
        "high_watermark",
        "log_start",
        "paused",
        "paused_until_ms",
        "position",
        "replica",
        "replica_until_ms",
    )

    def __init__(self, position: int) -> None:
        self.position = position
        self.chunk: _Chunk | None = None
        self.high_watermark = -1
        self.log_start = -1
        self.paused_until_ms = 0
        self.paused = False
        self.replica = -1
        self.replica_until_ms = 0


class FetchCore:
    """Positions and fetched data of a set of partitions. Times are monotonic milliseconds."""

    def __init__(self, config: FetchConfig) -> None:
        self._config = config
        self._assigned: dict[TopicPartition, _Assigned] = {}
        self._ready: deque[TopicPartition] = deque()
        self._failures: deque[Exception] = deque()
        self.stale_topics: set[str] = set()
        self.out_of_range: dict[TopicPartition, int] = {}
        """With `reset_out_of_range`: partitions without a valid position, and the position."""
        self.skipped = False
        """A position moved past records that are not handed out, since the shell last looked."""

    def assign(self, positions: dict[TopicPartition, int]) -> None:
        """Read these partitions from these offsets; forget all others."""
        self._assigned = {name: _Assigned(offset) for name, offset in positions.items()}
        self._ready.clear()

    def add(self, name: TopicPartition, position: int) -> None:
        """Read this partition, too, from this offset; for one that is read: go there.

        What was fetched of it is forgotten; whether it is paused is not.
        """
        before = self._assigned.get(name)
        self._assigned[name] = state = _Assigned(position)
        if before is not None:
            state.paused = before.paused
            state.high_watermark = before.high_watermark
            state.log_start = before.log_start
        self.out_of_range.pop(name, None)

    def drop(self, name: TopicPartition) -> None:
        """Read this partition no longer."""
        self._assigned.pop(name, None)
        self.out_of_range.pop(name, None)

    def pause(self, name: TopicPartition, paused: bool) -> None:
        """Neither fetch nor hand out this partition, until told otherwise."""
        state = self._assigned.get(name)
        if state is not None:
            state.paused = paused
            if state.chunk is not None and not paused:
                self._ready.append(name)

    def replica(self, name: TopicPartition, now: int) -> int:
        """The node that the leader sent this reader to (KIP-392); -1: read from the leader."""
        state = self._assigned.get(name)
        if state is None or state.replica_until_ms <= now:
            return -1
        return state.replica

    def positions(self) -> dict[TopicPartition, int]:
        """The next offset of every assigned partition."""
        return {name: state.position for name, state in self._assigned.items()}

    def high_watermark(self, name: TopicPartition) -> int:
        """The end of what consumers may see, as the last response said; -1 before the first."""
        return self._assigned[name].high_watermark

    def wanted(self, now: int) -> list[tuple[TopicPartition, int]]:
        """Partitions that need data, with the offset to ask for."""
        return [
            (name, state.position)
            for name, state in self._assigned.items()
            if state.chunk is None
            and not state.paused
            and state.paused_until_ms <= now
            and name not in self.out_of_range
        ]

    def waiting(self, now: int) -> bool:
        """Whether a partition is left alone for a while only."""
        return any(
            state.chunk is None and not state.paused and state.paused_until_ms > now
            for state in self._assigned.values()
        )

    @property
    def has_data(self) -> bool:
        """Whether `take` has something to hand out or to raise."""
        return bool(self._ready or self._failures)

    # -- data in --

    def received(
        self, name: TopicPartition, asked_offset: int, data: PartitionData, now: int
    ) -> None:
        """A response's part about one partition, asked for at `asked_offset`."""
        state = self._assigned.get(name)
        if state is None or state.position != asked_offset or state.chunk is not None:
            return  # assigned anew meanwhile
        code = error_code(data.error_code)
        followed = state.replica_until_ms > now and state.replica >= 0
        if code == ErrorCode.OFFSET_OUT_OF_RANGE and followed:
            state.replica_until_ms = 0  # the follower may be behind: the leader decides
            return
        if code == ErrorCode.OFFSET_OUT_OF_RANGE and self._config.reset_out_of_range:
            self.out_of_range[name] = state.position
            return
        if data.preferred_read_replica >= 0:
            state.replica = data.preferred_read_replica
            state.replica_until_ms = now + self._config.replica_max_age_ms
        if code != ErrorCode.NONE:
            self._refused(name, state, code, now)
            return
        state.high_watermark = data.high_watermark
        state.log_start = data.log_start_offset
        if data.records is None or not len(data.records):
            return
        try:
            chunk = _Chunk(data.records, data.aborted_transactions or (), now)
        except CorruptRecord as error:
            state.paused_until_ms = now + PAUSE_MS
            self._failures.append(_corrupt(name, asked_offset, error))
            return
        if chunk.batches:
            state.chunk = chunk
            self._ready.append(name)

    def _refused(self, name: TopicPartition, state: _Assigned, code: ErrorCode, now: int) -> None:
        state.paused_until_ms = now + PAUSE_MS
        state.replica_until_ms = 0
        if code.refreshes_metadata:
            self.stale_topics.add(name[0])
        if not code.retriable:
            self._failures.append(
                KafkaError(code, f"{name[0]}-{name[1]} at offset {state.position}")
            )

    def fails(self, error: KafkaError) -> None:
        """Whoever takes next shall hear of this."""
        self._failures.append(error)

    def postpone(self, names: Iterable[TopicPartition], until_ms: int) -> None:
        """Leave these partitions alone for a while: their node did not answer."""
        for name in names:
            if (state := self._assigned.get(name)) is not None:
                state.paused_until_ms = until_ms
                state.replica_until_ms = 0

    # -- records out --

    def take(self) -> FetchedRecords | None:
        """The next batch of records, None when there are none right now.

        Raises `KafkaError` for a partition that can't be read, `ClientError` for damaged data.
        """
        while (batch := self.take_batch()) is not None:
            if not batch.visible:
                self.skipped = True
                continue
            try:
                records = self._records(batch)
            except ClientError:
                # Whoever asks again is told again.
                self.add((batch.topic, batch.partition), batch.first)
                raise
            if records:
                return FetchedRecords(batch.topic, batch.partition, records, batch.time_type)
            self.skipped = True
        return None

    def _records(self, batch: FetchedBatch) -> list[Record]:
        header, name = batch.header, (batch.topic, batch.partition)
        try:
            if not crc_valid(batch.data, batch.at, header.size):
                raise CorruptRecord("the batch does not match its CRC")
            limit = self._config.max_inflated_batch_bytes
            records = read_records(batch.data, batch.at, limit=limit)
        except CorruptRecord as error:
            raise _corrupt(name, header.base_offset, error) from error
        if header.base_offset < batch.first:
            records = [record for record in records if record.offset >= batch.first]
        return records

    def take_batch(self) -> FetchedBatch | None:
        """The next batch as it came, None when there is none right now.

        Raises `KafkaError` for a partition that can't be read, `ClientError` for damaged data.
        """
        while self._ready:
            name = self._ready[0]
            state = self._assigned.get(name)
            if state is None or state.chunk is None or state.paused:
                self._ready.popleft()
                continue
            chunk = state.chunk
            at, header = chunk.batches.popleft()
            if not chunk.batches:
                state.chunk = None
                self._ready.popleft()
            if header.last_offset < state.position:
                continue
            first = state.position
            try:
                visible = self._visible(chunk, at, header)
            except CorruptRecord as error:
                state.chunk = None
                state.paused_until_ms = chunk.came_ms + PAUSE_MS
                self._failures.append(_corrupt(name, header.base_offset, error))
                continue
            state.position = header.next_offset
            return FetchedBatch(*name, chunk.data, at, header, first, visible)
        if self._failures:
            raise self._failures.popleft()
        return None

    def _visible(self, chunk: _Chunk, pos: int, header: BatchHeader) -> bool:
        """Whether a batch's records are for the application; follows aborted transactions."""
        if header.is_control and not crc_valid(chunk.data, pos, header.size):
            raise CorruptRecord("the batch does not match its CRC")
        if self._config.read_committed:
            while chunk.aborted and chunk.aborted[0][0] <= header.last_offset:
                chunk.open_aborts.add(chunk.aborted.popleft()[1])
            if header.is_control:
                if _is_abort(chunk.data, pos):
                    chunk.open_aborts.discard(header.producer_id)
                return False
            return not (header.is_transactional and header.producer_id in chunk.open_aborts)
        return not header.is_control


def _is_abort(data: Buffer, pos: int) -> bool:
    """Whether a control batch is the marker of an aborted transaction: key version, type 0."""
    (marker,) = read_records(data, pos, limit=MAX_MARKER_BYTES)[:1] or (None,)
    return marker is not None and marker.key is not None and marker.key[2:4] == b"\0\0"


def _corrupt(name: TopicPartition, offset: int, error: Exception) -> ClientError:
    return ClientError(f"{name[0]}-{name[1]}: damaged data at offset {offset}: {error}")
