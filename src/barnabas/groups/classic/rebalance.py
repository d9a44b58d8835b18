"""The rebalance of a classic group, from the first reason for it to the new generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.groups.classic.member import ClassicMember
from barnabas.groups.classic.records import write_generation
from barnabas.groups.classic.timers import JoinTimer, SessionTimer, SyncTimer
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.join_group_response import JoinGroupResponse, JoinGroupResponseMember
from barnabas.wire.messages.sync_group_response import SyncGroupResponse

if TYPE_CHECKING:
    from barnabas.groups.state import GroupsState


def refuse_join(error: ErrorCode, member_id: str = "") -> JoinGroupResponse:
    """The answer to a JoinGroup that leads to nothing."""
    return JoinGroupResponse(
        error_code=error, generation_id=-1, protocol_name=None, member_id=member_id
    )


def refuse_sync(error: ErrorCode) -> SyncGroupResponse:
    """The answer to a SyncGroup that leads to nothing."""
    return SyncGroupResponse(error_code=error)


def restart_session(effects: Effects, group: ClassicGroup, member: ClassicMember, now: Now) -> None:
    """The member has given a sign of life."""
    effects.set_timer(
        SessionTimer(group.group_id, member.member_id), now.monotonic + member.session_timeout_ms
    )


def join_response(
    group: ClassicGroup, member_id: str, *, leader: str | None = None, skip: bool = False
) -> JoinGroupResponse:
    """The current generation as one member hears of it; its leader gets everybody's metadata.

    `leader`: another one to name; then nobody gets the metadata. `skip`: the leader need not assign
    (KIP-814).
    """
    members = []
    if leader is None and group.leader_id == member_id:
        members = [
            JoinGroupResponseMember(m.member_id, m.instance_id, m.metadata(group.protocol or ""))
            for m in group.members.values()
        ]
    return JoinGroupResponse(
        generation_id=group.generation,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol,
        leader=(group.leader_id if leader is None else leader) or "",
        skip_assignment=skip,
        member_id=member_id,
        members=members,
    )


def rebalance_or_complete(
    state: GroupsState, group: ClassicGroup, effects: Effects, now: Now
) -> None:
    """Membership changed: begin a rebalance, or end the one under way if this was what it missed."""
    if group.state is not State.PREPARING:
        prepare(state, group, effects, now)
    else:
        complete_if_all_joined(state, group, effects, now)


def prepare(state: GroupsState, group: ClassicGroup, effects: Effects, now: Now) -> None:
    """Ask everybody to join again; a group that was empty waits for others first (KIP-134)."""
    if group.state is State.COMPLETING:
        abandon_assignment(group, effects, now, ErrorCode.REBALANCE_IN_PROGRESS)
    group.unsynced.clear()
    effects.cancel_timer(SyncTimer(group.group_id))
    group.initial = group.state is State.EMPTY
    group.move_to(State.PREPARING, now.wall)
    if group.initial:
        group.newcomers = False
        delay = state.settings.initial_rebalance_delay_ms
        group.patience_ms = max(group.rebalance_timeout_ms - delay, 0)
        effects.set_timer(JoinTimer(group.group_id), now.monotonic + delay)
    elif group.all_joined:
        complete(state, group, effects, now)
    else:
        at = now.monotonic + group.rebalance_timeout_ms
        effects.set_timer(JoinTimer(group.group_id), at)


def complete_if_all_joined(
    state: GroupsState, group: ClassicGroup, effects: Effects, now: Now
) -> None:
    """End the join phase when nobody is missing; the first one of a group ends by its timer."""
    if group.state is State.PREPARING and not group.initial and group.all_joined:
        complete(state, group, effects, now)


def join_phase_over(state: GroupsState, group: ClassicGroup, effects: Effects, now: Now) -> None:
    """The timer of the join phase ran out; an initial one goes on while members keep coming."""
    if group.state is not State.PREPARING:
        return
    if group.initial and group.newcomers and group.patience_ms:
        group.newcomers = False
        delay = min(state.settings.initial_rebalance_delay_ms, group.patience_ms)
        group.patience_ms -= delay
        effects.set_timer(JoinTimer(group.group_id), now.monotonic + delay)
        return
    complete(state, group, effects, now)


def complete(state: GroupsState, group: ClassicGroup, effects: Effects, now: Now) -> None:
    """The join phase is over: who has not come is out (static members stay), a generation begins."""
    del state
    effects.cancel_timer(JoinTimer(group.group_id))
    missing = [m for m in group.members.values() if m.joining is None and m.instance_id is None]
    for member in missing:
        group.remove(member.member_id)
        effects.cancel_timer(SessionTimer(group.group_id, member.member_id))
    if group.members and not group.elect_leader():
        # Only static members are left, and none has come: give them another while.
        at = now.monotonic + group.rebalance_timeout_ms
        effects.set_timer(JoinTimer(group.group_id), at)
        return
    group.initial = False
    group.next_generation(now.wall)
    if group.state is State.EMPTY:
        write_generation(effects, group, {})
        return
    for member in group.members.values():
        if member.joining is not None:
            effects.reply(member.joining, join_response(group, member.member_id))
            member.joining = None
        member.is_new = False
        restart_session(effects, group, member, now)
        group.unsynced[member.member_id] = None
    effects.set_timer(SyncTimer(group.group_id), now.monotonic + group.rebalance_timeout_ms)


def sync_phase_over(state: GroupsState, group: ClassicGroup, effects: Effects, now: Now) -> None:
    """Members that have not asked for their assignment in time are out."""
    if group.state not in (State.COMPLETING, State.STABLE) or not group.unsynced:
        return
    for member_id in list(group.unsynced):
        group.remove(member_id)
        effects.cancel_timer(SessionTimer(group.group_id, member_id))
    prepare(state, group, effects, now)


def abandon_assignment(group: ClassicGroup, effects: Effects, now: Now, error: ErrorCode) -> None:
    """The assignment that members wait for will not come."""
    for member in group.members.values():
        member.assignment = b""
        if member.syncing is not None:
            effects.reply(member.syncing, refuse_sync(error))
            member.syncing = None
            restart_session(effects, group, member, now)


def send_away(group: ClassicGroup, member: ClassicMember, effects: Effects) -> None:
    """Take a member out, without what follows from it."""
    effects.cancel_timer(SessionTimer(group.group_id, member.member_id))
    if member.joining is not None:
        effects.reply(member.joining, refuse_join(ErrorCode.UNKNOWN_MEMBER_ID))
        member.joining = None
    if member.syncing is not None:
        effects.reply(member.syncing, refuse_sync(ErrorCode.UNKNOWN_MEMBER_ID))
        member.syncing = None
    group.remove(member.member_id)


def rebalance_without(state: GroupsState, group: ClassicGroup, effects: Effects, now: Now) -> None:
    """What follows when members have been taken out."""
    if group.state in (State.STABLE, State.COMPLETING):
        prepare(state, group, effects, now)
    else:
        complete_if_all_joined(state, group, effects, now)


def waiting(group: ClassicGroup) -> list[Ticket]:
    """Take everybody who waits out of a group."""
    tickets: list[Ticket] = []
    for member in group.members.values():
        tickets += [each for each in (member.joining, member.syncing) if each is not None]
        member.joining = member.syncing = None
    return tickets
