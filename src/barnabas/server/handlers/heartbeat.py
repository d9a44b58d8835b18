"""Heartbeat (key 12), versions 0-4; broker listeners. Classic groups.

v3 static members; v4 flexible. Errors: INVALID_GROUP_ID, GROUP_AUTHORIZATION_FAILED,
UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS, and those of a
coordinator; one that is still loading is told to nobody: the member lives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.tickets import RequestTicket
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


def handle(broker: Broker, request: Request, message: HeartbeatRequest) -> HeartbeatResponse | None:
    """A member lives."""
    group_id = message.group_id
    if not broker.allowed.resource(request, Operation.READ, ResourceType.GROUP, group_id):
        return _refuse(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not group_id:
        return _refuse(ErrorCode.INVALID_GROUP_ID)
    ticket = RequestTicket(request, _refuse)
    broker.coordinators.groups.run(
        group_id, ticket, lambda shard, now: shard.heartbeat(message, ticket, now)
    )
    return None


def _refuse(error: ErrorCode) -> HeartbeatResponse:
    if error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
        error = ErrorCode.NONE
    return HeartbeatResponse(error_code=error)
