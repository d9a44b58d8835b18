"""Reading a shard back from the partition that holds its records, a few milliseconds at a time."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from barnabas.coordinator.effects import BulkShard, Origin, Rows
from barnabas.coordinator.framing import DamagedRecord, RecordTypes, decode_record
from barnabas.log.read import ColdRead, read
from barnabas.records.batch import BatchHeader, iter_batches
from barnabas.records.control import ControlType, parse_control_key
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import Columns, iter_columns, read_payload, record_times
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from barnabas.coordinator.effects import Shard
    from barnabas.ports import Buffer, Clock, Executor
    from barnabas.server.coordinators.turns import Turn
    from barnabas.server.partitions import HostedPartition

log = logging.getLogger("barnabas.server")

READ_BYTES: Final = 1 << 18
#: Records between two looks at the clock: about a millisecond.
RECORDS_AT_ONCE: Final = 200
#: What the records of one batch may inflate to.
INFLATED_BYTES: Final = 32 << 20
#: A compressed batch above this size is inflated off the loop.
INFLATE_HERE_BYTES: Final = 4 << 10


class Doors(NamedTuple):
    """What a load needs of the node."""

    executor: Executor
    clock: Clock
    keep: Callable[[], None]
    """`ports.Machine.keep`: what was loaded stays for long."""


async def load_shard(
    hosted: HostedPartition, shard: Shard, types: RecordTypes, doors: Doors, turn: Turn
) -> int:
    """Replay everything in the partition; the number of records.

    What cannot be understood is left out with a warning, as Kafka does. Raises `KafkaError` when the
    partition is no longer served, `OSError` and `LogDamaged` from reading it.
    """
    return await _Load(hosted, shard, types, doors, turn).run()


class _Load:
    """One load. The loop is its own from `Turn.begin` until the turn is over."""

    def __init__(
        self, hosted: HostedPartition, shard: Shard, types: RecordTypes, doors: Doors, turn: Turn
    ) -> None:
        self._hosted = hosted
        self._topic = str(hosted.topic)
        self._shard = shard
        self._bulk = shard if isinstance(shard, BulkShard) else None
        self._types = types
        self._doors = doors
        self._turn = turn

    async def run(self) -> int:
        """See `load_shard`."""
        source = self._hosted.log
        offset, done = source.log_start_offset, 0
        if offset < source.end_offset:
            await self._turn.begin()
        while offset < source.end_offset:
            if self._hosted.error():
                raise KafkaError(self._hosted.error())
            if source.written_offset < source.end_offset:
                # Another coordinator has just appended its marker.
                await self._doors.clock.sleep(1)
                await self._turn.begin()
                continue
            found = read(source, offset, READ_BYTES, source.written_offset, at_least_one=True)
            if isinstance(found, ColdRead):
                found = await found.run(self._doors.executor)
                await self._turn.begin()
            begun = offset
            for position, header in iter_batches(found.data):
                if header.next_offset <= offset:
                    continue
                done += await self._batch(found.data, position, header)
                offset = header.next_offset
            if offset == begun:
                break  # nothing above: the end lies behind a gap that compaction left
        return done

    async def _batch(self, data: Buffer, position: int, header: BatchHeader) -> int:
        """Replay a batch, all of it or, when it is damaged, nothing; the number of records."""
        pieces = []
        try:
            for columns in iter_columns(
                await self._payload(data, position, header), header.records_count, RECORDS_AT_ONCE
            ):
                pieces.append(columns)
                if self._turn.over:
                    await self._pause()
        except CorruptRecord as error:
            log.warning("%s: a batch at %d is left out: %s", self._topic, header.base_offset, error)
            return 0
        for columns in pieces:
            self._replay_piece(header, columns)
            if self._turn.over:
                await self._pause()
        return sum(len(columns.keys) for columns in pieces)

    async def _pause(self) -> None:
        self._doors.keep()
        await self._turn.begin()

    async def _payload(self, data: Buffer, position: int, header: BatchHeader) -> bytes:
        """The records of a batch, inflated. Raises `CorruptRecord`."""
        work = partial(read_payload, data, position, header, limit=INFLATED_BYTES)
        if header.codec == 0 or header.size <= INFLATE_HERE_BYTES:
            return work()
        payload = await self._doors.executor.run(work)
        await self._turn.begin()
        return payload

    def _replay_piece(self, header: BatchHeader, columns: Columns) -> None:
        base = header.base_offset
        rows = Rows(
            columns.keys,
            columns.values,
            [base + delta for delta in columns.offset_deltas],
            record_times(header, columns),
        )
        bulk = None if header.is_control or header.is_transactional else self._bulk
        at, count = 0, len(rows.keys)
        while at < count:
            if bulk is not None:
                at = bulk.replay_rows(rows, at)
                if at == count:
                    return
            self._replay(header, rows, at)
            at += 1

    def _replay(self, header: BatchHeader, rows: Rows, at: int) -> None:
        shard, offset, key = self._shard, rows.offsets[at], rows.keys[at]
        try:
            if header.is_control:
                kind = parse_control_key(key)
                if kind in (ControlType.ABORT, ControlType.COMMIT):
                    commit = kind == ControlType.COMMIT
                    shard.replay_marker(header.producer_id, header.producer_epoch, commit=commit)
                return
            decoded = decode_record(self._types, key, rows.values[at])
            if decoded is None:
                log.warning("%s: the record at %d is of a later release", self._topic, offset)
                return
            producer_id = header.producer_id if header.is_transactional else -1
            origin = Origin(offset, rows.timestamps[at], producer_id, header.producer_epoch)
            shard.replay(decoded, origin)
        except (DamagedRecord, CorruptRecord) as error:
            log.warning("%s: the record at %d is left out: %s", self._topic, offset, error)


def client_error(error: ErrorCode) -> ErrorCode:
    """What a client is told when the partition of its coordinator refuses a write."""
    return _CLIENT_ERRORS.get(error, error)


_CLIENT_ERRORS: Final = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
}
