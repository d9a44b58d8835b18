"""ConsumerGroupDescribe for one group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from barnabas.groups.consumer.group import ConsumerGroup
from barnabas.groups.consumer.member import ConsumerMember
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.consumer_group_describe_response import (
    Assignment,
    DescribedGroup,
    Member,
    TopicPartitions,
)

if TYPE_CHECKING:
    from barnabas.groups.consumer.topics import Topics
    from barnabas.groups.state import GroupsState

CLASSIC_MEMBER = 0
CONSUMER_MEMBER = 1


def describe_consumer_group(state: GroupsState, group_id: str) -> DescribedGroup:
    """The group as administrators see it."""
    group = state.consumer(group_id)
    if group is None:
        known = group_id in state.groups
        text = (
            f"Group {group_id} is not a consumer group."
            if known
            else f"Group {group_id} not found."
        )
        return refuse_describe(group_id, ErrorCode.GROUP_ID_NOT_FOUND, text)
    return DescribedGroup(
        group_id=group_id,
        group_state=group.state.value,
        group_epoch=group.epoch,
        assignment_epoch=group.assignment_epoch,
        assignor_name=group.preferred_assignor() or state.settings.consumer.assignors[0],
        members=[_member(state.topics, group, each) for each in group.members.values()],
    )


def refuse_describe(group_id: str, error: ErrorCode, sentence: str | None = None) -> DescribedGroup:
    """A group that cannot be shown."""
    return DescribedGroup(error_code=error, error_message=sentence, group_id=group_id)


def _member(topics: Topics, group: ConsumerGroup, member: ConsumerMember) -> Member:
    """What it has to give up, it still has."""
    held = {topic: list(parts) for topic, parts in member.assigned.items()}
    for topic, parts in member.revoking.items():
        held.setdefault(topic, []).extend(parts)
    return Member(
        member.member_id,
        member.instance_id,
        member.rack_id,
        member.epoch,
        member.client_id,
        member.client_host,
        sorted(member.names),
        member.regex,
        _assignment(topics, held),
        _assignment(topics, group.target_of(member.member_id)),
        CONSUMER_MEMBER if member.classic is None else CLASSIC_MEMBER,
    )


def _assignment(topics: Topics, partitions: Mapping[bytes, Iterable[int]]) -> Assignment:
    found = []
    for topic_id, numbers in partitions.items():
        topic = topics.by_id(topic_id)
        if topic is not None:
            found.append(TopicPartitions(topic_id, topic.name, sorted(numbers)))
    return Assignment(found)
