"""What the log says of consumer groups becomes their state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.groups.classic.group import ClassicGroup
from barnabas.groups.consumer.group import ConsumerGroup, Resolved
from barnabas.groups.consumer.member import LEFT, NOTHING, ConsumerMember
from barnabas.groups.consumer.records import read_current, read_member, read_target
from barnabas.groups.records.consumer_group_current_member_assignment_key import (
    ConsumerGroupCurrentMemberAssignmentKey,
)
from barnabas.groups.records.consumer_group_current_member_assignment_value import (
    ConsumerGroupCurrentMemberAssignmentValue,
)
from barnabas.groups.records.consumer_group_member_metadata_key import (
    ConsumerGroupMemberMetadataKey,
)
from barnabas.groups.records.consumer_group_member_metadata_value import (
    ConsumerGroupMemberMetadataValue,
)
from barnabas.groups.records.consumer_group_metadata_key import ConsumerGroupMetadataKey
from barnabas.groups.records.consumer_group_metadata_value import ConsumerGroupMetadataValue
from barnabas.groups.records.consumer_group_partition_metadata_key import (
    ConsumerGroupPartitionMetadataKey,
)
from barnabas.groups.records.consumer_group_regular_expression_key import (
    ConsumerGroupRegularExpressionKey,
)
from barnabas.groups.records.consumer_group_regular_expression_value import (
    ConsumerGroupRegularExpressionValue,
)
from barnabas.groups.records.consumer_group_target_assignment_member_key import (
    ConsumerGroupTargetAssignmentMemberKey,
)
from barnabas.groups.records.consumer_group_target_assignment_member_value import (
    ConsumerGroupTargetAssignmentMemberValue,
)
from barnabas.groups.records.consumer_group_target_assignment_metadata_key import (
    ConsumerGroupTargetAssignmentMetadataKey,
)
from barnabas.groups.records.consumer_group_target_assignment_metadata_value import (
    ConsumerGroupTargetAssignmentMetadataValue,
)

if TYPE_CHECKING:
    from barnabas.coordinator.framing import AnyRecord
    from barnabas.groups.consumer.ready import MemberOfGroup
    from barnabas.groups.state import GroupsState
    from barnabas.wire.message import Message

NO_ASSIGNMENT = -1
"""The epoch of an assignment that was taken out of the log."""


def replay_consumer(state: GroupsState, record: AnyRecord) -> None:
    """Take over a record of types 3 to 8 and 16; others are left alone."""
    key, value = record.key, record.value
    group_id = getattr(key, "group_id", None)
    if not isinstance(key, _KEYS) or group_id is None:
        return
    group = _group(state, group_id, make=value is not None)
    if group is None:
        return
    if isinstance(key, ConsumerGroupMetadataKey):
        if value is None:
            del state.groups[group_id]
        else:
            assert isinstance(value, ConsumerGroupMetadataValue)
            group.epoch, group.metadata_hash = value.epoch, value.metadata_hash
    elif isinstance(key, ConsumerGroupPartitionMetadataKey):
        group.has_partition_metadata = value is not None
    elif isinstance(key, ConsumerGroupRegularExpressionKey):
        assert value is None or isinstance(value, ConsumerGroupRegularExpressionValue)
        found = None
        if value is not None:
            found = Resolved(frozenset(value.topics), value.version, value.timestamp)
        group.resolve(key.regular_expression, found)
    elif isinstance(key, ConsumerGroupMemberMetadataKey):
        assert value is None or isinstance(value, ConsumerGroupMemberMetadataValue)
        if value is None:
            group.remove(key.member_id)
        else:
            group.put(read_member(_member(group, key.member_id), value))
    else:
        _replay_assignment(group, key, value)


def replay_ready(state: GroupsState, record: MemberOfGroup) -> None:
    """As `replay_consumer`, for a record that says itself what it does."""
    group = _group(state, record.group_id, make=True)
    if group is not None:
        record.replay(group)


def _replay_assignment(group: ConsumerGroup, key: Message, value: Message | None) -> None:
    if isinstance(key, ConsumerGroupTargetAssignmentMetadataKey):
        assert value is None or isinstance(value, ConsumerGroupTargetAssignmentMetadataValue)
        group.assignment_epoch = NO_ASSIGNMENT if value is None else value.assignment_epoch
        group.assignment_ms = 0 if value is None else value.assignment_timestamp
    elif isinstance(key, ConsumerGroupTargetAssignmentMemberKey):
        assert value is None or isinstance(value, ConsumerGroupTargetAssignmentMemberValue)
        if value is None:
            group.targets.remove(key.member_id)
        else:
            group.targets.put(key.member_id, read_target(value))
    elif isinstance(key, ConsumerGroupCurrentMemberAssignmentKey):
        assert value is None or isinstance(value, ConsumerGroupCurrentMemberAssignmentValue)
        if value is not None:
            group.put(read_current(_member(group, key.member_id), value))
        elif key.member_id in group.members:
            # What it had is free; it is gone with the tombstone of its metadata.
            gone = group.members[key.member_id]
            group.put(
                gone._replace(epoch=LEFT, previous_epoch=LEFT, assigned=NOTHING, revoking=NOTHING)
            )


def _group(state: GroupsState, group_id: str, *, make: bool) -> ConsumerGroup | None:
    group = state.groups.get(group_id)
    if isinstance(group, ConsumerGroup):
        return group
    simple = isinstance(group, ClassicGroup) and group.protocol_type is None and not group.members
    if make and (group is None or simple):
        # A group that only offsets were kept under becomes one with members.
        made = state.groups[group_id] = ConsumerGroup(group_id)
        return made
    return None


def _member(group: ConsumerGroup, member_id: str) -> ConsumerMember:
    return group.member(member_id) or ConsumerMember(member_id)


_KEYS = (
    ConsumerGroupMetadataKey,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupRegularExpressionKey,
)
