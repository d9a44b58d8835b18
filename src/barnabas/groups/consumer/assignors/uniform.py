"""The uniform assignor: as equal as can be, then as few moves as can be."""

from __future__ import annotations

from barnabas.groups.consumer.assignors.heterogeneous import assign_heterogeneous
from barnabas.groups.consumer.assignors.spec import Assignment, GroupSpec


def assign_uniform(group: GroupSpec) -> Assignment:
    """Members that read the same topics share evenly; the others by `assign_heterogeneous`."""
    if not group.members:
        return {}
    return _assign_homogeneous(group) if group.alike else assign_heterogeneous(group)


def _assign_homogeneous(group: GroupSpec) -> Assignment:
    """Everybody keeps what it has, up to its share; what is left goes to those below theirs."""
    topics = next(iter(group.members.values())).topics
    if not topics:
        return {}
    held = {(t, p) for m in group.members.values() for t, parts in m.target.items() for p in parts}
    total = sum(group.partitions[topic] for topic in topics)
    unassigned = [(t, p) for t in topics for p in range(group.partitions[t]) if (t, p) not in held]
    share, extra = divmod(total, len(group.members))
    subscribed = set(topics)
    result: Assignment = {}
    unfilled: list[tuple[str, int]] = []
    left = len(group.members)
    for member_id, spec in group.members.items():
        quota = share + (1 if extra else 0)
        has_extra = bool(extra)
        mine = result[member_id] = {}
        for topic, partitions in spec.target.items():
            if topic not in subscribed:
                continue
            ordered = sorted(partitions)
            keep = ordered[:quota]
            quota -= len(keep)
            unassigned += [(topic, p) for p in ordered[len(keep) :]]
            if keep:
                mine[topic] = set(keep)
        # Who would have to take one that is in nobody's way leaves the extra to those behind it.
        if quota and has_extra and left > extra:
            quota -= 1
            has_extra = False
        if quota:
            unfilled.append((member_id, quota))
        extra -= has_extra
        left -= 1
    _fill(result, unfilled, unassigned)
    return result


def _fill(
    result: Assignment, unfilled: list[tuple[str, int]], unassigned: list[tuple[bytes, int]]
) -> None:
    at = 0
    for member_id, quota in unfilled:
        for topic, partition in unassigned[at : at + quota]:
            result[member_id].setdefault(topic, set()).add(partition)
        at += quota
