"""Roles and elections: KIP-595, KIP-853, KIP-996, one rule per test."""

# A step replaces the role, which the type checker cannot know after an isinstance.
# mypy: disable-error-code="unreachable,comparison-overlap"

from __future__ import annotations

import pytest

from barnabas.raft.effects import BecameLeader, LeaderChanged, Persist, Respond, Send, StartTimer
from barnabas.raft.election import ElectionState
from barnabas.raft.errors import QuorumError
from barnabas.raft.events import (
    BeginEpochAsked,
    EndEpochAsked,
    RequestFailed,
    ResignAsked,
    Timer,
    VoteUnsupported,
)
from barnabas.raft.messages import begin_ask, end_ask, partition_of
from barnabas.raft.peers import election_backoff
from barnabas.raft.roles import (
    Candidate,
    Follower,
    Leader,
    Prospective,
    Resigned,
    Unattached,
)
from barnabas.raft.types import Endpoint, OffsetAndEpoch
from barnabas.wire.errors import ErrorCode
from tests.unit.raft.quorum import (
    CLUSTER,
    FakeLog,
    answer_vote,
    ask_vote,
    elect,
    expire,
    key,
    node,
    only,
    persisted,
    sent_to,
    timers,
)

EMPTY = OffsetAndEpoch(0, 0)
H2 = (Endpoint("CONTROLLER", "h2", 9093),)


# Start


def test_a_sole_voter_leads_at_once() -> None:
    member, effects = node(1)
    assert isinstance(member.role, Leader)
    assert persisted(effects) == ElectionState(1, 1)
    assert only(effects, BecameLeader) == [BecameLeader(1, (1,), (1,))]
    assert only(effects, Send) == []
    assert timers(effects) == []


def test_a_leader_that_restarts_never_leads_the_same_epoch_again() -> None:
    member, effects = node(1, log=FakeLog(9, [(4, 0)]), election=ElectionState(4, 1))
    assert member.epoch == 5
    assert persisted(effects) == ElectionState(5, 1)


def test_a_sole_voter_that_had_voted_for_itself_takes_that_epoch() -> None:
    _, effects = node(1, election=ElectionState(4, -1, key(1)))
    assert persisted(effects) == ElectionState(4, 1)


def test_quorum_state_behind_the_log_is_overtaken() -> None:
    member, _ = node(1, 2, 3, log=FakeLog(9, [(7, 0)]), election=ElectionState(4, -1, key(2)))
    assert member.role == Unattached(7)


def test_a_former_leader_starts_resigned_and_waits() -> None:
    member, effects = node(1, 2, 3, election=ElectionState(4, 1))
    assert isinstance(member.role, Resigned)
    assert timers(effects) == [Timer.ELECTION]
    effects = expire(member, Timer.ELECTION)
    assert member.role == Unattached(5)
    assert persisted(effects) == ElectionState(5)


def test_a_former_candidate_goes_on_in_its_epoch() -> None:
    member, effects = node(1, 2, 3, election=ElectionState(4, -1, key(1)))
    assert isinstance(member.role, Candidate)
    assert member.epoch == 4
    assert sent_to(effects) == [2, 3]


def test_a_vote_of_version_0_without_directory_is_its_own() -> None:
    own = key(1)._replace(directory_id=bytes(16))
    member, _ = node(1, 2, 3, election=ElectionState(4, -1, own))
    assert isinstance(member.role, Candidate)


def test_a_former_follower_follows_a_leader_with_known_endpoints() -> None:
    member, effects = node(1, 2, 3, election=ElectionState(4, 2, key(3)))
    assert member.role == Follower(4, 2, H2, key(3))
    assert timers(effects) == [Timer.FETCH]


def test_a_leader_without_endpoints_is_remembered_but_not_followed() -> None:
    member, _ = node(1, 2, 3, election=ElectionState(4, 9))
    assert member.role == Unattached(4, 9)


def test_observers_hold_no_elections() -> None:
    member, effects = node(2, 3, 4)
    assert isinstance(member.role, Unattached)
    assert timers(effects) == []


# Pre-vote and election


def test_a_pre_vote_leaves_the_epoch_and_the_disk_alone() -> None:
    member, _ = node(1, 2, 3)
    effects = expire(member, Timer.ELECTION)
    assert isinstance(member.role, Prospective)
    assert member.epoch == 0
    assert only(effects, Persist) == []
    assert sent_to(effects) == [2, 3]
    assert all(partition_of(s.request).pre_vote for s in only(effects, Send))


def test_a_won_pre_vote_opens_an_epoch() -> None:
    member, _ = node(1, 2, 3)
    expire(member, Timer.ELECTION)
    effects = answer_vote(member, 2, granted=True, pre_vote=True)
    assert isinstance(member.role, Candidate)
    assert persisted(effects) == ElectionState(1, -1, key(1))
    assert sent_to(effects) == [2, 3]
    assert timers(effects) == [Timer.ELECTION]


def test_a_won_election_makes_a_leader_that_announces_itself() -> None:
    member, _ = node(1, 2, 3)
    effects = elect(member)
    assert isinstance(member.role, Leader)
    assert persisted(effects) == ElectionState(1, 1)
    assert only(effects, BecameLeader) == [BecameLeader(1, (1, 2, 3), (1, 2))]
    assert sent_to(effects) == [2, 3]
    assert timers(effects) == [Timer.CHECK_QUORUM, Timer.BEGIN_EPOCH]
    # Durable first: who is told of a leader must never see its epoch again without it.
    kinds = [type(e) for e in effects]
    assert kinds.index(Persist) < kinds.index(LeaderChanged) < kinds.index(BecameLeader)


def test_a_lost_pre_vote_returns_to_the_known_leader() -> None:
    member, _ = node(1, 2, 3, election=ElectionState(4, 2))
    expire(member, Timer.FETCH)
    answer_vote(member, 2, granted=False, pre_vote=True)
    assert isinstance(member.role, Prospective)
    answer_vote(member, 3, granted=False, pre_vote=True)
    assert member.role == Follower(4, 2, H2)


def test_a_lost_pre_vote_without_a_leader_waits() -> None:
    member, _ = node(1, 2, 3)
    expire(member, Timer.ELECTION)
    effects = expire(member, Timer.ELECTION)
    assert member.role == Unattached(0)
    assert timers(effects) == [Timer.ELECTION]


def test_a_lost_election_is_noticed_at_the_timeout() -> None:
    member, _ = node(1, 2, 3)
    expire(member, Timer.ELECTION)
    answer_vote(member, 2, granted=True, pre_vote=True)
    for voter in (2, 3):
        answer_vote(member, voter, granted=False, pre_vote=False)
    assert isinstance(member.role, Candidate)
    expire(member, Timer.ELECTION)
    assert isinstance(member.role, Prospective)


def test_an_old_peer_without_pre_votes_is_no_obstacle() -> None:
    member, _ = node(1, 2, 3)
    expire(member, Timer.ELECTION)
    member.step(VoteUnsupported(2, 0))
    assert isinstance(member.role, Candidate)


def test_a_granted_vote_cannot_be_taken_back_and_counts_once() -> None:
    member, _ = node(1, 2, 3, 4, 5)
    expire(member, Timer.ELECTION)
    for _ in range(3):
        answer_vote(member, 2, granted=True, pre_vote=True)
    answer_vote(member, 2, granted=False, pre_vote=True)
    assert isinstance(member.role, Prospective)
    assert member.role.votes.granting == (1, 2)


def test_answers_of_another_round_are_ignored() -> None:
    member, _ = node(1, 2, 3)
    expire(member, Timer.ELECTION)
    answer_vote(member, 2, granted=True, pre_vote=False)
    assert isinstance(member.role, Prospective)


def test_unanswered_votes_are_asked_again_answered_ones_not() -> None:
    member, _ = node(1, 2, 3, 4, 5)
    expire(member, Timer.ELECTION)
    answer_vote(member, 2, granted=True, pre_vote=True)
    assert sent_to(member.step(RequestFailed(3))) == [3]
    assert sent_to(member.step(RequestFailed(2))) == []


# Granting votes


@pytest.mark.parametrize(
    ("last", "granted"),
    [
        (OffsetAndEpoch(10, 3), True),
        (OffsetAndEpoch(11, 3), True),
        (OffsetAndEpoch(9, 3), False),
        (OffsetAndEpoch(99, 2), False),
        (OffsetAndEpoch(0, 4), True),
    ],
)
@pytest.mark.parametrize("pre_vote", [False, True])
def test_only_a_log_that_is_up_to_date_gets_a_vote(
    last: OffsetAndEpoch, granted: bool, pre_vote: bool
) -> None:
    member, _ = node(1, 2, 3, log=FakeLog(10, [(3, 0)]), election=ElectionState(3))
    assert ask_vote(member, 2, 5, last, pre_vote=pre_vote)[:2] == (ErrorCode.NONE, granted)


def test_a_vote_is_durable_before_it_is_told_and_binds_for_the_epoch() -> None:
    member, _ = node(1, 2, 3)
    _, granted, effects = ask_vote(member, 2, 5, EMPTY)
    assert granted
    kinds = [type(e) for e in effects]
    assert kinds[::-1].index(Persist) > kinds[::-1].index(Respond)
    assert persisted(effects) == ElectionState(5, -1, key(2))
    assert Timer.ELECTION in timers(effects)
    assert ask_vote(member, 3, 5, OffsetAndEpoch(99, 4))[1] is False
    assert ask_vote(member, 2, 5, EMPTY)[1] is True
    assert ask_vote(member, 3, 6, EMPTY)[1] is True


def test_a_pre_vote_binds_nothing() -> None:
    member, _ = node(1, 2, 3)
    assert ask_vote(member, 2, 0, EMPTY, pre_vote=True)[1] is True
    assert ask_vote(member, 3, 0, EMPTY, pre_vote=True)[1] is True
    assert member.role == Unattached(0)


def test_leaders_refuse_and_followers_stand_by_a_leader_that_works() -> None:
    leader, _ = node(1, 2, 3)
    elect(leader)
    assert ask_vote(leader, 3, 1, OffsetAndEpoch(9, 1), pre_vote=True)[1] is False
    assert ask_vote(leader, 3, 1, EMPTY)[1] is False
    follower, _ = node(1, 2, 3, election=ElectionState(4, 2))
    assert ask_vote(follower, 3, 4, EMPTY)[1] is False
    assert ask_vote(follower, 3, 4, EMPTY, pre_vote=True)[1] is True
    assert isinstance(follower.role, Follower)
    follower.role.fetched = True
    assert ask_vote(follower, 3, 4, EMPTY, pre_vote=True)[1] is False


def test_candidates_and_resigned_leaders_grant_only_pre_votes() -> None:
    candidate, _ = node(1, 2, 3, election=ElectionState(4, -1, key(1)))
    resigned, _ = node(1, 2, 3, election=ElectionState(4, 1))
    for member in (candidate, resigned):
        assert ask_vote(member, 3, 4, EMPTY)[1] is False
        assert ask_vote(member, 3, 4, EMPTY, pre_vote=True)[1] is True


def test_no_vote_where_a_leader_is_known() -> None:
    member, _ = node(1, 2, 3, election=ElectionState(4, 9))
    assert ask_vote(member, 3, 4, EMPTY)[1] is False
    assert ask_vote(member, 3, 4, EMPTY, pre_vote=True)[1] is True


def test_a_higher_epoch_unseats_even_by_a_pre_vote() -> None:
    member, _ = node(1, 2, 3)
    elect(member)
    _, _, effects = ask_vote(member, 3, 9, OffsetAndEpoch(9, 1), pre_vote=True)
    assert member.role == Unattached(9)
    assert persisted(effects) == ElectionState(9)


def test_an_unattached_node_keeps_its_remaining_time_when_epochs_rise() -> None:
    member, _ = node(1, 2, 3, log=FakeLog(10, [(1, 0)]), election=ElectionState(1))
    _, granted, effects = ask_vote(member, 3, 9, EMPTY)
    assert not granted
    assert timers(effects) == []


def test_vote_requests_that_are_refused() -> None:
    member, _ = node(1, 2, 3, election=ElectionState(4))
    assert ask_vote(member, 2, 3, EMPTY)[0] is ErrorCode.FENCED_LEADER_EPOCH
    assert ask_vote(member, 2, 5, OffsetAndEpoch(1, 5))[0] is ErrorCode.INVALID_REQUEST
    assert ask_vote(member, 2, 5, OffsetAndEpoch(1, 5), pre_vote=True)[0] is ErrorCode.NONE
    assert ask_vote(member, 2, 5, OffsetAndEpoch(1, 6), pre_vote=True)[0] is (
        ErrorCode.INVALID_REQUEST
    )
    assert ask_vote(member, 2, 6, OffsetAndEpoch(-1, 0))[0] is ErrorCode.INVALID_REQUEST
    assert ask_vote(member, 2, 6, EMPTY, cluster="x")[0] is ErrorCode.INCONSISTENT_CLUSTER_ID
    assert ask_vote(member, 2, 6, EMPTY, voter=key(3))[0] is ErrorCode.INVALID_VOTER_KEY
    # The epoch counts although the request was meant for another.
    assert member.epoch == 6


# Leaders come and go


def begin(member: object, leader: int, epoch: int) -> BeginEpochAsked:
    """An announcement."""
    endpoints = (Endpoint("CONTROLLER", f"h{leader}", 9093),)
    del member
    return BeginEpochAsked(7, 1, begin_ask(CLUSTER, key(1), leader, epoch, endpoints))


def test_an_announcement_makes_a_follower() -> None:
    member, _ = node(1, 2, 3)
    effects = member.step(begin(member, 2, 3))
    assert member.role == Follower(3, 2, H2)
    assert persisted(effects) == ElectionState(3, 2)
    assert partition_of(only(effects, Respond)[0].response).error_code == ErrorCode.NONE


def test_announcements_of_old_epochs_are_fenced_and_told_the_leader() -> None:
    member, _ = node(1, 2, 3, election=ElectionState(4, 3))
    (answer,) = only(member.step(begin(member, 2, 3)), Respond)
    partition = partition_of(answer.response)
    assert partition.error_code == ErrorCode.FENCED_LEADER_EPOCH
    assert (partition.leader_id, partition.leader_epoch) == (3, 4)


def test_a_second_leader_in_an_epoch_is_refused_when_asked_and_fatal_when_told() -> None:
    member, _ = node(1, 2, 3, election=ElectionState(4, 3))
    (answer,) = only(member.step(begin(member, 2, 4)), Respond)
    assert partition_of(answer.response).error_code == ErrorCode.INVALID_REQUEST
    assert member.leader_id == 3
    with pytest.raises(QuorumError):
        member.maybe_transition(2, 4, H2)


def test_a_resigning_leader_names_its_successors_by_log_length() -> None:
    member, _ = node(1, 2, 3)
    elect(member)
    assert isinstance(member.role, Leader)
    member.role.state.voters[3].end_offset = 9
    effects = member.step(ResignAsked())
    assert isinstance(member.role, Resigned)
    assert only(effects, Persist) == []
    requests = [s.request for s in only(effects, Send)]
    assert [partition_of(r).preferred_successors for r in requests] == [[3, 2], [3, 2]]
    assert only(effects, LeaderChanged)[0].leader_id == -1


def test_losing_the_majority_resigns() -> None:
    member, _ = node(1, 2, 3)
    elect(member)
    expire(member, Timer.CHECK_QUORUM)
    assert isinstance(member.role, Resigned)


def test_silent_voters_are_told_again_who_leads() -> None:
    member, _ = node(1, 2, 3)
    elect(member)
    assert isinstance(member.role, Leader)
    member.role.state.voters[2].last_fetch_ms = 5_000
    effects = expire(member, Timer.BEGIN_EPOCH, 5_500)
    assert sent_to(effects) == [3]


def test_followers_of_a_resigned_leader_hold_elections_in_turn() -> None:
    member, _ = node(1, 2, 3, election=ElectionState(4, 2))
    request = end_ask(CLUSTER, 2, 4, [key(1), key(3)], H2)
    effects = member.step(EndEpochAsked(7, 1, request))
    assert timers(effects) == [Timer.FETCH]
    assert only(effects, StartTimer) == [StartTimer(Timer.FETCH, 0, 0)]


@pytest.mark.parametrize(
    ("own", "successors", "delay"),
    [(1, [1, 2, 3], 0), (2, [1, 2, 3], 250), (3, [1, 2, 3], 500), (9, [1, 2], 1000), (1, [], 1000)],
)
def test_backoff_after_end_quorum_epoch(own: int, successors: list[int], delay: int) -> None:
    assert election_backoff(own, successors, 1000) == delay


def test_a_fetch_timeout_of_a_voting_follower_asks_for_pre_votes() -> None:
    member, _ = node(1, 2, 3, election=ElectionState(4, 2))
    expire(member, Timer.FETCH)
    assert isinstance(member.role, Prospective)
    assert (member.role.epoch, member.role.leader_id) == (4, 2)


def test_a_sole_voter_is_not_lastingly_unseated_by_a_stranger() -> None:
    member, _ = node(1)
    member.step(begin(member, 9, 50))
    assert member.leader_id == 9
    effects = expire(member, Timer.FETCH)
    assert member.leader_id == 1
    assert persisted(effects) == ElectionState(51, 1)


def test_answers_tell_of_newer_epochs() -> None:
    member, _ = node(1, 2, 3)
    expire(member, Timer.ELECTION)
    answer_vote(
        member, 2, granted=False, pre_vote=True, epoch=8, error=ErrorCode.FENCED_LEADER_EPOCH
    )
    assert member.role == Unattached(8)
    elect(member)
    answer_vote(member, 3, granted=False, pre_vote=False, epoch=10, leader=2)
    assert member.leader_id == 2
