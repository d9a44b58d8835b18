"""LeaveGroup (key 13), versions 0-5; broker listeners. Classic groups.

v3 several members, an error for each (KIP-345); v4 flexible; v5 reasons (KIP-800). Errors:
INVALID_GROUP_ID, GROUP_AUTHORIZATION_FAILED, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, and those of a
coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.tickets import RequestTicket
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity
from barnabas.wire.messages.leave_group_response import LeaveGroupResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

MEMBERS_FROM = 3


def handle(
    broker: Broker, request: Request, message: LeaveGroupRequest
) -> LeaveGroupResponse | None:
    """Members go."""
    group_id = message.group_id
    if not broker.allowed.resource(request, Operation.READ, ResourceType.GROUP, group_id):
        return _refuse(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not group_id:
        return _refuse(ErrorCode.INVALID_GROUP_ID)
    if request.api_version < MEMBERS_FROM:
        message = LeaveGroupRequest(group_id, members=[MemberIdentity(message.member_id)])
        ticket = RequestTicket(request, _refuse, _one)
    else:
        ticket = RequestTicket(request, _refuse)
    broker.coordinators.groups.run(
        group_id, ticket, lambda shard, now: shard.leave_group(message, ticket, now)
    )
    return None


def _one(response: LeaveGroupResponse) -> LeaveGroupResponse:
    """The only member's error is that of the request."""
    if response.members:
        return LeaveGroupResponse(error_code=response.members[0].error_code)
    return response


def _refuse(error: ErrorCode) -> LeaveGroupResponse:
    return LeaveGroupResponse(error_code=error)
