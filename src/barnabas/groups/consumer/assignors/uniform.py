"""The uniform assignor: as equal as can be, then as few moves as can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from barnabas.groups.consumer.assignors.heterogeneous import assign_heterogeneous
from barnabas.groups.consumer.assignors.spec import Assignment, GroupSpec
from barnabas.groups.consumer.member import Partitions
from barnabas.groups.consumer.targets import Targets

_Parts: TypeAlias = dict[bytes, tuple[int, ...]]

_Runs: TypeAlias = list[tuple[bytes, tuple[int, ...]]]
"""Partitions that nobody has yet, in the order in which they are handed out."""


def assign_uniform(group: GroupSpec) -> Assignment:
    """Members that read the same topics share evenly; the others by `assign_heterogeneous`."""
    if not group.members:
        return {}
    return _assign_homogeneous(group) if group.alike else assign_heterogeneous(group)


def _assign_homogeneous(group: GroupSpec) -> Assignment:
    topics = next(iter(group.members.values())).topics
    targets = Targets()
    for member_id, spec in group.members.items():
        targets.put(member_id, spec.target)
    changes = share_evenly(targets.of, targets, topics, group.partitions)
    return {**targets.of, **changes} if topics else {}


def share_evenly(
    member_ids: Iterable[str],
    targets: Targets,
    topics: Sequence[bytes],
    partitions: Mapping[bytes, int],
) -> Assignment:
    """The targets that change when these members share these topics: nobody else is to own
    anything, and a member that `targets` does not know is new.

    Everybody keeps what it has, up to its share; what is left goes to those below theirs. Takes a
    step for each member, and for each partition that moves, not for those that stay.
    """
    members = list(member_ids)
    if not topics:
        return {each: {} for each in members if targets.of.get(each) != {}}
    share, extra = divmod(sum(partitions[topic] for topic in topics), len(members))
    runs = [(topic, targets.unassigned(topic, partitions[topic])) for topic in topics]
    subscribed = frozenset(topics)
    stray = any(topic not in subscribed for topic in targets.topics)
    changes: dict[str, _Parts] = {}
    unfilled: list[tuple[_Parts, int]] = []
    sizes = targets.sizes
    left = len(members)
    for member_id in members:
        quota = share + 1 if extra else share
        has = sizes.get(member_id, -1)
        if has == quota and not stray:
            if extra:
                extra -= 1
            left -= 1
            continue
        had = targets.of.get(member_id, {})
        mine, missing = _keep(had, quota, subscribed, runs)
        # Who would have to take one that is in nobody's way leaves the extra to those behind it.
        if extra and not (missing and left > extra):
            extra -= 1
        elif extra:
            missing -= 1
        left -= 1
        if missing:
            unfilled.append((mine, missing))
        if missing or has < 0 or mine != had:
            changes[member_id] = mine
    _fill(unfilled, runs)
    return changes


def _keep(
    had: Partitions, quota: int, subscribed: frozenset[bytes], runs: _Runs
) -> tuple[_Parts, int]:
    """What a member keeps, and how many partitions it lacks; the rest is added to the runs."""
    mine: _Parts = {}
    for topic, parts in had.items():
        if topic not in subscribed:
            continue
        keep = parts[:quota]
        quota -= len(keep)
        if keep:
            mine[topic] = keep
        if len(keep) < len(parts):
            runs.append((topic, parts[len(keep) :]))
    return mine, quota


def _fill(unfilled: Sequence[tuple[_Parts, int]], runs: _Runs) -> None:
    at = start = 0
    for mine, missing in unfilled:
        while missing and at < len(runs):
            topic, parts = runs[at]
            taken = parts[start : start + missing]
            missing -= len(taken)
            start += len(taken)
            if taken:
                mine[topic] = tuple(sorted(mine.get(topic, ()) + taken))
            if start >= len(parts):
                at, start = at + 1, 0
