"""DeleteTopics (key 20), versions 1-6; broker and controller listeners.

v4 flexible; v5 messages; v6 by name or id. Per topic: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID,
TOPIC_AUTHORIZATION_FAILED, TOPIC_DELETION_DISABLED, INVALID_REQUEST, THROTTLING_QUOTA_EXCEEDED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.metadata.controller.topic_deletion import delete_topics
from barnabas.security.operations import Operation
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import (
    DeletableTopicResult,
    DeleteTopicsResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

QUOTA_ERROR_FROM: Final = 5


async def handle(
    broker: Broker, request: Request, message: DeleteTopicsRequest
) -> DeleteTopicsResponse:
    """Delete what the principal may delete."""
    refused: list[DeletableTopicResult] = []
    if request.api_version >= 6:
        message.topics = [t for t in message.topics if _may(broker, request, t, refused)]
    else:
        denied = [
            n for n in message.topic_names if not broker.allowed.topic(request, Operation.DELETE, n)
        ]
        message.topic_names = [n for n in message.topic_names if n not in denied]
        refused = [_refusal(n, uuids.ZERO) for n in denied]
    mutations = broker.mutations(request, strict_from=QUOTA_ERROR_FROM)
    try:
        response = await broker.submit(
            lambda image: delete_topics(image, broker.settings, message, charge=mutations.take)
        )
    except KafkaError as error:
        wanted = [(t.name, t.topic_id) for t in message.topics]
        wanted += [(n, uuids.ZERO) for n in message.topic_names]
        response = DeleteTopicsResponse(
            responses=[
                DeletableTopicResult(name, topic_id, error.code, error.message)
                for name, topic_id in wanted
            ]
        )
    response.responses += refused
    response.throttle_time_ms = mutations.throttle_ms
    return response


def _may(
    broker: Broker,
    request: Request,
    topic: DeleteTopicState,
    refused: list[DeletableTopicResult],
) -> bool:
    name = topic.name
    if name is None:
        known = broker.image.topics.by_id.get(topic.topic_id)
        if known is None:
            return True  # answered UNKNOWN_TOPIC_ID, which tells nothing
        name = known.name
    if broker.allowed.topic(request, Operation.DELETE, name):
        return True
    # Who may not even describe the topic does not learn the name behind an id.
    shown = name if broker.allowed.topic(request, Operation.DESCRIBE, name) else topic.name
    refused.append(_refusal(shown, topic.topic_id))
    return False


def _refusal(name: str | None, topic_id: bytes) -> DeletableTopicResult:
    return DeletableTopicResult(
        name, topic_id, ErrorCode.TOPIC_AUTHORIZATION_FAILED, "Authorization failed."
    )
