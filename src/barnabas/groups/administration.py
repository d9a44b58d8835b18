"""Groups from outside: ListGroups, DescribeGroups, DeleteGroups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.groups.classic.describe import describe_group, unknown_group
from barnabas.groups.records.offset_commit_key import OffsetCommitKey
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.delete_groups_response import DeletableGroupResult, DeleteGroupsResponse
from barnabas.wire.messages.describe_groups_response import DescribedGroup
from barnabas.wire.messages.list_groups_response import ListedGroup

if TYPE_CHECKING:
    from barnabas.groups.state import GroupsState


def list_groups(state: GroupsState, states: list[str], types: list[str]) -> list[ListedGroup]:
    """The groups in these states and of these types, whatever their case; empty lists take all."""
    wanted_states = {each.lower() for each in states}
    wanted_types = {each.lower() for each in types}
    return [
        ListedGroup(group.group_id, group.protocol_type or "", group.state.value, group.kind)
        for group in state.groups.values()
        if (not wanted_states or group.state.value.lower() in wanted_states)
        and (not wanted_types or group.kind in wanted_types)
    ]


def describe(state: GroupsState, group_id: str, version: int) -> DescribedGroup:
    """One classic group; others are unknown here."""
    group = state.classic(group_id)
    return unknown_group(group_id, version) if group is None else describe_group(group)


def delete_group(state: GroupsState, group_id: str, ticket: Ticket, now: Now) -> Effects:
    """Take a group without members, and all its offsets, out of the log."""
    del now
    effects = Effects()
    effects.divisible = True  # who is told of an error after the first half asks again
    group = state.groups.get(group_id)
    error = ErrorCode.GROUP_ID_NOT_FOUND if group is None else group.check_delete
    if group is not None and not error:
        for _, topic, partition in state.offsets.places(group_id):
            effects.write(OffsetCommitKey(group_id, topic, partition), None)
        group.write_tombstones(effects)
    result = DeletableGroupResult(group_id, error)
    return effects.reply(ticket, DeleteGroupsResponse(results=[result]))
