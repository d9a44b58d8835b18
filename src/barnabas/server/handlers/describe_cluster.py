"""DescribeCluster (key 60), versions 0-2; broker and controller listeners.

v1 endpoint type (KIP-919); v2 fenced brokers. Errors: UNSUPPORTED_ENDPOINT_TYPE,
MISMATCHED_ENDPOINT_TYPE, INVALID_REQUEST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.security.operations import Operation, ResourceType
from barnabas.server.authorization import CLUSTER_NAME, NOT_REQUESTED
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.describe_cluster_request import DescribeClusterRequest
from barnabas.wire.messages.describe_cluster_response import (
    DescribeClusterBroker,
    DescribeClusterResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

BROKERS: Final = 1
CONTROLLERS: Final = 2


def handle(
    broker: Broker, request: Request, message: DescribeClusterRequest
) -> DescribeClusterResponse:
    """Nodes of one kind, as this listener's clients reach them."""
    on_controller = request.connection.on_controller
    wanted = message.endpoint_type
    if wanted not in (BROKERS, CONTROLLERS):
        return _refuse(ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, f"Unsupported endpoint type {wanted}")
    if wanted != (CONTROLLERS if on_controller else BROKERS):
        return _refuse(
            ErrorCode.MISMATCHED_ENDPOINT_TYPE,
            "The request was sent to an endpoint of the wrong type",
        )
    if on_controller and not broker.allowed.cluster(request, Operation.ALTER):
        return _refuse(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "")
    operations = NOT_REQUESTED
    if message.include_cluster_authorized_operations:
        operations = 0
        if broker.allowed.cluster(request, Operation.DESCRIBE):
            operations = broker.allowed.operations(request, ResourceType.CLUSTER, CLUSTER_NAME)
    listener = request.connection.listener_name
    return DescribeClusterResponse(
        endpoint_type=wanted,
        cluster_id=broker.cluster_id,
        controller_id=broker.node_id,
        brokers=[
            DescribeClusterBroker(n.id, n.host, n.port, n.rack, n.fenced)
            for n in (
                broker.controller_nodes(listener)
                if on_controller
                else broker.nodes(request.connection, include_fenced=message.include_fenced_brokers)
            )
        ],
        cluster_authorized_operations=operations,
    )


def _refuse(code: ErrorCode, text: str) -> DescribeClusterResponse:
    # The kind that was asked for is not repeated: Kafka leaves the field at its default.
    return DescribeClusterResponse(error_code=code, error_message=text)
