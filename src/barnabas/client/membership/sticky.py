"""The sticky assignors: balance first, then as few moves as possible (KIP-54, KIP-429).

Where all members subscribe to the same topics, loads differ by at most one. Otherwise partitions go
to the least loaded member that may have them, and move one at a time while that evens the loads.
"""

from __future__ import annotations

from collections.abc import Mapping

from barnabas.client.fetch_core import TopicPartition
from barnabas.client.membership.protocol import (
    Subscription,
    decode_cooperative,
    decode_sticky,
    encode_cooperative,
    encode_sticky,
)

Loads = dict[str, list[TopicPartition]]
Claims = Mapping[str, tuple[tuple[TopicPartition, ...], int]]
"""What each member says that it has, and the generation in which it had it."""


class Sticky:
    """`sticky`: members give everything up for a rebalance, and mostly get it back."""

    name = "sticky"
    cooperative = False

    def user_data(self, owned: frozenset[TopicPartition] | None, generation: int) -> bytes | None:
        """The last assignment; None before the first."""
        return None if owned is None else encode_sticky(owned, generation)

    def assign(self, partitions: Mapping[str, int], members: Mapping[str, Subscription]) -> Loads:
        """See the module."""
        claims = {member: decode_sticky(each.user_data) for member, each in members.items()}
        return balance(partitions, members, claims)


class CooperativeSticky:
    """`cooperative-sticky`: what moves is left out until its owner has given it up."""

    name = "cooperative-sticky"
    cooperative = True

    def user_data(self, owned: frozenset[TopicPartition] | None, generation: int) -> bytes | None:
        """The generation: what a member has travels in its subscription."""
        del owned
        return encode_cooperative(generation)

    def assign(self, partitions: Mapping[str, int], members: Mapping[str, Subscription]) -> Loads:
        """See the module. A partition that someone still has goes to nobody else."""
        claims = {member: (each.owned, _generation(each)) for member, each in members.items()}
        result = balance(partitions, members, claims)
        held = {name for each in members.values() for name in each.owned}
        return {
            member: [n for n in share if n not in held or n in members[member].owned]
            for member, share in result.items()
        }


def _generation(subscription: Subscription) -> int:
    """Since version 2 the subscription says it itself."""
    if subscription.generation >= 0:
        return subscription.generation
    return decode_cooperative(subscription.user_data)


def balance(
    partitions: Mapping[str, int], members: Mapping[str, Subscription], claims: Claims
) -> Loads:
    """An even division that leaves as much as possible where it is."""
    loads: Loads = {member: [] for member in sorted(members)}
    wants = {member: frozenset(each.topics) for member, each in members.items()}
    owners = _owners(partitions, wants, claims)
    for name in sorted(owners):
        loads[owners[name]].append(name)
    rest = [
        (topic, number)
        for topic, count in partitions.items()
        for number in range(count)
        if (topic, number) not in owners
    ]
    if len(set(wants.values())) <= 1:
        _even(loads, rest, partitions, wants)
    else:
        _spread(loads, rest, wants)
        _level(loads, wants)
    return loads


def _owners(
    partitions: Mapping[str, int], wants: Mapping[str, frozenset[str]], claims: Claims
) -> dict[TopicPartition, str]:
    """Who has what. Of two claims the newer generation's counts, of equal ones none."""
    best: dict[TopicPartition, tuple[int, str | None]] = {}
    for member in sorted(claims):
        owned, generation = claims[member]
        for name in dict.fromkeys(owned):
            if not 0 <= name[1] < partitions.get(name[0], 0):
                continue
            before = best.get(name)
            if before is None or generation > before[0]:
                best[name] = (generation, member)
            elif generation == before[0]:
                best[name] = (generation, None)
    return {
        name: member
        for name, (_, member) in best.items()
        if member is not None and name[0] in wants[member]
    }


def _even(
    loads: Loads,
    rest: list[TopicPartition],
    partitions: Mapping[str, int],
    wants: Mapping[str, frozenset[str]],
) -> None:
    """Everybody may have everything: quotas, then the rest in turn."""
    if not loads:
        return
    wanted = next(iter(wants.values()))
    rest = [name for name in rest if name[0] in wanted]
    total = sum(count for topic, count in partitions.items() if topic in wanted)
    floor, more = divmod(total, len(loads))
    # Whoever has most keeps one of the larger shares.
    for member in sorted(loads, key=lambda m: (-len(loads[m]), m)):
        share = loads[member]
        quota = floor + (more > 0)
        if len(share) > floor:
            more -= more > 0
        rest += share[quota:]
        del share[quota:]
    rest.sort()
    for member in sorted(loads, key=lambda m: (len(loads[m]), m)):
        while len(loads[member]) < floor:
            loads[member].append(rest.pop(0))
    for member in sorted(loads, key=lambda m: (len(loads[m]), m)):
        if rest and len(loads[member]) == floor:
            loads[member].append(rest.pop(0))


def _spread(loads: Loads, rest: list[TopicPartition], wants: Mapping[str, frozenset[str]]) -> None:
    """The topics that fewest members may have come first."""
    takers: dict[str, list[str]] = {}
    for topic in {name[0] for name in rest}:
        takers[topic] = [member for member in loads if topic in wants[member]]
    for name in sorted(rest, key=lambda n: (len(takers[n[0]]), n)):
        if takers[name[0]]:
            least = min(takers[name[0]], key=lambda m: (len(loads[m]), m))
            loads[least].append(name)


def _level(loads: Loads, wants: Mapping[str, frozenset[str]]) -> None:
    """Move one partition at a time to a member with at least two fewer, until none can be moved.

    Each move lowers the sum of the squared loads, so this ends.
    """
    moved = True
    while moved:
        moved = False
        for member in sorted(loads, key=lambda m: (-len(loads[m]), m)):
            for name in sorted(loads[member], reverse=True):
                takers = [other for other in loads if name[0] in wants[other]]
                least = min(takers, key=lambda m: (len(loads[m]), m), default=member)
                if len(loads[least]) + 2 <= len(loads[member]):
                    loads[member].remove(name)
                    loads[least].append(name)
                    moved = True
