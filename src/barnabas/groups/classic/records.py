"""A classic group as the log keeps it: one GroupMetadata record for each finished generation."""

from __future__ import annotations

from collections.abc import Mapping

from barnabas.coordinator.effects import Effects
from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.groups.classic.member import ClassicMember, Protocol
from barnabas.groups.records.group_metadata_key import GroupMetadataKey
from barnabas.groups.records.group_metadata_value import GroupMetadataValue, MemberMetadata

VALUE_VERSION = 3


def write_generation(
    effects: Effects, group: ClassicGroup, assignments: Mapping[str, bytes]
) -> None:
    """The generation with what its leader assigned; who is not in `assignments` gets nothing."""
    protocol = group.protocol or ""
    members = [
        MemberMetadata(
            member.member_id,
            member.instance_id,
            member.client_id,
            member.client_host,
            member.rebalance_timeout_ms,
            member.session_timeout_ms,
            member.metadata(protocol),
            assignments.get(member.member_id, b""),
        )
        for member in group.members.values()
    ]
    value = GroupMetadataValue(
        group.protocol_type or "",
        group.generation,
        group.protocol,
        group.leader_id,
        group.state_ms,
        members,
    )
    effects.write(GroupMetadataKey(group.group_id), value, VALUE_VERSION)


def write_new_group(effects: Effects, group: ClassicGroup) -> None:
    """A group that has no generation yet."""
    value = GroupMetadataValue("", 0, None, None, group.state_ms, [])
    effects.write(GroupMetadataKey(group.group_id), value, VALUE_VERSION)


def group_of(group_id: str, value: GroupMetadataValue) -> ClassicGroup:
    """The group that a record holds: stable, or empty without members."""
    group = ClassicGroup(group_id, value.current_state_timestamp)
    group.protocol_type = value.protocol_type or None
    group.generation = value.generation
    for each in value.members:
        protocol = Protocol(value.protocol or "", each.subscription)
        group.add(
            ClassicMember(
                each.member_id,
                each.group_instance_id,
                each.client_id,
                each.client_host,
                # Version 0 had none; the session's is the best guess.
                each.session_timeout if each.rebalance_timeout == -1 else each.rebalance_timeout,
                each.session_timeout,
                (protocol,),
                each.assignment,
            )
        )
    group.protocol = value.protocol
    group.leader_id = value.leader
    group.state = State.STABLE if value.members else State.EMPTY
    group.note_subscriptions()
    return group


def adopt_generation(group: ClassicGroup, value: GroupMetadataValue) -> None:
    """The record that a live group has just written: now its assignments count."""
    for each in value.members:
        member = group.members.get(each.member_id)
        if member is not None:
            member.assignment = each.assignment
    if group.state is State.COMPLETING and group.generation == value.generation:
        group.move_to(State.STABLE, value.current_state_timestamp)
