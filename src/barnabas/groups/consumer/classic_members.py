"""Members of a consumer group that still speak the classic protocol (KIP-848, online migration)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.groups.classic.rebalance import refuse_join, refuse_sync
from barnabas.groups.consumer.downgrade import downgrade, may_downgrade
from barnabas.groups.consumer.embedded import read_subscription, version_of, write_assignment
from barnabas.groups.consumer.group import CONSUMER, ConsumerGroup
from barnabas.groups.consumer.heartbeat import check_room
from barnabas.groups.consumer.leaving import fence, find_member
from barnabas.groups.consumer.member import (
    ClassicFacts,
    ClassicProtocol,
    ConsumerMember,
    MemberState,
)
from barnabas.groups.consumer.steps import (
    member_changed,
    reconcile_member,
    replace_static,
    restart_session,
    subscription_changed,
)
from barnabas.groups.consumer.target import current_target, update_target
from barnabas.groups.consumer.timers import ConsumerTimer, Wait
from barnabas.wire.errors import ErrorCode, KafkaError, ProtocolError
from barnabas.wire.messages.consumer_group_heartbeat_request import TopicPartitions
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.leave_group_response import LeaveGroupResponse, MemberResponse
from barnabas.wire.messages.sync_group_response import SyncGroupResponse

if TYPE_CHECKING:
    from barnabas.groups.context import RequestContext
    from barnabas.groups.state import GroupsState
    from barnabas.wire.messages.consumer_protocol_subscription import ConsumerProtocolSubscription
    from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
    from barnabas.wire.messages.join_group_request import JoinGroupRequest
    from barnabas.wire.messages.leave_group_request import LeaveGroupRequest, MemberIdentity
    from barnabas.wire.messages.sync_group_request import SyncGroupRequest

KNOWN_ID_FROM = 4
"""A dynamic member has to come back with the id that it is given (KIP-394)."""


def join(
    state: GroupsState,
    group: ConsumerGroup,
    context: RequestContext,
    request: JoinGroupRequest,
    ticket: Ticket,
    now: Now,
) -> Effects:
    """JoinGroup to a consumer group that has members."""
    try:
        return _join(state, group, context, request, ticket, now)
    except KafkaError as error:
        return Effects().reply(ticket, refuse_join(error.code))


def _join(
    state: GroupsState,
    group: ConsumerGroup,
    context: RequestContext,
    request: JoinGroupRequest,
    ticket: Ticket,
    now: Now,
) -> Effects:
    effects = Effects()
    instance_id = request.group_instance_id
    if not state.settings.consumer.mixed:
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    member_id = request.member_id or state.new_id()
    check_room(state, group, member_id)
    names = [each.name for each in request.protocols]
    if not group.supports_classic(request.protocol_type, names):
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if not request.member_id and instance_id is None and context.api_version >= KNOWN_ID_FROM:
        return effects.reply(ticket, refuse_join(ErrorCode.MEMBER_ID_REQUIRED, member_id))
    subscription = _subscription(request)
    former = group.static_member(instance_id)
    becomes_classic = former is not None and _replaces_last(state, group, former)
    old = _find(group, member_id, request, effects)
    new = _updated(old, context, request, subscription)
    names_changed = member_changed(group, old, new, effects)
    changed, epoch = subscription_changed(
        state, group, old, new, context, effects, now, names_changed=names_changed, classic=True
    )
    owned = _owned(state, subscription)
    stale = becomes_classic and group.assignment_epoch < epoch
    target = (
        current_target(group, new)
        if becomes_classic
        else update_target(state, group, epoch, old, new, effects, now)
    )
    if not stale:
        new = reconcile_member(state, group, new, target, owned, effects, now, changed=changed)
    if becomes_classic and former is not None:
        downgrade(state, group, [former], effects, now, joining=new, rebalance=stale)
    else:
        _restart(effects, group, new, now)
    response = JoinGroupResponse(
        generation_id=new.epoch,
        protocol_type=CONSUMER,
        protocol_name=request.protocols[0].name,
        leader="",
        member_id=member_id,
        members=[],
    )
    return effects.reply(ticket, response)


def _replaces_last(state: GroupsState, group: ConsumerGroup, former: ConsumerMember) -> bool:
    """Whether nobody of the new protocol is left once this static member is replaced."""
    return former.classic is None and may_downgrade(state, group, [former], joining=1)


def _find(
    group: ConsumerGroup, member_id: str, request: JoinGroupRequest, effects: Effects
) -> ConsumerMember:
    instance_id = request.group_instance_id
    if instance_id is None:
        return group.member(member_id) or ConsumerMember(member_id)
    if request.member_id:
        return find_member(group, member_id, instance_id)
    former = group.static_member(instance_id)
    if former is None:
        return ConsumerMember(member_id)
    return replace_static(group, former, member_id, effects)


def _subscription(request: JoinGroupRequest) -> ConsumerProtocolSubscription:
    """Of its protocols only the first one's metadata counts."""
    try:
        return read_subscription(request.protocols[0].metadata)
    except ProtocolError as error:
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, str(error)) from error


def _owned(state: GroupsState, subscription: ConsumerProtocolSubscription) -> list[TopicPartitions]:
    owned = []
    for part in subscription.owned_partitions:
        topic = state.topics.by_name(part.topic)
        if topic is not None:
            owned.append(TopicPartitions(topic.topic_id, part.partitions))
    return owned


def _updated(
    member: ConsumerMember,
    context: RequestContext,
    request: JoinGroupRequest,
    subscription: ConsumerProtocolSubscription,
) -> ConsumerMember:
    protocols = tuple(ClassicProtocol(p.name, bytes(p.metadata)) for p in request.protocols)
    rebalance_ms = request.rebalance_timeout_ms
    return member._replace(
        instance_id=request.group_instance_id or member.instance_id,
        rack_id=subscription.rack_id or member.rack_id,
        rebalance_timeout_ms=member.rebalance_timeout_ms if rebalance_ms == -1 else rebalance_ms,
        names=frozenset(subscription.topics),
        regex="",
        client_id=context.client_id,
        client_host=context.client_host,
        classic=ClassicFacts(request.session_timeout_ms, protocols),
    )


def _restart(effects: Effects, group: ConsumerGroup, member: ConsumerMember, now: Now) -> None:
    """It has joined; next it has to ask for its assignment."""
    assert member.classic is not None
    group_id, member_id = group.group_id, member.member_id
    group.joins_awaited.pop(member_id, None)
    effects.cancel_timer(ConsumerTimer(group_id, member_id, Wait.JOIN))
    effects.cancel_timer(ConsumerTimer(group_id, member_id, Wait.REVOKE))
    restart_session(effects, group_id, member_id, member.classic.session_timeout_ms, now)
    effects.set_timer(
        ConsumerTimer(group_id, member_id, Wait.SYNC), now.monotonic + member.rebalance_timeout_ms
    )


def sync(
    state: GroupsState, group: ConsumerGroup, request: SyncGroupRequest, ticket: Ticket, now: Now
) -> Effects:
    """SyncGroup: a classic member asks for its assignment."""
    effects = Effects()
    try:
        member, classic = _classic_member(
            group, request.member_id, request.group_instance_id, request.generation_id
        )
        if request.protocol_type not in (None, CONSUMER) or (
            request.protocol_name not in (None, classic.protocols[0].name)
        ):
            raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        if group.assignment_epoch > member.epoch and member.state is not MemberState.UNREVOKED:
            _await_join(effects, group, member, now)
            return effects.reply(ticket, refuse_sync(ErrorCode.REBALANCE_IN_PROGRESS))
    except KafkaError as error:
        return effects.reply(ticket, refuse_sync(error.code))
    effects.cancel_timer(ConsumerTimer(group.group_id, member.member_id, Wait.SYNC))
    session_ms = classic.session_timeout_ms
    restart_session(effects, group.group_id, member.member_id, session_ms, now)
    response = SyncGroupResponse(
        protocol_type=request.protocol_type,
        protocol_name=request.protocol_name,
        assignment=write_assignment(
            state.topics, member.assigned, version_of(classic.protocols[0].metadata)
        ),
    )
    return effects.reply(ticket, response)


def heartbeat(group: ConsumerGroup, request: HeartbeatRequest, ticket: Ticket, now: Now) -> Effects:
    """Heartbeat of a classic member: it learns that it has to join again."""
    effects = Effects()
    try:
        member, classic = _classic_member(
            group, request.member_id, request.group_instance_id, request.generation_id
        )
    except KafkaError as refused:
        return effects.reply(ticket, HeartbeatResponse(error_code=refused.code))
    session_ms = classic.session_timeout_ms
    restart_session(effects, group.group_id, member.member_id, session_ms, now)
    error = ErrorCode.NONE
    if (
        member.epoch < group.assignment_epoch
        or member.state is MemberState.UNREVOKED
        or (member.state is MemberState.UNRELEASED and not _has_to_wait(group, member))
    ):
        error = ErrorCode.REBALANCE_IN_PROGRESS
        _await_join(effects, group, member, now)
    return effects.reply(ticket, HeartbeatResponse(error_code=error))


def _classic_member(
    group: ConsumerGroup, member_id: str, instance_id: str | None, generation: int
) -> tuple[ConsumerMember, ClassicFacts]:
    """Raises `KafkaError`."""
    member = find_member(group, member_id, instance_id)
    if member.classic is None:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
    if member.epoch != generation:
        raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
    return member, member.classic


def _has_to_wait(group: ConsumerGroup, member: ConsumerMember) -> bool:
    """Whether others still hold what it is to get."""
    return any(
        partition not in member.assigned.get(topic, {}) and not group.is_free(topic, partition)
        for topic, partitions in group.target_of(member.member_id).items()
        for partition in partitions
    )


def _await_join(effects: Effects, group: ConsumerGroup, member: ConsumerMember, now: Now) -> None:
    """The first time that it is told to join again, its time begins to run."""
    if member.member_id not in group.joins_awaited:
        group.joins_awaited[member.member_id] = None
        timer = ConsumerTimer(group.group_id, member.member_id, Wait.JOIN)
        effects.set_timer(timer, now.monotonic + member.rebalance_timeout_ms)


def leave_group(
    state: GroupsState, group: ConsumerGroup, request: LeaveGroupRequest, ticket: Ticket, now: Now
) -> Effects:
    """LeaveGroup of members of either protocol."""
    effects = Effects()
    leaving: list[ConsumerMember] = []
    answers = []
    for identity in request.members:
        code = ErrorCode.NONE
        try:
            leaving.append(_leaving(group, identity))
        except KafkaError as error:
            code = error.code
        answers.append(MemberResponse(identity.member_id, identity.group_instance_id, code))
    fence(state, group, leaving, effects, now)
    return effects.reply(ticket, LeaveGroupResponse(members=answers))


def _leaving(group: ConsumerGroup, identity: MemberIdentity) -> ConsumerMember:
    """An administrator names a static member by its instance alone."""
    instance_id = identity.group_instance_id
    if instance_id is not None and not identity.member_id:
        member = group.static_member(instance_id)
        if member is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        return member
    return find_member(group, identity.member_id, instance_id)
