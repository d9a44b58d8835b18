"""ConsumerGroupHeartbeat: joining, staying and going on with the reconciliation (KIP-848)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.groups.classic.group import ClassicGroup
from barnabas.groups.classic.group import State as ClassicState
from barnabas.groups.consumer.check import check_heartbeat
from barnabas.groups.consumer.group import ConsumerGroup
from barnabas.groups.consumer.leaving import find_member, leave
from barnabas.groups.consumer.member import AWAY, JOINING, ConsumerMember, Epochs
from barnabas.groups.consumer.reconcile import Owned
from barnabas.groups.consumer.steps import (
    member_changed,
    reconcile_member,
    replace_static,
    restart_session,
    subscription_changed,
)
from barnabas.groups.consumer.target import update_target
from barnabas.groups.consumer.upgrade import upgrade
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.consumer_group_heartbeat_response import (
    Assignment,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)

if TYPE_CHECKING:
    from barnabas.groups.context import RequestContext
    from barnabas.groups.state import GroupsState
    from barnabas.wire.messages.consumer_group_heartbeat_request import (
        ConsumerGroupHeartbeatRequest,
    )

UNCHANGED: Final = -1
"""A rebalance time-out that the member does not say again."""


def refuse_heartbeat(
    error: ErrorCode, sentence: str | None = None
) -> ConsumerGroupHeartbeatResponse:
    """The answer to a heartbeat that leads to nothing."""
    return ConsumerGroupHeartbeatResponse(error_code=error, error_message=sentence)


def consumer_heartbeat(
    state: GroupsState,
    context: RequestContext,
    request: ConsumerGroupHeartbeatRequest,
    ticket: Ticket,
    now: Now,
) -> Effects:
    """Decide a ConsumerGroupHeartbeat."""
    try:
        check_heartbeat(request, context.api_version, state.settings.consumer)
        if request.member_epoch < JOINING:
            return leave(state, request, ticket, now)
        return _stay(state, context, request, ticket, now)
    except KafkaError as error:
        return Effects().reply(ticket, refuse_heartbeat(error.code, error.message))


def _stay(
    state: GroupsState,
    context: RequestContext,
    request: ConsumerGroupHeartbeatRequest,
    ticket: Ticket,
    now: Now,
) -> Effects:
    effects = Effects()
    group = _find_group(state, request, effects, now)
    check_room(state, group, request.member_id)
    member_id = request.member_id or state.new_id()
    old = _find_member(group, request, member_id, effects)
    new = _updated(old, context, request)
    names_changed = member_changed(group, old, new, effects)
    changed, epoch = subscription_changed(
        state, group, old, new, context, effects, now, names_changed=names_changed
    )
    target = update_target(state, group, epoch, old, new, effects, now)
    owned = request.topic_partitions
    new = reconcile_member(state, group, new, target, owned, effects, now, changed=changed)
    restart_session(effects, group.group_id, member_id, state.session_ms(group.group_id), now)
    response = ConsumerGroupHeartbeatResponse(
        member_id=member_id,
        member_epoch=new.epoch,
        heartbeat_interval_ms=state.heartbeat_ms(group.group_id),
    )
    if request.member_epoch == JOINING or _is_full(request) or new.assigned != old.assigned:
        response.assignment = _assignment(new.assigned)

    def refused(error: ErrorCode) -> Effects:
        # It lives, whatever the log says. Others may wait in a classic group that this makes a
        # consumer group: not with its failure.
        after = Effects()
        restart_session(after, group.group_id, member_id, state.session_ms(group.group_id), now)
        return after.reply(ticket, refuse_heartbeat(error))

    effects.refused = refused
    return effects.reply(ticket, response)


def _find_group(
    state: GroupsState, request: ConsumerGroupHeartbeatRequest, effects: Effects, now: Now
) -> ConsumerGroup:
    """The group; who joins makes it, or makes one of a classic group (section 4 of the facts)."""
    group_id = request.group_id
    group = state.groups.get(group_id)
    if isinstance(group, ConsumerGroup):
        return group
    if request.member_epoch == JOINING:
        if group is None:
            return ConsumerGroup(group_id)
        if isinstance(group, ClassicGroup):
            if group.state is ClassicState.EMPTY:
                group.write_tombstones(effects)
                return ConsumerGroup(group_id)
            return upgrade(state, group, effects, now)
    raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"There is no consumer group {group_id}.")


def check_room(state: GroupsState, group: ConsumerGroup, member_id: str) -> None:
    """Raises `KafkaError` GROUP_MAX_SIZE_REACHED for one member more than there may be."""
    limit = state.settings.consumer.max_size
    if len(group.members) >= limit and member_id not in group.members:
        raise KafkaError(
            ErrorCode.GROUP_MAX_SIZE_REACHED, f"The group has its {limit} members already."
        )


def _find_member(
    group: ConsumerGroup,
    request: ConsumerGroupHeartbeatRequest,
    member_id: str,
    effects: Effects,
) -> ConsumerMember:
    instance_id = request.instance_id
    joins = request.member_epoch == JOINING
    if not joins:
        found: ConsumerMember | None = find_member(group, member_id, instance_id)
    elif instance_id is None:
        found = group.member(member_id)
    else:
        found = group.static_member(instance_id)
        if found is not None:
            if found.classic is None and found.epoch != AWAY:
                raise KafkaError(
                    ErrorCode.UNRELEASED_INSTANCE_ID,
                    f"Instance {instance_id} is in use by member {found.member_id}.",
                )
            return replace_static(group, found, member_id, effects)
        found = group.member(member_id)
    if found is None:
        return ConsumerMember(member_id)
    _check_epoch(found, request.member_epoch, request.topic_partitions)
    return found


def _check_epoch(member: ConsumerMember, epoch: int, owned: Owned) -> None:
    """The epoch it is in, or the one before while it owns no more than it may (a lost answer)."""
    if epoch in (JOINING, member.epoch):
        return
    if epoch == member.previous_epoch and epoch < member.epoch and owned is not None:
        nothing: dict[int, int] = {}
        if all(
            partition in member.assigned.get(each.topic_id, nothing)
            for each in owned
            for partition in each.partitions
        ) and all(each.topic_id in member.assigned for each in owned):
            return
    raise KafkaError(
        ErrorCode.FENCED_MEMBER_EPOCH,
        f"The member is in epoch {member.epoch}, not {epoch}: it has to give up all and join again.",
    )


def _updated(
    member: ConsumerMember, context: RequestContext, request: ConsumerGroupHeartbeatRequest
) -> ConsumerMember:
    """What is null has not changed."""
    instance_id, rack_id = request.instance_id, request.rack_id
    rebalance_ms, assignor = request.rebalance_timeout_ms, request.server_assignor
    names, regex = member.names, request.subscribed_topic_regex
    if request.subscribed_topic_names is not None:
        given = frozenset(request.subscribed_topic_names)
        if given != names:
            names = given
    return ConsumerMember(
        member.member_id,
        member.epoch,
        member.previous_epoch,
        member.state,
        member.instance_id if instance_id is None else instance_id,
        member.rack_id if rack_id is None else rack_id,
        member.rebalance_timeout_ms if rebalance_ms == UNCHANGED else rebalance_ms,
        context.client_id,
        context.client_host,
        names,
        member.regex if regex is None else regex,
        member.assignor if assignor is None else assignor,
        member.assigned,
        member.revoking,
    )


def _is_full(request: ConsumerGroupHeartbeatRequest) -> bool:
    """A member that says everything has lost the last answer, and wants to know everything."""
    return (
        request.rebalance_timeout_ms != UNCHANGED
        and request.topic_partitions is not None
        and (
            request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None
        )
    )


def _assignment(assigned: Epochs) -> Assignment:
    parts = [TopicPartitions(topic, sorted(numbers)) for topic, numbers in assigned.items()]
    return Assignment(topic_partitions=parts)
