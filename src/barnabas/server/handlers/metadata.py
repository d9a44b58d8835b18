"""Metadata (key 3), versions 0-13; broker listeners.

v4 auto-creation by request; v8-10 cluster authorized operations; v9 flexible; v10 topic ids; v12
look-up by id; v13 top-level error. Per-topic errors: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID,
INVALID_TOPIC_EXCEPTION, TOPIC_AUTHORIZATION_FAILED; per partition LEADER_NOT_AVAILABLE (v0-5:
also for a missing listener) or LISTENER_NOT_FOUND. Where Kafka answers UNKNOWN_TOPIC_OR_PARTITION
while it makes a topic, the answer here waits for it, up to a second.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from barnabas.metadata.image.topics import Topic
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.authorization import CLUSTER_NAME, NOT_REQUESTED
from barnabas.server.topics import INTERNAL_TOPICS, leader_or_error, unknown_topic
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


def handle(
    broker: Broker, request: Request, message: MetadataRequest
) -> MetadataResponse | Coroutine[Any, Any, MetadataResponse]:
    """Brokers, and the topics asked for (all of them for null, or for none in v0)."""
    wanted: list[str] = []
    answer = _answer(broker, request, message, wanted)
    return _once_made(broker, request, message, wanted) if wanted else answer


async def _once_made(
    broker: Broker, request: Request, message: MetadataRequest, wanted: list[str]
) -> MetadataResponse:
    await broker.auto_creation.create(wanted, request)
    return _answer(broker, request, message, [])


def _answer(
    broker: Broker, request: Request, message: MetadataRequest, wanted: list[str]
) -> MetadataResponse:
    """The answer as things are; `wanted` gets the names that are to be made."""
    version = request.api_version
    everything = message.topics is None or (version == 0 and not message.topics)
    if version in (10, 11) and any(
        t.name is None or t.topic_id != uuids.ZERO for t in message.topics or ()
    ):
        return _refuse(message, ErrorCode.INVALID_REQUEST)
    if _asks_for_nothing(message):
        refused = _refuse(message, ErrorCode.UNKNOWN_SERVER_ERROR)
        refused.error_code = ErrorCode.UNKNOWN_SERVER_ERROR  # from v13 on
        return refused
    if everything:
        answers = _all_topics(broker, request)
    else:
        answers = _some_topics(broker, request, message, wanted)
    if version >= 8 and message.include_topic_authorized_operations:
        for topic in answers:
            if topic.name is not None:
                topic.topic_authorized_operations = broker.allowed.operations(
                    request, ResourceType.TOPIC, topic.name
                )
    cluster_operations = NOT_REQUESTED
    if 8 <= version <= 10 and message.include_cluster_authorized_operations:
        cluster_operations = 0
        if broker.allowed.cluster(request, Operation.DESCRIBE):
            cluster_operations = broker.allowed.operations(
                request, ResourceType.CLUSTER, CLUSTER_NAME
            )
    return MetadataResponse(
        brokers=[
            MetadataResponseBroker(n.id, n.host, n.port, n.rack)
            for n in broker.nodes(request.connection)
        ],
        cluster_id=broker.cluster_id,
        controller_id=broker.random_broker_id(),
        topics=answers,
        cluster_authorized_operations=cluster_operations,
    )


def _asks_for_nothing(message: MetadataRequest) -> bool:
    """Whether a topic has neither name nor id, where names count: that is, no topic has an id."""
    topics = message.topics or ()
    return not any(t.topic_id != uuids.ZERO for t in topics) and any(t.name is None for t in topics)


def _refuse(message: MetadataRequest, error: ErrorCode) -> MetadataResponse:
    """The same error for every topic of the request."""
    return MetadataResponse(
        topics=[
            MetadataResponseTopic(error, t.name or "", t.topic_id) for t in message.topics or ()
        ]
    )


def _all_topics(broker: Broker, request: Request) -> list[MetadataResponseTopic]:
    return [
        _topic(broker, request, topic)
        for name, topic in broker.image.topics.by_name.items()
        if broker.allowed.topic(request, Operation.DESCRIBE, name)
    ]


def _some_topics(
    broker: Broker, request: Request, message: MetadataRequest, wanted: list[str]
) -> list[MetadataResponseTopic]:
    topics = broker.image.topics
    names: dict[str, None] = {}
    ids: dict[bytes, None] = {}
    for asked in message.topics or ():
        if asked.topic_id != uuids.ZERO:
            ids[asked.topic_id] = None
        elif asked.name is not None:
            names[asked.name] = None
    answers: list[MetadataResponseTopic] = []
    if ids:
        for topic_id in ids:
            known = topics.by_id.get(topic_id)
            if known is None:
                answers.append(MetadataResponseTopic(ErrorCode.UNKNOWN_TOPIC_ID, None, topic_id))
            elif not broker.allowed.topic(request, Operation.DESCRIBE, known.name):
                answers.append(
                    MetadataResponseTopic(ErrorCode.TOPIC_AUTHORIZATION_FAILED, None, topic_id)
                )
            else:
                answers.append(_topic(broker, request, known))
        return answers
    missing: list[str] = []
    for name in names:
        if not broker.allowed.topic(request, Operation.DESCRIBE, name):
            answers.append(MetadataResponseTopic(ErrorCode.TOPIC_AUTHORIZATION_FAILED, name))
            continue
        known = topics.by_name.get(name)
        if known is None:
            missing.append(name)
        else:
            answers.append(_topic(broker, request, known))
    answers += _missing(broker, request, missing, wanted, message.allow_auto_topic_creation)
    return answers


def _missing(
    broker: Broker, request: Request, names: Iterable[str], wanted: list[str], allow_creation: bool
) -> list[MetadataResponseTopic]:
    """Unknown names; `wanted` gets those that the client may have made."""
    create = allow_creation and broker.config.get_bool("auto.create.topics.enable")
    answers: list[MetadataResponseTopic] = []
    for name in names:
        code = unknown_topic(name)
        if create and code is not ErrorCode.INVALID_TOPIC_EXCEPTION:
            if broker.allowed.cluster(request, Operation.CREATE) or broker.allowed.topic(
                request, Operation.CREATE, name
            ):
                wanted.append(name)
            else:
                code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        answers.append(MetadataResponseTopic(code, name, is_internal=name in INTERNAL_TOPICS))
    return answers


def _topic(broker: Broker, request: Request, topic: Topic) -> MetadataResponseTopic:
    listener = request.connection.listener_name
    cluster = broker.image.cluster
    no_listener = (
        ErrorCode.LISTENER_NOT_FOUND if request.api_version >= 6 else ErrorCode.LEADER_NOT_AVAILABLE
    )
    partitions = []
    for number, partition in topic.partitions.items():
        code, leader = leader_or_error(cluster, partition, listener, no_listener)
        partitions.append(
            MetadataResponsePartition(
                code,
                number,
                leader,
                partition.leader_epoch,
                list(partition.replicas),
                list(partition.isr),
                broker.offline_replicas(topic.name, number, partition),
            )
        )
    return MetadataResponseTopic(
        ErrorCode.NONE, topic.name, topic.id, topic.name in INTERNAL_TOPICS, partitions
    )
