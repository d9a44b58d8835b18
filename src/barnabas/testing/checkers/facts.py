"""What a client history says taken together: who sent what, where it went, how transactions ended."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from barnabas.testing.checkers.events import (
    Acked,
    Consumed,
    Ended,
    Ending,
    Event,
    Failed,
    Place,
    Produced,
)


class Item(NamedTuple):
    """A value of a topic: what is sent once."""

    topic: str
    value: str


class Spot(NamedTuple):
    """Where a value is in a log."""

    place: Place
    offset: int


class Fate(Enum):
    """How a transaction ended."""

    OPEN = 0
    """Nobody asked for its commit: no consumer of committed records may see any of it."""
    UNKNOWN = 1
    COMMITTED = 2
    ABORTED = 3


class Facts:
    """An index over a history, made in one pass. `events` are in the order of their time."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = sorted(events, key=lambda event: event.at)
        self.sent: dict[Item, Produced] = {}
        self.acked: dict[Item, Acked] = {}
        self.failed: set[Item] = set()
        self.reads: list[Consumed] = []
        self.spots: dict[Item, set[Spot]] = {}
        """Every spot at which a value was acknowledged or read."""
        self.members: dict[str, list[Item]] = {}
        """What each transaction sent."""
        self.fates: dict[str, Fate] = {}
        self.asked: dict[str, int] = {}
        """When the commit of a transaction was first asked for."""
        for event in self.events:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Produced():
                item = Item(event.topic, event.value)
                self.sent[item] = event
                if event.transaction is not None:
                    self.members.setdefault(event.transaction, []).append(item)
            case Acked():
                item = Item(event.topic, event.value)
                self.acked[item] = event
                spot = Spot(Place(event.topic, event.partition), event.offset)
                self.spots.setdefault(item, set()).add(spot)
            case Failed():
                self.failed.add(Item(event.topic, event.value))
            case Ending():
                if event.commit:
                    self.asked.setdefault(event.transaction, event.at)
                    self.fates.setdefault(event.transaction, Fate.UNKNOWN)
            case Ended():
                self.fates[event.transaction] = Fate.COMMITTED if event.commit else Fate.ABORTED
            case Consumed():
                self.reads.append(event)
                place = Place(event.topic, event.partition)
                for offset, value in event.records:
                    item = Item(event.topic, value)
                    self.spots.setdefault(item, set()).add(Spot(place, offset))

    def fate(self, transaction: str) -> Fate:
        """How a transaction ended, as far as its client knows."""
        return self.fates.get(transaction, Fate.OPEN)

    def due(self) -> set[Item]:
        """What every reader must get: acknowledged, and committed if in a transaction."""
        due = {item for item in self.acked if item in self.sent}
        due = {item for item in due if self.sent[item].transaction is None}
        for transaction, items in self.members.items():
            if self.fate(transaction) is Fate.COMMITTED:
                due.update(item for item in items if item not in self.failed)
        return due
