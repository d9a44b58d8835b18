"""The topics in which coordinators keep their records: made when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.metadata.controller.topics import create_topics
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker

CONSUMER_OFFSETS: Final = "__consumer_offsets"
TRANSACTION_STATE: Final = "__transaction_state"

#: Topic -> the configs with its partitions, its replication factor.
_SHAPES: Final = {
    CONSUMER_OFFSETS: ("offsets.topic.num.partitions", "offsets.topic.replication.factor"),
    TRANSACTION_STATE: (
        "transaction.state.log.num.partitions",
        "transaction.state.log.replication.factor",
    ),
}


def partitions_wanted(broker: Broker, topic: str) -> int:
    """Partitions that an internal topic gets when it is made."""
    return broker.config.get_int(_SHAPES[topic][0])


async def ensure_topic(broker: Broker, topic: str) -> None:
    """Make an internal topic unless it is there.

    With as many replicas as there are brokers, where the configuration wants more: a single node
    serves groups and transactions without a change of Kafka's defaults. Raises `KafkaError`.
    """
    if topic in broker.image.topics.by_name:
        return
    alive = sum(not registered.fenced for registered in broker.image.cluster.brokers.values())
    wanted = broker.config.get_int(_SHAPES[topic][1])
    creatable = CreatableTopic(
        topic,
        partitions_wanted(broker, topic),
        max(1, min(wanted, alive)),
        configs=[CreatableTopicConfig(name, value) for name, value in _configs(broker, topic)],
    )
    request = CreateTopicsRequest([creatable], validate_only=False)
    response = await broker.submit(lambda image: create_topics(image, broker.settings, request))
    made = response.topics[0]
    if made.error_code not in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
        raise KafkaError(ErrorCode(made.error_code), made.error_message or "")


def _configs(broker: Broker, topic: str) -> list[tuple[str, str]]:
    """What Kafka sets on the topic itself."""
    config = broker.config
    if topic == CONSUMER_OFFSETS:
        return [
            ("cleanup.policy", "compact"),
            ("compression.type", "producer"),
            ("segment.bytes", str(config.get_int("offsets.topic.segment.bytes"))),
        ]
    return [
        ("cleanup.policy", "compact"),
        ("compression.type", "uncompressed"),
        ("min.insync.replicas", str(config.get_int("transaction.state.log.min.isr"))),
        ("segment.bytes", str(config.get_int("transaction.state.log.segment.bytes"))),
        ("unclean.leader.election.enable", "false"),
    ]
