"""OffsetCommit (key 8), versions 2-10; broker listeners.

v2-4 retention time; v6 leader epoch; v7 static members; v8 flexible; v9 member epochs (KIP-848); v10
topic ids. Errors, for each partition: GROUP_AUTHORIZATION_FAILED, TOPIC_AUTHORIZATION_FAILED,
UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID,
ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS, GROUP_ID_NOT_FOUND, OFFSET_METADATA_TOO_LARGE, and those
of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.groups.offsets.commit import refuse_commit
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.groups import context_of
from barnabas.server.coordinators.tickets import RequestTicket
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.offset_commit_request import OffsetCommitRequest
from barnabas.wire.messages.offset_commit_request import OffsetCommitRequestTopic as Topic
from barnabas.wire.messages.offset_commit_response import (
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from barnabas.wire.uuids import ZERO

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

IDS_FROM = 10


def handle(
    broker: Broker, request: Request, message: OffsetCommitRequest
) -> OffsetCommitResponse | None:
    """Remember how far a group has come."""
    group_id = message.group_id
    if not broker.allowed.resource(request, Operation.READ, ResourceType.GROUP, group_id):
        return refuse_commit(message, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    refused: list[OffsetCommitResponseTopic] = []
    message.topics = [t for t in message.topics if _known(broker, request, t, refused)]
    if not message.topics:
        return OffsetCommitResponse(topics=refused)

    def finish(response: OffsetCommitResponse) -> OffsetCommitResponse:
        for topic in refused:
            _merge(response, topic)
        return response

    ticket = RequestTicket(request, lambda error: refuse_commit(message, error), finish)
    context = context_of(broker, request)
    broker.coordinators.groups.run(
        group_id, ticket, lambda shard, now: shard.commit_offsets(context, message, ticket, now)
    )
    return None


def _merge(response: OffsetCommitResponse, topic: OffsetCommitResponseTopic) -> None:
    """One entry for each topic, also when only some of its partitions are there."""
    for there in response.topics:
        if (there.name, there.topic_id) == (topic.name, topic.topic_id):
            there.partitions += topic.partitions
            return
    response.topics.append(topic)


def _known(
    broker: Broker, request: Request, topic: Topic, refused: list[OffsetCommitResponseTopic]
) -> bool:
    """Name and id of a topic, and which of its partitions are there; the others are refused."""
    topics = broker.image.topics
    by_id = request.api_version >= IDS_FROM
    found = topics.by_id.get(topic.topic_id) if by_id else topics.by_name.get(topic.name)
    error = ErrorCode.NONE
    if by_id and found is None:
        error = ErrorCode.UNKNOWN_TOPIC_ID
    elif not broker.allowed.topic(
        request, Operation.READ, topic.name if found is None else found.name
    ):
        error = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    elif found is None:
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if found is None or error:
        lost, topic.partitions = topic.partitions, []
    else:
        topic.name, topic.topic_id = found.name, found.id
        there = found.partitions
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        lost = [p for p in topic.partitions if p.partition_index not in there]
        topic.partitions = [p for p in topic.partitions if p.partition_index in there]
    if lost:
        answers = [OffsetCommitResponsePartition(p.partition_index, error) for p in lost]
        topic_id = topic.topic_id if by_id or found is not None else ZERO
        refused.append(OffsetCommitResponseTopic(topic.name, topic_id, answers))
    return bool(topic.partitions)
