"""FindCoordinator (key 10), versions 0-6; broker listeners.

v1 key types; v3 flexible; v4 several keys, an error for each (KIP-699); v5 TRANSACTION_ABORTABLE; v6
share coordinators (KIP-932), which are not built. Errors: GROUP_AUTHORIZATION_FAILED,
TRANSACTIONAL_ID_AUTHORIZATION_FAILED, COORDINATOR_NOT_AVAILABLE, INVALID_REQUEST for an unknown key
type. Where Kafka answers COORDINATOR_NOT_AVAILABLE while it makes the internal topic, the answer
here waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.placement import partition_for
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.internal_topics import (
    CONSUMER_OFFSETS,
    TRANSACTION_STATE,
    ensure_topic,
)
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import (
    Coordinator,
    FindCoordinatorResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker, NodeAddress
    from barnabas.server.request import Request

BATCHED_FROM = 4
GROUP, TRANSACTION, SHARE = 0, 1, 2

#: Key type -> the topic of its coordinator, what is asked for, the error when that is denied.
_KINDS = {
    GROUP: (CONSUMER_OFFSETS, ResourceType.GROUP, ErrorCode.GROUP_AUTHORIZATION_FAILED),
    TRANSACTION: (
        TRANSACTION_STATE,
        ResourceType.TRANSACTIONAL_ID,
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ),
}


async def handle(
    broker: Broker, request: Request, message: FindCoordinatorRequest
) -> FindCoordinatorResponse:
    """Where the coordinators of some groups or transactional ids are."""
    if request.api_version >= BATCHED_FROM:
        found = [
            await _find(broker, request, message.key_type, key) for key in message.coordinator_keys
        ]
        return FindCoordinatorResponse(coordinators=found)
    one = await _find(broker, request, message.key_type, message.key)
    return FindCoordinatorResponse(
        error_code=one.error_code,
        error_message=ErrorCode(one.error_code).name,
        node_id=one.node_id,
        host=one.host,
        port=one.port,
    )


async def _find(broker: Broker, request: Request, kind: int, key: str) -> Coordinator:
    if kind not in _KINDS:
        nowhere = _nowhere(key, ErrorCode.INVALID_REQUEST)
        nowhere.error_message = "" if kind == SHARE else f"there is no key type {kind}"
        return nowhere
    topic, resource, denied = _KINDS[kind]
    if not broker.allowed.resource(request, Operation.DESCRIBE, resource, key):
        return _nowhere(key, denied)
    try:
        await ensure_topic(broker, topic)
    except KafkaError:
        return _nowhere(key, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    node = _leader(broker, request, topic, key)
    if node is None:
        return _nowhere(key, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return Coordinator(key, node.id, node.host, node.port, ErrorCode.NONE)


def _leader(broker: Broker, request: Request, topic: str, key: str) -> NodeAddress | None:
    partitions = broker.image.topics.by_name[topic].partitions
    leader = partitions[partition_for(key, len(partitions))].leader
    nodes = broker.nodes(request.connection)
    return next((node for node in nodes if node.id == leader), None)


def _nowhere(key: str, error: ErrorCode) -> Coordinator:
    return Coordinator(key, -1, "", -1, error)
