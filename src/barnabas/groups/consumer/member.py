"""One member of a consumer group, as the log knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

JOINING: Final = 0
LEFT: Final = -1
AWAY: Final = -2
"""The epoch of a static member that left for a while."""

Epochs: TypeAlias = Mapping[bytes, Mapping[int, int]]
"""Topic id -> partition -> the epoch in which its member got it (KIP-1251)."""

Partitions: TypeAlias = Mapping[bytes, tuple[int, ...]]
"""Topic id -> partitions, ascending, each once."""

Subscription: TypeAlias = tuple[str, frozenset[str]]
"""A regular expression (empty for none) and names."""

NOTHING: Final[Epochs] = {}


class MemberState(IntEnum):
    """Where a member stands on the way to its target; numbers of the log."""

    STABLE = 0
    UNREVOKED = 1
    UNRELEASED = 2
    UNKNOWN = 127

    @classmethod
    def _missing_(cls, value: object) -> MemberState:
        del value  # of a later release
        return cls.UNKNOWN


class ClassicProtocol(NamedTuple):
    """An assignor of a classic member, with its subscription in Kafka's consumer protocol."""

    name: str
    metadata: bytes


class ClassicFacts(NamedTuple):
    """What is known of a member that speaks the classic protocol."""

    session_timeout_ms: int
    protocols: tuple[ClassicProtocol, ...]


class ConsumerMember(NamedTuple):
    """A member. Immutable: `_replace` makes the next one; equal members need no record.

    `regex` is empty for none. `assigned` and `revoking` must not be changed in place. `classic` is
    None for a member of the new protocol.
    """

    member_id: str
    epoch: int = 0
    previous_epoch: int = -1
    state: MemberState = MemberState.STABLE
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int = -1
    client_id: str = ""
    client_host: str = ""
    names: frozenset[str] = frozenset()
    regex: str | None = ""
    assignor: str | None = None
    assigned: Epochs = NOTHING
    revoking: Epochs = NOTHING
    classic: ClassicFacts | None = None

    @property
    def subscription(self) -> Subscription:
        """What it reads, as it says it."""
        return self.regex or "", self.names

    def moved_to(self, epoch: int) -> ConsumerMember:
        """The member in another epoch, or once more in the same."""
        return self._replace(epoch=epoch, previous_epoch=self.epoch)

    def moved(
        self, epoch: int, state: MemberState, assigned: Epochs, revoking: Epochs
    ) -> ConsumerMember:
        """The member after a step of the reconciliation."""
        return ConsumerMember(
            self.member_id,
            epoch,
            self.epoch,
            state,
            self.instance_id,
            self.rack_id,
            self.rebalance_timeout_ms,
            self.client_id,
            self.client_host,
            self.names,
            self.regex,
            self.assignor,
            assigned,
            revoking,
            self.classic,
        )

    def with_state_of(self, other: ConsumerMember) -> ConsumerMember:
        """Who it is, with the epochs and partitions of another one."""
        return ConsumerMember(
            self.member_id,
            other.epoch,
            other.previous_epoch,
            other.state,
            self.instance_id,
            self.rack_id,
            self.rebalance_timeout_ms,
            self.client_id,
            self.client_host,
            self.names,
            self.regex,
            self.assignor,
            other.assigned,
            other.revoking,
            self.classic,
        )

    def reconciled_to(self, epoch: int) -> bool:
        """Whether it has all that it should have at `epoch`."""
        return self.state is MemberState.STABLE and self.epoch == epoch

    def held_since(self, topic_id: bytes, partition: int) -> int | None:
        """The epoch in which it got a partition that it owns or has to give up."""
        epoch = self.assigned.get(topic_id, {}).get(partition)
        return self.revoking.get(topic_id, {}).get(partition) if epoch is None else epoch


def stamped(partitions: Mapping[bytes, Iterable[int]], epoch: int) -> dict[bytes, dict[int, int]]:
    """Partitions that are all got in one epoch."""
    return {topic: dict.fromkeys(parts, epoch) for topic, parts in partitions.items()}


def in_order(numbers: Iterable[int]) -> tuple[int, ...]:
    """Partitions as `Partitions` has them."""
    return tuple(sorted(set(numbers)))
