"""Everything that can happen to a quorum node. `now_ms` is wall time, milliseconds."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

from barnabas.raft.election import ElectionState
from barnabas.raft.types import ReplicaKey
from barnabas.wire.messages.begin_quorum_epoch_request import BeginQuorumEpochRequest
from barnabas.wire.messages.begin_quorum_epoch_response import BeginQuorumEpochResponse
from barnabas.wire.messages.end_quorum_epoch_request import EndQuorumEpochRequest
from barnabas.wire.messages.end_quorum_epoch_response import EndQuorumEpochResponse
from barnabas.wire.messages.vote_request import VoteRequest
from barnabas.wire.messages.vote_response import VoteResponse


class Timer(Enum):
    """The timers of a node; each runs at most once at a time."""

    ELECTION = "election"
    """Unattached, Prospective, Candidate, Resigned: act when no leader shows up."""
    FETCH = "fetch"
    """Follower that votes: the leader has not answered for controller.quorum.fetch.timeout.ms."""
    CHECK_QUORUM = "check quorum"
    """Leader: no majority has fetched for 1.5 fetch timeouts."""
    BEGIN_EPOCH = "begin epoch"
    """Leader: tell voters that do not fetch who leads."""


class Started(NamedTuple):
    """The process is up; `election` is quorum-state, None when there was none."""

    election: ElectionState | None
    now_ms: int


class TimerExpired(NamedTuple):
    """A timer started by an effect ran out, and was not stopped or started anew since."""

    timer: Timer
    now_ms: int


class LogDurable(NamedTuple):
    """This node's own log is durable below `end_offset`."""

    end_offset: int
    now_ms: int


class VoteAsked(NamedTuple):
    """Another node wants a vote or a pre-vote; answered by `Respond(token, ...)`."""

    token: int
    version: int
    request: VoteRequest


class VoteAnswered(NamedTuple):
    """A voter answered this node's Vote request of `epoch`; `pre_vote` as it was asked."""

    voter_id: int
    epoch: int
    pre_vote: bool
    response: VoteResponse


class VoteUnsupported(NamedTuple):
    """A voter does not know pre-votes (UNSUPPORTED_VERSION): an older release."""

    voter_id: int
    epoch: int


class BeginEpochAsked(NamedTuple):
    """A leader announces itself; answered by `Respond(token, ...)`."""

    token: int
    version: int
    request: BeginQuorumEpochRequest


class BeginEpochAnswered(NamedTuple):
    """A voter answered this leader's BeginQuorumEpoch."""

    voter_id: int
    response: BeginQuorumEpochResponse


class EndEpochAsked(NamedTuple):
    """A leader resigned; answered by `Respond(token, ...)`."""

    token: int
    version: int
    request: EndQuorumEpochRequest


class EndEpochAnswered(NamedTuple):
    """A voter answered this former leader's EndQuorumEpoch."""

    voter_id: int
    response: EndQuorumEpochResponse


class RequestFailed(NamedTuple):
    """A request that was sent to a voter got no answer; come again after the retry backoff."""

    voter_id: int


class FetchAsked(NamedTuple):
    """A replica (or a reader with a negative id) fetches; answered by `FetchVerdict`."""

    token: int
    replica: ReplicaKey
    leader_epoch: int
    fetch_offset: int
    last_fetched_epoch: int
    now_ms: int


class SnapshotFetched(NamedTuple):
    """A replica got a part of a snapshot from this leader: it lives."""

    replica: ReplicaKey
    now_ms: int


class ResignAsked(NamedTuple):
    """This node shall not lead any more (shutdown, failed disk)."""


Event: TypeAlias = (
    Started
    | TimerExpired
    | LogDurable
    | VoteAsked
    | VoteAnswered
    | VoteUnsupported
    | BeginEpochAsked
    | BeginEpochAnswered
    | EndEpochAsked
    | EndEpochAnswered
    | RequestFailed
    | FetchAsked
    | SnapshotFetched
    | ResignAsked
)
