"""Small values that the quorum's parts share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from barnabas.wire.uuids import ZERO

NO_NODE = -1

METADATA_TOPIC = "__cluster_metadata"
METADATA_TOPIC_ID = bytes(15) + b"\x01"
METADATA_PARTITION = 0


class ReplicaKey(NamedTuple):
    """A node's id and the directory that holds its log; ZERO when the directory is not known."""

    id: int
    directory_id: bytes = ZERO


class OffsetAndEpoch(NamedTuple):
    """An end offset (exclusive) and the epoch of what stands before it."""

    offset: int
    epoch: int


class Endpoint(NamedTuple):
    """Where a voter's controller listener is reached."""

    listener: str
    host: str
    port: int


class Voter(NamedTuple):
    """A member of the quorum. Under static voters (kraft.version 0) directories are not known."""

    key: ReplicaKey
    endpoints: tuple[Endpoint, ...] = ()


class VoterSet(NamedTuple):
    """Voters by node id."""

    voters: Mapping[int, Voter]

    def contains(self, key: ReplicaKey) -> bool:
        """Whether `key` is a voter; directories count only where both are known."""
        voter = self.voters.get(key.id)
        return voter is not None and matches(voter.key, key)

    def is_only(self, key: ReplicaKey) -> bool:
        """Whether `key` is the one and only voter."""
        return len(self.voters) == 1 and self.contains(key)

    def endpoints(self, node_id: int) -> tuple[Endpoint, ...]:
        """Endpoints of a voter, empty when it is none."""
        voter = self.voters.get(node_id)
        return () if voter is None else voter.endpoints


def matches(ours: ReplicaKey, theirs: ReplicaKey) -> bool:
    """Same id, and same directory where both sides know it."""
    if ours.id != theirs.id:
        return False
    return ZERO in (ours.directory_id, theirs.directory_id) or (
        ours.directory_id == theirs.directory_id
    )


class LogView(Protocol):
    """What the quorum reads of the metadata log. Offsets include what is not yet durable."""

    @property
    def start_offset(self) -> int:
        """First offset that is still there."""

    @property
    def end_offset(self) -> int:
        """Next offset to be written."""

    @property
    def last_epoch(self) -> int:
        """Epoch of the last record (or of the snapshot below an empty log); 0 for nothing."""

    @property
    def earliest_snapshot(self) -> OffsetAndEpoch | None:
        """Oldest snapshot."""

    @property
    def latest_snapshot(self) -> OffsetAndEpoch | None:
        """Newest snapshot."""

    def end_offset_for_epoch(self, epoch: int) -> OffsetAndEpoch:
        """Where the largest epoch <= `epoch` ends, and that epoch."""
