"""OffsetFetch (key 9), versions 1-10; broker listeners.

v2 all topics (null), an error for the whole; v5 leader epoch; v6 flexible; v7 require_stable
(KIP-447); v8 several groups; v9 member epochs; v10 topic ids. Errors: GROUP_AUTHORIZATION_FAILED and
those of a coordinator, for each group (before v2 for each partition); TOPIC_AUTHORIZATION_FAILED,
UNKNOWN_TOPIC_ID and UNSTABLE_OFFSET_COMMIT for each partition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects
from barnabas.groups.offsets.fetch import refuse_fetch
from barnabas.security.operations import Operation, ResourceType
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.offset_fetch_request import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from barnabas.wire.messages.offset_fetch_response import (
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from barnabas.wire.uuids import ZERO

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

GROUP_ERROR_FROM = 2
GROUPS_FROM = 8
IDS_FROM = 10


async def handle(
    broker: Broker, request: Request, message: OffsetFetchRequest
) -> OffsetFetchResponse:
    """What groups have committed; all that a group has is told once, however often it is named."""
    if request.api_version >= GROUPS_FROM:
        whole = {g.group_id: g for g in message.groups if g.topics is None}
        groups = [
            await _fetch(broker, request, group, require_stable=message.require_stable)
            for group in message.groups
            if group.topics is not None or group is whole[group.group_id]
        ]
        return OffsetFetchResponse(groups=groups)
    topics = None
    if message.topics is not None:
        topics = [
            OffsetFetchRequestTopics(t.name, ZERO, t.partition_indexes) for t in message.topics
        ]
    group = OffsetFetchRequestGroup(message.group_id, topics=topics)
    found = await _fetch(broker, request, group, require_stable=message.require_stable)
    return _single(request.api_version, group, found)


async def _fetch(
    broker: Broker, request: Request, group: OffsetFetchRequestGroup, *, require_stable: bool
) -> OffsetFetchResponseGroup:
    group_id = group.group_id
    if not broker.allowed.resource(request, Operation.DESCRIBE, ResourceType.GROUP, group_id):
        return refuse_fetch(group, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    refused: list[OffsetFetchResponseTopics] = []
    if group.topics is not None:
        group.topics = [t for t in group.topics if _readable(broker, request, t, refused)]
    try:
        found: OffsetFetchResponseGroup = await broker.coordinators.groups.ask(
            group_id,
            lambda shard, _, ticket: Effects().reply(
                ticket, shard.fetch_offsets(group, require_stable=require_stable)
            ),
        )
    except KafkaError as error:
        return refuse_fetch(group, error.code)
    if group.topics is None:
        found.topics = [t for t in found.topics if _shown(broker, request, t)]
    found.topics += refused
    return found


def _readable(
    broker: Broker,
    request: Request,
    topic: OffsetFetchRequestTopics,
    refused: list[OffsetFetchResponseTopics],
) -> bool:
    error = ErrorCode.NONE
    if request.api_version >= IDS_FROM:
        known = broker.image.topics.by_id.get(topic.topic_id)
        if known is None:
            error = ErrorCode.UNKNOWN_TOPIC_ID
        else:
            topic.name = known.name
    if not error and not broker.allowed.topic(request, Operation.DESCRIBE, topic.name):
        error = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    if error:
        parts = [
            OffsetFetchResponsePartitions(index, -1, error_code=error)
            for index in topic.partition_indexes
        ]
        refused.append(OffsetFetchResponseTopics(topic.name, topic.topic_id, parts))
    return not error


def _shown(broker: Broker, request: Request, topic: OffsetFetchResponseTopics) -> bool:
    """Whether a topic of the whole list may be shown, and can be (by id: while it exists)."""
    if not broker.allowed.topic(request, Operation.DESCRIBE, topic.name):
        return False
    if request.api_version >= IDS_FROM:
        known = broker.image.topics.by_name.get(topic.name)
        topic.topic_id = ZERO if known is None else known.id
        return known is not None
    return True


def _single(
    version: int, asked: OffsetFetchRequestGroup, found: OffsetFetchResponseGroup
) -> OffsetFetchResponse:
    """The answer for one group, as before version 8."""
    topics = found.topics
    error = found.error_code
    if error and version < GROUP_ERROR_FROM:
        topics = [
            OffsetFetchResponseTopics(
                topic.name,
                ZERO,
                [
                    OffsetFetchResponsePartitions(index, -1, error_code=error)
                    for index in topic.partition_indexes
                ],
            )
            for topic in asked.topics or ()
        ]
    return OffsetFetchResponse(
        error_code=error if version >= GROUP_ERROR_FROM else 0,
        topics=[
            OffsetFetchResponseTopic(
                topic.name,
                [
                    OffsetFetchResponsePartition(
                        part.partition_index,
                        part.committed_offset,
                        part.committed_leader_epoch,
                        part.metadata,
                        part.error_code,
                    )
                    for part in topic.partitions
                ],
            )
            for topic in topics
        ],
    )
