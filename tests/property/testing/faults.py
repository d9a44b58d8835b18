"""Faults planted in a clean history: each names the rule by which a checker has to find it.

A fault returns None where the history has nothing that it could spoil.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from barnabas.testing.checkers.events import (
    Acked,
    Assigned,
    Begun,
    Committed,
    Consumed,
    Ended,
    Ending,
    Event,
    Failed,
    Isolation,
    Place,
    Produced,
)
from barnabas.testing.checkers.facts import Facts, Fate, Item

E = TypeVar("E", bound=Event)
Fault = Callable[[list[Event], random.Random], list[Event] | None]


def _all(events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def _swap(events: list[Event], old: Event, *new: Event) -> list[Event]:
    at = next(number for number, event in enumerate(events) if event is old)
    return [*events[:at], *new, *events[at + 1 :]]


def _last(events: list[Event]) -> int:
    return max(event.at for event in events)


def lost(events: list[Event], chance: random.Random) -> list[Event] | None:
    """No reader gets a value that was promised."""
    facts = Facts(events)
    due = sorted(facts.due() & {Item(r.topic, v) for r in facts.reads for _, v in r.records})
    if not due:
        return None
    gone = chance.choice(due)
    return [
        replace(event, records=tuple(r for r in event.records if r[1] != gone.value))
        if isinstance(event, Consumed)
        else event
        for event in events
    ]


def torn(events: list[Event], chance: random.Random) -> list[Event] | None:
    """Of a transaction whose end nobody heard, one part is read, another never."""
    facts = Facts(events)
    read = {Item(r.topic, v) for r in facts.reads for _, v in r.records}
    for name, items in facts.members.items():
        seen = sorted(set(items) & read)
        if facts.fate(name) in (Fate.COMMITTED, Fate.UNKNOWN) and len(seen) > 1:
            gone = chance.choice(seen)
            return [
                replace(event, records=tuple(r for r in event.records if r[1] != gone.value))
                if isinstance(event, Consumed)
                else event
                for event in events
                if not (isinstance(event, Ended) and event.transaction == name)
            ]
    return None


def duplicated(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A retry was appended a second time."""
    reads = [read for read in _all(events, Consumed) if read.records]
    if not reads:
        return None
    read = chance.choice(reads)
    end = max(o for r in reads if r.partition == read.partition for o, _ in r.records)
    again = ((end + 100, chance.choice(read.records)[1]),)
    return [*events, replace(read, at=_last(events) + 1, client="late", group=None, records=again)]


def changed(events: list[Event], chance: random.Random) -> list[Event] | None:
    """Another reader sees something else at an offset."""
    reads = [read for read in _all(events, Consumed) if read.records]
    values = [value for read in reads for _, value in read.records]
    if len(set(values)) < 2:
        return None
    read = chance.choice(reads)
    offset, value = chance.choice(read.records)
    other = chance.choice([each for each in values if each != value])
    late = replace(
        read, at=_last(events) + 1, client="late", group=None, records=((offset, other),)
    )
    return [*events, late]


def reordered(events: list[Event], chance: random.Random) -> list[Event] | None:
    """Two records of one producer change places, for everybody."""
    by: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for acked in _all(events, Acked):
        by.setdefault((acked.client, acked.partition), []).append((acked.offset, acked.value))
    pairs = [each for each in by.values() if len(each) > 1]
    if not pairs:
        return None
    (_, first), (_, second) = sorted(chance.sample(sorted(chance.choice(pairs)), 2))
    names = {first: second, second: first}
    spoilt: list[Event] = []
    for event in events:
        match event:
            case Consumed():
                renamed = tuple((o, names.get(v, v)) for o, v in event.records)
                spoilt.append(replace(event, records=renamed))
            case Acked() if event.value in names:
                offset = next(
                    e.offset for e in _all(events, Acked) if e.value == names[event.value]
                )
                spoilt.append(replace(event, offset=offset))
            case _:
                spoilt.append(event)
    return spoilt


def backwards(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A reader gets a record again, without having lost its partition."""
    reads = [read for read in _all(events, Consumed) if read.records]
    if not reads:
        return None
    read = chance.choice(reads)
    return _swap(events, read, read, replace(read, records=read.records[-1:]))


def phantom(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A value that nobody sent."""
    reads = [read for read in _all(events, Consumed) if read.records]
    if not reads:
        return None
    read = chance.choice(reads)
    records = (*read.records[:-1], (read.records[-1][0], "from nowhere"))
    return _swap(events, read, replace(read, records=records))


def early(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A value is read before it was sent."""
    reads = [read for read in _all(events, Consumed) if read.records]
    if not reads:
        return None
    value = chance.choice(reads).records[0][1]
    return [
        replace(event, at=_last(events) + 1)
        if isinstance(event, Produced) and event.value == value
        else event
        for event in events
    ]


def refused(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A record is read that its producer was told is not there."""
    failed = _all(events, Failed)
    if not failed:
        return None
    value = chance.choice(failed).value
    return [*events, Consumed("late", _last(events) + 1, "orders", 0, ((9_000, value),))]


def _of_fate(events: list[Event], *fates: Fate) -> list[Item]:
    facts = Facts(events)
    return [
        item for name, items in facts.members.items() if facts.fate(name) in fates for item in items
    ]


def aborted(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A reader of committed records sees one of an aborted transaction."""
    items = _of_fate(events, Fate.ABORTED)
    if not items:
        return None
    facts = Facts(events)
    acked = facts.acked[chance.choice(items)]
    at, records = _last(events) + 1, ((acked.offset, acked.value),)
    read = Consumed("late", at, acked.topic, acked.partition, records, None, Isolation.COMMITTED)
    return [*events, read]


def uncommitted(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A reader of committed records sees one before its commit was asked for."""
    items = _of_fate(events, Fate.COMMITTED)
    if not items:
        return None
    facts = Facts(events)
    acked = facts.acked[chance.choice(items)]
    records = ((acked.offset, acked.value),)
    read = Consumed(
        "eager", acked.at, acked.topic, acked.partition, records, None, Isolation.COMMITTED
    )
    return _swap(events, acked, acked, read)


def commit_back(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A member commits an offset that was passed."""
    commits = _all(events, Committed)
    if not commits:
        return None
    commit = chance.choice(commits)
    ((topic, partition, offset),) = commit.offsets
    at = _last(events) + 1
    behind = replace(commit, at=at + 1, begun=at, offsets=((topic, partition, offset - 1),))
    return [*events, behind]


def commit_lost(events: list[Event], chance: random.Random) -> list[Event] | None:
    """Who takes over a partition gets what was committed again."""
    reads = [read for read in _all(events, Consumed) if read.records]
    commits = _all(events, Committed)
    done = [
        (read, commit)
        for commit in commits
        for read in reads
        if read.partition == commit.offsets[0][1] and read.records[0][0] < commit.offsets[0][2]
    ]
    if not done:
        return None
    read, _ = chance.choice(done)
    at = _last(events)
    given = Assigned("new", at + 1, "billing", (Place(read.topic, read.partition),), 10_000)
    return [*events, given, replace(read, client="new", at=at + 2)]


def fenced(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A member commits when its partition is another's already."""
    commits = _all(events, Committed)
    if not commits:
        return None
    commit = chance.choice(commits)
    (topic, partition, _) = commit.offsets[0]
    place, at = Place(topic, partition), _last(events)
    new = Assigned("new", at + 1, commit.group, (place,), 10_000)
    end = max(offset for each in commits for t, p, offset in each.offsets if p == partition)
    late = ((topic, partition, end),)
    return [*events, new, replace(commit, begun=at + 2, at=at + 3, offsets=late)]


def owned_twice(events: list[Event], chance: random.Random) -> list[Event] | None:
    """In one generation two members have a partition."""
    given = [event for event in _all(events, Assigned) if event.partitions]
    event = chance.choice(given)
    return _swap(events, event, event, replace(event, client="thief"))


def handed_over_early(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A member is given, in a later generation, what another has not given back."""
    given = [event for event in _all(events, Assigned) if event.partitions]
    event = chance.choice(given)
    assert event.generation is not None
    thief = replace(event, client="thief", generation=event.generation + 1_000)
    return _swap(events, event, event, thief)


def generation(events: list[Event], chance: random.Random) -> list[Event] | None:
    """A member is told a generation that is over."""
    event = chance.choice(_all(events, Assigned))
    return [*events, replace(event, at=_last(events) + 1, partitions=(), generation=0)]


def circular(events: list[Event], chance: random.Random) -> list[Event] | None:
    """Three transactions that commit have each read of the one before."""
    at = _last(events)
    names = ["c0", "c1", "c2"]
    chance.shuffle(names)
    added: list[Event] = []
    for number, name in enumerate(names):
        value = f"of-{name}"
        added += [
            Begun(name, at + 1, name),
            Produced(name, at + 2, "circle", value, name),
            Acked(name, at + 3, "circle", 0, number, value),
        ]
    for number, name in enumerate(names):
        before = (number - 1) % 3
        record = ((before, f"of-{names[before]}"),)
        added.append(Consumed(name, at + 4, "circle", 0, record, transaction=name))
        added += [Ending(name, at + 5, name, True), Ended(name, at + 6, name, True)]
    return [*events, *added]


FAULTS: dict[str, tuple[Fault, str]] = {
    "lost": (lost, "lost"),
    "torn": (torn, "lost"),
    "duplicated": (duplicated, "duplicated"),
    "changed": (changed, "changed"),
    "reordered": (reordered, "reordered"),
    "backwards": (backwards, "backwards"),
    "phantom": (phantom, "phantom"),
    "early": (early, "phantom"),
    "refused": (refused, "refused"),
    "aborted": (aborted, "aborted"),
    "uncommitted": (uncommitted, "aborted"),
    "commit back": (commit_back, "commit back"),
    "commit lost": (commit_lost, "commit lost"),
    "fenced": (fenced, "fenced"),
    "owned twice": (owned_twice, "owned twice"),
    "handed over early": (handed_over_early, "owned twice"),
    "generation": (generation, "generation"),
    "circular": (circular, "circular"),
}
"""Name, the fault, and the rule that finds it."""
