"""Offsets and groups that nobody needs any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.records.offset_commit_key import OffsetCommitKey

if TYPE_CHECKING:
    from barnabas.groups.offsets.table import Committed
    from barnabas.groups.state import AnyGroup, GroupsState

LOOKED_AT_ONCE = 10_000
"""Groups and offsets that one decision looks at: some milliseconds."""
TOMBSTONES_AT_ONCE = 1_000
"""One decision writes about so many; those of its last group may be more."""


def expire(state: GroupsState, now: Now, start: int) -> tuple[Effects, int]:
    """Tombstones for what has expired in the groups from number `start` on.

    Returns the number of the group to go on with, or 0 when all have been looked at.
    """
    effects = Effects()
    effects.divisible = True
    names = list(state.groups)
    looked = 0
    for at in range(start, len(names)):
        if len(effects.records) >= TOMBSTONES_AT_ONCE or looked >= LOOKED_AT_ONCE:
            return effects, at
        looked += 1 + state.offsets.count_of(names[at])
        group = state.groups[names[at]]
        if expire_offsets(state, group, now, effects) and group.may_expire:
            group.write_tombstones(effects)
    return effects, 0


def expire_offsets(state: GroupsState, group: AnyGroup, now: Now, effects: Effects) -> bool:
    """Tombstones for expired offsets of a group; whether none of its offsets is left."""
    group_id = group.group_id
    nothing_left = not state.offsets.holds_pending(group_id)
    for topic, partitions in state.offsets.of_group(group_id).items():
        subscribed = group.is_subscribed(topic)
        for partition, committed in partitions.items():
            if (
                subscribed
                or not _expired(state, group, committed, now)
                or state.offsets.unstable(group_id, topic, partition)
            ):
                nothing_left = False
            else:
                effects.write(OffsetCommitKey(group_id, topic, partition), None)
    return nothing_left


def _expired(state: GroupsState, group: AnyGroup, committed: Committed, now: Now) -> bool:
    since = group.offset_age_begins(committed.commit_ms)
    if since is None:
        return False
    if committed.expire_ms >= 0:
        return now.wall >= committed.expire_ms
    return now.wall - since >= state.settings.offsets_retention_ms
