"""What voters say to each other: Vote, BeginQuorumEpoch, EndQuorumEpoch (KIP-595, KIP-996)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from barnabas.raft.effects import Respond, StartTimer
from barnabas.raft.events import (
    BeginEpochAnswered,
    BeginEpochAsked,
    EndEpochAnswered,
    EndEpochAsked,
    Timer,
    VoteAnswered,
    VoteAsked,
)
from barnabas.raft.messages import (
    answered_leader,
    begin_answer,
    end_answer,
    named_endpoints,
    partition_of,
    vote_answer,
)
from barnabas.raft.roles import Candidate, Follower, Leader, Prospective, Resigned, Unattached
from barnabas.raft.types import OffsetAndEpoch, ReplicaKey
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.begin_quorum_epoch_response import BeginQuorumEpochResponse
from barnabas.wire.messages.end_quorum_epoch_response import EndQuorumEpochResponse
from barnabas.wire.messages.vote_response import VoteResponse

if TYPE_CHECKING:
    from barnabas.raft.node import QuorumNode


def vote_asked(node: QuorumNode, event: VoteAsked) -> None:
    """Grant or refuse a vote or pre-vote."""
    request = event.request
    partition = partition_of(request)
    error = _envelope_error(node, request.cluster_id, partition)
    if error is not ErrorCode.NONE:
        node.effects.append(Respond(event.token, VoteResponse(error_code=error)))
        return
    error, granted = _consider_vote(node, request.voter_id, partition)
    answer = vote_answer(error, node.leader_view(), event.version, granted=granted)
    node.effects.append(Respond(event.token, answer))


def _consider_vote(node: QuorumNode, voter_id: int, partition: Any) -> tuple[ErrorCode, bool]:
    epoch = partition.replica_epoch
    last = OffsetAndEpoch(partition.last_offset, partition.last_offset_epoch)
    # A candidate opened its epoch, so no record can be of it; a prospective may be in a led epoch.
    illegal = last.epoch > epoch if partition.pre_vote else last.epoch >= epoch
    if last.offset < 0 or last.epoch < 0 or illegal:
        return ErrorCode.INVALID_REQUEST, False
    error = _voter_error(node, partition.replica_id, epoch)
    if error is not ErrorCode.NONE:
        return error, False
    if epoch > node.epoch:
        node.become_unattached(epoch)
    if not _meant_for(node, voter_id, partition.voter_directory_id):
        return ErrorCode.INVALID_VOTER_KEY, False
    candidate = ReplicaKey(partition.replica_id, partition.replica_directory_id)
    own = node.log_end
    up_to_date = (last.epoch, last.offset) >= (own.epoch, own.offset)
    granted = _grants(node, candidate, up_to_date=up_to_date, pre_vote=partition.pre_vote)
    if granted and not partition.pre_vote:
        _note_vote(node, candidate)
    return ErrorCode.NONE, granted


def _grants(node: QuorumNode, candidate: ReplicaKey, *, up_to_date: bool, pre_vote: bool) -> bool:
    role = node.role
    match role:
        case Leader():
            return False
        case Follower():
            # With a leader that works there is no reason to elect another.
            return pre_vote and not role.fetched and up_to_date
        case Candidate() | Resigned():
            return pre_vote and up_to_date
        case Unattached() | Prospective():
            if pre_vote:
                return up_to_date
            if role.voted is not None:
                return role.voted.id == candidate.id and (
                    role.voted.directory_id in (uuids.ZERO, candidate.directory_id)
                )
            return role.leader_id < 0 and up_to_date


def _note_vote(node: QuorumNode, candidate: ReplicaKey) -> None:
    """A vote binds for the epoch; it must be durable before it is told."""
    role = node.role
    if not isinstance(role, Unattached | Prospective) or role.voted is not None:
        return
    if isinstance(role, Unattached):
        node.become_unattached(role.epoch, role.leader_id, candidate)
        # Whoever got the vote shall have time to win.
        node.restart_election_timer()
    else:
        role.voted = candidate
        node.persist()


def vote_answered(node: QuorumNode, event: VoteAnswered) -> None:
    """Count a vote, or learn that the world has moved on."""
    partition = partition_of(event.response)
    if partition is None or _learned(node, event.response, partition):
        return
    role = node.role
    expected = Prospective if event.pre_vote else Candidate
    if not isinstance(role, expected) or role.epoch != event.epoch:
        return
    if partition.error_code != ErrorCode.NONE:
        return
    role.votes.record(event.voter_id, partition.vote_granted)
    if isinstance(role, Candidate):
        # A lost election is only noticed at its timeout.
        if role.votes.won:
            node.become_leader()
    elif role.votes.won:
        node.become_candidate()
    elif role.votes.lost:
        node.lost_pre_vote()


def begin_asked(node: QuorumNode, event: BeginEpochAsked) -> None:
    """Follow a leader that announces itself."""
    request = event.request
    partition = partition_of(request)
    error = _envelope_error(node, request.cluster_id, partition)
    if error is not ErrorCode.NONE:
        response = BeginQuorumEpochResponse(error_code=error)
        node.effects.append(Respond(event.token, response))
        return
    error = _heed_leader(node, partition, request.leader_endpoints)
    if error is ErrorCode.NONE and not _meant_for(
        node, request.voter_id, partition.voter_directory_id
    ):
        error = ErrorCode.INVALID_VOTER_KEY
    answer = begin_answer(error, node.leader_view(), event.version)
    node.effects.append(Respond(event.token, answer))


def begin_answered(node: QuorumNode, event: BeginEpochAnswered) -> None:
    """A voter answered an announcement: it may know of a newer epoch."""
    partition = partition_of(event.response)
    if partition is None or _learned(node, event.response, partition):
        return
    if isinstance(node.role, Leader) and partition.error_code == ErrorCode.NONE:
        progress = node.role.state.voters.get(event.voter_id)
        if progress is not None:
            progress.acknowledged = True


def end_asked(node: QuorumNode, event: EndEpochAsked) -> None:
    """The leader is going: hold an election soon, the preferred successor first."""
    request = event.request
    partition = partition_of(request)
    error = _envelope_error(node, request.cluster_id, partition)
    if error is not ErrorCode.NONE:
        response = EndQuorumEpochResponse(error_code=error)
        node.effects.append(Respond(event.token, response))
        return
    error = _heed_leader(node, partition, request.leader_endpoints)
    if (
        error is ErrorCode.NONE
        and isinstance(node.role, Follower)
        and node.role.leader_id == partition.leader_id
        and node.is_voter
    ):
        successors = [c.candidate_id for c in partition.preferred_candidates]
        delay = election_backoff(
            node.own.id,
            successors or partition.preferred_successors,
            node.settings.election_backoff_max_ms,
        )
        node.effects.append(StartTimer(Timer.FETCH, delay, delay))
    answer = end_answer(error, node.leader_view(), event.version)
    node.effects.append(Respond(event.token, answer))


def end_answered(node: QuorumNode, event: EndEpochAnswered) -> None:
    """A voter knows that this node does not lead any more."""
    partition = partition_of(event.response)
    if partition is None or _learned(node, event.response, partition):
        return
    if isinstance(node.role, Resigned) and event.voter_id in node.role.unacknowledged:
        node.role.unacknowledged.remove(event.voter_id)


def election_backoff(own_id: int, successors: Sequence[int], max_ms: int) -> int:
    """How long to wait after EndQuorumEpoch: nothing for the first, twice as long for each next."""
    if own_id not in successors:
        return max_ms
    position = successors.index(own_id)
    if position == 0:
        return 0
    return min(max_ms, (max_ms >> (len(successors) - 1)) << (position - 1))


def _heed_leader(node: QuorumNode, partition: Any, endpoints: Sequence[Any]) -> ErrorCode:
    error = _voter_error(node, partition.leader_id, partition.leader_epoch)
    if error is not ErrorCode.NONE:
        return error
    if not node.consistent(partition.leader_id, partition.leader_epoch):
        # Kafka stops here. A request alone shall not bring this node down.
        return ErrorCode.INVALID_REQUEST
    known = named_endpoints(endpoints) or node.voters.endpoints(partition.leader_id)
    node.maybe_transition(partition.leader_id, partition.leader_epoch, known)
    return ErrorCode.NONE


def _envelope_error(node: QuorumNode, cluster_id: str | None, partition: Any) -> ErrorCode:
    if cluster_id is not None and cluster_id != node.settings.cluster_id:
        return ErrorCode.INCONSISTENT_CLUSTER_ID
    return ErrorCode.INVALID_REQUEST if partition is None else ErrorCode.NONE


def _voter_error(node: QuorumNode, sender_id: int, epoch: int) -> ErrorCode:
    if epoch < node.epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    return ErrorCode.INVALID_REQUEST if sender_id < 0 else ErrorCode.NONE


def _meant_for(node: QuorumNode, voter_id: int, directory_id: bytes) -> bool:
    # Requests of version 0 do not say whom they are meant for.
    if voter_id < 0:
        return True
    return voter_id == node.own.id and directory_id in (uuids.ZERO, node.own.directory_id)


def _learned(node: QuorumNode, response: Any, partition: Any) -> bool:
    """Whether an answer is settled by what it says of epoch and leader."""
    told = answered_leader(response, partition)
    error = partition.error_code
    if told.epoch < node.epoch or error == ErrorCode.UNKNOWN_LEADER_EPOCH:
        return True
    endpoints = told.endpoints or node.voters.endpoints(told.leader_id)
    if told.epoch > node.epoch or error in (
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ):
        node.maybe_transition(told.leader_id, told.epoch, endpoints)
        return True
    if told.leader_id >= 0 and node.leader_id < 0:
        node.maybe_transition(told.leader_id, told.epoch, endpoints)
        return True
    return False
