"""A consumer group as the log keeps it: Kafka's records of types 3 to 8 and 16, value version 0."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects
from barnabas.groups.consumer.member import (
    ClassicFacts,
    ClassicProtocol,
    ConsumerMember,
    Epochs,
    MemberState,
    Partitions,
    in_order,
)
from barnabas.groups.records.consumer_group_current_member_assignment_key import (
    ConsumerGroupCurrentMemberAssignmentKey,
)
from barnabas.groups.records.consumer_group_current_member_assignment_value import (
    ConsumerGroupCurrentMemberAssignmentValue,
    TopicPartitions,
)
from barnabas.groups.records.consumer_group_member_metadata_key import (
    ConsumerGroupMemberMetadataKey,
)
from barnabas.groups.records.consumer_group_member_metadata_value import (
    ClassicMemberMetadata,
    ConsumerGroupMemberMetadataValue,
)
from barnabas.groups.records.consumer_group_member_metadata_value import (
    ClassicProtocol as ClassicProtocolRecord,
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
    TopicPartition,
)
from barnabas.groups.records.consumer_group_target_assignment_metadata_key import (
    ConsumerGroupTargetAssignmentMetadataKey,
)
from barnabas.groups.records.consumer_group_target_assignment_metadata_value import (
    ConsumerGroupTargetAssignmentMetadataValue,
)

if TYPE_CHECKING:
    from barnabas.groups.consumer.group import Resolved


def write_epoch(effects: Effects, group_id: str, epoch: int, metadata_hash: int) -> None:
    """The group's epoch, and the hash of the topics that it was bumped for."""
    value = ConsumerGroupMetadataValue(epoch, metadata_hash)
    effects.write(ConsumerGroupMetadataKey(group_id), value)


def write_partition_metadata_tombstone(effects: Effects, group_id: str) -> None:
    """Kafka before 4.1 kept the topics themselves, where there is a hash now."""
    effects.write(ConsumerGroupPartitionMetadataKey(group_id), None)


def member_value(member: ConsumerMember) -> ConsumerGroupMemberMetadataValue:
    """Who a member is, and what it subscribes to."""
    classic = None
    if member.classic is not None:
        protocols = [ClassicProtocolRecord(p.name, p.metadata) for p in member.classic.protocols]
        classic = ClassicMemberMetadata(member.classic.session_timeout_ms, protocols)
    return ConsumerGroupMemberMetadataValue(
        member.instance_id,
        member.rack_id,
        member.client_id,
        member.client_host,
        sorted(member.names),
        member.regex,
        member.rebalance_timeout_ms,
        member.assignor,
        classic,
    )


def read_member(member: ConsumerMember, value: ConsumerGroupMemberMetadataValue) -> ConsumerMember:
    """The member with what its record says."""
    classic = None
    found = value.classic_member_metadata
    if found is not None:
        protocols = tuple(
            ClassicProtocol(p.name, bytes(p.metadata)) for p in found.supported_protocols
        )
        classic = ClassicFacts(found.session_timeout_ms, protocols)
    return member._replace(
        instance_id=value.instance_id,
        rack_id=value.rack_id,
        client_id=value.client_id,
        client_host=value.client_host,
        names=frozenset(value.subscribed_topic_names),
        regex=value.subscribed_topic_regex,
        rebalance_timeout_ms=value.rebalance_timeout_ms,
        assignor=value.server_assignor,
        classic=classic,
    )


def write_target_epoch(effects: Effects, group_id: str, epoch: int, at_ms: int) -> None:
    """For which epoch, and when, the target was computed."""
    value = ConsumerGroupTargetAssignmentMetadataValue(epoch, at_ms)
    effects.write(ConsumerGroupTargetAssignmentMetadataKey(group_id), value)


def target_value(target: Partitions) -> ConsumerGroupTargetAssignmentMemberValue:
    """What a member is to own."""
    parts = [TopicPartition(topic, list(numbers)) for topic, numbers in target.items()]
    return ConsumerGroupTargetAssignmentMemberValue(parts)


def read_target(value: ConsumerGroupTargetAssignmentMemberValue) -> Partitions:
    """What a member is to own."""
    return {each.topic_id: in_order(each.partitions) for each in value.topic_partitions}


def current_value(member: ConsumerMember) -> ConsumerGroupCurrentMemberAssignmentValue:
    """The member's epoch, and what it owns."""
    return ConsumerGroupCurrentMemberAssignmentValue(
        member.epoch,
        member.previous_epoch,
        member.state,
        _write_epochs(member.assigned),
        _write_epochs(member.revoking),
    )


def read_current(
    member: ConsumerMember, value: ConsumerGroupCurrentMemberAssignmentValue
) -> ConsumerMember:
    """The member with what its record says."""
    return member._replace(
        epoch=value.member_epoch,
        previous_epoch=value.previous_member_epoch,
        state=MemberState(value.state),
        assigned=_read_epochs(value.assigned_partitions, value.member_epoch),
        revoking=_read_epochs(value.partitions_pending_revocation, value.member_epoch),
    )


def _write_epochs(epochs: Epochs) -> list[TopicPartitions]:
    return [TopicPartitions(t, list(parts), list(parts.values())) for t, parts in epochs.items()]


def _read_epochs(topics: list[TopicPartitions], member_epoch: int) -> Epochs:
    """Kafka before 4.3 did not keep the epochs of partitions: that of the member stands for them."""
    found = {}
    for each in topics:
        epochs = each.assignment_epochs
        if epochs is not None and len(epochs) == len(each.partitions):
            found[each.topic_id] = dict(zip(each.partitions, epochs, strict=True))
        else:
            found[each.topic_id] = dict.fromkeys(each.partitions, max(member_epoch, 0))
    return found


def write_resolved(effects: Effects, group_id: str, regex: str, resolved: Resolved | None) -> None:
    """The topics that match a regular expression; None when nobody asks for it any more."""
    value = None
    if resolved is not None:
        value = ConsumerGroupRegularExpressionValue(
            sorted(resolved.topics), resolved.version, resolved.at_ms
        )
    effects.write(ConsumerGroupRegularExpressionKey(group_id, regex), value)


def write_member_tombstones(effects: Effects, group_id: str, member_id: str) -> None:
    """A member is gone."""
    effects.write(ConsumerGroupCurrentMemberAssignmentKey(group_id, member_id), None)
    effects.write(ConsumerGroupTargetAssignmentMemberKey(group_id, member_id), None)
    effects.write(ConsumerGroupMemberMetadataKey(group_id, member_id), None)


def write_group_tombstones(
    effects: Effects, group_id: str, member_ids: Iterable[str], regexes: Iterable[str]
) -> None:
    """A group is gone, with all its members."""
    ids = list(member_ids)
    for member_id in ids:
        effects.write(ConsumerGroupCurrentMemberAssignmentKey(group_id, member_id), None)
    for member_id in ids:
        effects.write(ConsumerGroupTargetAssignmentMemberKey(group_id, member_id), None)
    effects.write(ConsumerGroupTargetAssignmentMetadataKey(group_id), None)
    for member_id in ids:
        effects.write(ConsumerGroupMemberMetadataKey(group_id, member_id), None)
    for regex in regexes:
        effects.write(ConsumerGroupRegularExpressionKey(group_id, regex), None)
    write_partition_metadata_tombstone(effects, group_id)
    effects.write(ConsumerGroupMetadataKey(group_id), None)
