"""DeleteGroups (key 42), versions 0-2; broker listeners.

v2 flexible. Errors, for each group: GROUP_AUTHORIZATION_FAILED, NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, and
those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation, ResourceType
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.delete_groups_request import DeleteGroupsRequest
from barnabas.wire.messages.delete_groups_response import DeletableGroupResult, DeleteGroupsResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: DeleteGroupsRequest
) -> DeleteGroupsResponse:
    """Delete groups without members, and their offsets."""
    results = []
    for group_id in dict.fromkeys(message.groups_names):
        error = ErrorCode.NONE
        if not broker.allowed.resource(request, Operation.DELETE, ResourceType.GROUP, group_id):
            error = ErrorCode.GROUP_AUTHORIZATION_FAILED
        else:
            error = await _delete(broker, group_id)
        results.append(DeletableGroupResult(group_id, error))
    return DeleteGroupsResponse(results=results)


async def _delete(broker: Broker, group_id: str) -> ErrorCode:
    try:
        answer: DeleteGroupsResponse = await broker.coordinators.groups.ask(
            group_id, lambda shard, now, ticket: shard.delete_group(group_id, ticket, now)
        )
    except KafkaError as error:
        return error.code
    return ErrorCode(answer.results[0].error_code)
