"""ListGroups (key 16), versions 0-5; broker listeners.

v3 flexible; v4 states (KIP-518); v5 types (KIP-848). Without Describe on the cluster only the groups
are shown that may be described. Errors: those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.list_groups_request import ListGroupsRequest
from barnabas.wire.messages.list_groups_response import ListedGroup, ListGroupsResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: ListGroupsRequest
) -> ListGroupsResponse:
    """All groups of this node's coordinators."""
    found: list[ListedGroup] = []
    if CONSUMER_OFFSETS in broker.image.topics.by_name:
        groups = broker.coordinators.groups
        for number in groups.runtime.used():
            try:
                answer: ListGroupsResponse = await groups.ask_partition(
                    number,
                    lambda shard, _, ticket: Effects().reply(
                        ticket,
                        ListGroupsResponse(
                            groups=shard.list_groups(message.states_filter, message.types_filter)
                        ),
                    ),
                )
            except KafkaError as error:
                if error.code is ErrorCode.NOT_COORDINATOR:
                    continue  # it has just moved: its groups are listed elsewhere
                return ListGroupsResponse(error_code=error.code)
            found += answer.groups
    if not broker.allowed.cluster(request, Operation.DESCRIBE):
        found = [
            each
            for each in found
            if broker.allowed.resource(
                request, Operation.DESCRIBE, ResourceType.GROUP, each.group_id
            )
        ]
    return ListGroupsResponse(groups=found)
