"""ConsumerGroupDescribe (key 69), versions 0-1; broker listeners. Consumer groups (KIP-848).

v1 the protocol of each member. Errors, for each group: GROUP_AUTHORIZATION_FAILED,
TOPIC_AUTHORIZATION_FAILED (a member has a topic that the client may not know of),
UNSUPPORTED_VERSION (group.version 0), INVALID_GROUP_ID, GROUP_ID_NOT_FOUND, and those of a
coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects
from barnabas.groups.consumer.describe import refuse_describe
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.groups import consumer_groups_enabled
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.consumer_group_describe_request import ConsumerGroupDescribeRequest
from barnabas.wire.messages.consumer_group_describe_response import (
    ConsumerGroupDescribeResponse,
    DescribedGroup,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: ConsumerGroupDescribeRequest
) -> ConsumerGroupDescribeResponse:
    """Describe some groups, each once, however often it is named."""
    if not consumer_groups_enabled(broker):
        refused = [
            refuse_describe(each, ErrorCode.UNSUPPORTED_VERSION) for each in message.group_ids
        ]
        return ConsumerGroupDescribeResponse(groups=refused)
    groups = []
    for group_id in dict.fromkeys(message.group_ids):
        found = await _describe(broker, request, group_id)
        if message.include_authorized_operations and not found.error_code:
            found.authorized_operations = broker.allowed.operations(
                request, ResourceType.GROUP, group_id
            )
        groups.append(found)
    return ConsumerGroupDescribeResponse(groups=groups)


async def _describe(broker: Broker, request: Request, group_id: str) -> DescribedGroup:
    if not broker.allowed.resource(request, Operation.DESCRIBE, ResourceType.GROUP, group_id):
        return refuse_describe(group_id, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not group_id:
        return refuse_describe(group_id, ErrorCode.INVALID_GROUP_ID)
    try:
        found: DescribedGroup = await broker.coordinators.groups.ask(
            group_id,
            lambda shard, _, ticket: Effects().reply(
                ticket, shard.describe_consumer_group(group_id)
            ),
        )
    except KafkaError as error:
        return refuse_describe(group_id, error.code)
    names = {
        topic.topic_name
        for member in found.members
        for assignment in (member.assignment, member.target_assignment)
        for topic in assignment.topic_partitions
    }
    if all(broker.allowed.topic(request, Operation.DESCRIBE, name) for name in names):
        return found
    return refuse_describe(
        group_id,
        ErrorCode.TOPIC_AUTHORIZATION_FAILED,
        "The group has topics that the client is not authorized to describe.",
    )
