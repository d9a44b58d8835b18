"""A consumer group becomes a classic one when only classic members are left (KIP-848, online)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.classic.group import ClassicGroup, State
from barnabas.groups.classic.member import ClassicMember, Protocol
from barnabas.groups.classic.rebalance import prepare
from barnabas.groups.classic.records import write_generation
from barnabas.groups.classic.timers import SessionTimer
from barnabas.groups.consumer.embedded import version_of, write_assignment
from barnabas.groups.consumer.group import CONSUMER, ConsumerGroup
from barnabas.groups.consumer.member import ConsumerMember, Partitions
from barnabas.groups.consumer.records import write_group_tombstones
from barnabas.groups.consumer.timers import cancel_timers
from barnabas.wire.errors import ProtocolError

if TYPE_CHECKING:
    from barnabas.groups.state import GroupsState


def may_downgrade(
    state: GroupsState,
    group: ConsumerGroup,
    leaving: Sequence[ConsumerMember],
    joining: int = 0,
) -> bool:
    """Whether the group becomes a classic one without the members that leave.

    `joining`: classic members that come in their place.
    """
    left = len(group.members) - len(leaving) + joining
    return (
        group.only_classics_without(leaving)
        and left > 0
        and state.settings.consumer.downgrade
        and left <= state.settings.max_size
    )


def downgrade(
    state: GroupsState,
    group: ConsumerGroup,
    leaving: Sequence[ConsumerMember],
    effects: Effects,
    now: Now,
    *,
    joining: ConsumerMember | None = None,
    rebalance: bool = True,
) -> None:
    """Write the group as a classic one that has finished the generation of its epoch.

    `joining`: the classic member that takes the place, and the assignment, of the static member
    that leaves; its records have been written in these effects. The members' assignments are those
    of the target. `rebalance`: they have to join again. Memory keeps all that the members told of
    their assignors; the record has only what they told the chosen one.
    """
    gone = {member.member_id for member in leaving}
    places = {
        each: joining.member_id if joining is not None and each in gone else each
        for each in group.members
    }
    write_group_tombstones(effects, group.group_id, places.values(), group.resolved)
    classic = ClassicGroup(group.group_id, now.wall)
    classic.generation, classic.protocol_type = group.epoch, CONSUMER
    staying = [member for member in group.members.values() if member.member_id not in gone]
    for member in [*staying, *([joining] if joining is not None else [])]:
        classic.add(_classic(member))
        timer = SessionTimer(group.group_id, member.member_id)
        effects.set_timer(
            timer, now.monotonic + classic.members[member.member_id].session_timeout_ms
        )
    classic.protocol = classic.select_protocol()
    classic.note_subscriptions()
    sources = {new: old for old, new in places.items()}
    for member_id, each in classic.members.items():
        target = group.target_of(sources[member_id])
        each.assignment = _assignment(state, each.metadata(classic.protocol), target)
    classic.move_to(State.STABLE, now.wall)
    write_generation(
        effects, classic, {m.member_id: m.assignment for m in classic.members.values()}
    )
    state.downgraded = effects.records[-1].value, classic
    for member_id in group.members:
        cancel_timers(effects, group.group_id, member_id)
    if rebalance:
        prepare(state, classic, effects, now)


def _classic(member: ConsumerMember) -> ClassicMember:
    assert member.classic is not None
    protocols = tuple(Protocol(p.name, p.metadata) for p in member.classic.protocols)
    return ClassicMember(
        member.member_id,
        member.instance_id,
        member.client_id,
        member.client_host,
        member.rebalance_timeout_ms,
        member.classic.session_timeout_ms,
        protocols,
    )


def _assignment(state: GroupsState, subscription: bytes, target: Partitions) -> bytes:
    """In the version of the member's subscription."""
    try:
        version = version_of(subscription)
    except ProtocolError:
        version = 0
    return write_assignment(state.topics, target, version)
