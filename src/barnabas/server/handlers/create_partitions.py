"""CreatePartitions (key 37), versions 0-3; broker and controller listeners.

v2 flexible; v3 quota error. Per topic: UNKNOWN_TOPIC_OR_PARTITION, INVALID_PARTITIONS,
INVALID_REPLICA_ASSIGNMENT, INVALID_REQUEST, TOPIC_AUTHORIZATION_FAILED, THROTTLING_QUOTA_EXCEEDED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.metadata.controller.partitions import create_partitions
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.create_partitions_request import CreatePartitionsRequest
from barnabas.wire.messages.create_partitions_response import (
    CreatePartitionsResponse,
    CreatePartitionsTopicResult,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

QUOTA_ERROR_FROM: Final = 3


async def handle(
    broker: Broker, request: Request, message: CreatePartitionsRequest
) -> CreatePartitionsResponse:
    """Add partitions to the topics that the principal may alter."""
    denied = {
        t.name for t in message.topics if not broker.allowed.topic(request, Operation.ALTER, t.name)
    }
    message.topics = [t for t in message.topics if t.name not in denied]
    mutations = broker.mutations(request, strict_from=QUOTA_ERROR_FROM)
    try:
        response = await broker.submit(
            lambda image: create_partitions(image, broker.settings, message, charge=mutations.take)
        )
    except KafkaError as error:
        response = CreatePartitionsResponse(
            results=[
                CreatePartitionsTopicResult(t.name, error.code, error.message)
                for t in message.topics
            ]
        )
    response.results += [
        CreatePartitionsTopicResult(
            name, ErrorCode.TOPIC_AUTHORIZATION_FAILED, "Authorization failed."
        )
        for name in sorted(denied)
    ]
    response.throttle_time_ms = mutations.throttle_ms
    return response
