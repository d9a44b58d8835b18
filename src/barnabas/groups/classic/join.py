"""JoinGroup of a classic group: who may come, and what that sets off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.groups.classic.member import ClassicMember, Protocol
from barnabas.groups.classic.rebalance import (
    complete_if_all_joined,
    join_response,
    prepare,
    rebalance_or_complete,
    refuse_join,
    refuse_sync,
    restart_session,
)
from barnabas.groups.classic.records import write_generation, write_new_group
from barnabas.groups.classic.timers import SessionTimer
from barnabas.groups.settings import PENDING_ID_BYTES_MAX, PENDING_MEMBERS_MAX
from barnabas.wire.errors import ErrorCode

if TYPE_CHECKING:
    from barnabas.groups.consumer.group import ConsumerGroup
    from barnabas.groups.context import RequestContext
    from barnabas.groups.state import GroupsState
    from barnabas.wire.messages.join_group_request import JoinGroupRequest

KNOWN_ID_FROM = 4
"""A dynamic member has to come back with the id that it is given (KIP-394)."""
SKIP_ASSIGNMENT_FROM = 9


def join_group(
    state: GroupsState,
    context: RequestContext,
    request: JoinGroupRequest,
    ticket: Ticket,
    now: Now,
) -> Effects:
    """Decide a JoinGroup for a group that is classic, or empty, or not there."""
    effects = Effects()
    error = check_session(state, request)
    if error:
        return effects.reply(ticket, refuse_join(error, request.member_id))
    group = state.classic(request.group_id)
    former = state.consumer(request.group_id)
    is_new = group is None
    if group is None:
        if request.member_id:
            return effects.reply(
                ticket, refuse_join(ErrorCode.UNKNOWN_MEMBER_ID, request.member_id)
            )
        if former is not None:
            former.write_tombstones(effects)
        group = state.groups[request.group_id] = ClassicGroup(request.group_id, now.wall)
    if not _has_room(state, group, request.member_id):
        group.remove(request.member_id)
        return effects.reply(ticket, refuse_join(ErrorCode.GROUP_MAX_SIZE_REACHED))
    if not group.supports(request.protocol_type, [p.name for p in request.protocols]):
        effects.reply(ticket, refuse_join(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, request.member_id))
    elif not request.member_id:
        _join_new(state, group, context, request, ticket, effects, now)
    else:
        _join_known(state, group, context, request, ticket, effects, now)
    if is_new:
        # So that a group is there for everybody from its first member on, also after a crash.
        write_new_group(effects, group)
        effects.refused = lambda error: _forget(state, group, former, ticket, error)
    return effects


def check_session(state: GroupsState, request: JoinGroupRequest) -> ErrorCode:
    """Whether the session that a member asks for is within the limits."""
    settings = state.settings
    fits = settings.min_session_ms <= request.session_timeout_ms <= settings.max_session_ms
    return ErrorCode.NONE if fits else ErrorCode.INVALID_SESSION_TIMEOUT


def _forget(
    state: GroupsState,
    group: ClassicGroup,
    former: ConsumerGroup | None,
    ticket: Ticket,
    error: ErrorCode,
) -> Effects:
    """The log does not take a new group, which was to take the place of `former`."""
    state.groups.pop(group.group_id, None)
    if former is not None:
        state.groups[group.group_id] = former
    return Effects().reply(ticket, refuse_join(error))


def _has_room(state: GroupsState, group: ClassicGroup, member_id: str) -> bool:
    limit = state.settings.max_size
    member = group.members.get(member_id)
    if group.state is State.EMPTY:
        return True
    if group.state is State.PREPARING:
        return (member is not None and member.joining is not None) or group.joined < limit
    return member is not None or len(group.members) < limit


def _protocols(request: JoinGroupRequest) -> tuple[Protocol, ...]:
    return tuple(Protocol(each.name, each.metadata) for each in request.protocols)


def _join_new(
    state: GroupsState,
    group: ClassicGroup,
    context: RequestContext,
    request: JoinGroupRequest,
    ticket: Ticket,
    effects: Effects,
    now: Now,
) -> None:
    instance_id = request.group_instance_id
    member_id = f"{instance_id or context.client_id}-{state.new_id()}"
    if instance_id is not None and instance_id in group.static_ids:
        _replace_static(state, group, context, request, member_id, ticket, effects, now)
    elif instance_id is None and context.api_version >= KNOWN_ID_FROM:
        if not _may_give_out(group, member_id):
            effects.reply(ticket, refuse_join(ErrorCode.GROUP_MAX_SIZE_REACHED))
            return
        group.pending_ids[member_id] = None
        at = now.monotonic + request.session_timeout_ms
        effects.set_timer(SessionTimer(group.group_id, member_id), at)
        effects.reply(ticket, refuse_join(ErrorCode.MEMBER_ID_REQUIRED, member_id))
    else:
        _add(state, group, context, request, member_id, ticket, effects, now)


def _may_give_out(group: ClassicGroup, member_id: str) -> bool:
    """Whether the group may remember one more id; as if all had the length of this one."""
    given = len(group.pending_ids)
    return given < PENDING_MEMBERS_MAX and (given + 1) * len(member_id) <= PENDING_ID_BYTES_MAX


def _add(
    state: GroupsState,
    group: ClassicGroup,
    context: RequestContext,
    request: JoinGroupRequest,
    member_id: str,
    ticket: Ticket,
    effects: Effects,
    now: Now,
) -> None:
    member = ClassicMember(
        member_id,
        request.group_instance_id,
        context.client_id,
        context.client_host,
        _rebalance_timeout(request, context),
        request.session_timeout_ms,
        _protocols(request),
    )
    member.is_new = True
    member.joining = ticket
    if not group.members:
        group.protocol_type = request.protocol_type
    group.add(member)
    group.newcomers = group.newcomers or group.initial
    # Longer than a session: it cannot heartbeat before its first generation.
    at = now.monotonic + state.settings.new_member_join_ms
    effects.set_timer(SessionTimer(group.group_id, member_id), at)
    rebalance_or_complete(state, group, effects, now)


def _rebalance_timeout(request: JoinGroupRequest, context: RequestContext) -> int:
    return request.rebalance_timeout_ms if context.api_version >= 1 else request.session_timeout_ms


def _update(
    group: ClassicGroup,
    member: ClassicMember,
    context: RequestContext,
    request: JoinGroupRequest,
    ticket: Ticket,
    effects: Effects,
) -> None:
    if member.joining is not None:  # it asks again: the former request will get no other answer
        effects.reply(member.joining, refuse_join(ErrorCode.REBALANCE_IN_PROGRESS))
    group.set_protocols(member, _protocols(request))
    member.rebalance_timeout_ms = _rebalance_timeout(request, context)
    member.session_timeout_ms = request.session_timeout_ms
    member.joining = ticket


def _join_known(
    state: GroupsState,
    group: ClassicGroup,
    context: RequestContext,
    request: JoinGroupRequest,
    ticket: Ticket,
    effects: Effects,
    now: Now,
) -> None:
    member_id = request.member_id
    if member_id in group.pending_ids and request.group_instance_id is None:
        _add(state, group, context, request, member_id, ticket, effects, now)
        return
    error = group.check_member(member_id, request.group_instance_id)
    if not error and group.state is State.EMPTY:
        error = ErrorCode.UNKNOWN_MEMBER_ID
    if error:
        effects.reply(ticket, refuse_join(error, member_id))
        return
    member = group.members[member_id]
    same = member.protocols == _protocols(request)
    if (same and group.state is State.COMPLETING) or (
        same and group.state is State.STABLE and group.leader_id != member_id
    ):
        effects.reply(ticket, join_response(group, member_id))
        return
    _update(group, member, context, request, ticket, effects)
    rebalance_or_complete(state, group, effects, now)


def _replace_static(
    state: GroupsState,
    group: ClassicGroup,
    context: RequestContext,
    request: JoinGroupRequest,
    member_id: str,
    ticket: Ticket,
    effects: Effects,
    now: Now,
) -> None:
    """A static member came back without its id, after a restart: nobody else need notice."""
    instance_id = request.group_instance_id or ""
    former_leader = group.leader_id or ""
    old_id = group.static_ids[instance_id]
    old = group.members[old_id]
    if old.joining is not None:
        effects.reply(old.joining, refuse_join(ErrorCode.FENCED_INSTANCE_ID, old_id))
    if old.syncing is not None:
        effects.reply(old.syncing, refuse_sync(ErrorCode.FENCED_INSTANCE_ID))
    effects.cancel_timer(SessionTimer(group.group_id, old_id))
    before = group.state
    member = group.replace_static(instance_id, member_id)
    _update(group, member, context, request, ticket, effects)
    restart_session(effects, group, member, now)
    if before is State.STABLE and group.protocol == group.select_protocol():
        member.joining = None
        assignments = {each.member_id: each.assignment for each in group.members.values()}
        write_generation(effects, group, assignments)
        if context.api_version >= SKIP_ASSIGNMENT_FROM:
            skip = group.leader_id == member_id
            response = join_response(group, member_id, skip=skip)
        else:
            # Told of the former leader, even one that it was itself, it does not assign anew.
            response = join_response(group, member_id, leader=former_leader)
        effects.reply(ticket, response)
        effects.refused = lambda error: _undo_replacement(group, member, old, ticket, now, error)
    elif before in (State.STABLE, State.COMPLETING):
        prepare(state, group, effects, now)
    else:
        complete_if_all_joined(state, group, effects, now)


def _undo_replacement(
    group: ClassicGroup,
    new: ClassicMember,
    old: ClassicMember,
    ticket: Ticket,
    now: Now,
    error: ErrorCode,
) -> Effects:
    """The log does not take the new id: the client comes back, and finds the old member."""
    effects = Effects()
    group.undo_replacement(new, old)
    restart_session(effects, group, old, now)
    return effects.reply(ticket, refuse_join(error))
