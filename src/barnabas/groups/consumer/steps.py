"""The steps that a heartbeat of a new member and a JoinGroup of a classic one have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.consumer.group import ConsumerGroup
from barnabas.groups.consumer.member import JOINING, ConsumerMember, MemberState
from barnabas.groups.consumer.ready import write_current, write_member, write_target
from barnabas.groups.consumer.reconcile import Goal, Owned, reconcile
from barnabas.groups.consumer.records import (
    write_epoch,
    write_member_tombstones,
    write_partition_metadata_tombstone,
)
from barnabas.groups.consumer.subscriptions import RegexChange, update_regexes
from barnabas.groups.consumer.target import Target
from barnabas.groups.consumer.timers import ConsumerTimer, Wait, cancel_timers

if TYPE_CHECKING:
    from barnabas.groups.context import RequestContext
    from barnabas.groups.state import GroupsState


def restart_session(
    effects: Effects, group_id: str, member_id: str, session_ms: int, now: Now
) -> None:
    """The member has given a sign of life."""
    effects.set_timer(ConsumerTimer(group_id, member_id, Wait.SESSION), now.monotonic + session_ms)


def replace_static(
    group: ConsumerGroup, old: ConsumerMember, member_id: str, effects: Effects
) -> ConsumerMember:
    """A static member is back under another id: it takes over what the one before it had."""
    new = old._replace(member_id=member_id, epoch=JOINING, previous_epoch=JOINING)
    cancel_timers(effects, group.group_id, old.member_id)
    write_member_tombstones(effects, group.group_id, old.member_id)
    write_member(effects, group.group_id, new)
    write_target(effects, group.group_id, member_id, group.target_of(old.member_id))
    write_current(effects, group.group_id, new)
    return new


def member_changed(
    group: ConsumerGroup, old: ConsumerMember, new: ConsumerMember, effects: Effects
) -> bool:
    """Write what a member says of itself, if it is new; whether it reads other topics by name."""
    if new != old:
        write_member(effects, group.group_id, new)
    return new.names != old.names


def subscription_changed(
    state: GroupsState,
    group: ConsumerGroup,
    old: ConsumerMember,
    new: ConsumerMember,
    context: RequestContext,
    effects: Effects,
    now: Now,
    *,
    names_changed: bool,
    classic: bool = False,
) -> tuple[bool, int]:
    """Whether the member's subscription changed, and the epoch of the group from now on.

    The group goes on when the subscription is another one, or the topics themselves have changed.
    The join of a `classic` member waits for no regular expression.
    """
    change = update_regexes(state, group, old, new, context, effects, now)
    changed = names_changed or change is not RegexChange.NONE
    bump = changed if classic else names_changed or change is RegexChange.RESOLVED
    if not bump and not group.must_refresh(now.wall):
        return changed, group.epoch
    metadata_hash = state.hashes.of_group(group.topics_with(old, new))
    epoch = group.epoch
    if bump or metadata_hash != group.metadata_hash:
        epoch += 1
        write_epoch(effects, group.group_id, epoch, metadata_hash)
    group.refreshed(now.wall, epoch)
    if group.has_partition_metadata:
        write_partition_metadata_tombstone(effects, group.group_id)
    return changed, epoch


def reconcile_member(
    state: GroupsState,
    group: ConsumerGroup,
    member: ConsumerMember,
    target: Target,
    owned: Owned,
    effects: Effects,
    now: Now,
    *,
    changed: bool,
) -> ConsumerMember:
    """Bring the member a step nearer to its target. Raises `KafkaError` FENCED_MEMBER_EPOCH."""
    if not changed and member.reconciled_to(target.epoch):
        return member
    names = group.subscriptions(member)

    def subscribed(topic_id: bytes) -> bool:
        topic = state.topics.by_id(topic_id)
        return topic is not None and topic.name in names

    goal = Goal(target.epoch, target.partitions, subscribed)
    after = reconcile(member, goal, owned, group.held, subscription_changed=changed)
    if after == member:
        return member
    write_current(effects, group.group_id, after)
    if after.classic is None:
        timer = ConsumerTimer(group.group_id, after.member_id, Wait.REVOKE)
        if after.state is MemberState.UNREVOKED:
            effects.set_timer(timer, now.monotonic + after.rebalance_timeout_ms)
        else:
            effects.cancel_timer(timer)
    return after


def restart_all(state: GroupsState, group: ConsumerGroup, effects: Effects, now: Now) -> None:
    """The group was read from the log: all its deadlines begin anew."""
    session_ms = state.session_ms(group.group_id)
    for member in group.members.values():
        restart_session(effects, group.group_id, member.member_id, session_ms, now)
        if member.state is MemberState.UNREVOKED:
            timer = ConsumerTimer(group.group_id, member.member_id, Wait.REVOKE)
            effects.set_timer(timer, now.monotonic + member.rebalance_timeout_ms)
