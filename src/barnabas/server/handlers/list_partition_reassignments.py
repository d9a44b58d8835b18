"""ListPartitionReassignments (key 46), version 0; broker and controller listeners (KIP-455).

Topics and partitions that do not exist are left out. Error: CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.reassignments import list_reassignments
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.list_partition_reassignments_request import (
    ListPartitionReassignmentsRequest,
)
from barnabas.wire.messages.list_partition_reassignments_response import (
    ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


def handle(
    broker: Broker, request: Request, message: ListPartitionReassignmentsRequest
) -> ListPartitionReassignmentsResponse:
    """What is being reassigned, as committed."""
    if broker.allowed.cluster(request, Operation.DESCRIBE):
        return list_reassignments(broker.image, message)
    return ListPartitionReassignmentsResponse(
        error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
        error_message="Cluster authorization failed.",
        topics=[
            OngoingTopicReassignment(
                topic.name, [OngoingPartitionReassignment(n) for n in topic.partition_indexes]
            )
            for topic in message.topics or ()
        ],
    )
