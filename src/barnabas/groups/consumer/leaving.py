"""Leaving a consumer group: by oneself, or because a deadline has passed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.groups.consumer.downgrade import downgrade, may_downgrade
from barnabas.groups.consumer.group import ConsumerGroup
from barnabas.groups.consumer.member import AWAY, NOTHING, ConsumerMember, MemberState
from barnabas.groups.consumer.ready import write_current
from barnabas.groups.consumer.records import write_epoch, write_member_tombstones, write_resolved
from barnabas.groups.consumer.timers import ConsumerTimer, Wait, cancel_timers
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.consumer_group_heartbeat_response import ConsumerGroupHeartbeatResponse

if TYPE_CHECKING:
    from barnabas.groups.state import GroupsState
    from barnabas.wire.messages.consumer_group_heartbeat_request import (
        ConsumerGroupHeartbeatRequest,
    )


def leave(
    state: GroupsState, request: ConsumerGroupHeartbeatRequest, ticket: Ticket, now: Now
) -> Effects:
    """A heartbeat of epoch -1, or -2 of a static member that will be back. Raises `KafkaError`."""
    group = state.consumer(request.group_id)
    if group is None:
        raise KafkaError(
            ErrorCode.GROUP_ID_NOT_FOUND, f"There is no consumer group {request.group_id}."
        )
    effects = Effects()
    member = find_member(group, request.member_id, request.instance_id)
    if request.instance_id is not None and request.member_epoch == AWAY:
        zeros = {topic: dict.fromkeys(parts, 0) for topic, parts in member.assigned.items()}
        away = member._replace(epoch=AWAY, assigned=zeros, revoking=NOTHING)
        write_current(effects, group.group_id, away)
    else:
        fence(state, group, [member], effects, now)
    response = ConsumerGroupHeartbeatResponse(
        member_id=request.member_id, member_epoch=request.member_epoch
    )
    return effects.reply(ticket, response)


def find_member(group: ConsumerGroup, member_id: str, instance_id: str | None) -> ConsumerMember:
    """The member that a request speaks for.

    Raises `KafkaError` UNKNOWN_MEMBER_ID, or FENCED_INSTANCE_ID when the instance is another one's.
    """
    if instance_id is None:
        found = group.member(member_id)
        if found is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"{member_id} is not a member.")
        return found
    found = group.static_member(instance_id)
    if found is None:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance {instance_id} is unknown.")
    if found.member_id != member_id:
        raise KafkaError(
            ErrorCode.FENCED_INSTANCE_ID,
            f"Instance {instance_id} is now member {found.member_id}.",
        )
    return found


def fence(
    state: GroupsState,
    group: ConsumerGroup,
    members: Iterable[ConsumerMember],
    effects: Effects,
    now: Now,
) -> None:
    """Take members out; when only classic ones are left, the group becomes a classic one."""
    leaving = list({member.member_id: member for member in members}.values())
    if not leaving:
        return
    if may_downgrade(state, group, leaving):
        downgrade(state, group, leaving, effects, now)
        return
    for member in leaving:
        write_member_tombstones(effects, group.group_id, member.member_id)
    regexes = group.regexes_only_of(leaving)
    for regex in regexes:
        write_resolved(effects, group.group_id, regex, None)
    metadata_hash = state.hashes.of_group(group.topics_without(leaving, regexes))
    write_epoch(effects, group.group_id, group.epoch + 1, metadata_hash)
    for member in leaving:
        cancel_timers(effects, group.group_id, member.member_id)


def time_is_over(state: GroupsState, timer: ConsumerTimer, effects: Effects, now: Now) -> None:
    """A member has not done in time what it had to."""
    group = state.consumer(timer.group_id)
    member = None if group is None else group.member(timer.member_id)
    if group is None or member is None:
        return
    # One that left for a while, or has gone on meanwhile, owes nothing.
    if timer.wait is Wait.REVOKE and (
        member.state is not MemberState.UNREVOKED or member.epoch == AWAY
    ):
        return
    fence(state, group, [member], effects, now)
