"""One partition as the controller knows it."""

from __future__ import annotations

from typing import NamedTuple

from barnabas.metadata.errors import MetadataError
from barnabas.metadata.features import MV_DIRECTORY_ASSIGNMENT
from barnabas.metadata.record_types import PartitionChangeRecord, PartitionRecord
from barnabas.wire import uuids

NO_LEADER = -1
NO_LEADER_CHANGE = -2

RECOVERED = 0
RECOVERING = 1
NO_RECOVERY_CHANGE = -1

# Directory ids with a meaning of their own (KIP-858).
DIRECTORY_MIGRATING = uuids.ZERO
DIRECTORY_UNASSIGNED = bytes(15) + b"\x01"
DIRECTORY_LOST = bytes(15) + b"\x02"


def directory_reserved(directory: bytes) -> bool:
    """Whether a directory id is one of the hundred that may not name a real directory."""
    return directory[:8] == bytes(8) and int.from_bytes(directory[8:], "big") < 100


class Partition(NamedTuple):
    """Replica assignment, in-sync replicas, leader and epochs. Lists of broker ids as tuples.

    `directories` runs parallel to `replicas`. `elr` and `last_known_elr`: KIP-966.
    """

    replicas: tuple[int, ...]
    directories: tuple[bytes, ...]
    isr: tuple[int, ...]
    removing_replicas: tuple[int, ...]
    adding_replicas: tuple[int, ...]
    leader: int
    leader_recovery_state: int
    leader_epoch: int
    partition_epoch: int
    elr: tuple[int, ...]
    last_known_elr: tuple[int, ...]

    @classmethod
    def from_record(cls, record: PartitionRecord) -> Partition:
        """Raises MetadataError when the directories do not match the replicas."""
        replicas = tuple(record.replicas)
        directories = tuple(record.directories or ())
        if directories and len(directories) != len(replicas):
            raise MetadataError(
                f"partition {uuids.to_text(record.topic_id)}:{record.partition_id} has "
                f"{len(replicas)} replicas and {len(directories)} directories"
            )
        return cls(
            replicas,
            directories or (DIRECTORY_MIGRATING,) * len(replicas),
            tuple(record.isr),
            tuple(record.removing_replicas),
            tuple(record.adding_replicas),
            record.leader,
            record.leader_recovery_state,
            record.leader_epoch,
            record.partition_epoch,
            tuple(record.eligible_leader_replicas or ()),
            tuple(record.last_known_elr or ()),
        )

    def merge(self, change: PartitionChangeRecord) -> Partition:
        """Apply a change: every one bumps the partition epoch, a set leader the leader epoch."""
        replicas = self.replicas if change.replicas is None else tuple(change.replicas)
        directories = self.directories if change.directories is None else tuple(change.directories)
        if not directories or all(d == DIRECTORY_MIGRATING for d in directories):
            directories = (DIRECTORY_MIGRATING,) * len(replicas)
        if len(directories) != len(replicas):
            raise MetadataError(
                f"change of {uuids.to_text(change.topic_id)}:{change.partition_id} leaves "
                f"{len(replicas)} replicas with {len(directories)} directories"
            )
        leader_set = change.leader != NO_LEADER_CHANGE
        recovery = change.leader_recovery_state
        return Partition(
            replicas,
            directories,
            _changed(self.isr, change.isr),
            _changed(self.removing_replicas, change.removing_replicas),
            _changed(self.adding_replicas, change.adding_replicas),
            change.leader if leader_set else self.leader,
            self.leader_recovery_state if recovery == NO_RECOVERY_CHANGE else recovery,
            self.leader_epoch + 1 if leader_set else self.leader_epoch,
            self.partition_epoch + 1,
            _changed(self.elr, change.eligible_leader_replicas),
            _changed(self.last_known_elr, change.last_known_elr),
        )

    def record(
        self, topic_id: bytes, partition_id: int, metadata_version: int, elr_enabled: bool
    ) -> PartitionRecord:
        """Back to a record, with what `metadata_version` can say."""
        record = PartitionRecord(
            partition_id=partition_id,
            topic_id=topic_id,
            replicas=list(self.replicas),
            isr=list(self.isr),
            removing_replicas=list(self.removing_replicas),
            adding_replicas=list(self.adding_replicas),
            leader=self.leader,
            leader_recovery_state=self.leader_recovery_state,
            leader_epoch=self.leader_epoch,
            partition_epoch=self.partition_epoch,
        )
        if metadata_version >= MV_DIRECTORY_ASSIGNMENT:
            record.directories = list(self.directories)
        if elr_enabled:
            # Tagged fields: left out when empty, as Kafka does, to save space.
            record.eligible_leader_replicas = list(self.elr) or None
            record.last_known_elr = list(self.last_known_elr) or None
        return record

    @property
    def preferred_leader(self) -> int:
        """The first replica."""
        return self.replicas[0] if self.replicas else NO_LEADER

    def directory(self, broker_id: int) -> bytes | None:
        """The log directory of a replica, None when the broker holds none."""
        for replica, directory in zip(self.replicas, self.directories, strict=True):
            if replica == broker_id:
                return directory
        return None


def _changed(current: tuple[int, ...], new: list[int] | None) -> tuple[int, ...]:
    return current if new is None else tuple(new)
