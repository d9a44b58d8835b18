"""Records between producers and consumers: none lost, doubled, reordered, or read too early."""

from __future__ import annotations

from barnabas.testing.checkers.events import Assigned, Consumed, Isolation, Place
from barnabas.testing.checkers.facts import Facts, Fate, Item
from barnabas.testing.checkers.history import Violation


def check_deliveries(facts: Facts, *, complete: bool) -> list[Violation]:
    """Everything about records. `complete`: every reader has read its topics to their ends."""
    return [
        *_changed(facts),
        *_duplicated(facts),
        *_reordered(facts),
        *_backwards(facts),
        *_unsent(facts),
        *_uncommitted(facts),
        *_lost(facts, complete=complete),
    ]


def _changed(facts: Facts) -> list[Violation]:
    """P6: one offset has one value, whoever looks."""
    found = []
    at: dict[tuple[Place, int], str] = {}
    for item, spots in facts.spots.items():
        for spot in spots:
            before = at.setdefault((spot.place, spot.offset), item.value)
            if before != item.value:
                text = f"{spot.place} at {spot.offset}: {before!r} and {item.value!r}"
                found.append(Violation("changed", text))
    return found


def _duplicated(facts: Facts) -> list[Violation]:
    """T1: what is sent once is in one place."""
    return [
        Violation("duplicated", f"{item.value!r} is at {sorted(spots)}")
        for item, spots in facts.spots.items()
        if len(spots) > 1 and (item not in facts.sent or facts.sent[item].once)
    ]


def _reordered(facts: Facts) -> list[Violation]:
    """A producer's records keep its order; who was acknowledged before another began is before it."""
    found: list[Violation] = []
    by_place: dict[Place, list[tuple[int, int, Item]]] = {}
    for item, sent in facts.sent.items():
        spots = facts.spots.get(item, set())
        if len(spots) == 1:
            (spot,) = spots
            by_place.setdefault(spot.place, []).append((sent.at, spot.offset, item))
    for sends in by_place.values():
        sends.sort(key=lambda send: send[0])
        found += _program_order(facts, sends)
        found += _real_time(facts, sends)
    return found


def _program_order(facts: Facts, sends: list[tuple[int, int, Item]]) -> list[Violation]:
    found = []
    last: dict[str, tuple[int, Item]] = {}
    for _, offset, item in sends:
        sent = facts.sent[item]
        if not sent.once:
            continue
        before = last.get(sent.client)
        if before is not None and before[0] > offset:
            text = f"{item.value!r} of {sent.client} at {offset} was sent after {before[1].value!r}"
            found.append(Violation("reordered", f"{text} at {before[0]}"))
        last[sent.client] = (offset, item)
    return found


def _real_time(facts: Facts, sends: list[tuple[int, int, Item]]) -> list[Violation]:
    found = []
    ends = sorted(
        (facts.acked[item].at, offset, item) for _, offset, item in sends if item in facts.acked
    )
    done, highest = 0, (-1, Item("", ""))
    for begun, offset, item in sends:
        while done < len(ends) and ends[done][0] < begun:
            highest = max(highest, ends[done][1:])
            done += 1
        if offset < highest[0]:
            text = f"{item.value!r} at {offset} began when {highest[1].value!r} was acknowledged"
            found.append(Violation("reordered", f"{text} at {highest[0]}"))
    return found


def _backwards(facts: Facts) -> list[Violation]:
    """A reader's offsets grow, as long as its partition is not assigned to it anew.

    What it read in a transaction that did not commit, it may read again.
    """
    found = []
    last: dict[tuple[str, Place], int] = {}
    for event in facts.events:
        if isinstance(event, Assigned):
            for place in event.partitions:
                last.pop((event.client, place), None)
        elif isinstance(event, Consumed):
            place = Place(event.topic, event.partition)
            before = last.get((event.client, place), -1)
            for offset, value in event.records:
                if offset <= before:
                    text = f"{event.client} got {value!r} at {offset} of {place} after {before}"
                    found.append(Violation("backwards", text))
                before = offset
            last[event.client, place] = before
            again = event.transaction
            if again is not None and facts.fate(again) is not Fate.COMMITTED:
                del last[event.client, place]
    return found


def _unsent(facts: Facts) -> list[Violation]:
    """Nobody reads what nobody has sent yet, or what was refused."""
    found = []
    for read in facts.reads:
        for offset, value in read.records:
            item = Item(read.topic, value)
            sent = facts.sent.get(item)
            if sent is None or sent.at > read.at:
                text = f"{read.client} read {value!r} at {offset}, which was not sent yet"
                found.append(Violation("phantom", text))
            elif item in facts.failed:
                text = f"{read.client} read {value!r} at {offset}, which was refused"
                found.append(Violation("refused", text))
    return found


def _uncommitted(facts: Facts) -> list[Violation]:
    """T2: who asks for committed records sees nothing aborted, and nothing before its commit."""
    found = []
    for read in facts.reads:
        if read.isolation is not Isolation.COMMITTED:
            continue
        for offset, value in read.records:
            sent = facts.sent.get(Item(read.topic, value))
            if sent is None or sent.transaction is None:
                continue
            fate, asked = facts.fate(sent.transaction), facts.asked.get(sent.transaction)
            if fate is Fate.ABORTED or asked is None or asked > read.at:
                how = "aborted" if fate is Fate.ABORTED else "not committed"
                text = f"{read.client} read {value!r} at {offset} of {sent.transaction}, {how}"
                found.append(Violation("aborted", text))
    return found


def _lost(facts: Facts, *, complete: bool) -> list[Violation]:
    """Every group, and every reader without one, gets all that was promised, and whole transactions.

    Of a history that is not `complete`: all in front of what it got.
    """
    found = []
    seen: dict[tuple[str, str], set[Item]] = {}
    ends: dict[tuple[str, str], dict[Place, int]] = {}
    for read in facts.reads:
        reader = (read.group or read.client, read.topic)
        seen.setdefault(reader, set()).update(Item(read.topic, value) for _, value in read.records)
        place = Place(read.topic, read.partition)
        end = ends.setdefault(reader, {})
        end[place] = max(end.get(place, 0), max((offset for offset, _ in read.records), default=0))
    due = facts.due()
    for transaction, items in facts.members.items():
        if facts.fate(transaction) is Fate.UNKNOWN and _seen_in_part(facts, set(items)):
            due.update(items)
    for (name, topic), got in seen.items():
        for item in sorted(due - got):
            spots = facts.spots.get(item, ())
            end = ends[name, topic]
            reached = any(spot.offset < end.get(spot.place, 0) for spot in spots)
            if item.topic == topic and (complete or reached):
                found.append(Violation("lost", f"{name} never got {item.value!r} of {topic}"))
    return found


def _seen_in_part(facts: Facts, items: set[Item]) -> bool:
    """Whether a reader of committed records saw one of them: then all are committed."""
    return any(
        Item(read.topic, value) in items
        for read in facts.reads
        if read.isolation is Isolation.COMMITTED
        for _, value in read.records
    )
