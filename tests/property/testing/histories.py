"""Histories that a faultless Kafka would give: producers, transactions, a group that rebalances."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from barnabas.testing.checkers.events import (
    Acked,
    Assigned,
    Begun,
    Committed,
    Consumed,
    Crashed,
    Ended,
    Ending,
    Event,
    Failed,
    Isolation,
    Lost,
    Place,
    Produced,
    Revoked,
)

TOPIC, GROUP = "orders", "billing"
PARTITIONS = 3


@dataclass
class Written:
    """A record in a log, and whether committed readers may see it (None: not yet)."""

    value: str
    visible: bool | None


@dataclass
class World:
    """A toy Kafka that notes what its clients see."""

    random: random.Random
    events: list[Event] = field(default_factory=list)
    now: int = 0
    number: int = 0
    generation: int = 0
    logs: list[list[Written]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    committed: list[int] = field(default_factory=lambda: [0] * PARTITIONS)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    owned: dict[str, set[int]] = field(default_factory=dict)
    transactions: dict[str, str] = field(default_factory=dict)
    """The open one of each loop."""

    def tick(self) -> int:
        """Each moment has its number."""
        self.now += 1
        return self.now

    def fresh(self, what: str) -> str:
        """A name that nothing else has."""
        self.number += 1
        return f"{what}-{self.number}"

    def produce(self, client: str, transaction: str | None = None) -> None:
        """One record; some are refused, some never answered."""
        partition, value = self.random.randrange(PARTITIONS), self.fresh("v")
        self.events.append(Produced(client, self.tick(), TOPIC, value, transaction))
        chance = 1.0 if transaction is not None else self.random.random()
        if chance < 0.1:
            self.events.append(Failed(client, self.tick(), TOPIC, value))
            return
        log = self.logs[partition]
        log.append(Written(value, True if transaction is None else None))
        if chance > 0.2:
            self.events.append(Acked(client, self.tick(), TOPIC, partition, len(log) - 1, value))

    def begin(self, client: str) -> None:
        """A loop begins a transaction, unless one is open."""
        if client not in self.transactions:
            name = self.transactions[client] = self.fresh("t")
            self.events.append(Begun(client, self.tick(), name))

    def end(self, client: str) -> None:
        """Commit or abort; of some the client never hears."""
        name = self.transactions.pop(client, None)
        if name is None:
            return
        commit = self.random.random() < 0.7
        self.events.append(Ending(client, self.tick(), name, commit))
        mine = {
            event.value
            for event in self.events
            if isinstance(event, Produced) and event.transaction == name
        }
        for log in self.logs:
            for written in log:
                if written.value in mine:
                    written.visible = commit
        if self.random.random() < 0.8:
            self.events.append(Ended(client, self.tick(), name, commit))

    def rebalance(self, members: list[str]) -> None:
        """Members give back what they have, crash, or are put out; the rest share anew."""
        for client, mine in self.owned.items():
            places = tuple(Place(TOPIC, partition) for partition in sorted(mine))
            if client in members:
                self.events.append(Revoked(client, self.tick(), GROUP, places))
            elif self.random.random() < 0.5:
                self.events.append(Crashed(client, self.tick()))
            else:
                self.events.append(Lost(client, self.tick(), GROUP, places))
        self.generation += 1
        self.owned = {client: set() for client in members}
        for partition in range(PARTITIONS):
            self.owned[self.random.choice(members)].add(partition)
        for client, mine in self.owned.items():
            places = tuple(Place(TOPIC, partition) for partition in sorted(mine))
            self.events.append(Assigned(client, self.tick(), GROUP, places, self.generation))
            for partition in mine:
                self.positions[client, partition] = self.committed[partition]

    def poll(self, client: str, most: int) -> None:
        """A member of the group reads a partition as far as it may, and commits, or not yet."""
        for partition in sorted(self.owned.get(client, ())):
            records, end = self._visible(partition, self.positions[client, partition], most)
            self.positions[client, partition] = end
            if records:
                self.events.append(
                    Consumed(
                        client, self.tick(), TOPIC, partition, records, GROUP, Isolation.COMMITTED
                    )
                )
            if self.random.random() < 0.6 and end > self.committed[partition]:
                begun = self.tick()
                self.committed[partition] = end
                self.events.append(
                    Committed(client, self.tick(), GROUP, begun, ((TOPIC, partition, end),))
                )

    def _visible(
        self, partition: int, start: int, most: int
    ) -> tuple[tuple[tuple[int, str], ...], int]:
        records = []
        end = start
        for offset, written in enumerate(self.logs[partition][start : start + most], start):
            if written.visible is None:
                break
            if written.visible:
                records.append((offset, written.value))
            end = offset + 1
        return tuple(records), end


def clean_history(seed: int, steps: int = 120) -> list[Event]:
    """Everything that the clients of a small run saw, to the end."""
    world = World(random.Random(seed))
    world.rebalance(["m1", "m2"])
    for _ in range(steps):
        match world.random.randrange(12):
            case 0 | 1 | 2 | 3:
                world.produce(world.random.choice(["p1", "p2"]))
            case 4:
                world.begin(world.random.choice(["x1", "x2"]))
            case 5 | 6:
                client = world.random.choice(["x1", "x2"])
                if client in world.transactions:
                    world.produce(client, world.transactions[client])
            case 7:
                world.end(world.random.choice(["x1", "x2"]))
            case 8 | 9 | 10:
                world.poll(world.random.choice(["m1", "m2", "m3"]), world.random.randrange(1, 6))
            case _:
                names = [world.fresh("m") if world.random.random() < 0.2 else "m1", "m2"]
                world.rebalance(sorted(set(names)))
    for client in ("x1", "x2"):
        world.end(client)
    for client in list(world.owned):
        world.poll(client, 10_000)
    return world.events
