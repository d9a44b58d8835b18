"""DeleteRecords (key 21), versions 0-2; broker listeners.

v2 flexible. The log start moves at once; whole segments below it go with the next retention run. The
answer waits until `log-start-offset-checkpoint` says so durably, or for the time-out. Per partition:
TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION (internal topics),
NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR, POLICY_VIOLATION (compacted only), OFFSET_OUT_OF_RANGE,
REQUEST_TIMED_OUT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.log.retention import raise_log_start
from barnabas.security.operations import Operation
from barnabas.server.partitions import HostedPartition
from barnabas.server.topics import INTERNAL_TOPICS
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.delete_records_request import DeleteRecordsRequest
from barnabas.wire.messages.delete_records_response import (
    DeleteRecordsPartitionResult,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

HIGH_WATERMARK: Final = -1
NO_LOW_WATERMARK: Final = -1


async def handle(
    broker: Broker, request: Request, message: DeleteRecordsRequest
) -> DeleteRecordsResponse:
    """Raise log starts, and answer when that survives a crash."""
    # A partition that is named twice is answered once, for what was said last.
    wanted: dict[str, dict[int, int]] = {}
    for topic in message.topics:
        offsets = wanted.setdefault(topic.name, {})
        offsets.update((p.partition_index, p.offset) for p in topic.partitions)
    answers: dict[str, list[DeleteRecordsPartitionResult]] = {}
    moved: list[tuple[HostedPartition, DeleteRecordsPartitionResult]] = []
    for name, offsets in wanted.items():
        allowed = broker.allowed.topic(request, Operation.DELETE, name)
        for index, offset in offsets.items():
            answer = DeleteRecordsPartitionResult(index, NO_LOW_WATERMARK)
            answers.setdefault(name, []).append(answer)
            if not allowed:
                answer.error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
                continue
            hosted = await _find(broker, name, index)
            answer.error_code = hosted if isinstance(hosted, ErrorCode) else _delete(hosted, offset)
            if isinstance(hosted, HostedPartition) and not answer.error_code:
                moved.append((hosted, answer))
    if moved:
        in_time = await broker.keep_log_starts(message.timeout_ms)
        for hosted, answer in moved:
            error = hosted.error()
            if not error:
                answer.low_watermark = hosted.log.log_start_offset
                error = ErrorCode.NONE if in_time else ErrorCode.REQUEST_TIMED_OUT
            answer.error_code = error
    return DeleteRecordsResponse(
        topics=[DeleteRecordsTopicResult(name, parts) for name, parts in answers.items()]
    )


async def _find(broker: Broker, name: str, index: int) -> HostedPartition | ErrorCode:
    if broker.image.topics.partition(name, index) is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if name in INTERNAL_TOPICS:
        return ErrorCode.INVALID_TOPIC_EXCEPTION
    return await broker.partitions.open(name, index)


def _delete(hosted: HostedPartition, offset: int) -> ErrorCode:
    """Nothing below `offset` can be read any more; an offset below the log start changes nothing."""
    error = hosted.error()
    if error:
        return error
    if hosted.config.cleanup_policy == {"compact"}:
        return ErrorCode.POLICY_VIOLATION
    high_watermark = hosted.replica.high_watermark
    if offset == HIGH_WATERMARK:
        offset = high_watermark
    if not 0 <= offset <= high_watermark:
        return ErrorCode.OFFSET_OUT_OF_RANGE
    if raise_log_start(hosted.log, offset):
        hosted.changed()
    return ErrorCode.NONE
