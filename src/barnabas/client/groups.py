"""Administration of consumer groups: what there is, who is in it, how far it has come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from barnabas.client.cluster import Cluster
from barnabas.client.errors import error_code
from barnabas.client.fetch_core import TopicPartition
from barnabas.wire.codec import decode
from barnabas.wire.errors import ErrorCode, KafkaError, ProtocolError
from barnabas.wire.messages.consumer_group_describe_request import ConsumerGroupDescribeRequest
from barnabas.wire.messages.consumer_group_describe_response import (
    Assignment,
    ConsumerGroupDescribeResponse,
)
from barnabas.wire.messages.consumer_protocol_assignment import ConsumerProtocolAssignment
from barnabas.wire.messages.delete_groups_request import DeleteGroupsRequest
from barnabas.wire.messages.delete_groups_response import DeleteGroupsResponse
from barnabas.wire.messages.describe_groups_request import DescribeGroupsRequest
from barnabas.wire.messages.describe_groups_response import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsResponse,
)
from barnabas.wire.messages.find_coordinator_request import FindCoordinatorRequest
from barnabas.wire.messages.find_coordinator_response import FindCoordinatorResponse
from barnabas.wire.messages.list_groups_request import ListGroupsRequest
from barnabas.wire.messages.list_groups_response import ListGroupsResponse
from barnabas.wire.messages.offset_commit_request import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from barnabas.wire.messages.offset_commit_response import OffsetCommitResponse
from barnabas.wire.messages.offset_fetch_request import OffsetFetchRequest, OffsetFetchRequestGroup
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse

Result = TypeVar("Result")
CONSUMER = "consumer"
CLASSIC = "classic"
DEAD = "Dead"
_GROUP = 0
_FETCH_BY_NAME = 9
_COMMIT_BY_NAME = 9
"""From version 10 on topics go by their ids."""


@dataclass(frozen=True, slots=True)
class GroupListing:
    """A group in a list."""

    group_id: str
    protocol_type: str
    state: str
    kind: str
    """classic, consumer, share or streams."""


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A member of a group, and what it was assigned.

    Only consumer groups know `epoch`, `target` (what it is to own in the end) and `protocol`, the
    kind of group that it takes it for: classic or consumer.
    """

    member_id: str
    instance_id: str | None
    client_id: str
    host: str
    partitions: list[TopicPartition]
    epoch: int | None = None
    target: list[TopicPartition] | None = None
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A group with its members; `coordinator` is the node that keeps it.

    Only consumer groups have epochs: of the group, and of the assignment that it has.
    """

    group_id: str
    state: str
    protocol_type: str
    protocol: str
    coordinator: int
    members: list[GroupMember] = field(default_factory=list)
    kind: str = CLASSIC
    epoch: int | None = None
    assignment_epoch: int | None = None


async def list_groups(cluster: Cluster) -> list[GroupListing]:
    """All groups of the cluster, by name. Raises `KafkaError`."""
    await cluster.refresh()
    found: dict[str, GroupListing] = {}
    for node in sorted(cluster.metadata.nodes):

        async def attempt(node: int = node) -> ListGroupsResponse:
            answer = await cluster.ask(ListGroupsRequest(), ListGroupsResponse, node=node)
            _raise(answer.error_code)
            return answer

        for each in (await cluster.retrying(attempt)).groups:
            found[each.group_id] = GroupListing(
                each.group_id, each.protocol_type, each.group_state, each.group_type
            )
    return [found[name] for name in sorted(found)]


async def describe_group(cluster: Cluster, group_id: str) -> GroupDescription:
    """One group. Raises `KafkaError`, GROUP_ID_NOT_FOUND among others."""

    async def ask(node: int) -> GroupDescription:
        request = DescribeGroupsRequest([group_id])
        answer = await cluster.ask(request, DescribeGroupsResponse, node=node)
        group = answer.groups[0]
        # Nodes before DescribeGroups v6 say Dead. It may be a group of another type.
        if group.error_code == ErrorCode.GROUP_ID_NOT_FOUND or group.group_state == DEAD:
            return await _describe_consumer_group(cluster, group_id, node)
        _raise(group.error_code, group_id)
        return _description(group, node)

    return await _at_coordinator(cluster, group_id, ask)


async def _describe_consumer_group(cluster: Cluster, group_id: str, node: int) -> GroupDescription:
    request = ConsumerGroupDescribeRequest([group_id])
    try:
        answer = await cluster.ask(request, ConsumerGroupDescribeResponse, node=node)
        group = answer.groups[0]
        _raise(group.error_code, group_id)
    except KafkaError as error:
        if error.code is not ErrorCode.UNSUPPORTED_VERSION:
            raise
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, group_id) from None
    members = [
        GroupMember(
            member.member_id,
            member.instance_id,
            member.client_id,
            member.client_host.lstrip("/"),
            _partitions(member.assignment),
            member.member_epoch,
            _partitions(member.target_assignment),
            {0: CLASSIC, 1: CONSUMER}.get(member.member_type),
        )
        for member in group.members
    ]
    return GroupDescription(
        group_id,
        group.group_state,
        CONSUMER,
        group.assignor_name,
        node,
        members,
        CONSUMER,
        group.group_epoch,
        group.assignment_epoch,
    )


def _partitions(assignment: Assignment) -> list[TopicPartition]:
    parts = assignment.topic_partitions
    return sorted((each.topic_name, number) for each in parts for number in each.partitions)


async def committed_offsets(cluster: Cluster, group_id: str) -> dict[TopicPartition, int]:
    """What a group has committed; empty for an unknown one. Raises `KafkaError`."""

    async def ask(node: int) -> dict[TopicPartition, int]:
        connection = await cluster.connection(node)
        group = OffsetFetchRequestGroup(group_id, topics=None)
        answer = await connection.request(
            OffsetFetchRequest(groups=[group]), OffsetFetchResponse, version=_FETCH_BY_NAME
        )
        found = answer.groups[0]
        _raise(found.error_code, group_id)
        return {
            (topic.name, part.partition_index): part.committed_offset
            for topic in found.topics
            for part in topic.partitions
            if part.committed_offset >= 0
        }

    return await _at_coordinator(cluster, group_id, ask)


async def commit_offsets(
    cluster: Cluster, group_id: str, offsets: Mapping[TopicPartition, int]
) -> None:
    """Set offsets of a group that has no members. Raises `KafkaError`, UNKNOWN_MEMBER_ID when it
    has some."""
    topics: dict[str, list[OffsetCommitRequestPartition]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        topics.setdefault(topic, []).append(OffsetCommitRequestPartition(partition, offset, -1, ""))
    request = OffsetCommitRequest(
        group_id,
        topics=[OffsetCommitRequestTopic(name, partitions=parts) for name, parts in topics.items()],
    )

    async def ask(node: int) -> None:
        connection = await cluster.connection(node)
        answer = await connection.request(request, OffsetCommitResponse, version=_COMMIT_BY_NAME)
        for topic in answer.topics:
            for part in topic.partitions:
                _raise(part.error_code, f"{topic.name}-{part.partition_index}")

    await _at_coordinator(cluster, group_id, ask)


async def delete_group(cluster: Cluster, group_id: str) -> None:
    """Delete a group without members. Raises `KafkaError`: NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND."""

    async def ask(node: int) -> None:
        answer = await cluster.ask(DeleteGroupsRequest([group_id]), DeleteGroupsResponse, node=node)
        _raise(answer.results[0].error_code, group_id)

    await _at_coordinator(cluster, group_id, ask)


async def _at_coordinator(
    cluster: Cluster, group_id: str, ask: Callable[[int], Awaitable[Result]]
) -> Result:
    """Ask the node that keeps a group, wherever it is by then."""

    async def attempt() -> Result:
        request = FindCoordinatorRequest(key_type=_GROUP, coordinator_keys=[group_id])
        found = (await cluster.ask(request, FindCoordinatorResponse)).coordinators[0]
        _raise(found.error_code, group_id)
        if found.node_id not in cluster.metadata.nodes:
            await cluster.refresh()
        return await ask(found.node_id)

    return await cluster.retrying(attempt)


def _raise(code: int, about: str | None = None) -> None:
    if code:
        raise KafkaError(error_code(code), about)


def _description(group: DescribedGroup, node: int) -> GroupDescription:
    reads = group.protocol_type == CONSUMER
    members = [
        GroupMember(
            member.member_id,
            member.group_instance_id,
            member.client_id,
            member.client_host.lstrip("/"),
            sorted(_assigned(member)) if reads else [],
        )
        for member in group.members
    ]
    return GroupDescription(
        group.group_id, group.group_state, group.protocol_type, group.protocol_data, node, members
    )


def _assigned(member: DescribedGroupMember) -> Iterable[TopicPartition]:
    """The partitions in a member's assignment; none when it cannot be read."""
    raw = member.member_assignment
    if len(raw) < 2:
        return []
    try:
        found = decode(ConsumerProtocolAssignment, 0, raw, 2)
    except ProtocolError:
        return []
    return [(t.topic, number) for t in found.assigned_partitions for number in t.partitions]
