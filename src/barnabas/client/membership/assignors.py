"""Who gets which partition: range and round robin, and the table of all assignors.

What a group's members run side by side need not give equal results: only the leader's counts. But
names, user data and the rules of cooperative members are those of Kafka's Java client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from barnabas.client.fetch_core import TopicPartition
from barnabas.client.membership.protocol import Subscription
from barnabas.client.membership.sticky import CooperativeSticky, Sticky

Assignment = dict[str, list[TopicPartition]]


class Assignor(Protocol):
    """Divides partitions among the members of a group."""

    @property
    def name(self) -> str:
        """What JoinGroup calls it."""

    @property
    def cooperative(self) -> bool:
        """Whether members keep their partitions during a rebalance (KIP-429)."""

    def user_data(self, owned: frozenset[TopicPartition] | None, generation: int) -> bytes | None:
        """What a member tells the leader's assignor. `owned`: its last assignment, if any."""

    def assign(
        self, partitions: Mapping[str, int], members: Mapping[str, Subscription]
    ) -> Assignment:
        """Partitions for each member id; `partitions` has the number of each topic that exists."""


def in_order(members: Mapping[str, Subscription]) -> list[str]:
    """Member ids, static members first by instance id, then the others (Java's MemberInfo)."""
    return sorted(
        members, key=lambda m: (members[m].instance_id is None, members[m].instance_id or m)
    )


class Range:
    """Contiguous ranges, topic by topic: equal partition numbers of topics go together."""

    name = "range"
    cooperative = False

    def user_data(self, owned: frozenset[TopicPartition] | None, generation: int) -> bytes | None:
        """None."""
        del owned, generation
        return None

    def assign(
        self, partitions: Mapping[str, int], members: Mapping[str, Subscription]
    ) -> Assignment:
        """The first members get one partition more where it does not divide evenly."""
        result: Assignment = {member: [] for member in members}
        order = in_order(members)
        for topic in sorted(partitions):
            takers = [member for member in order if topic in members[member].topics]
            if not takers:
                continue
            each, more = divmod(partitions[topic], len(takers))
            start = 0
            for index, member in enumerate(takers):
                end = start + each + (index < more)
                result[member] += [(topic, number) for number in range(start, end)]
                start = end
        return result


class RoundRobin:
    """All partitions of all topics in a row, dealt out one by one."""

    name = "roundrobin"
    cooperative = False

    def user_data(self, owned: frozenset[TopicPartition] | None, generation: int) -> bytes | None:
        """None."""
        del owned, generation
        return None

    def assign(
        self, partitions: Mapping[str, int], members: Mapping[str, Subscription]
    ) -> Assignment:
        """A member that did not subscribe to a topic is passed over."""
        result: Assignment = {member: [] for member in members}
        order = in_order(members)
        at = 0
        for topic in sorted(partitions):
            takers = {member for member in order if topic in members[member].topics}
            if not takers:
                continue
            for number in range(partitions[topic]):
                while order[at % len(order)] not in takers:
                    at += 1
                result[order[at % len(order)]].append((topic, number))
                at += 1
        return result


ASSIGNORS: Mapping[str, Assignor] = {
    each.name: each for each in (Range(), RoundRobin(), Sticky(), CooperativeSticky())
}
