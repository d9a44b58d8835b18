"""Partitions and their owners within a group: one at a time, in generations that only grow."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from barnabas.testing.checkers.events import (
    Assigned,
    Committed,
    Crashed,
    Event,
    Lost,
    Place,
    Revoked,
)
from barnabas.testing.checkers.history import Violation


class _Tenure(NamedTuple):
    """A partition with one owner."""

    client: str
    begun: int
    ended: float
    zombie: bool
    """Its owner was put out, and learnt so later, or may never have learnt it as it was killed."""


def check_ownership(events: list[Event]) -> list[Violation]:
    """G1 and G2 over the assignments of all groups; `events` are in the order of their time."""
    return [*_in_generation(events), *_in_time(events)]


def _in_generation(events: list[Event]) -> list[Violation]:
    """G1: within a generation or epoch a partition has one owner. G2: they never fall."""
    found = []
    held: dict[tuple[str, str], set[Place]] = {}
    owners: dict[tuple[str, int, Place], str] = {}
    latest: dict[tuple[str, str], int] = {}
    for event in events:
        match event:
            case Assigned():
                member = (event.group, event.client)
                mine = held.setdefault(member, set())
                mine.update(event.partitions)
                if event.generation is None:
                    continue
                if event.generation < latest.get(member, -1):
                    text = f"{event.client} in {event.generation} after {latest[member]}"
                    found.append(Violation("generation", text))
                latest[member] = event.generation
                for place in sorted(mine):
                    key = (event.group, event.generation, place)
                    owner = owners.setdefault(key, event.client)
                    if owner != event.client:
                        text = f"{place} in {event.generation}: {owner} and {event.client}"
                        found.append(Violation("owned twice", text))
            case Revoked() | Lost():
                held.get((event.group, event.client), set()).difference_update(event.partitions)
                if isinstance(event, Revoked):
                    _release(owners, event.client, set(event.partitions))
            case Crashed():
                for (_, client), mine in held.items():
                    if client == event.client:
                        _release(owners, client, mine)
                        mine.clear()
    return found


def _release(
    owners: dict[tuple[str, int, Place], str], client: str, places: Collection[Place]
) -> None:
    """What a client has no more may be another's in the same generation: a static member that is
    started anew gets it back without a rebalance."""
    for key in [key for key, owner in owners.items() if owner == client and key[2] in places]:
        del owners[key]


def _in_time(events: list[Event]) -> list[Violation]:
    """G1: nobody is given a partition before its owner has given it back, or was put out."""
    found = []
    for (_, place), tenures in _tenures(events).items():
        tenures.sort(key=lambda tenure: tenure.begun)
        open_ones: list[_Tenure] = []
        for tenure in tenures:
            open_ones = [one for one in open_ones if one.ended > tenure.begun]
            for other in open_ones:
                if other.client != tenure.client and not other.zombie:
                    text = f"{place}: given to {tenure.client}, {other.client} has it still"
                    found.append(Violation("owned twice", text))
            open_ones.append(tenure)
    return found


def _tenures(events: list[Event]) -> dict[tuple[str, Place], list[_Tenure]]:
    found: dict[tuple[str, Place], list[_Tenure]] = {}
    open_ones: dict[tuple[str, str, Place], int] = {}
    unsure: dict[tuple[str, str], list[tuple[Place, int]]] = {}
    generations: dict[tuple[str, str], int] = {}

    def end(group: str, client: str, place: Place, at: float, *, zombie: bool) -> None:
        begun = open_ones.pop((group, client, place), None)
        if begun is not None:
            mine = found.setdefault((group, place), [])
            unsure.setdefault((group, client), []).append((place, len(mine)))
            mine.append(_Tenure(client, begun, at, zombie))

    def is_member(group: str, client: str, generation: int | None) -> None:
        """It is one for certain, unless it is told nothing new."""
        known = generations.get((group, client), -1)
        if generation is None or generation > known:
            unsure.pop((group, client), None)
            generations[group, client] = known if generation is None else generation

    def put_out(group: str, client: str) -> None:
        """What it gave back since it was a member for certain may have been lost before."""
        for place, index in unsure.pop((group, client), ()):
            tenures = found[group, place]
            tenures[index] = tenures[index]._replace(zombie=True)

    for event in events:
        match event:
            case Assigned():
                is_member(event.group, event.client, event.generation)
                for place in event.partitions:
                    open_ones.setdefault((event.group, event.client, place), event.at)
            case Committed():
                is_member(event.group, event.client, None)
            case Revoked() | Lost():
                for place in event.partitions:
                    zombie = isinstance(event, Lost)
                    end(event.group, event.client, place, event.at, zombie=zombie)
                if isinstance(event, Lost):
                    put_out(event.group, event.client)
            case Crashed():
                for group, client, place in list(open_ones):
                    if client == event.client:
                        end(group, client, place, event.at, zombie=True)
    for group, client, place in list(open_ones):
        end(group, client, place, float("inf"), zombie=False)
    return found
