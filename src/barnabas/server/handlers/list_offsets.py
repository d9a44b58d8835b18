"""ListOffsets (key 2), versions 1-11; broker listeners.

v2 isolation level; v4 leader epochs; v5 OFFSET_NOT_AVAILABLE; v6 flexible; v7 -3 max timestamp;
v8 -4 earliest local; v9 -5 latest tiered; v10 time-out; v11 -6 earliest pending upload. Per
partition: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH,
UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE, UNSUPPORTED_VERSION, INVALID_REQUEST (duplicate),
KAFKA_STORAGE_ERROR, TOPIC_AUTHORIZATION_FAILED, and as with Kafka UNKNOWN_SERVER_ERROR for an
isolation level that there is not.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from barnabas.log.errors import LogDamaged
from barnabas.log.timestamps import by_max_timestamp, by_timestamp, run_search
from barnabas.security.operations import Operation
from barnabas.server.fetching import READ_COMMITTED, READ_UNCOMMITTED
from barnabas.server.partitions import HostedPartition
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.list_offsets_request import ListOffsetsPartition, ListOffsetsRequest
from barnabas.wire.messages.list_offsets_response import (
    ListOffsetsPartitionResponse,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3
EARLIEST_LOCAL: Final = -4
LATEST_TIERED: Final = -5
EARLIEST_PENDING_UPLOAD: Final = -6
#: First version that may ask for each special timestamp.
_SINCE: Final = {
    LATEST: 1,
    EARLIEST: 1,
    MAX_TIMESTAMP: 7,
    EARLIEST_LOCAL: 8,
    LATEST_TIERED: 9,
    EARLIEST_PENDING_UPLOAD: 11,
}
EPOCHS_FROM: Final = 4
DEBUG_CONSUMER: Final = -2

Found = tuple[int, int, int]
"""(offset, timestamp, leader epoch), each -1 when there is none."""
NOTHING: Final[Found] = (-1, -1, -1)


async def handle(
    broker: Broker, request: Request, message: ListOffsetsRequest
) -> ListOffsetsResponse:
    """Offsets by time, or by one of the special timestamps."""
    asked = Counter((t.name, p.partition_index) for t in message.topics for p in t.partitions)
    known = message.isolation_level in (READ_UNCOMMITTED, READ_COMMITTED)
    topics: dict[str, dict[int, ListOffsetsPartitionResponse]] = {}
    for topic in message.topics:
        allowed = broker.allowed.topic(request, Operation.DESCRIBE, topic.name)
        for wanted in topic.partitions:
            index = wanted.partition_index
            if not known:
                answer = _error(index, ErrorCode.UNKNOWN_SERVER_ERROR)
            elif not allowed:
                answer = _error(index, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
            elif asked[(topic.name, index)] > 1:
                answer = _error(index, ErrorCode.INVALID_REQUEST)
            else:
                answer = await _partition(broker, request, message, topic.name, wanted)
            topics.setdefault(topic.name, {})[index] = answer
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(name, list(some.values())) for name, some in topics.items()
        ]
    )


async def _partition(
    broker: Broker,
    request: Request,
    message: ListOffsetsRequest,
    topic: str,
    wanted: ListOffsetsPartition,
) -> ListOffsetsPartitionResponse:
    index = wanted.partition_index
    hosted = await broker.partitions.open(topic, index)
    if isinstance(hosted, ErrorCode):
        return _error(index, hosted)
    error = hosted.error(leader=message.replica_id != DEBUG_CONSUMER)
    error = error or hosted.replica.check_epoch(wanted.current_leader_epoch)
    if error:
        return _error(index, error)
    if wanted.timestamp < 0 and request.api_version < _SINCE.get(wanted.timestamp, 1 << 15):
        return _error(index, ErrorCode.UNSUPPORTED_VERSION)
    try:
        found = await _find(broker, hosted, message, wanted.timestamp)
    except KafkaError as refused:
        code = refused.code
        if code is ErrorCode.OFFSET_NOT_AVAILABLE and request.api_version < 5:
            code = ErrorCode.LEADER_NOT_AVAILABLE
        return _error(index, code)
    except (OSError, LogDamaged) as failure:
        broker.storage_failed(hosted, failure)
        return _error(index, ErrorCode.KAFKA_STORAGE_ERROR)
    offset, timestamp, epoch = found
    if request.api_version < EPOCHS_FROM:
        epoch = -1
    return ListOffsetsPartitionResponse(index, ErrorCode.NONE, timestamp, offset, epoch)


async def _find(
    broker: Broker, hosted: HostedPartition, message: ListOffsetsRequest, timestamp: int
) -> Found:
    log, replica = hosted.log, hosted.replica
    client = message.replica_id < 0
    bound = log.end_offset
    if client:
        committed = message.isolation_level == READ_COMMITTED
        bound = hosted.last_stable_offset if committed else replica.high_watermark
    # A fresh leader whose watermark is behind the start of its epoch can't tell yet (KIP-207).
    fresh = client and replica.epoch_start_offset > replica.high_watermark
    if timestamp == LATEST:
        if fresh:
            raise KafkaError(ErrorCode.OFFSET_NOT_AVAILABLE)
        return bound, -1, replica.leader_epoch
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        start = log.log_start_offset
        epoch = log.epochs.epoch_for_offset(start)
        return start, -1, -1 if epoch is None else epoch
    if timestamp in (LATEST_TIERED, EARLIEST_PENDING_UPLOAD):
        return NOTHING  # no tiered storage
    largest = timestamp == MAX_TIMESTAMP
    found = await run_search(
        log,
        broker.executor,
        lambda: by_max_timestamp(log) if largest else by_timestamp(log, timestamp),
    )
    if found is None or found.offset >= bound:
        if fresh:
            raise KafkaError(ErrorCode.OFFSET_NOT_AVAILABLE)
        return NOTHING
    return found.offset, found.timestamp, found.leader_epoch


def _error(index: int, code: ErrorCode) -> ListOffsetsPartitionResponse:
    return ListOffsetsPartitionResponse(index, code)
