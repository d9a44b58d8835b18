"""Reading a shard back from the partition that holds its records."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from barnabas.coordinator.effects import Origin
from barnabas.coordinator.framing import DamagedRecord, RecordTypes, decode_record
from barnabas.log.read import ColdRead, read
from barnabas.records.batch import BatchHeader, iter_batches
from barnabas.records.control import ControlType, parse_control_key
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import Record, read_records
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.coordinator.effects import Shard
    from barnabas.ports import Buffer, Clock, Executor
    from barnabas.server.partitions import HostedPartition

log = logging.getLogger("barnabas.server")

READ_BYTES: Final = 1 << 20
#: Records between two looks at what else the loop has to do: a few milliseconds.
RECORDS_AT_ONCE: Final = 500
#: What the records of one batch may inflate to.
INFLATED_BYTES: Final = 32 << 20


async def load_shard(
    hosted: HostedPartition, shard: Shard, types: RecordTypes, executor: Executor, clock: Clock
) -> int:
    """Replay everything in the partition; the number of records.

    What cannot be understood is left out with a warning, as Kafka does. Raises `KafkaError` when the
    partition is no longer served, `OSError` and `LogDamaged` from reading it.
    """
    source = hosted.log
    offset, done, unsliced = source.log_start_offset, 0, 0
    while offset < source.end_offset:
        if hosted.error():
            raise KafkaError(hosted.error())
        if source.written_offset < source.end_offset:
            await clock.sleep(1)  # another coordinator has just appended its marker
            continue
        found = read(source, offset, READ_BYTES, source.written_offset, at_least_one=True)
        if isinstance(found, ColdRead):
            found = await found.run(executor)
        begun = offset
        for position, header in iter_batches(found.data):
            if position + header.size > len(found.data):
                break
            if header.next_offset <= offset:
                continue
            topic = str(hosted.topic)
            records = _records_of(found.data, position, header, topic)
            for record in records:
                _replay(shard, types, record, header, topic)
                unsliced += 1
                if unsliced >= RECORDS_AT_ONCE:
                    unsliced = 0
                    await clock.sleep(0)
            offset = header.next_offset
            done += len(records)
        if offset == begun:
            break  # nothing above: the end lies behind a gap that compaction left
    return done


def _records_of(data: Buffer, position: int, header: BatchHeader, topic: str) -> list[Record]:
    try:
        return read_records(data, position, limit=INFLATED_BYTES)
    except CorruptRecord as error:
        log.warning("%s: a batch at %d is left out: %s", topic, header.base_offset, error)
        return []


def _replay(
    shard: Shard, types: RecordTypes, record: Record, header: BatchHeader, topic: str
) -> None:
    try:
        if header.is_control:
            kind = parse_control_key(record.key)
            if kind in (ControlType.ABORT, ControlType.COMMIT):
                commit = kind == ControlType.COMMIT
                shard.replay_marker(header.producer_id, header.producer_epoch, commit=commit)
            return
        decoded = decode_record(types, record.key, record.value)
        if decoded is None:
            log.warning("%s: the record at %d is of a later release", topic, record.offset)
            return
        producer_id = header.producer_id if header.is_transactional else -1
        origin = Origin(record.offset, record.timestamp, producer_id, header.producer_epoch)
        shard.replay(decoded, origin)
    except (DamagedRecord, CorruptRecord) as error:
        log.warning("%s: the record at %d is left out: %s", topic, record.offset, error)


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
