"""SyncGroup (key 14), versions 0-5; broker listeners. Classic groups.

v3 static members; v4 flexible; v5 protocol type and name must be there and agree (KIP-559). Errors:
INVALID_GROUP_ID, GROUP_AUTHORIZATION_FAILED, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID,
ILLEGAL_GENERATION, INCONSISTENT_GROUP_PROTOCOL, REBALANCE_IN_PROGRESS, and those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.groups.classic.rebalance import refuse_sync
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.tickets import RequestTicket
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.sync_group_request import SyncGroupRequest
from barnabas.wire.messages.sync_group_response import SyncGroupResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

PROTOCOL_FROM = 5


def handle(broker: Broker, request: Request, message: SyncGroupRequest) -> SyncGroupResponse | None:
    """Bring the assignment, or fetch one's own."""
    group_id = message.group_id
    if request.api_version >= PROTOCOL_FROM and None in (
        message.protocol_type,
        message.protocol_name,
    ):
        return refuse_sync(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if not broker.allowed.resource(request, Operation.READ, ResourceType.GROUP, group_id):
        return refuse_sync(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not group_id:
        return refuse_sync(ErrorCode.INVALID_GROUP_ID)
    ticket = RequestTicket(request, refuse_sync)
    broker.coordinators.groups.run(
        group_id, ticket, lambda shard, now: shard.sync_group(message, ticket, now)
    )
    return None
