"""AlterPartitionReassignments (key 45), versions 0-1; broker and controller listeners (KIP-455).

v1 says whether the replication factor may change (KIP-860). Per partition: INVALID_REPLICA_ASSIGNMENT,
INVALID_REPLICATION_FACTOR, NO_REASSIGNMENT_IN_PROGRESS, UNKNOWN_TOPIC_OR_PARTITION. Whole, and then
per partition, too: POLICY_VIOLATION, CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.reassignments import alter_reassignments
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.alter_partition_reassignments_request import (
    AlterPartitionReassignmentsRequest,
)
from barnabas.wire.messages.alter_partition_reassignments_response import (
    AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: AlterPartitionReassignmentsRequest
) -> AlterPartitionReassignmentsResponse:
    """Begin or cancel reassignments."""
    if not broker.allowed.cluster(request, Operation.ALTER):
        return _refused(
            message,
            KafkaError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Cluster authorization failed."),
        )
    try:
        return await broker.submit(
            lambda image: alter_reassignments(image, broker.settings, message)
        )
    except KafkaError as error:
        return _refused(message, error)


def _refused(
    message: AlterPartitionReassignmentsRequest, error: KafkaError
) -> AlterPartitionReassignmentsResponse:
    return AlterPartitionReassignmentsResponse(
        error_code=error.code,
        error_message=error.message,
        responses=[
            ReassignableTopicResponse(
                topic.name,
                [
                    ReassignablePartitionResponse(p.partition_index, error.code, error.message)
                    for p in topic.partitions
                ],
            )
            for topic in message.topics
        ],
    )
