"""What the groups of a node have done since its start."""

from __future__ import annotations


class GroupCounters:
    """Shared by all shards of a coordinator; a load of records counts nothing."""

    __slots__ = (
        "completed_rebalances",
        "consumer_rebalances",
        "offset_commits",
        "offset_deletions",
        "offset_expirations",
    )

    def __init__(self) -> None:
        self.offset_commits = 0
        """Offsets, not requests."""
        self.offset_expirations = 0
        self.offset_deletions = 0
        """By OffsetDelete and DeleteGroups."""
        self.completed_rebalances = 0
        """Of classic groups: all members have their assignment."""
        self.consumer_rebalances = 0
        """Of consumer groups: a new epoch."""
