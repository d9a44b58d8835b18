"""OffsetCommit, TxnOffsetCommit and OffsetDelete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.groups.classic.rebalance import restart_session
from barnabas.groups.consumer.commits import check_commit
from barnabas.groups.consumer.group import ConsumerGroup
from barnabas.groups.records.offset_commit_key import OffsetCommitKey
from barnabas.groups.records.offset_commit_value import OffsetCommitValue
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.offset_commit_response import (
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from barnabas.wire.messages.offset_delete_response import (
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from barnabas.wire.messages.txn_offset_commit_response import (
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

if TYPE_CHECKING:
    from barnabas.groups.context import RequestContext
    from barnabas.groups.state import GroupsState
    from barnabas.wire.messages.offset_commit_request import OffsetCommitRequest
    from barnabas.wire.messages.offset_delete_request import OffsetDeleteRequest
    from barnabas.wire.messages.txn_offset_commit_request import TxnOffsetCommitRequest

GROUP_ID_NOT_FOUND_FROM = 9
PLAIN_VERSION = 4
EXPIRING_VERSION = 1
"""The only version that can say when an offset expires; it has no leader epoch and no topic id."""


def refuse_commit(request: OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse:
    """Every partition gets the error."""
    topics = [
        OffsetCommitResponseTopic(
            topic.name,
            topic.topic_id,
            [OffsetCommitResponsePartition(p.partition_index, error) for p in topic.partitions],
        )
        for topic in request.topics
    ]
    return OffsetCommitResponse(topics=topics)


def refuse_txn_commit(request: TxnOffsetCommitRequest, error: ErrorCode) -> TxnOffsetCommitResponse:
    """Every partition gets the error."""
    topics = [
        TxnOffsetCommitResponseTopic(
            topic.name,
            [TxnOffsetCommitResponsePartition(p.partition_index, error) for p in topic.partitions],
        )
        for topic in request.topics
    ]
    return TxnOffsetCommitResponse(topics=topics)


def commit_offsets(
    state: GroupsState,
    context: RequestContext,
    request: OffsetCommitRequest,
    ticket: Ticket,
    now: Now,
) -> Effects:
    """Decide an OffsetCommit whose topics have names and, where known, ids."""
    effects = Effects()
    error = _check_commit(state, context, request, effects, now)
    if error:
        return Effects().reply(ticket, refuse_commit(request, error))
    expire_ms = -1 if request.retention_time_ms < 0 else now.wall + request.retention_time_ms
    limit = state.settings.offset_metadata_max_bytes
    response = OffsetCommitResponse()
    for topic in request.topics:
        answers = []
        for part in topic.partitions:
            metadata = part.committed_metadata or ""
            if _too_large(metadata, limit):
                code = ErrorCode.OFFSET_METADATA_TOO_LARGE
            else:
                code = ErrorCode.NONE
                value = OffsetCommitValue(part.committed_offset, -1, metadata, now.wall, expire_ms)
                version = EXPIRING_VERSION
                if expire_ms < 0:
                    value.leader_epoch = part.committed_leader_epoch
                    value.topic_id = topic.topic_id
                    version = PLAIN_VERSION
                key = OffsetCommitKey(request.group_id, topic.name, part.partition_index)
                effects.write(key, value, version)
            answers.append(OffsetCommitResponsePartition(part.partition_index, code))
        response.topics.append(OffsetCommitResponseTopic(topic.name, topic.topic_id, answers))
    return effects.reply(ticket, response)


def _too_large(metadata: str, limit: int) -> bool:
    """Kafka counts UTF-16 code units; what is short enough in UTF-8 is so in them, too."""
    return len(metadata) > limit or (
        not metadata.isascii() and len(metadata.encode("utf-16-le", "surrogatepass")) // 2 > limit
    )


def _check_commit(
    state: GroupsState,
    context: RequestContext,
    request: OffsetCommitRequest,
    effects: Effects,
    now: Now,
) -> ErrorCode:
    generation = request.generation_id_or_member_epoch
    group = state.groups.get(request.group_id)
    if isinstance(group, ConsumerGroup):
        return check_commit(
            group,
            request.member_id,
            request.group_instance_id,
            generation,
            (
                (topic.topic_id, p.partition_index)
                for topic in request.topics
                for p in topic.partitions
            ),
            version=context.api_version,
            transactional=False,
        )
    if group is None:
        if generation < 0:
            return ErrorCode.NONE  # somebody who only keeps offsets here; replay makes the group
        if context.api_version >= GROUP_ID_NOT_FOUND_FROM:
            return ErrorCode.GROUP_ID_NOT_FOUND
        return ErrorCode.ILLEGAL_GENERATION
    member_id = request.member_id
    error = check_classic(group, member_id, request.group_instance_id, generation)
    if not error and group.state is State.COMPLETING:
        error = ErrorCode.REBALANCE_IN_PROGRESS
    if not error and group.state is not State.EMPTY:
        restart_session(effects, group, group.members[member_id], now)
    return error


def check_classic(
    group: ClassicGroup,
    member_id: str,
    instance_id: str | None,
    generation: int,
    *,
    transactional: bool = False,
) -> ErrorCode:
    """Whether this member may commit in this generation."""
    if generation < 0 and group.state is State.EMPTY:
        return ErrorCode.NONE
    if generation >= 0 or member_id or instance_id is not None:
        error = group.check_member(member_id, instance_id)
        if not error and generation != group.generation:
            error = ErrorCode.ILLEGAL_GENERATION
        return error
    return ErrorCode.NONE if transactional else ErrorCode.UNKNOWN_MEMBER_ID


def commit_in_transaction(
    state: GroupsState,
    request: TxnOffsetCommitRequest,
    ticket: Ticket,
    now: Now,
) -> Effects:
    """Decide a TxnOffsetCommit: its records are part of the producer's transaction."""
    effects = Effects()
    effects.producer = (request.producer_id, request.producer_epoch)
    group = state.groups.get(request.group_id)
    if isinstance(group, ConsumerGroup):
        error = check_commit(
            group,
            request.member_id,
            request.group_instance_id,
            request.generation_id,
            _places(state, request),
            version=0,
            transactional=True,
        )
    elif group is not None:
        error = check_classic(
            group,
            request.member_id,
            request.group_instance_id,
            request.generation_id,
            transactional=True,
        )
    else:
        known = request.generation_id >= 0
        error = ErrorCode.ILLEGAL_GENERATION if known else ErrorCode.NONE
    if error:
        return Effects().reply(ticket, refuse_txn_commit(request, error))
    limit = state.settings.offset_metadata_max_bytes
    response = TxnOffsetCommitResponse()
    for topic in request.topics:
        answers = []
        for part in topic.partitions:
            metadata = part.committed_metadata or ""
            code = ErrorCode.NONE
            if _too_large(metadata, limit):
                code = ErrorCode.OFFSET_METADATA_TOO_LARGE
            else:
                value = OffsetCommitValue(
                    part.committed_offset, part.committed_leader_epoch, metadata, now.wall
                )
                key = OffsetCommitKey(request.group_id, topic.name, part.partition_index)
                effects.write(key, value, PLAIN_VERSION)
            answers.append(TxnOffsetCommitResponsePartition(part.partition_index, code))
        response.topics.append(TxnOffsetCommitResponseTopic(topic.name, answers))
    return effects.reply(ticket, response)


def _places(
    state: GroupsState, request: TxnOffsetCommitRequest
) -> Iterator[tuple[bytes | None, int]]:
    for topic in request.topics:
        found = state.topics.by_name(topic.name)
        for part in topic.partitions:
            yield None if found is None else found.topic_id, part.partition_index


def delete_offsets(state: GroupsState, request: OffsetDeleteRequest, ticket: Ticket) -> Effects:
    """Decide an OffsetDelete: not for topics that a living group reads."""
    effects = Effects()
    group = state.groups.get(request.group_id)
    if group is None:
        return effects.reply(ticket, OffsetDeleteResponse(ErrorCode.GROUP_ID_NOT_FOUND))
    if not group.offsets_deletable:
        return effects.reply(ticket, OffsetDeleteResponse(ErrorCode.NON_EMPTY_GROUP))
    response = OffsetDeleteResponse()
    for topic in request.topics:
        subscribed = group.is_subscribed(topic.name)
        code = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if subscribed else ErrorCode.NONE
        answers = []
        for part in topic.partitions:
            index = part.partition_index
            answers.append(OffsetDeleteResponsePartition(index, code))
            offsets, group_id = state.offsets, request.group_id
            there = offsets.get(group_id, topic.name, index) is not None
            if not subscribed and (there or offsets.unstable(group_id, topic.name, index)):
                effects.write(OffsetCommitKey(group_id, topic.name, index), None)
        response.topics.append(OffsetDeleteResponseTopic(topic.name, answers))
    return effects.reply(ticket, response)
