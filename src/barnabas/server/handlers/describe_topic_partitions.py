"""DescribeTopicPartitions (key 75), version 0; broker listeners (KIP-966). Paged by a cursor.

Per topic: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, TOPIC_AUTHORIZATION_FAILED,
INVALID_REQUEST (cursor outside the topics asked for, or negative). No error per partition: one whose
leader cannot be reached has leader -1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.metadata.image.topics import Topic
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.topics import INTERNAL_TOPICS, leader_or_error, unknown_topic
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.describe_topic_partitions_request import (
    DescribeTopicPartitionsRequest,
)
from barnabas.wire.messages.describe_topic_partitions_response import (
    Cursor,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


def handle(
    broker: Broker, request: Request, message: DescribeTopicPartitionsRequest
) -> DescribeTopicPartitionsResponse:
    """Topics by name, from the cursor on, up to a number of partitions."""
    cursor = message.cursor
    start = cursor.topic_name if cursor is not None else ""
    everything = not message.topics
    names = {t.name for t in message.topics} or set(broker.image.topics.by_name)
    wanted = sorted(name for name in names if name >= start)
    if "" in wanted:
        return _refuse(message, ErrorCode.UNKNOWN_SERVER_ERROR)
    if cursor is not None and (
        cursor.partition_index < 0 or (not everything and start not in wanted)
    ):
        return _refuse(message, ErrorCode.INVALID_REQUEST)
    denied = [n for n in wanted if not broker.allowed.topic(request, Operation.DESCRIBE, n)]
    limit = broker.config.get_int("max.request.partition.size.limit")
    response = _page(
        broker,
        request,
        [name for name in wanted if name not in denied],
        (start, cursor.partition_index) if cursor is not None else ("", 0),
        max(1, min(limit, message.response_partition_limit)),
        skip_unknown=everything,
    )
    for topic in response.topics:
        if topic.name is not None:
            topic.topic_authorized_operations = broker.allowed.operations(
                request, ResourceType.TOPIC, topic.name
            )
    if not everything:
        response.topics += [
            DescribeTopicPartitionsResponseTopic(ErrorCode.TOPIC_AUTHORIZATION_FAILED, name)
            for name in denied
        ]
    return response


def _refuse(
    message: DescribeTopicPartitionsRequest, error: ErrorCode
) -> DescribeTopicPartitionsResponse:
    """The request as a whole: each topic is told."""
    return DescribeTopicPartitionsResponse(
        topics=[DescribeTopicPartitionsResponseTopic(error, t.name) for t in message.topics]
    )


def _page(
    broker: Broker,
    request: Request,
    names: list[str],
    start: tuple[str, int],
    limit: int,
    *,
    skip_unknown: bool,
) -> DescribeTopicPartitionsResponse:
    response = DescribeTopicPartitionsResponse(next_cursor=None)
    for name in names:
        if limit <= 0:
            response.next_cursor = Cursor(name, 0)
            break
        topic = broker.image.topics.by_name.get(name)
        if topic is None:
            if not skip_unknown:
                response.topics.append(
                    DescribeTopicPartitionsResponseTopic(
                        unknown_topic(name), name, is_internal=name in INTERNAL_TOPICS
                    )
                )
            continue
        first = start[1] if name == start[0] else 0
        numbers = sorted(n for n in topic.partitions if n >= first)
        shown = [_partition(broker, request, topic, n) for n in numbers[:limit]]
        response.topics.append(
            DescribeTopicPartitionsResponseTopic(
                ErrorCode.NONE, name, topic.id, name in INTERNAL_TOPICS, shown
            )
        )
        if len(numbers) > limit:
            response.next_cursor = Cursor(name, numbers[limit])
            break
        limit -= len(shown)
    return response


def _partition(
    broker: Broker, request: Request, topic: Topic, number: int
) -> DescribeTopicPartitionsResponsePartition:
    partition = topic.partitions[number]
    _, leader = leader_or_error(
        broker.image.cluster,
        partition,
        request.connection.listener_name,
        ErrorCode.LISTENER_NOT_FOUND,
    )
    return DescribeTopicPartitionsResponsePartition(
        ErrorCode.NONE,
        number,
        leader,
        partition.leader_epoch,
        list(partition.replicas),
        list(partition.isr),
        list(partition.elr),
        list(partition.last_known_elr),
        broker.offline_replicas(topic.name, number, partition),
    )
