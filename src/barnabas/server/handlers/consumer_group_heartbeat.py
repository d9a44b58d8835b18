"""ConsumerGroupHeartbeat (key 68), versions 0-1; broker listeners. Consumer groups (KIP-848).

v1 regular expressions (RE2 syntax), and members choose their ids (KIP-1082). Errors:
GROUP_AUTHORIZATION_FAILED, TOPIC_AUTHORIZATION_FAILED, UNSUPPORTED_VERSION (group.version 0),
INVALID_REQUEST, UNSUPPORTED_ASSIGNOR, INVALID_REGULAR_EXPRESSION, GROUP_ID_NOT_FOUND,
UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, FENCED_INSTANCE_ID,
GROUP_MAX_SIZE_REACHED, and those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.groups.consumer.heartbeat import refuse_heartbeat
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.groups import consumer_groups_enabled, context_of
from barnabas.server.coordinators.tickets import RequestTicket
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.consumer_group_heartbeat_request import ConsumerGroupHeartbeatRequest
from barnabas.wire.messages.consumer_group_heartbeat_response import ConsumerGroupHeartbeatResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


def handle(
    broker: Broker, request: Request, message: ConsumerGroupHeartbeatRequest
) -> ConsumerGroupHeartbeatResponse | None:
    """Join, stay, or leave."""
    group_id = message.group_id
    if not consumer_groups_enabled(broker):
        return refuse_heartbeat(ErrorCode.UNSUPPORTED_VERSION)
    if not broker.allowed.resource(request, Operation.READ, ResourceType.GROUP, group_id):
        return refuse_heartbeat(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    names = message.subscribed_topic_names or ()
    if not all(broker.allowed.topic(request, Operation.DESCRIBE, name) for name in names):
        return refuse_heartbeat(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    ticket = RequestTicket(request, refuse_heartbeat)
    context = context_of(broker, request)
    broker.coordinators.groups.run(
        group_id,
        ticket,
        lambda shard, now: shard.consumer_group_heartbeat(context, message, ticket, now),
    )
    return None
