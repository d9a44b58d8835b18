"""JoinGroup (key 11), versions 0-9; broker listeners. Classic groups.

v1 rebalance timeout; v4 MEMBER_ID_REQUIRED (KIP-394); v5 static members (KIP-345); v6 flexible; v7
protocol type in the answer; v8 reason; v9 skip_assignment (KIP-814). Errors: INVALID_GROUP_ID,
GROUP_AUTHORIZATION_FAILED, INVALID_SESSION_TIMEOUT, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID,
INCONSISTENT_GROUP_PROTOCOL, GROUP_MAX_SIZE_REACHED, MEMBER_ID_REQUIRED, REBALANCE_IN_PROGRESS, and
those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.groups.classic.rebalance import refuse_join
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.groups import context_of
from barnabas.server.coordinators.tickets import RequestTicket
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.join_group_request import JoinGroupRequest
from barnabas.wire.messages.join_group_response import JoinGroupResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

NULL_PROTOCOL_FROM = 7


def handle(broker: Broker, request: Request, message: JoinGroupRequest) -> JoinGroupResponse | None:
    """Join; the answer comes with the next generation."""

    def finish(response: JoinGroupResponse) -> JoinGroupResponse:
        none = "" if request.api_version < NULL_PROTOCOL_FROM else None
        response.protocol_name = response.protocol_name or none
        return response

    def refuse(error: ErrorCode) -> JoinGroupResponse:
        return finish(refuse_join(error, ""))

    group_id = message.group_id
    if not broker.allowed.resource(request, Operation.READ, ResourceType.GROUP, group_id):
        return refuse(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not group_id:
        return finish(refuse_join(ErrorCode.INVALID_GROUP_ID, message.member_id))
    ticket = RequestTicket(request, refuse, finish)
    context = context_of(broker, request)
    broker.coordinators.groups.run(
        group_id, ticket, lambda shard, now: shard.join_group(context, message, ticket, now)
    )
    return None
