"""Appending a produced batch as the leader: check, assign, append. One batch, no I/O, no waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from barnabas.log.errors import StorageError
from barnabas.records.batch import (
    APPEND_TIME_BIT,
    BatchHeader,
    assign,
    read_header,
    set_append_time,
)
from barnabas.records.validate import ProduceRules, WalkResult, check_produce, odd_bytes, walk
from barnabas.server.partitions import HostedPartition
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.partition.producer_entry import Verification
    from barnabas.records.one_record import OneRecord
    from barnabas.server.broker import Broker

ACKS_ALL: Final = -1
#: An uncompressed batch up to this size has its records checked on the loop (about 0.3 ms).
WALK_INLINE_BYTES: Final = 16 * 1024
#: What the records of one batch may inflate to when they have to be looked at.
INFLATED_BYTES: Final = 32 * 1024 * 1024
#: Records of one batch that are looked at; beyond it is MESSAGE_TOO_LARGE, upon which producers
#: split the batch. Decoded, a record takes about 80 bytes and half a microsecond.
WALK_RECORDS: Final = 262_144


class InTransaction(NamedTuple):
    """The transaction that a partition of a Produce belongs to, as far as it was verified."""

    guard: Verification | None
    """What the verification began with; None when the transaction is open here already."""
    verified: bool
    """Whether a guard is needed (transaction.partition.verification.enable)."""


class Appended(NamedTuple):
    """What became of a batch: its offsets, or an error."""

    error: ErrorCode
    base_offset: int = -1
    #: Milliseconds, or -1 on topics with CreateTime.
    append_time: int = -1
    #: The acknowledgement waits until everything below this offset is safe.
    end_offset: int = -1
    message: str | None = None
    record_errors: tuple[tuple[int, str], ...] = ()
    #: Refused before the partition was asked: its log start is not told then, as with Kafka.
    early: bool = False


def append_batch(
    broker: Broker,
    hosted: HostedPartition,
    batch: memoryview,
    version: int,
    acks: int,
    within: InTransaction | None = None,
) -> Appended | None:
    """Check and append the records of one partition of a Produce of `version`; `within` when it
    names a transaction.

    `None`: the records have to be read first, which is not for the loop (`check_batch_off_loop`).
    The caller has found this node to be the leader.
    """
    if acks == ACKS_ALL and hosted.replica.below_min_isr(hosted.log.config.min_insync_replicas):
        return Appended(ErrorCode.NOT_ENOUGH_REPLICAS)
    rules = hosted.rules
    now_ms = broker.clock.wall_ms()
    code, header, must_walk = check_produce(batch, rules, now_ms, version)
    if header is None:
        return _unreadable(ErrorCode(code), batch)
    if must_walk:
        if header.records_count > WALK_RECORDS:
            return Appended(ErrorCode.MESSAGE_TOO_LARGE)
        if header.codec or rules.codec > 0 or len(batch) > WALK_INLINE_BYTES:
            return None
        walked = walk(batch, header, rules, now_ms, limit=INFLATED_BYTES)
        return _append_walked(hosted, batch, rules, walked, now_ms, within)
    return _append(hosted, batch, header, rules, now_ms, within)


async def check_batch_off_loop(
    broker: Broker,
    hosted: HostedPartition,
    batch: memoryview,
    version: int,
    acks: int,
    within: InTransaction | None = None,
) -> Appended:
    """As `append_batch`, with the records read on the executor."""
    rules = hosted.rules
    now_ms = broker.clock.wall_ms()
    code, header, _ = check_produce(batch, rules, now_ms, version)
    if header is None:
        return _unreadable(ErrorCode(code), batch)
    walked = await broker.executor.run(
        lambda: walk(batch, header, rules, now_ms, limit=INFLATED_BYTES)
    )
    error = hosted.error()
    if error:
        return Appended(error)
    if acks == ACKS_ALL and hosted.replica.below_min_isr(hosted.log.config.min_insync_replicas):
        return Appended(ErrorCode.NOT_ENOUGH_REPLICAS)
    return _append_walked(hosted, batch, rules, walked, now_ms, within)


def _unreadable(error: ErrorCode, batch: memoryview) -> Appended:
    """Kafka has a text for bytes that are no batches, none for a wrong checksum."""
    odd = odd_bytes(batch)
    corrupt = odd and error is ErrorCode.CORRUPT_MESSAGE
    return Appended(
        error,
        message="These bytes are no batch of records." if corrupt else None,
        early=odd != 0 or error is ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
    )


def append_own(hosted: HostedPartition, batch: bytearray, *, limited: bool = True) -> Appended:
    """Append a batch that this node itself has built: records of a coordinator, a marker.

    Its sequences are not looked at. The errors are those of a Produce; one that is not `limited` may
    be larger than max.message.bytes.
    """
    error = hosted.error()
    if error:
        return Appended(error)
    log = hosted.log
    if hosted.replica.below_min_isr(log.config.min_insync_replicas):
        return Appended(ErrorCode.NOT_ENOUGH_REPLICAS)
    if limited and len(batch) > log.config.max_message_bytes:
        return Appended(ErrorCode.MESSAGE_TOO_LARGE)
    base_offset = log.end_offset
    assign(batch, 0, base_offset, hosted.replica.leader_epoch)
    header = read_header(batch)
    try:
        log.append(batch, header)
    except KafkaError as refused:  # `StorageError` among them
        return Appended(refused.code, message=refused.message)
    counters = hosted.counters
    counters.bytes_in += len(batch)
    counters.events_in += header.records_count
    return Appended(ErrorCode.NONE, base_offset, end_offset=log.end_offset)


def append_one(hosted: HostedPartition, record: OneRecord, value: bytes, now_ms: int) -> int:
    """As `append_own`, a batch of one record of this wall time; its offset, or -1: see there why.

    The caller has found this node to be the leader.
    """
    log, replica = hosted.log, hosted.replica
    if (
        replica.below_min_isr(log.config.min_insync_replicas)
        or record.size > log.config.max_message_bytes
    ):
        return -1
    base_offset = log.end_offset
    batch, header = record.batch(value, now_ms, base_offset, replica.leader_epoch)
    try:
        log.append(batch, header)
    except KafkaError:  # `StorageError` among them
        return -1
    counters = hosted.counters
    counters.bytes_in += record.size
    counters.events_in += 1
    return base_offset


def _append_walked(
    hosted: HostedPartition,
    batch: memoryview,
    rules: ProduceRules,
    walked: WalkResult,
    now_ms: int,
    within: InTransaction | None,
) -> Appended:
    if walked.error_code:
        return Appended(
            ErrorCode(walked.error_code),
            message=walked.message,
            record_errors=tuple(walked.record_errors),
        )
    checked = batch if walked.replacement is None else memoryview(walked.replacement)
    return _append(hosted, checked, read_header(checked), rules, now_ms, within)


def _append(
    hosted: HostedPartition,
    batch: memoryview,
    header: BatchHeader,
    rules: ProduceRules,
    now_ms: int,
    within: InTransaction | None,
) -> Appended:
    log = hosted.log
    if header.producer_id >= 0:
        if within is None:
            if header.is_transactional:  # nobody has asked whether its client may
                return Appended(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, early=True)
            code, duplicate = log.producers.check(header)
        else:
            guard, verified = within
            code, duplicate = log.producers.check(header, guard, verify=verified)
        if code:
            return Appended(ErrorCode(code))
        if duplicate is not None:
            return Appended(
                ErrorCode.NONE,
                duplicate.base_offset,
                duplicate.timestamp,
                duplicate.last_offset + 1,
            )
    elif header.is_transactional:
        return Appended(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, early=True)
    size = header.size
    if size != len(batch):
        batch = batch[:size]
    base_offset = log.end_offset
    epoch = hosted.replica.leader_epoch
    append_time = -1
    if rules.append_time:
        append_time = now_ms
        set_append_time(batch, 0, now_ms)
        header = header._replace(
            max_timestamp=now_ms, attributes=header.attributes | APPEND_TIME_BIT
        )
    assign(batch, 0, base_offset, epoch)
    try:
        log.append(batch, header, base_offset, epoch)
    except StorageError as failure:
        return Appended(failure.code)
    except KafkaError as refused:
        return Appended(refused.code, message=refused.message)
    counters = hosted.counters
    counters.produces += 1
    counters.bytes_in += size
    counters.events_in += header.records_count
    return Appended(ErrorCode.NONE, base_offset, append_time, log.end_offset)
