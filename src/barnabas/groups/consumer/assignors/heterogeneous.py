"""The uniform assignor for members that read different topics."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from barnabas.groups.consumer.assignors.spec import Assignment, GroupSpec

PASSES_MAX: Final = 16
"""Kafka's bound on how often it goes over the topics to level the members."""
_NOBODY: Final = -1


def assign_heterogeneous(group: GroupSpec) -> Assignment:
    """Keep what may be kept, give the rest to the least loaded, then level topic by topic."""
    return _Assigner(group).assign()


class _Assigner:
    """Members are numbered in their order; `loads` counts all partitions of a member."""

    def __init__(self, group: GroupSpec) -> None:
        self.group = group
        self.member_ids = list(group.members)
        self.loads = [0] * len(self.member_ids)
        readers: defaultdict[bytes, list[int]] = defaultdict(list)
        for number, spec in enumerate(group.members.values()):
            for topic in spec.topics:
                readers[topic].append(number)
        self.readers = dict(readers)
        self.owners = {topic: [_NOBODY] * group.partitions[topic] for topic in self.readers}

    def assign(self) -> Assignment:
        if not self.readers:
            return {}
        self._keep()
        topics = sorted(self.readers, key=self._place)
        for topic in topics:
            self._hand_out(topic)
        self._level([topic for topic in topics if len(self.readers[topic]) > 1])
        given: list[dict[bytes, list[int]]] = [{} for _ in self.member_ids]
        for topic, owners in self.owners.items():
            for partition, owner in enumerate(owners):
                given[owner].setdefault(topic, []).append(partition)
        return {
            member_id: {topic: tuple(partitions) for topic, partitions in mine.items()}
            for member_id, mine in zip(self.member_ids, given, strict=True)
        }

    def _place(self, topic: bytes) -> tuple[float, int, int, int]:
        """Most partitions for each reader first, then few readers, then the id (Java: signed)."""
        readers = len(self.readers[topic])
        high = int.from_bytes(topic[:8], "big", signed=True)
        low = int.from_bytes(topic[8:], "big", signed=True)
        return -self.group.partitions[topic] / readers, readers, high, low

    def _keep(self) -> None:
        for number, spec in enumerate(self.group.members.values()):
            topics = set(spec.topics)
            for topic, partitions in spec.target.items():
                if topic in topics:
                    self.loads[number] += len(partitions)
                    for partition in partitions:
                        self.owners[topic][partition] = number

    def _give(self, topic: bytes, partition: int, number: int) -> None:
        owner = self.owners[topic][partition]
        if owner != _NOBODY:
            self.loads[owner] -= 1
        self.owners[topic][partition] = number
        self.loads[number] += 1

    def _hand_out(self, topic: bytes) -> None:
        free = [p for p, owner in enumerate(self.owners[topic]) if owner == _NOBODY]
        if free:
            balancer = _Balancer(self.loads, self.readers[topic])
            for partition in free:
                self._give(topic, partition, balancer.least_loaded())

    def _level(self, topics: list[bytes]) -> None:
        """Until a whole pass has moved nothing, or there were enough of them."""
        last_moved = -1
        for _ in range(PASSES_MAX):
            for at, topic in enumerate(topics):
                if at == last_moved:
                    return
                if self._level_topic(topic) or last_moved == -1:
                    last_moved = at

    def _level_topic(self, topic: bytes) -> int:
        readers = self.readers[topic]
        loads = [self.loads[number] for number in readers]
        if max(loads) - min(loads) <= 1:
            return 0
        balancer = _Balancer(self.loads, readers)
        held: defaultdict[int, list[int]] = defaultdict(list)
        for partition, owner in enumerate(self.owners[topic]):
            held[owner].append(partition)
        moved = 0
        while not balancer.balanced():
            giver = balancer.most_loaded()
            while giver != _NOBODY and not held[giver]:
                balancer.exclude()
                giver = balancer.most_loaded()
            if giver == _NOBODY:
                break
            partition = held[giver].pop()
            taker = balancer.least_loaded()
            if balancer.balanced():
                break
            self._give(topic, partition, taker)
            moved += 1
        return moved


class _Balancer:
    """Walks the readers of a topic from both ends of their order by load.

    The least loaded form a range that is served in turns: after each round its level is one higher,
    and those who are on that level join it. The most loaded likewise, from the other end downwards.
    `loads` changes while it works; the order is that of the beginning.
    """

    __slots__ = (
        "_loads",
        "_low_end",
        "_low_level",
        "_low_next",
        "_order",
        "_top_end",
        "_top_level",
        "_top_next",
        "_top_start",
    )

    def __init__(self, loads: list[int], readers: list[int]) -> None:
        self._loads = loads
        self._order = sorted(readers, key=lambda number: (loads[number], number))
        self._low_end = 0
        self._low_level = loads[self._order[0]] - 1
        self._low_next = 0
        self._top_start = self._top_end = len(self._order)
        self._top_level = loads[self._order[-1]] + 1
        self._top_next = len(self._order) - 1

    def balanced(self) -> bool:
        """Whether the two levels differ by no more than one."""
        return self._top_level - self._low_level <= 1

    def least_loaded(self) -> int:
        """Who gets the next partition."""
        if self._low_next >= self._low_end:
            self._low_level += 1
            while (
                self._low_end < len(self._order)
                and self._loads[self._order[self._low_end]] == self._low_level
            ):
                self._low_end += 1
            self._low_next = 0
        self._low_next += 1
        return self._order[self._low_next - 1]

    def most_loaded(self) -> int:
        """Who gives the next partition; -1 when nobody is left."""
        if self._top_next < self._top_start:
            if self._top_end <= self._top_start and self._top_start > 0:
                # All of the range were excluded: it goes on where the next one stands.
                self._top_level = self._loads[self._order[self._top_start - 1]]
            else:
                self._top_level -= 1
            while (
                self._top_start > 0
                and self._loads[self._order[self._top_start - 1]] == self._top_level
            ):
                self._top_start -= 1
            self._top_next = self._top_end - 1
        if self._top_next < 0:
            return _NOBODY
        self._top_next -= 1
        return self._order[self._top_next + 1]

    def exclude(self) -> None:
        """The one that `most_loaded` named last has nothing to give."""
        at, end = self._top_next + 1, self._top_end - 1
        self._order[at], self._order[end] = self._order[end], self._order[at]
        self._top_end -= 1
