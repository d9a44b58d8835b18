"""One step of a member on its way to the target assignment (KIP-848)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Final, NamedTuple

from barnabas.groups.consumer.member import NOTHING, ConsumerMember, Epochs, MemberState, Partitions
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.consumer_group_heartbeat_request import TopicPartitions


class Goal(NamedTuple):
    """Where a member has to go: the target's epoch, its partitions, and what it subscribes to.

    `subscribed(topic id)`: whether the member (still) reads a topic.
    """

    epoch: int
    partitions: Partitions
    subscribed: Callable[[bytes], bool]


NONE: Final[Mapping[int, int]] = {}

Owned = list[TopicPartitions] | None
"""What a member says that it owns; None when it does not say."""


def reconcile(
    member: ConsumerMember,
    goal: Goal,
    owned: Owned,
    held: Callable[[bytes], Container[int]],
    *,
    subscription_changed: bool,
) -> ConsumerMember:
    """The member after this heartbeat: the same one when it cannot, or need not, go on.

    `held(topic id)`: the partitions that somebody in the group holds. Raises `KafkaError`
    FENCED_MEMBER_EPOCH for a member in a state that a later release wrote.
    """
    match member.state:
        case MemberState.STABLE:
            if member.epoch != goal.epoch:
                return _next(member, member.epoch, goal, owned, held)
            return _unsubscribe(member, goal, owned) if subscription_changed else member
        case MemberState.UNREVOKED:
            if _owns_any(owned, member.revoking):
                return _unsubscribe(member, goal, owned) if subscription_changed else member
            return _next(member, member.epoch, goal, owned, held)
        case MemberState.UNRELEASED:
            return _next(member, member.epoch, goal, owned, held)
        case MemberState.UNKNOWN:
            if owned is None or owned:
                raise KafkaError(
                    ErrorCode.FENCED_MEMBER_EPOCH,
                    "The member is in an unknown state: it has to give up all and join again.",
                )
            return _next(member, goal.epoch, goal, owned, held)


def _owns_any(owned: Owned, held: Epochs) -> bool:
    """Whether the member may still use one of these; who does not say may."""
    if owned is None:
        return True
    return any(p in held.get(each.topic_id, NOTHING) for each in owned for p in each.partitions)


def _unsubscribe(member: ConsumerMember, goal: Goal, owned: Owned) -> ConsumerMember:
    """Within an epoch: topics that the member does not read any more have to be given up."""
    gone = {t: parts for t, parts in member.assigned.items() if not goal.subscribed(t)}
    if not gone:
        return member
    kept = {t: parts for t, parts in member.assigned.items() if t not in gone}
    revoking = dict(member.revoking)
    for topic, parts in gone.items():
        revoking[topic] = {**revoking.get(topic, {}), **parts}
    member = member.moved_to(member.epoch)._replace(assigned=kept)
    if _owns_any(owned, revoking):
        return member._replace(state=MemberState.UNREVOKED, revoking=revoking)
    return member  # it gave them up before it was asked


def _next(
    member: ConsumerMember,
    epoch: int,
    goal: Goal,
    owned: Owned,
    held: Callable[[bytes], Container[int]],
) -> ConsumerMember:
    kept: dict[bytes, dict[int, int]] = {}
    revoking: dict[bytes, dict[int, int]] = {}
    added: dict[bytes, list[int]] = {}
    unreleased = False
    for topic in dict.fromkeys([*goal.partitions, *member.assigned]):
        ordered = goal.partitions.get(topic, ()) if goal.subscribed(topic) else ()
        assigned = member.assigned.get(topic, {})
        target = frozenset(ordered)
        keep = revoke = NONE
        if assigned:
            keep = {p: since for p, since in assigned.items() if p in target}
            revoke = {p: since for p, since in assigned.items() if p not in target}
        # What the member itself has just given up is not in anybody's way.
        own = member.revoking.get(topic, NOTHING)
        wanted = [p for p in ordered if p not in keep]
        taken = held(topic)
        free = [p for p in wanted if p in own or p not in taken]
        unreleased = unreleased or len(free) < len(wanted)
        _put(kept, topic, keep)
        _put(revoking, topic, revoke)
        if free:
            added[topic] = free
    if revoking and _owns_any(owned, revoking):
        return member.moved(epoch, MemberState.UNREVOKED, kept, revoking)
    for topic, parts in added.items():
        kept[topic] = {**kept.get(topic, {}), **dict.fromkeys(parts, goal.epoch)}
    state = MemberState.UNRELEASED if unreleased else MemberState.STABLE
    return member.moved(goal.epoch, state, kept, NOTHING)


def _put(into: dict[bytes, dict[int, int]], topic: bytes, parts: Mapping[int, int]) -> None:
    if parts:
        into[topic] = dict(parts)
