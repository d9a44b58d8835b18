"""DescribeGroups (key 15), versions 0-6; broker listeners. Classic groups.

v3 authorized operations (KIP-430); v4 instance ids; v5 flexible; v6 GROUP_ID_NOT_FOUND with a
message (KIP-1043), before it an unknown group is in state Dead. Errors, for each group:
GROUP_AUTHORIZATION_FAILED, and those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects
from barnabas.security.operations import Operation, ResourceType
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.describe_groups_request import DescribeGroupsRequest
from barnabas.wire.messages.describe_groups_response import DescribedGroup, DescribeGroupsResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: DescribeGroupsRequest
) -> DescribeGroupsResponse:
    """Describe some groups, each once, however often it is named."""
    groups = []
    for group_id in dict.fromkeys(message.groups):
        found = await _describe(broker, request, group_id)
        if message.include_authorized_operations and not found.error_code:
            found.authorized_operations = broker.allowed.operations(
                request, ResourceType.GROUP, group_id
            )
        groups.append(found)
    return DescribeGroupsResponse(groups=groups)


async def _describe(broker: Broker, request: Request, group_id: str) -> DescribedGroup:
    if not broker.allowed.resource(request, Operation.DESCRIBE, ResourceType.GROUP, group_id):
        return _refuse(group_id, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    version = request.api_version
    try:
        found: DescribedGroup = await broker.coordinators.groups.ask(
            group_id,
            lambda shard, _, ticket: Effects().reply(ticket, shard.describe(group_id, version)),
        )
    except KafkaError as error:
        return _refuse(group_id, error.code)
    return found


def _refuse(group_id: str, error: ErrorCode) -> DescribedGroup:
    return DescribedGroup(error_code=error, group_id=group_id)
