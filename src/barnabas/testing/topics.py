"""Topics made and deleted from within a node's process, without a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.topic_deletion import delete_topics
from barnabas.metadata.controller.topics import create_topics
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState

if TYPE_CHECKING:
    from barnabas.server.node import Node


async def create_topic(node: Node, name: str, partitions: int, configs: dict[str, str]) -> None:
    """Create a topic. Raises `KafkaError`."""
    broker = node.broker
    topic = CreatableTopic(
        name,
        partitions,
        1,
        configs=[CreatableTopicConfig(key, value) for key, value in configs.items()],
    )
    request = CreateTopicsRequest([topic], validate_only=False)
    answer = (
        await broker.submit(lambda image: create_topics(image, broker.settings, request))
    ).topics[0]
    if answer.error_code:
        raise KafkaError(ErrorCode(answer.error_code), answer.error_message or "")


async def delete_topic(node: Node, name: str) -> None:
    """Delete a topic. Raises `KafkaError`."""
    broker = node.broker
    request = DeleteTopicsRequest([DeleteTopicState(name)])
    answer = (
        await broker.submit(lambda image: delete_topics(image, broker.settings, request))
    ).responses[0]
    if answer.error_code:
        raise KafkaError(ErrorCode(answer.error_code), answer.error_message or "")
