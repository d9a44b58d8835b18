"""Offsets and groups that nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.records.offset_commit_key import OffsetCommitKey

if TYPE_CHECKING:
    from barnabas.groups.offsets.table import Committed
    from barnabas.groups.state import AnyGroup, GroupsState

LOOKED_AT_ONCE = 10_000
"""Groups and offsets that one decision looks at: some milliseconds."""
TOMBSTONES_AT_ONCE = 1_000
"""One decision writes so many about offsets at most, and some for its last group."""


class Progress(NamedTuple):
    """Where the look goes on: at the group of this number, behind so many of its offsets, all of
    which stay."""

    group: int = 0
    kept: int = 0


def expire(state: GroupsState, now: Now, begin: Progress) -> tuple[Effects, Progress | None]:
    """Tombstones for what has expired from `begin` on.

    Returns where to go on, or None when all have been looked at. What changes between two decisions
    moves places: an offset may be looked at twice, or not before the next time.
    """
    effects = Effects()
    effects.divisible = True
    names = list(state.groups)
    looked, kept = 0, begin.kept
    for at in range(begin.group, len(names)):
        room = min(LOOKED_AT_ONCE - looked, TOMBSTONES_AT_ONCE - len(effects.records))
        if room <= 0:
            return effects, Progress(at, kept)
        group = state.groups[names[at]]
        offsets = islice(_offsets(state, group.group_id, kept), room)
        seen, gone = _expire_some(state, group, offsets, now, effects)
        looked += 1 + seen
        held = state.offsets.count_of(group.group_id)
        if kept + seen < held:
            return effects, Progress(at, kept + seen - gone)
        pending = state.offsets.holds_pending(group.group_id)
        if gone == held and not pending and group.may_expire:
            group.write_tombstones(effects)
        kept = 0
    return effects, None


def _offsets(state: GroupsState, group_id: str, skip: int) -> Iterator[tuple[str, int, Committed]]:
    for topic, partitions in state.offsets.of_group(group_id).items():
        if skip >= len(partitions):
            skip -= len(partitions)
            continue
        for partition, committed in islice(partitions.items(), skip, None):
            yield topic, partition, committed
        skip = 0


def _expire_some(
    state: GroupsState,
    group: AnyGroup,
    offsets: Iterable[tuple[str, int, Committed]],
    now: Now,
    effects: Effects,
) -> tuple[int, int]:
    """Tombstones for those of the offsets that have expired; how many were seen, and how many go."""
    seen = gone = 0
    for topic, partition, committed in offsets:
        seen += 1
        if (
            not group.is_subscribed(topic)
            and _expired(state, group, committed, now)
            and not state.offsets.unstable(group.group_id, topic, partition)
        ):
            gone += 1
            effects.write(OffsetCommitKey(group.group_id, topic, partition), None)
    return seen, gone


def _expired(state: GroupsState, group: AnyGroup, committed: Committed, now: Now) -> bool:
    since = group.offset_age_begins(committed.commit_ms)
    if since is None:
        return False
    if committed.expire_ms >= 0:
        return now.wall >= committed.expire_ms
    return now.wall - since >= state.settings.offsets_retention_ms
