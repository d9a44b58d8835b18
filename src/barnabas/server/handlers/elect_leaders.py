"""ElectLeaders (key 43), versions 0-2; broker and controller listeners (KIP-183, KIP-460).

v0 preferred elections only; v1 kinds of election, an error for the whole; v2 flexible. Per partition:
ELECTION_NOT_NEEDED, PREFERRED_LEADER_NOT_AVAILABLE, ELIGIBLE_LEADERS_NOT_AVAILABLE,
UNKNOWN_TOPIC_OR_PARTITION. Whole, and then per partition, too: INVALID_REQUEST (kind of election),
POLICY_VIOLATION, CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.elections import elect_leaders
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.elect_leaders_request import ElectLeadersRequest
from barnabas.wire.messages.elect_leaders_response import (
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: ElectLeadersRequest
) -> ElectLeadersResponse:
    """Hold the elections."""
    if not broker.allowed.cluster(request, Operation.ALTER):
        denied = KafkaError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Cluster authorization failed.")
        return _refused(request, message, denied)
    try:
        return await broker.submit(lambda image: elect_leaders(image, broker.settings, message))
    except KafkaError as error:
        return _refused(request, message, error)


def _refused(
    request: Request, message: ElectLeadersRequest, error: KafkaError
) -> ElectLeadersResponse:
    results = [
        ReplicaElectionResult(
            topic.topic, [PartitionResult(n, error.code, error.message) for n in topic.partitions]
        )
        for topic in message.topic_partitions or ()
    ]
    whole = error.code if request.api_version >= 1 else ErrorCode.NONE
    return ElectLeadersResponse(error_code=whole, replica_election_results=results)
