"""A quorum node over a made-up log, and requests of its peers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from barnabas.raft.effects import Effect, Persist, Respond, Send, StartTimer
from barnabas.raft.election import ElectionState
from barnabas.raft.events import (
    Started,
    Timer,
    TimerExpired,
    VoteAnswered,
    VoteAsked,
)
from barnabas.raft.messages import LeaderView, partition_of, vote_answer, vote_ask
from barnabas.raft.node import QuorumNode, QuorumSettings
from barnabas.raft.types import Endpoint, OffsetAndEpoch, ReplicaKey, Voter, VoterSet
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.vote_response import VoteResponse

E = TypeVar("E")
CLUSTER = "cluster"


def key(node_id: int) -> ReplicaKey:
    """A node with its directory."""
    return ReplicaKey(node_id, bytes([node_id] * 16))


def voters(*ids: int) -> VoterSet:
    """A dynamic voter set: directories and endpoints known."""
    return VoterSet({i: Voter(key(i), (Endpoint("CONTROLLER", f"h{i}", 9093),)) for i in ids})


class FakeLog:
    """A `LogView`: end, epochs as (epoch, start), snapshots."""

    def __init__(
        self,
        end: int = 0,
        epochs: Sequence[tuple[int, int]] = (),
        snapshots: Sequence[OffsetAndEpoch] = (),
        start: int = 0,
    ) -> None:
        self.end_offset = end
        self.epochs = list(epochs)
        self.snapshots = list(snapshots)
        self.start_offset = start

    @property
    def last_epoch(self) -> int:
        """Of the last record."""
        return self.epochs[-1][0] if self.epochs else 0

    @property
    def earliest_snapshot(self) -> OffsetAndEpoch | None:
        """Oldest."""
        return self.snapshots[0] if self.snapshots else None

    @property
    def latest_snapshot(self) -> OffsetAndEpoch | None:
        """Newest."""
        return self.snapshots[-1] if self.snapshots else None

    def end_offset_for_epoch(self, epoch: int) -> OffsetAndEpoch:
        """Where the largest epoch up to `epoch` ends."""
        known = [(e, s) for e, s in self.epochs if e <= epoch]
        later = [s for e, s in self.epochs if e > epoch]
        found = known[-1][0] if known else 0
        return OffsetAndEpoch(later[0] if later else self.end_offset, found)


def node(
    *ids: int, own: int = 1, log: FakeLog | None = None, election: ElectionState | None = None
) -> tuple[QuorumNode, list[Effect]]:
    """A started node of the quorum `ids`, and what it did at its start."""
    settings = QuorumSettings(
        key(own), CLUSTER, endpoints=(Endpoint("CONTROLLER", f"h{own}", 9093),)
    )
    made = QuorumNode(settings, voters(*ids), log or FakeLog())
    return made, made.step(Started(election, 0))


def only(effects: Sequence[Effect], kind: type[E]) -> list[E]:
    """Effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def persisted(effects: Sequence[Effect]) -> ElectionState:
    """The last quorum-state."""
    return only(effects, Persist)[-1].election


def timers(effects: Sequence[Effect]) -> list[Timer]:
    """Timers that were started."""
    return [effect.timer for effect in only(effects, StartTimer)]


def expire(member: QuorumNode, timer: Timer, now_ms: int = 0) -> list[Effect]:
    """A timer ran out."""
    return member.step(TimerExpired(timer, now_ms))


def ask_vote(
    member: QuorumNode,
    candidate: int,
    epoch: int,
    last: OffsetAndEpoch,
    *,
    pre_vote: bool = False,
    cluster: str = CLUSTER,
    voter: ReplicaKey | None = None,
) -> tuple[ErrorCode, bool, list[Effect]]:
    """(error, granted, effects) of a Vote request."""
    target = member.own if voter is None else voter
    request = vote_ask(cluster, target, key(candidate), epoch, last, pre_vote=pre_vote)
    effects = member.step(VoteAsked(7, 2, request))
    (answer,) = only(effects, Respond)
    assert answer.token == 7
    assert isinstance(answer.response, VoteResponse)
    partition = partition_of(answer.response)
    if partition is None:
        return ErrorCode(answer.response.error_code), False, effects
    return ErrorCode(partition.error_code), partition.vote_granted, effects


def answer_vote(
    member: QuorumNode,
    voter: int,
    *,
    granted: bool,
    pre_vote: bool,
    epoch: int | None = None,
    leader: int = -1,
    error: ErrorCode = ErrorCode.NONE,
) -> list[Effect]:
    """A voter answers in `epoch` (the node's own by default)."""
    told = LeaderView(leader, member.epoch if epoch is None else epoch, ())
    response = vote_answer(error, told, 2, granted=granted)
    return member.step(VoteAnswered(voter, member.epoch, pre_vote, response))


def sent_to(effects: Sequence[Effect]) -> list[int]:
    """Voters that requests went to."""
    return [effect.node_id for effect in only(effects, Send)]


def elect(member: QuorumNode) -> list[Effect]:
    """Let it win the pre-vote and the vote; what it did when it won."""
    expire(member, Timer.ELECTION)
    effects: list[Effect] = []
    for pre_vote in (True, False):
        for voter in range(2, len(member.voters.voters) // 2 + 2):
            effects = answer_vote(member, voter, granted=True, pre_vote=pre_vote)
    return effects
