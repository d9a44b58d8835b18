"""CreateTopics (key 19), versions 2-7; broker and controller listeners.

v4 partitions and replication factor -1 mean the defaults; v5 flexible, effective configs in the
answer; v6 quota error; v7 topic id. Per topic: TOPIC_ALREADY_EXISTS, INVALID_TOPIC_EXCEPTION,
INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR, INVALID_REPLICA_ASSIGNMENT, INVALID_CONFIG,
INVALID_REQUEST, TOPIC_AUTHORIZATION_FAILED, POLICY_VIOLATION, THROTTLING_QUOTA_EXCEEDED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.metadata.controller.topics import create_topics
from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.create_topics_request import CreateTopicsRequest
from barnabas.wire.messages.create_topics_response import (
    CreatableTopicResult,
    CreateTopicsResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

QUOTA_ERROR_FROM: Final = 6


async def handle(
    broker: Broker, request: Request, message: CreateTopicsRequest
) -> CreateTopicsResponse:
    """Create what the principal may create."""
    refused: list[CreatableTopicResult] = []
    if not broker.allowed.cluster(request, Operation.CREATE):
        denied = {
            t.name
            for t in message.topics
            if not broker.allowed.topic(request, Operation.CREATE, t.name)
        }
        message.topics = [t for t in message.topics if t.name not in denied]
        refused = [
            CreatableTopicResult(
                name,
                error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED,
                error_message="Authorization failed.",
            )
            for name in sorted(denied)
        ]
    forwarded = not request.connection.on_controller
    mutations = broker.mutations(request, strict_from=QUOTA_ERROR_FROM)
    try:
        response = await broker.submit(
            lambda image: create_topics(
                image, broker.settings, message, forwarded=forwarded, charge=mutations.take
            )
        )
    except KafkaError as error:
        response = CreateTopicsResponse(
            topics=[
                CreatableTopicResult(t.name, error_code=error.code, error_message=error.message)
                for t in message.topics
            ]
        )
    for result in response.topics:
        if not broker.allowed.topic(request, Operation.DESCRIBE_CONFIGS, result.name):
            result.topic_config_error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
            result.configs = []
            result.num_partitions = -1
            result.replication_factor = -1
    response.topics += refused
    response.throttle_time_ms = mutations.throttle_ms
    return response
