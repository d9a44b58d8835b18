"""A classic group becomes a consumer group while its members are there (KIP-848, online)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.classic.group import ClassicGroup
from barnabas.groups.classic.member import ClassicMember
from barnabas.groups.classic.rebalance import refuse_join, refuse_sync
from barnabas.groups.classic.timers import JoinTimer, SessionTimer, SyncTimer
from barnabas.groups.consumer.embedded import read_assignment, read_subscription
from barnabas.groups.consumer.group import CONSUMER, ConsumerGroup
from barnabas.groups.consumer.member import (
    ClassicFacts,
    ClassicProtocol,
    ConsumerMember,
    in_order,
    stamped,
)
from barnabas.groups.consumer.ready import write_current, write_member, write_target
from barnabas.groups.consumer.records import write_epoch, write_target_epoch
from barnabas.groups.consumer.timers import ConsumerTimer, Wait
from barnabas.wire.errors import ErrorCode, KafkaError, ProtocolError

if TYPE_CHECKING:
    from barnabas.groups.state import GroupsState


def upgrade(state: GroupsState, classic: ClassicGroup, effects: Effects, now: Now) -> ConsumerGroup:
    """The consumer group with the members of the classic one, in the classic protocol.

    The group counts once its records are replayed. Who waits in the classic group is told to join
    again. Raises `KafkaError` GROUP_ID_NOT_FOUND when it cannot become one.
    """
    _check(state, classic)
    group = ConsumerGroup(classic.group_id)
    group.epoch = group.assignment_epoch = classic.generation
    protocol = classic.protocol or classic.select_protocol()
    try:
        for member in classic.members.values():
            _take_over(state, group, member, protocol, classic.generation)
    except ProtocolError as error:
        raise _cannot(classic, f"its members' metadata is malformed: {error}") from error
    group.metadata_hash = state.hashes.of_group(group.topics)
    _send_away(classic, effects)
    classic.write_tombstones(effects)
    _write(group, effects)
    for each in group.members.values():
        assert each.classic is not None
        timer = ConsumerTimer(group.group_id, each.member_id, Wait.SESSION)
        effects.set_timer(timer, now.monotonic + each.classic.session_timeout_ms)
    return group


def _check(state: GroupsState, classic: ClassicGroup) -> None:
    if not state.settings.consumer.upgrade:
        raise _cannot(classic, "online upgrades are disabled")
    if classic.protocol_type != CONSUMER:
        raise _cannot(classic, "it is not a group of consumers")
    if len(classic.members) > state.settings.consumer.max_size:
        raise _cannot(classic, "it has too many members")


def _cannot(classic: ClassicGroup, reason: str) -> KafkaError:
    return KafkaError(
        ErrorCode.GROUP_ID_NOT_FOUND,
        f"The classic group {classic.group_id} cannot become a consumer group: {reason}.",
    )


def _take_over(
    state: GroupsState, group: ConsumerGroup, member: ClassicMember, protocol: str, epoch: int
) -> None:
    assigned: dict[bytes, tuple[int, ...]] = {}
    if member.assignment:
        found = read_assignment(member.assignment)
        if found.user_data:
            raise ProtocolError("a custom assignor's data would be lost")
        for part in found.assigned_partitions:
            topic = state.topics.by_name(part.topic)
            if topic is not None:
                assigned[topic.topic_id] = in_order(part.partitions)
    subscription = read_subscription(member.metadata(protocol))
    protocols = tuple(ClassicProtocol(p.name, bytes(p.metadata)) for p in member.protocols)
    group.targets.put(member.member_id, assigned)
    group.put(
        ConsumerMember(
            member.member_id,
            epoch,
            epoch,
            instance_id=member.instance_id,
            rack_id=subscription.rack_id or None,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            client_id=member.client_id,
            client_host=member.client_host,
            names=frozenset(subscription.topics),
            assigned=stamped(assigned, epoch),
            classic=ClassicFacts(member.session_timeout_ms, protocols),
        )
    )


def _send_away(classic: ClassicGroup, effects: Effects) -> None:
    group_id = classic.group_id
    effects.cancel_timer(JoinTimer(group_id))
    effects.cancel_timer(SyncTimer(group_id))
    for member_id in (*classic.members, *classic.pending_ids):
        effects.cancel_timer(SessionTimer(group_id, member_id))
    # Their tickets stay where they are: when the log refuses the upgrade, they wait on.
    for member in classic.members.values():
        if member.joining is not None:
            effects.reply(member.joining, refuse_join(ErrorCode.REBALANCE_IN_PROGRESS))
        if member.syncing is not None:
            effects.reply(member.syncing, refuse_sync(ErrorCode.REBALANCE_IN_PROGRESS))


def _write(group: ConsumerGroup, effects: Effects) -> None:
    members = group.members.values()
    for member in members:
        write_member(effects, group.group_id, member)
    write_epoch(effects, group.group_id, group.epoch, group.metadata_hash)
    for member in members:
        write_target(effects, group.group_id, member.member_id, group.target_of(member.member_id))
    write_target_epoch(effects, group.group_id, group.assignment_epoch, group.assignment_ms)
    for member in members:
        write_current(effects, group.group_id, member)
