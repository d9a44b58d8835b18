"""How one partition changes: leader election, ISR, eligible leaders (KIP-966), reassignment.

A `PartitionChange` is filled with targets and built into at most one PartitionChangeRecord.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from barnabas.metadata.features import MV_DIRECTORY_ASSIGNMENT, MV_NO_EPOCH_BUMP_ON_SHRINK
from barnabas.metadata.image.partition import (
    NO_LEADER,
    NO_LEADER_CHANGE,
    NO_RECOVERY_CHANGE,
    RECOVERING,
    Partition,
)
from barnabas.metadata.record_types import PartitionChangeRecord


class Election(Enum):
    """Who may become leader."""

    PREFERRED = "preferred"
    """The first replica if it can; else as ONLINE."""
    ONLINE = "online"
    """The current leader if it can stay, else the first candidate."""
    UNCLEAN = "unclean"
    """As ONLINE, and as a last resort any live replica: acknowledged data may be lost."""


class PartitionChange:
    """Targets for one partition. `acceptable(broker_id)` says who is alive and well there.

    `min_isr` is the effective one: min(min.insync.replicas, number of replicas).
    """

    __slots__ = (
        "acceptable",
        "adding",
        "default_directory",
        "directories",
        "election",
        "elr",
        "elr_enabled",
        "isr",
        "metadata_version",
        "min_isr",
        "partition",
        "recovery_state",
        "removing",
        "replicas",
        "unclean_shutdown",
    )

    def __init__(
        self,
        partition: Partition,
        *,
        acceptable: Callable[[int], bool],
        default_directory: Callable[[int], bytes],
        metadata_version: int,
        min_isr: int,
        elr_enabled: bool,
        election: Election = Election.ONLINE,
    ) -> None:
        self.partition = partition
        self.acceptable = acceptable
        self.default_directory = default_directory
        self.metadata_version = metadata_version
        self.min_isr = min_isr
        self.elr_enabled = elr_enabled
        self.election = election
        self.isr: list[int] = list(partition.isr)
        self.replicas: list[int] = list(partition.replicas)
        self.removing: list[int] = list(partition.removing_replicas)
        self.adding: list[int] = list(partition.adding_replicas)
        self.elr: list[int] = list(partition.elr)
        self.directories = dict(zip(partition.replicas, partition.directories, strict=True))
        self.recovery_state = partition.leader_recovery_state
        self.unclean_shutdown: Sequence[int] = ()

    def build(self, topic_id: bytes, partition_id: int) -> PartitionChangeRecord | None:
        """The record that brings the partition to its targets; None when nothing changes."""
        record = PartitionChangeRecord(partition_id=partition_id, topic_id=topic_id)
        self._complete_reassignment()
        self._retarget_elr()
        self._elect(record)
        if record.leader == NO_LEADER_CHANGE and not set(self.partition.replicas) <= set(
            self.replicas
        ):
            # A replica leaves: setting the leader, even to itself, bumps the leader epoch.
            record.leader = self.partition.leader
        self._record_elr(record)
        if (
            record.isr is None
            and (self.isr or self.elr_enabled)
            and tuple(self.isr) != self.partition.isr
        ):
            record.isr = list(self.isr)
        self._bump_epoch_on_shrink(record)
        self._record_last_known_leader(record)
        self._record_assignment(record)
        if self.recovery_state != self.partition.leader_recovery_state:
            record.leader_recovery_state = self.recovery_state
        return None if _is_no_op(record) else record

    def elect(self) -> tuple[int, bool]:
        """The new leader (-1: none) and whether electing it is unclean."""
        if self.election is Election.PREFERRED and self._can_lead(self.replicas[0]):
            return self.replicas[0], False
        if self._can_lead(self.partition.leader):
            return self.partition.leader, False
        for replica in self.replicas:
            if self._can_lead(replica):
                return replica, False
        if self._last_known_leader_can_lead():
            return self.partition.last_known_elr[0], True
        if self.election is Election.UNCLEAN:
            for replica in self.replicas:
                if self.acceptable(replica):
                    return replica, True
        return NO_LEADER, False

    def _can_lead(self, replica: int) -> bool:
        eligible = replica in self.isr or (not self.isr and replica in self.elr)
        return eligible and self.acceptable(replica)

    def _last_known_leader_can_lead(self) -> bool:
        # With several entries they are former eligible leaders, not the last leader.
        return (
            self.elr_enabled
            and not self.elr
            and not self.isr
            and len(self.partition.last_known_elr) == 1
            and self.acceptable(self.partition.last_known_elr[0])
        )

    def _elect(self, record: PartitionChangeRecord) -> None:
        leader, unclean = self.elect()
        if leader == self.partition.leader:
            return
        if leader in self.elr:
            self.isr = [leader]
            self.elr = [replica for replica in self.elr if replica != leader]
        record.leader = leader
        if unclean:
            # Whoever else is in sync with the old leader is not with this one.
            record.isr = [leader]
            if self.partition.leader_recovery_state != RECOVERING:
                record.leader_recovery_state = RECOVERING

    def _complete_reassignment(self) -> None:
        if not self.removing and not self.adding:
            return
        isr = [replica for replica in self.isr if replica not in self.removing]
        replicas = [replica for replica in self.replicas if replica not in self.removing]
        if not isr or not replicas or any(replica not in isr for replica in self.adding):
            return
        # A net shrink waits until every remaining replica is in sync (KAFKA rule of 4.3).
        if len(self.adding) < len(self.removing) and any(r not in isr for r in replicas):
            return
        self.isr, self.replicas = isr, replicas
        self.removing, self.adding = [], []

    def _retarget_elr(self) -> None:
        if not self.elr_enabled:
            return
        if len(self.isr) >= self.min_isr:
            self.elr = []
            return
        former = [*self.elr, *(r for r in self.partition.isr if r not in self.elr)]
        self.elr = [r for r in former if r not in self.isr and r not in self.unclean_shutdown]

    def _record_elr(self, record: PartitionChangeRecord) -> None:
        if record.isr is not None or not self.elr_enabled:
            # An unclean election empties the set of those who are known to have everything.
            self.elr = []
        if tuple(self.elr) != self.partition.elr:
            record.eligible_leader_replicas = list(self.elr)

    def _bump_epoch_on_shrink(self, record: PartitionChangeRecord) -> None:
        if self.metadata_version >= MV_NO_EPOCH_BUMP_ON_SHRINK:
            return
        if record.leader != NO_LEADER_CHANGE or record.isr is None:
            return
        if not set(self.partition.isr) <= set(record.isr):
            record.leader = self.partition.leader

    def _record_last_known_leader(self, record: PartitionChangeRecord) -> None:
        if not self.elr_enabled:
            return
        if record.leader == NO_LEADER and not self.partition.last_known_elr:
            record.last_known_elr = [self.partition.leader]
        elif record.leader >= 0 and self.partition.last_known_elr:
            record.last_known_elr = []

    def _record_assignment(self, record: PartitionChangeRecord) -> None:
        if self.replicas:
            if self.metadata_version >= MV_DIRECTORY_ASSIGNMENT:
                directories = tuple(
                    self.directories[replica]
                    if replica in self.directories
                    else self.default_directory(replica)
                    for replica in self.replicas
                )
                if directories != self.partition.directories:
                    record.directories = list(directories)
            if tuple(self.replicas) != self.partition.replicas:
                record.replicas = list(self.replicas)
        if tuple(self.removing) != self.partition.removing_replicas:
            record.removing_replicas = list(self.removing)
        if tuple(self.adding) != self.partition.adding_replicas:
            record.adding_replicas = list(self.adding)


def _is_no_op(record: PartitionChangeRecord) -> bool:
    return (
        record.isr is None
        and record.eligible_leader_replicas is None
        and record.last_known_elr is None
        and record.leader == NO_LEADER_CHANGE
        and record.replicas is None
        and record.removing_replicas is None
        and record.adding_replicas is None
        and record.leader_recovery_state == NO_RECOVERY_CHANGE
        and record.directories is None
    )
