"""DescribeProducers (key 61), version 0; broker listeners (KIP-664).

Per partition: INVALID_TOPIC_EXCEPTION, TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION,
NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.controller.topic_names import check_topic_name
from barnabas.security.operations import Operation
from barnabas.server.topics import made_when_used
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.describe_producers_request import DescribeProducersRequest
from barnabas.wire.messages.describe_producers_response import (
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicResponse,
)

if TYPE_CHECKING:
    from barnabas.partition.producer_entry import ProducerEntry
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: DescribeProducersRequest
) -> DescribeProducersResponse:
    """The producers that each partition remembers, and their open transactions; each partition
    once, however often it is named."""
    topics = []
    wanted: dict[str, dict[int, None]] = {}
    for topic in message.topics:
        wanted.setdefault(topic.name, {}).update(dict.fromkeys(topic.partition_indexes))
    for name, indexes in wanted.items():
        refused = _refusal(broker, request, name)
        partitions = [
            PartitionResponse(index, refused.code, refused.message)
            if refused is not None
            else await _partition(broker, name, index)
            for index in indexes
        ]
        topics.append(TopicResponse(name, partitions))
    return DescribeProducersResponse(topics=topics)


def _refusal(broker: Broker, request: Request, name: str) -> KafkaError | None:
    try:
        check_topic_name(name)
    except KafkaError as bad_name:
        return bad_name
    if not broker.allowed.topic(request, Operation.READ, name):
        return KafkaError(
            ErrorCode.TOPIC_AUTHORIZATION_FAILED, f"Reading topic {name} is not allowed."
        )
    if name not in broker.image.topics.by_name:
        return KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic {name}.")
    return None


async def _partition(broker: Broker, name: str, index: int) -> PartitionResponse:
    unused = made_when_used(name) and not broker.has_files(name, index)
    if unused and broker.partitions.get(name, index) is None:
        return PartitionResponse(index)
    hosted = await broker.partitions.open(name, index)
    if isinstance(hosted, ErrorCode):
        return PartitionResponse(index, hosted)
    error = hosted.error(leader=False)
    if error:
        return PartitionResponse(index, error)
    producers = hosted.log.producers.producers
    return PartitionResponse(
        index, active_producers=[_state(producers[producer]) for producer in sorted(producers)]
    )


def _state(entry: ProducerEntry) -> ProducerState:
    return ProducerState(
        entry.producer_id,
        entry.epoch,
        entry.last_sequence,
        entry.last_timestamp,
        entry.coordinator_epoch,
        entry.txn_first_offset,
    )
