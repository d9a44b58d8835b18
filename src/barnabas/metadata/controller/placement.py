"""Where the replicas of new partitions go: striped over racks, as Kafka's StripedReplicaPlacer.

Rules: the racks are walked in a random starting order and each partition starts one rack further;
within a rack brokers go round robin, fenced ones only when the unfenced are used up; a leader is
never fenced; brokers without a rack form one rack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from barnabas.metadata.image import BrokerRegistration, ClusterImage
from barnabas.metadata.image.partition import DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED
from barnabas.wire.errors import ErrorCode, KafkaError

RandomBelow = Callable[[int], int]
T = TypeVar("T")


class UsableBroker(NamedTuple):
    """A broker that may get new replicas."""

    id: int
    rack: str | None
    fenced: bool


def usable_brokers(cluster: ClusterImage) -> list[UsableBroker]:
    """Not in controlled shutdown, and with a directory that is not cordoned (KIP-1066)."""
    return [
        UsableBroker(b.id, b.rack, b.fenced)
        for b in sorted(cluster.brokers.values())
        if not b.in_controlled_shutdown and _has_uncordoned_directory(b)
    ]


def default_directory(cluster: ClusterImage, broker_id: int) -> bytes:
    """The directory of a new replica: known only when the broker has a single one."""
    broker = cluster.brokers.get(broker_id)
    if broker is None:
        return DIRECTORY_UNASSIGNED
    if not broker.directories:
        return DIRECTORY_MIGRATING
    return broker.directories[0] if len(broker.directories) == 1 else DIRECTORY_UNASSIGNED


def place(
    brokers: Iterable[UsableBroker],
    partitions: int,
    replication_factor: int,
    random_below: RandomBelow,
) -> list[list[int]]:
    """Replicas of `partitions` new partitions, the preferred leader first.

    Raises KafkaError INVALID_REPLICATION_FACTOR when that many replicas cannot be placed.
    """
    racks = _Racks(brokers, random_below)
    if replication_factor <= 0:
        raise _refused("the replication factor must be larger than zero")
    if racks.unfenced_count == 0:
        raise _refused("all brokers are fenced or have all their log directories cordoned")
    if replication_factor > racks.broker_count:
        raise _refused(
            f"the replication factor {replication_factor} is larger than the number of usable "
            f"brokers, {racks.broker_count}"
        )
    return [racks.next_replicas(replication_factor) for _ in range(partitions)]


def _refused(why: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REPLICATION_FACTOR, f"Cannot place replicas: {why}.")


def _has_uncordoned_directory(broker: BrokerRegistration) -> bool:
    cordoned = broker.cordoned_directories
    return not cordoned or any(d not in cordoned for d in broker.directories)


class _Ring:
    """Brokers handed out round robin; each new epoch starts one further."""

    __slots__ = ("_epoch", "_index", "_offset", "brokers")

    def __init__(self, brokers: list[int], random_below: RandomBelow) -> None:
        self.brokers = brokers
        self._index = 0
        self._offset = random_below(len(brokers)) if brokers else 0
        self._epoch = 0

    def next(self, epoch: int) -> int | None:
        """The next broker of this epoch, None when all were given out."""
        if not self.brokers:
            return None
        if epoch != self._epoch:
            self._epoch = epoch
            self._index = 0
            self._offset = (self._offset + 1) % len(self.brokers)
        if self._index >= len(self.brokers):
            return None
        broker = self.brokers[(self._index + self._offset) % len(self.brokers)]
        self._index += 1
        return broker


class _Racks:
    def __init__(self, brokers: Iterable[UsableBroker], random_below: RandomBelow) -> None:
        members: dict[str | None, tuple[list[int], list[int]]] = {}
        for broker in brokers:
            members.setdefault(broker.rack, ([], []))[broker.fenced].append(broker.id)
        self._random_below = random_below
        # None (no rack) sorts first, as in Kafka.
        names = sorted(members, key=lambda name: (name is not None, name or ""))
        self._racks = [
            (
                _Ring(sorted(members[name][0]), random_below),
                _Ring(sorted(members[name][1]), random_below),
            )
            for name in names
        ]
        self.unfenced_count = sum(len(unfenced) for unfenced, _ in members.values())
        self.broker_count = self.unfenced_count + sum(len(f) for _, f in members.values())
        self._offset = random_below(len(names)) if names else 0
        self._epoch = 0

    def next_replicas(self, replication_factor: int) -> list[int]:
        # After as many assignments as there are unfenced brokers they would repeat: shuffle.
        if self._epoch == self.unfenced_count and self.unfenced_count > 1:
            self._shuffle()
            self._epoch = 0
        self._offset %= len(self._racks)
        leader_rack, leader = self._next_leader()
        replicas = [leader]
        rack = self._offset
        skip = leader_rack
        while len(replicas) < replication_factor:
            # The leader's rack has already given a replica, so it is passed over once.
            if rack == skip:
                skip = -1
            else:
                unfenced, fenced = self._racks[rack]
                broker = unfenced.next(self._epoch)
                if broker is None:
                    broker = fenced.next(self._epoch)
                if broker is not None:
                    replicas.append(broker)
            rack = (rack + 1) % len(self._racks)
        self._epoch += 1
        self._offset += 1
        return replicas

    def _next_leader(self) -> tuple[int, int]:
        for step in range(len(self._racks)):
            rack = (self._offset + step) % len(self._racks)
            leader = self._racks[rack][0].next(self._epoch)
            if leader is not None:
                return rack, leader
        raise AssertionError("no unfenced broker left although there are some")

    def _shuffle(self) -> None:
        _shuffle(self._racks, self._random_below)
        for unfenced, fenced in self._racks:
            _shuffle(unfenced.brokers, self._random_below)
            _shuffle(fenced.brokers, self._random_below)


def _shuffle(items: list[T], random_below: RandomBelow) -> None:
    # Fisher and Yates.
    for i in range(len(items) - 1, 0, -1):
        j = random_below(i + 1)
        items[i], items[j] = items[j], items[i]
