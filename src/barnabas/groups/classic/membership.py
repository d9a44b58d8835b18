"""Staying in a classic group, and leaving it: Heartbeat, LeaveGroup, sessions that end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.groups.classic.rebalance import (
    complete,
    prepare,
    rebalance_without,
    restart_session,
    send_away,
)
from barnabas.groups.classic.timers import SessionTimer
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.leave_group_response import LeaveGroupResponse, MemberResponse

if TYPE_CHECKING:
    from barnabas.groups.state import GroupsState
    from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
    from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity


def heartbeat(state: GroupsState, request: HeartbeatRequest, ticket: Ticket, now: Now) -> Effects:
    """A member lives; it learns that it has to join again."""
    effects = Effects()
    group = state.classic(request.group_id)
    error = ErrorCode.UNKNOWN_MEMBER_ID
    if group is not None:
        error = group.check_member(request.member_id, request.group_instance_id)
        if not error and request.generation_id != group.generation:
            error = ErrorCode.ILLEGAL_GENERATION
        if not error:
            restart_session(effects, group, group.members[request.member_id], now)
            if group.state is State.PREPARING:
                error = ErrorCode.REBALANCE_IN_PROGRESS
    return effects.reply(ticket, HeartbeatResponse(error_code=error))


def leave_group(
    state: GroupsState, request: LeaveGroupRequest, ticket: Ticket, now: Now
) -> Effects:
    """Members go, or an administrator removes static ones by their instance ids."""
    effects = Effects()
    group = state.classic(request.group_id)
    if group is None:
        answers = [_left(each, ErrorCode.UNKNOWN_MEMBER_ID) for each in request.members]
        return effects.reply(ticket, LeaveGroupResponse(members=answers))
    answers = [_left(each, _leave(group, each, effects)) for each in request.members]
    if any(not answer.error_code for answer in answers):
        rebalance_without(state, group, effects, now)
    return effects.reply(ticket, LeaveGroupResponse(members=answers))


def _left(identity: MemberIdentity, error: ErrorCode) -> MemberResponse:
    return MemberResponse(identity.member_id, identity.group_instance_id, error)


def _leave(group: ClassicGroup, identity: MemberIdentity, effects: Effects) -> ErrorCode:
    member_id, instance_id = identity.member_id, identity.group_instance_id
    if not member_id:
        member_id = group.static_ids.get(instance_id or "", "")
        if not member_id:
            return ErrorCode.UNKNOWN_MEMBER_ID
    elif member_id in group.pending_ids:
        group.remove(member_id)
        effects.cancel_timer(SessionTimer(group.group_id, member_id))
        return ErrorCode.NONE
    error = group.check_member(member_id, instance_id)
    if not error:
        send_away(group, group.members[member_id], effects)
    return error


def session_over(
    state: GroupsState, group: ClassicGroup, member_id: str, effects: Effects, now: Now
) -> None:
    """Nothing was heard of a member, or of an id that was given out, for as long as it said."""
    member = group.members.get(member_id)
    if member is None:
        if member_id not in group.pending_ids:
            return
        group.remove(member_id)
    elif member.waits:
        return  # its next session begins with the answer
    else:
        send_away(group, member, effects)
        if group.state in (State.STABLE, State.COMPLETING):
            prepare(state, group, effects, now)
            return
    if group.state is State.PREPARING and group.all_joined:
        complete(state, group, effects, now)
