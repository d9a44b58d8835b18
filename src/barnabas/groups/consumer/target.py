"""The target assignment of a group: when it is computed anew, and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.consumer.assignors import ASSIGNORS
from barnabas.groups.consumer.assignors.spec import Assignment, GroupSpec, MemberSpec
from barnabas.groups.consumer.assignors.uniform import share_evenly
from barnabas.groups.consumer.group import NO_PARTITIONS, ConsumerGroup
from barnabas.groups.consumer.member import ConsumerMember, Partitions
from barnabas.groups.consumer.ready import write_target
from barnabas.groups.consumer.records import write_target_epoch

if TYPE_CHECKING:
    from barnabas.groups.consumer.topics import TopicFacts
    from barnabas.groups.state import GroupsState


class Target(NamedTuple):
    """What one member is to own, and as of which epoch."""

    epoch: int
    partitions: Partitions


def update_target(
    state: GroupsState,
    group: ConsumerGroup,
    group_epoch: int,
    old: ConsumerMember,
    new: ConsumerMember,
    effects: Effects,
    now: Now,
) -> Target:
    """Compute the target anew if the group has gone on, and not too often (KIP-1263).

    `new` takes the place of `old`; the result is the target of `new`.
    """
    if group.assignment_epoch >= group_epoch or not _is_time(state, group, now):
        return current_target(group, new)
    settings = state.settings.consumer
    name = group.preferred_assignor(old, new) or settings.assignors[0]
    changes = _changes(state, group, name, new)
    for member_id, partitions in changes.items():
        write_target(effects, group.group_id, member_id, partitions)
    write_target_epoch(effects, group.group_id, group_epoch, now.wall)
    mine = changes.get(new.member_id)
    return Target(group_epoch, group.target_of(new.member_id) if mine is None else mine)


def _changes(
    state: GroupsState, group: ConsumerGroup, name: str, new: ConsumerMember
) -> Assignment:
    """Whose targets change, with `new` in its place, in the order of the members."""
    if name == "uniform":
        found = share(state, group, new)
        if found is not None:
            return found
    spec = _spec(state, group, new)
    assigned, targets = ASSIGNORS[name](spec), group.targets.of
    return {
        member_id: partitions
        for member_id in spec.members
        if (partitions := assigned.get(member_id, NO_PARTITIONS)) != targets.get(member_id)
    }


def share(state: GroupsState, group: ConsumerGroup, new: ConsumerMember) -> Assignment | None:
    """What the uniform assignor changes in the usual case, found without a look at everything:
    all members read the same. None in any other case."""
    if new.instance_id is not None and group.static_ids.get(new.instance_id) not in (
        None,
        new.member_id,
    ):
        return None
    regex, names = subscription = new.subscription
    if regex and names:
        return None
    old = group.members.get(new.member_id)
    alike = group.subscribers[subscription]
    if len(group.members) - (old is not None) != alike - (
        old is not None and old.subscription == subscription
    ):
        return None
    members = group.members if old is not None else [*group.members, new.member_id]
    if not group.targets.of.keys() <= group.members.keys():
        return None  # of somebody who is no member
    topics = _topics(state, group, new)
    counts = {topic.topic_id: topic.partitions for topic in topics}
    return share_evenly(members, group.targets, list(counts), counts)


def current_target(group: ConsumerGroup, member: ConsumerMember) -> Target:
    """The target as it is; a new static member takes over that of the one before it."""
    member_id: str | None = member.member_id
    if member.instance_id is not None:
        member_id = group.static_ids.get(member.instance_id)
    return Target(group.assignment_epoch, group.target_of(member_id or ""))


def _is_time(state: GroupsState, group: ConsumerGroup, now: Now) -> bool:
    interval = state.assignment_ms(group.group_id)
    return not group.assignment_ms or not interval or now.wall >= group.assignment_ms + interval


def _spec(state: GroupsState, group: ConsumerGroup, new: ConsumerMember) -> GroupSpec:
    former = None if new.instance_id is None else group.static_ids.get(new.instance_id)
    members = {**group.members, new.member_id: new}
    if former is not None and former != new.member_id:
        del members[former]
    partitions: dict[bytes, int] = {}
    specs: dict[str, MemberSpec] = {}
    known: dict[tuple[str, frozenset[str]], tuple[bytes, ...]] = {}
    for member in members.values():
        key = (member.regex or "", member.names)
        topics = known.get(key)
        if topics is None:
            there = _topics(state, group, member)
            partitions.update((topic.topic_id, topic.partitions) for topic in there)
            topics = known[key] = tuple(topic.topic_id for topic in there)
        source = former if member is new and former is not None else member.member_id
        specs[member.member_id] = MemberSpec(
            topics, group.target_of(source), member.instance_id, member.rack_id
        )
    # As Kafka sees it: names beside an expression make a group uneven, even if all have both.
    alike = len(known) <= 1 and not any(regex and names for regex, names in known)
    return GroupSpec(specs, partitions, alike)


def _topics(state: GroupsState, group: ConsumerGroup, member: ConsumerMember) -> list[TopicFacts]:
    """What a member reads, as far as it exists, in the order of the names."""
    found = [state.topics.by_name(name) for name in sorted(group.subscriptions(member))]
    return [topic for topic in found if topic is not None]
