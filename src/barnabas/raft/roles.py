"""The roles of a quorum node. A role is replaced as a whole at every transition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from barnabas.raft.election import ElectionState
from barnabas.raft.leader import LeaderState
from barnabas.raft.types import NO_NODE, Endpoint, ReplicaKey


class Votes:
    """Answers of the voters to one election round; a majority of all voters decides."""

    __slots__ = ("answers",)

    def __init__(self, voter_ids: Iterable[int], own_id: int) -> None:
        self.answers: dict[int, bool | None] = dict.fromkeys(voter_ids)
        if own_id in self.answers:
            self.answers[own_id] = True

    def record(self, voter_id: int, granted: bool) -> None:
        """Note an answer. A voter that granted cannot take it back."""
        if voter_id in self.answers and self.answers[voter_id] is not True:
            self.answers[voter_id] = granted

    @property
    def majority(self) -> int:
        """Votes needed."""
        return len(self.answers) // 2 + 1

    @property
    def granting(self) -> tuple[int, ...]:
        """Voters that granted."""
        return tuple(v for v, answer in self.answers.items() if answer)

    @property
    def unanswered(self) -> tuple[int, ...]:
        """Voters that have not answered."""
        return tuple(v for v, answer in self.answers.items() if answer is None)

    @property
    def won(self) -> bool:
        """A majority granted."""
        return len(self.granting) >= self.majority

    @property
    def lost(self) -> bool:
        """So many refused that no majority can come about."""
        refused = sum(1 for answer in self.answers.values() if answer is False)
        return len(self.answers) - refused < self.majority


@dataclass(slots=True)
class Unattached:
    """Knows an epoch but no reachable leader; may have voted in it."""

    epoch: int
    leader_id: int = NO_NODE
    voted: ReplicaKey | None = None


@dataclass(slots=True)
class Prospective:
    """Asks whether it would be elected, without disturbing the epoch (KIP-996)."""

    epoch: int
    votes: Votes
    leader_id: int = NO_NODE
    voted: ReplicaKey | None = None
    leader_endpoints: tuple[Endpoint, ...] = ()


@dataclass(slots=True)
class Candidate:
    """Opened an epoch, voted for itself and asks for votes."""

    epoch: int
    votes: Votes


@dataclass(slots=True)
class Leader:
    """Won the epoch."""

    epoch: int
    state: LeaderState


@dataclass(slots=True)
class Follower:
    """Follows a leader that it can reach. `fetched`: it has fetched from it with success."""

    epoch: int
    leader_id: int
    endpoints: tuple[Endpoint, ...]
    voted: ReplicaKey | None = None
    fetched: bool = False


@dataclass(slots=True)
class Resigned:
    """Led this epoch and does not any more; it cannot vote in it. `unacknowledged` voters have
    not answered EndQuorumEpoch."""

    epoch: int
    preferred_successors: tuple[ReplicaKey, ...] = ()
    unacknowledged: list[int] = field(default_factory=list)


Role: TypeAlias = Unattached | Prospective | Candidate | Leader | Follower | Resigned


def election_of(role: Role, own: ReplicaKey) -> ElectionState:
    """What of a role goes to quorum-state."""
    match role:
        case Unattached() | Prospective() | Follower():
            return ElectionState(role.epoch, role.leader_id, role.voted)
        case Candidate():
            return ElectionState(role.epoch, NO_NODE, own)
        case Leader() | Resigned():
            # Kafka drops the vote, too: nobody who led an epoch votes in it again.
            return ElectionState(role.epoch, own.id)
