"""DescribeGroups for a classic group."""

from __future__ import annotations

from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.describe_groups_response import DescribedGroup, DescribedGroupMember

DEAD = "Dead"
NOT_FOUND_FROM = 6
"""Before it, an unknown group is one in state Dead (KIP-1043)."""


def describe_group(group: ClassicGroup) -> DescribedGroup:
    """The group as administrators see it; metadata only once it is stable."""
    stable = group.state is State.STABLE
    protocol = group.protocol or ""
    members = [
        DescribedGroupMember(
            member.member_id,
            member.instance_id,
            member.client_id,
            member.client_host,
            member.metadata(protocol) if stable else b"",
            member.assignment,
        )
        for member in group.members.values()
    ]
    return DescribedGroup(
        group_id=group.group_id,
        group_state=group.state.value,
        protocol_type=group.protocol_type or "",
        protocol_data=protocol if stable else "",
        members=members,
    )


def unknown_group(group_id: str, version: int) -> DescribedGroup:
    """There is no classic group of this id."""
    if version >= NOT_FOUND_FROM:
        return DescribedGroup(
            error_code=ErrorCode.GROUP_ID_NOT_FOUND,
            error_message=f"Group {group_id} not found.",
            group_id=group_id,
            group_state=DEAD,
        )
    return DescribedGroup(group_id=group_id, group_state=DEAD)
