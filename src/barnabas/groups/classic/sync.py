"""SyncGroup of a classic group: the leader brings the assignment, the others fetch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.groups.classic.member import ClassicMember
from barnabas.groups.classic.rebalance import (
    abandon_assignment,
    prepare,
    refuse_sync,
    restart_session,
)
from barnabas.groups.classic.records import write_generation
from barnabas.groups.classic.timers import SyncTimer
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.sync_group_response import SyncGroupResponse

if TYPE_CHECKING:
    from barnabas.groups.state import GroupsState
    from barnabas.wire.messages.sync_group_request import SyncGroupRequest


def sync_group(state: GroupsState, request: SyncGroupRequest, ticket: Ticket, now: Now) -> Effects:
    """Decide a SyncGroup."""
    effects = Effects()
    group = state.classic(request.group_id)
    if group is None:
        return effects.reply(ticket, refuse_sync(ErrorCode.UNKNOWN_MEMBER_ID))
    error = _check(group, request)
    if error:
        return effects.reply(ticket, refuse_sync(error))
    member = group.members[request.member_id]
    group.unsynced.pop(member.member_id, None)
    if not group.unsynced:
        effects.cancel_timer(SyncTimer(group.group_id))
    if group.state is State.STABLE:
        return effects.reply(ticket, _assigned(group, member.assignment))
    if member.syncing is not None:  # it asks again: the former request will get no other answer
        effects.reply(member.syncing, refuse_sync(ErrorCode.REBALANCE_IN_PROGRESS))
    member.syncing = ticket
    if group.leader_id == member.member_id:
        _assign(state, group, request, effects, now)
    return effects


def _check(group: ClassicGroup, request: SyncGroupRequest) -> ErrorCode:
    error = group.check_member(request.member_id, request.group_instance_id)
    if error:
        return error
    if request.generation_id != group.generation:
        return ErrorCode.ILLEGAL_GENERATION
    if request.protocol_type not in (None, group.protocol_type) or (
        request.protocol_name not in (None, group.protocol)
    ):
        return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    if group.state is State.PREPARING:
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.UNKNOWN_MEMBER_ID if group.state is State.EMPTY else ErrorCode.NONE


def _assigned(group: ClassicGroup, assignment: bytes) -> SyncGroupResponse:
    return SyncGroupResponse(
        protocol_type=group.protocol_type, protocol_name=group.protocol, assignment=assignment
    )


def _assign(
    state: GroupsState, group: ClassicGroup, request: SyncGroupRequest, effects: Effects, now: Now
) -> None:
    """Everybody who waits is answered with what the record will say."""
    assignments = {each.member_id: each.assignment for each in request.assignments}
    waiting = _take_waiting(group)
    write_generation(effects, group, assignments)
    for member, waiter in waiting:
        effects.reply(waiter, _assigned(group, assignments.get(member.member_id, b"")))
        restart_session(effects, group, member, now)

    def refused(error: ErrorCode) -> Effects:
        """The log does not take it (too large, no replicas): another rebalance."""
        after = Effects()
        for member, waiter in waiting:
            member.syncing = waiter
        abandon_assignment(group, after, now, error)
        prepare(state, group, after, now)
        return after

    effects.refused = refused


def _take_waiting(group: ClassicGroup) -> list[tuple[ClassicMember, Ticket]]:
    found = []
    for member in group.members.values():
        if member.syncing is not None:
            found.append((member, member.syncing))
            member.syncing = None
    return found
