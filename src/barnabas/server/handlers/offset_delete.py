"""OffsetDelete (key 47), version 0; broker listeners (KIP-496).

Errors: GROUP_AUTHORIZATION_FAILED, INVALID_GROUP_ID, GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP, and those
of a coordinator; for each partition TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION,
GROUP_SUBSCRIBED_TO_TOPIC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.tickets import RequestTicket
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.offset_delete_request import (
    OffsetDeleteRequest,
    OffsetDeleteRequestTopic,
)
from barnabas.wire.messages.offset_delete_response import (
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


def handle(
    broker: Broker, request: Request, message: OffsetDeleteRequest
) -> OffsetDeleteResponse | None:
    """Forget what a group has committed."""
    group_id = message.group_id
    if not broker.allowed.resource(request, Operation.DELETE, ResourceType.GROUP, group_id):
        return _refuse(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not group_id:
        return _refuse(ErrorCode.INVALID_GROUP_ID)
    refused: list[OffsetDeleteResponseTopic] = []
    message.topics = [t for t in message.topics if _known(broker, request, t, refused)]

    def finish(response: OffsetDeleteResponse) -> OffsetDeleteResponse:
        if not response.error_code:
            _merge(response, refused)
        return response

    ticket = RequestTicket(request, _refuse, finish)
    broker.coordinators.groups.run(
        group_id, ticket, lambda shard, _: shard.delete_offsets(message, ticket)
    )
    return None


def _merge(response: OffsetDeleteResponse, refused: list[OffsetDeleteResponseTopic]) -> None:
    there = {topic.name: topic for topic in response.topics}
    for topic in refused:
        if topic.name in there:
            there[topic.name].partitions += topic.partitions
        else:
            response.topics.append(topic)


def _known(
    broker: Broker,
    request: Request,
    topic: OffsetDeleteRequestTopic,
    refused: list[OffsetDeleteResponseTopic],
) -> bool:
    found = broker.image.topics.by_name.get(topic.name)
    error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if not broker.allowed.topic(request, Operation.READ, topic.name):
        error, found = ErrorCode.TOPIC_AUTHORIZATION_FAILED, None
    there = () if found is None else found.partitions
    lost = [p.partition_index for p in topic.partitions if p.partition_index not in there]
    topic.partitions = [p for p in topic.partitions if p.partition_index in there]
    if lost:
        answers = [OffsetDeleteResponsePartition(index, error) for index in lost]
        refused.append(OffsetDeleteResponseTopic(topic.name, answers))
    return bool(topic.partitions)


def _refuse(error: ErrorCode) -> OffsetDeleteResponse:
    return OffsetDeleteResponse(error_code=error)
