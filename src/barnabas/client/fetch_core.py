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
from barnabas.records.record import Record, read_records
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.fetch_response import AbortedTransaction, PartitionData

MAX_MARKER_BYTES = 65_536
TopicPartition = tuple[str, int]


class FetchedRecords(NamedTuple):
    """Records of one batch of one partition, in order; never empty."""

    topic: str
    partition: int
    records: list[Record]
    time_type: str
    """"CreateTime" or "LogAppendTime"."""


class _Chunk:
    """What one response brought for one partition, and how far it was handed out."""

    __slots__ = ("aborted", "batches", "data", "open_aborts")

    def __init__(self, data: Buffer, aborted: Sequence[AbortedTransaction]) -> None:
        self.data = data
        self.batches = deque(iter_batches(data))
        self.aborted = deque(sorted((entry.first_offset, entry.producer_id) for entry in aborted))
        self.open_aborts: set[int] = set()


class _Assigned:
    """One partition's place in the log."""

    __slots__ = ("chunk", "high_watermark", "paused_until_ms", "position", "visible_end")

    def __init__(self, position: int) -> None:
        self.position = position
        self.chunk: _Chunk | None = None
        self.high_watermark = -1
        self.visible_end = -1
        self.paused_until_ms = 0


class FetchCore:
    """Positions and fetched data of a set of partitions. Times are monotonic milliseconds."""

    def __init__(self, config: FetchConfig) -> None:
        self._config = config
        self._assigned: dict[TopicPartition, _Assigned] = {}
        self._ready: deque[TopicPartition] = deque()
        self._failures: deque[Exception] = deque()
        self.stale_topics: set[str] = set()
        self.skipped = False
        """A position moved past records that are not handed out, since the shell last looked."""

    def assign(self, positions: dict[TopicPartition, int]) -> None:
        """Read these partitions from these offsets; forget all others."""
        self._assigned = {name: _Assigned(offset) for name, offset in positions.items()}
        self._ready.clear()

    def drop(self, name: TopicPartition) -> None:
        """Read this partition no longer."""
        self._assigned.pop(name, None)

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
            if state.chunk is None and state.paused_until_ms <= now
        ]

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
        if code != ErrorCode.NONE:
            self._refused(name, state, code, now)
            return
        state.high_watermark = data.high_watermark
        if data.records is None or not len(data.records):
            return
        try:
            chunk = _Chunk(data.records, data.aborted_transactions or ())
        except CorruptRecord as error:
            self._failures.append(_corrupt(name, asked_offset, error))
            return
        if chunk.batches:
            state.chunk = chunk
            self._ready.append(name)

    def _refused(self, name: TopicPartition, state: _Assigned, code: ErrorCode, now: int) -> None:
        state.paused_until_ms = now + 100
        if code.refreshes_metadata:
            self.stale_topics.add(name[0])
        if not code.retriable:
            self._failures.append(
                KafkaError(code, f"{name[0]}-{name[1]} at offset {state.position}")
            )

    def postpone(self, names: Iterable[TopicPartition], until_ms: int) -> None:
        """Leave these partitions alone for a while: their node did not answer."""
        for name in names:
            if (state := self._assigned.get(name)) is not None:
                state.paused_until_ms = until_ms

    # -- records out --

    def take(self) -> FetchedRecords | None:
        """The next batch of records, None when there are none right now.

        Raises `KafkaError` for a partition that can't be read, `ClientError` for damaged data.
        """
        while self._ready:
            name = self._ready[0]
            state = self._assigned.get(name)
            if state is None or state.chunk is None:
                self._ready.popleft()
                continue
            chunk = state.chunk
            records, time_type = self._next_batch(name, state, chunk)
            if not chunk.batches:
                state.chunk = None
                self._ready.popleft()
            if records:
                return FetchedRecords(name[0], name[1], records, time_type)
        if self._failures:
            raise self._failures.popleft()
        return None

    def _next_batch(
        self, name: TopicPartition, state: _Assigned, chunk: _Chunk
    ) -> tuple[list[Record], str]:
        pos, header = chunk.batches.popleft()
        time_type = "LogAppendTime" if header.log_append_time else "CreateTime"
        if header.last_offset < state.position:
            return [], time_type
        records: list[Record] = []
        try:
            if not crc_valid(chunk.data, pos, header.size):
                raise CorruptRecord("the batch does not match its CRC")
            visible = self._visible(chunk, pos, header)
            if visible:
                limit = self._config.max_inflated_batch_bytes
                records = read_records(chunk.data, pos, limit=limit)
        except CorruptRecord as error:
            chunk.batches.clear()
            self._failures.append(_corrupt(name, header.base_offset, error))
            return [], time_type
        if header.base_offset < state.position:
            records = [record for record in records if record.offset >= state.position]
        state.position = header.next_offset
        self.skipped = self.skipped or not records
        return records, time_type

    def _visible(self, chunk: _Chunk, pos: int, header: BatchHeader) -> bool:
        """Whether a batch's records are for the application; follows aborted transactions."""
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
