"""Rebalances of consumer groups (KIP-848): members that answer at once, until all have their share."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from barnabas.wire.messages.consumer_group_heartbeat_request import (
    ConsumerGroupHeartbeatRequest,
    TopicPartitions,
)
from barnabas.wire.messages.consumer_group_heartbeat_response import ConsumerGroupHeartbeatResponse
from benchmarks.frames import Topic
from benchmarks.groups import Wire, coordinators, cpu_seconds, frame_of
from benchmarks.targets import Target
from tests.interop.kafka import Node, ToolError

HEARTBEAT = 1
REBALANCE_MS = 60_000
ROUNDS_MAX = 1_000

_numbers = itertools.count()


class _Member:
    """One member; it gives back what it is asked for, and tells so with the next heartbeat."""

    def __init__(self, wire: Wire, group: str, number: int, topic: Topic) -> None:
        self.wire = wire
        self.owned: list[int] = []
        self._group, self._id, self._topic = group, f"member-{number:03}", topic
        self._epoch = 0

    def ask(self) -> None:
        """A heartbeat that tells everything."""
        owned = [TopicPartitions(self._topic.id, self.owned)] if self.owned else []
        request = ConsumerGroupHeartbeatRequest(
            self._group,
            self._id,
            self._epoch,
            rebalance_timeout_ms=REBALANCE_MS,
            subscribed_topic_names=[self._topic.name],
            topic_partitions=owned,
        )
        self.wire.send(frame_of(request, HEARTBEAT))

    def hear(self) -> None:
        """Its answer. Raises `ToolError`."""
        request = ConsumerGroupHeartbeatRequest
        answer = self.wire.receive(ConsumerGroupHeartbeatResponse, request, HEARTBEAT)
        if answer.error_code:
            raise ToolError(f"{self._id}: {answer.error_code} {answer.error_message}")
        self._epoch = answer.member_epoch
        if answer.assignment is not None:
            self.owned = [
                number for each in answer.assignment.topic_partitions for number in each.partitions
            ]

    def leave(self) -> None:
        """Go."""
        request = ConsumerGroupHeartbeatRequest(self._group, self._id, -1)
        self.wire.ask(request, ConsumerGroupHeartbeatResponse, HEARTBEAT)


def consumer_rebalances(
    members: int, partitions: int, rounds: int, mode: str
) -> Callable[[Target], tuple[float, ...]]:
    """From the first heartbeat of a new group until each member has its equal share: wall time and
    the node's processor time, ms."""

    def measure(target: Target) -> tuple[float, ...]:
        topic = target.topic(partitions, mode)
        wires = [Wire(target.node) for _ in range(members)]
        with coordinators(target, mode):
            _gather(target.node, wires, topic)
            wall = cpu = 0.0
            for _ in range(rounds):
                taken = _gather(target.node, wires, topic)
                wall, cpu = wall + taken[0], cpu + taken[1]
        for wire in wires:
            wire.close()
        target.drop(topic)
        return wall * 1000 / rounds, cpu * 1000 / rounds

    return measure


def _gather(node: Node, wires: list[Wire], topic: Topic) -> tuple[float, float]:
    """A group comes, shares the partitions, and goes: seconds until the shares, of wall and CPU."""
    group = f"consumers-{next(_numbers)}"
    everybody = [_Member(wire, group, at, topic) for at, wire in enumerate(wires)]
    share = topic.partitions // len(everybody)
    cpu, began = cpu_seconds(node), time.monotonic()
    for _ in range(ROUNDS_MAX):
        for member in everybody:
            member.ask()
        for member in everybody:
            member.hear()
        if all(len(member.owned) == share for member in everybody):
            break
    else:
        raise ToolError(f"{group}: the shares are not equal")
    taken = time.monotonic() - began, cpu_seconds(node) - cpu
    for member in everybody:
        member.leave()
    return taken
