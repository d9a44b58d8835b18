"""OffsetForLeaderEpoch (key 23), versions 2-4; broker listeners (KIP-101, KIP-320).

v3 replica id; v4 flexible. Per partition: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER,
KAFKA_STORAGE_ERROR, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, TOPIC_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.offset_for_leader_epoch_request import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
)
from barnabas.wire.messages.offset_for_leader_epoch_response import (
    EpochEndOffset,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: OffsetForLeaderEpochRequest
) -> OffsetForLeaderEpochResponse:
    """Where each epoch asked for ends in the leader's log."""
    follower = broker.allowed.cluster(request, Operation.CLUSTER_ACTION)
    results = []
    for topic in message.topics:
        allowed = follower or broker.allowed.topic(request, Operation.DESCRIBE, topic.topic)
        partitions = [
            await _end(broker, topic.topic, wanted)
            if allowed
            else EpochEndOffset(ErrorCode.TOPIC_AUTHORIZATION_FAILED, wanted.partition)
            for wanted in topic.partitions
        ]
        results.append(OffsetForLeaderTopicResult(topic.topic, partitions))
    return OffsetForLeaderEpochResponse(topics=results)


async def _end(broker: Broker, topic: str, wanted: OffsetForLeaderPartition) -> EpochEndOffset:
    hosted = await broker.partitions.open(topic, wanted.partition)
    if isinstance(hosted, ErrorCode):
        return EpochEndOffset(hosted, wanted.partition)
    error = hosted.error() or hosted.replica.check_epoch(wanted.current_leader_epoch)
    if error:
        return EpochEndOffset(error, wanted.partition)
    epoch, end = hosted.log.epochs.end_offset_for(wanted.leader_epoch, hosted.log.end_offset)
    return EpochEndOffset(ErrorCode.NONE, wanted.partition, epoch, end)
