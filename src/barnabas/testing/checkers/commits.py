"""Committed offsets: they never go back, and whoever takes over a partition begins with them."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from barnabas.testing.checkers.events import Assigned, Committed, Consumed, Ended, Place
from barnabas.testing.checkers.facts import Facts, Fate
from barnabas.testing.checkers.history import Violation


class _Commit(NamedTuple):
    """One offset that was committed, and when at the earliest and the latest."""

    done: int
    begun: int
    offset: int
    client: str


def check_commits(facts: Facts) -> list[Violation]:
    """G2, G3 and T5 over the commits of all groups."""
    commits = _commits(facts)
    return [*_back(commits), *_taken_over(facts, commits), *_put_out(facts, commits)]


def _commits(facts: Facts) -> dict[tuple[str, Place], list[_Commit]]:
    """Acknowledged commits; those in a transaction count when it has committed."""
    ended = {
        transaction: at
        for transaction, at in _ends(facts).items()
        if facts.fate(transaction) is Fate.COMMITTED
    }
    found: dict[tuple[str, Place], list[_Commit]] = {}
    for event in facts.events:
        if not isinstance(event, Committed):
            continue
        done = event.at
        if event.transaction is not None:
            if event.transaction not in ended:
                continue
            done = ended[event.transaction]
        for topic, partition, offset in event.offsets:
            commit = _Commit(done, event.begun, offset, event.client)
            found.setdefault((event.group, Place(topic, partition)), []).append(commit)
    return found


def _ends(facts: Facts) -> dict[str, int]:
    return {event.transaction: event.at for event in facts.events if isinstance(event, Ended)}


def _back(commits: dict[tuple[str, Place], list[_Commit]]) -> list[Violation]:
    """A commit that began when another was acknowledged is not behind it."""
    found = []
    for (group, place), mine in commits.items():
        ends = sorted(mine)
        done, highest = 0, _Commit(0, 0, -1, "")
        for commit in sorted(mine, key=lambda each: each.begun):
            while done < len(ends) and ends[done].done < commit.begun:
                highest = max(highest, ends[done], key=lambda each: each.offset)
                done += 1
            if commit.offset < highest.offset:
                text = f"{commit.client} committed {commit.offset} after {highest.offset}"
                found.append(Violation("commit back", f"{group}, {place}: {text}"))
    return found


def _taken_over(facts: Facts, commits: dict[tuple[str, Place], list[_Commit]]) -> list[Violation]:
    """Nobody is sent back behind what was committed before the partition came to him."""
    found = []
    given: dict[tuple[str, str, Place], int] = {}
    for event in facts.events:
        if isinstance(event, Assigned):
            for place in event.partitions:
                given[event.group, event.client, place] = event.at
        elif isinstance(event, Consumed) and event.group is not None and event.records:
            place = Place(event.topic, event.partition)
            since = given.pop((event.group, event.client, place), None)
            if since is None:
                continue
            known = commits.get((event.group, place), [])
            floor = max((each.offset for each in known if each.done < since), default=0)
            first = event.records[0][0]
            if first < floor:
                text = f"{event.client} began at {first}, {floor} was committed"
                found.append(Violation("commit lost", f"{event.group}, {place}: {text}"))
    return found


def _put_out(facts: Facts, commits: dict[tuple[str, Place], list[_Commit]]) -> list[Violation]:
    """G2: whose partition is another's already commits nothing there any more."""
    found = []
    given: dict[tuple[str, Place], list[tuple[int, str]]] = {}
    for event in facts.events:
        if isinstance(event, Assigned):
            for place in event.partitions:
                given.setdefault((event.group, place), []).append((event.at, event.client))
    for key, mine in commits.items():
        owners = given.get(key, [])
        members = {client for _, client in owners}
        for commit in mine:
            before = bisect_left(owners, (commit.begun, ""))
            owner = owners[before - 1][1] if before else commit.client
            if commit.client in members and owner != commit.client:
                text = f"{commit.client} committed {commit.offset}, it was {owner}'s already"
                found.append(Violation("fenced", f"{key[0]}, {key[1]}: {text}"))
    return found
