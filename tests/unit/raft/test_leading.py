"""High watermark, fetch verdicts, check-quorum, quorum-state."""

from __future__ import annotations

import pytest

from barnabas.raft.effects import FetchVerdict, HighWatermark
from barnabas.raft.election import ElectionState, decode_election, encode_election
from barnabas.raft.errors import QuorumError
from barnabas.raft.events import FetchAsked, LogDurable, SnapshotFetched, Timer
from barnabas.raft.leader import MAX_OBSERVERS, OBSERVER_EXPIRY_MS
from barnabas.raft.node import QuorumNode
from barnabas.raft.roles import Leader
from barnabas.raft.types import OffsetAndEpoch, ReplicaKey
from barnabas.wire.errors import ErrorCode
from tests.unit.raft.quorum import FakeLog, elect, key, node, only, timers


def fetch(
    member: QuorumNode,
    replica: ReplicaKey,
    offset: int,
    last_epoch: int = 0,
    *,
    epoch: int | None = None,
    now: int = 0,
) -> FetchVerdict:
    """The verdict on a fetch."""
    leader_epoch = member.epoch if epoch is None else epoch
    effects = member.step(FetchAsked(5, replica, leader_epoch, offset, last_epoch, now))
    (verdict,) = only(effects, FetchVerdict)
    assert verdict.token == 5
    return verdict


def leading(log: FakeLog, *ids: int) -> QuorumNode:
    """A leader whose log has grown by its LeaderChange batch."""
    member, _ = node(*ids, log=log)
    if len(ids) > 1:
        elect(member)
    assert isinstance(member.role, Leader)
    log.epochs.append((member.epoch, log.end_offset))
    log.end_offset += 1
    return member


def test_a_sole_voter_commits_what_is_durable() -> None:
    member = leading(FakeLog(), 1)
    assert member.high_watermark == -1
    assert only(member.step(LogDurable(1, 0)), HighWatermark) == [HighWatermark(1)]
    assert only(member.step(LogDurable(1, 0)), HighWatermark) == []
    assert only(member.step(LogDurable(5, 0)), HighWatermark) == [HighWatermark(5)]


def test_nothing_is_committed_before_a_record_of_the_leaders_own_epoch_is() -> None:
    member = leading(FakeLog(10, [(0, 0)]), 1)
    assert only(member.step(LogDurable(10, 0)), HighWatermark) == []
    assert only(member.step(LogDurable(11, 0)), HighWatermark) == [HighWatermark(11)]


def test_a_majority_moves_the_high_watermark_and_never_back() -> None:
    log = FakeLog()
    member = leading(log, 1, 2, 3)
    log.end_offset = 8
    assert only(member.step(LogDurable(8, 0)), HighWatermark) == []
    effects = member.step(FetchAsked(5, key(2), 1, 5, 1, 0))
    assert only(effects, HighWatermark) == [HighWatermark(5)]
    # It has moved before the fetch is answered, so that the answer tells.
    assert only(effects, FetchVerdict)[0].high_watermark == 5
    assert only(member.step(FetchAsked(5, key(2), 1, 3, 1, 0)), HighWatermark) == []
    assert member.high_watermark == 5
    assert only(member.step(FetchAsked(5, key(3), 1, 8, 1, 0)), HighWatermark) == [HighWatermark(8)]


def test_half_of_an_even_number_of_voters_is_no_majority() -> None:
    log = FakeLog()
    member = leading(log, 1, 2, 3, 4)
    log.end_offset = 8
    member.step(LogDurable(8, 0))
    assert only(member.step(FetchAsked(5, key(2), 1, 8, 1, 0)), HighWatermark) == []
    assert only(member.step(FetchAsked(5, key(3), 1, 7, 1, 0)), HighWatermark) == [HighWatermark(7)]


def test_observers_do_not_count_but_are_listed() -> None:
    log = FakeLog()
    member = leading(log, 1, 2, 3)
    log.end_offset = 8
    member.step(LogDurable(8, 0))
    fetch(member, key(9), 8, 1, now=5)
    assert member.high_watermark == -1
    assert isinstance(member.role, Leader)
    (observer,) = member.role.state.observers.values()
    assert (observer.end_offset, observer.last_fetch_ms, observer.last_caught_up_ms) == (8, 5, 5)
    member.role.state.expire_observers(5 + OBSERVER_EXPIRY_MS)
    assert not member.role.state.observers


def test_a_replica_that_reached_the_end_of_its_former_fetch_was_caught_up_then() -> None:
    log = FakeLog()
    member = leading(log, 1)
    member.step(LogDurable(1, 0))
    fetch(member, key(9), 1, 1, now=10)
    log.end_offset = 5
    member.step(LogDurable(5, 11))
    fetch(member, key(9), 1, 1, now=20)
    log.end_offset = 7
    member.step(LogDurable(7, 21))
    fetch(member, key(9), 5, 1, now=30)
    assert isinstance(member.role, Leader)
    (observer,) = member.role.state.observers.values()
    assert (observer.last_fetch_ms, observer.last_caught_up_ms) == (30, 20)


def test_made_up_observers_do_not_fill_the_memory() -> None:
    member = leading(FakeLog(), 1)
    for n in range(MAX_OBSERVERS + 50):
        fetch(member, ReplicaKey(100 + n), 0)
    assert isinstance(member.role, Leader)
    assert len(member.role.state.observers) == MAX_OBSERVERS


def test_consumers_are_answered_and_not_listed() -> None:
    member = leading(FakeLog(), 1)
    assert fetch(member, ReplicaKey(-1), 0).readable
    assert isinstance(member.role, Leader)
    assert not member.role.state.observers


def test_check_quorum_starts_anew_when_a_majority_has_fetched() -> None:
    member = leading(FakeLog(), 1, 2, 3, 4, 5)
    first = member.step(FetchAsked(5, key(2), 1, 0, 0, 0))
    again = member.step(FetchAsked(5, key(2), 1, 0, 0, 0))
    snapshot = member.step(SnapshotFetched(key(3), 0))
    assert [timers(e) for e in (first, again, snapshot)] == [[], [], [Timer.CHECK_QUORUM]]


@pytest.mark.parametrize(
    ("offset", "last_epoch", "leader_epoch", "error"),
    [
        (0, 0, 0, ErrorCode.FENCED_LEADER_EPOCH),
        (0, 0, 2, ErrorCode.UNKNOWN_LEADER_EPOCH),
        (-1, 0, 1, ErrorCode.INVALID_REQUEST),
        (0, -1, 1, ErrorCode.INVALID_REQUEST),
        (0, 2, 1, ErrorCode.INVALID_REQUEST),
    ],
)
def test_fetches_that_are_refused(
    offset: int, last_epoch: int, leader_epoch: int, error: ErrorCode
) -> None:
    member = leading(FakeLog(), 1)
    verdict = fetch(member, key(9), offset, last_epoch, epoch=leader_epoch)
    assert verdict.error is error
    assert not verdict.readable
    assert (verdict.leader_id, verdict.leader_epoch) == (1, 1)


def test_a_follower_sends_fetchers_to_the_leader() -> None:
    member, _ = node(1, 2, 3, election=ElectionState(4, 2))
    verdict = fetch(member, key(9), 0)
    assert verdict.error is ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert (verdict.leader_id, verdict.leader_epoch) == (2, 4)
    assert [e.host for e in verdict.leader_endpoints] == ["h2"]


def test_nobody_else_may_count_as_the_leader_itself() -> None:
    log = FakeLog()
    member = leading(log, 1)
    log.end_offset = 99
    assert fetch(member, ReplicaKey(1), 99, 1).error is ErrorCode.UNKNOWN_SERVER_ERROR
    assert member.high_watermark == -1


@pytest.mark.parametrize(
    ("offset", "last_epoch", "diverging"),
    [
        (0, 0, None),
        (10, 1, None),
        (11, 1, OffsetAndEpoch(10, 1)),
        (15, 2, OffsetAndEpoch(10, 1)),
        (20, 3, None),
        (30, 3, OffsetAndEpoch(21, 3)),
    ],
)
def test_diverging_epochs(offset: int, last_epoch: int, diverging: OffsetAndEpoch | None) -> None:
    log = FakeLog(20, [(1, 0), (3, 10)])
    member, _ = node(1, log=log)
    log.epochs = [(1, 0), (3, 10), (4, 21)]
    log.end_offset = 22
    assert fetch(member, key(9), offset, last_epoch).diverging == diverging


SNAPSHOTS = [OffsetAndEpoch(10, 2), OffsetAndEpoch(15, 3)]


@pytest.mark.parametrize(
    ("offset", "last_epoch", "snapshot"),
    [
        (0, 0, SNAPSHOTS[1]),
        (9, 2, SNAPSHOTS[1]),
        (10, 2, None),
        (10, 1, SNAPSHOTS[1]),
        (12, 1, SNAPSHOTS[1]),
        (16, 3, None),
    ],
)
def test_snapshots_for_those_who_are_too_far_behind(
    offset: int, last_epoch: int, snapshot: OffsetAndEpoch | None
) -> None:
    log = FakeLog(20, [(2, 10), (3, 12)], SNAPSHOTS, start=10)
    member, _ = node(1, log=log)
    log.epochs.append((4, 20))
    log.end_offset = 21
    verdict = fetch(member, key(9), offset, last_epoch)
    assert (verdict.snapshot, verdict.diverging) == (snapshot, None)


def test_the_bootstrap_snapshot_is_never_offered() -> None:
    member = leading(FakeLog(snapshots=[OffsetAndEpoch(0, 0)]), 1)
    assert fetch(member, key(9), 0).readable


# quorum-state


def test_quorum_state_as_kafka_writes_it() -> None:
    assert encode_election(ElectionState(3), kraft_version=0, voter_ids=[1]) == (
        b'{"clusterId":"","leaderId":-1,"leaderEpoch":3,"votedId":-1,"appliedOffset":0,'
        b'"currentVoters":[{"voterId":1}],"data_version":0}'
    )
    assert encode_election(ElectionState(3, 1), kraft_version=1) == (
        b'{"leaderId":1,"leaderEpoch":3,"votedId":-1,'
        b'"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}'
    )


@pytest.mark.parametrize("version", [0, 1])
def test_quorum_state_round_trip(version: int) -> None:
    voted = key(2) if version else ReplicaKey(2)
    for state in (ElectionState(0), ElectionState(3, 1), ElectionState(4, -1, voted)):
        assert decode_election(encode_election(state, kraft_version=version)) == state


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"data_version":2}',
        b'{"data_version":0,"leaderEpoch":"3","leaderId":1,"votedId":-1}',
        b'{"data_version":0,"leaderEpoch":3,"leaderId":1}',
        b'{"data_version":1,"leaderEpoch":3,"leaderId":1,"votedId":2,"votedDirectoryId":"x"}',
    ],
)
def test_a_damaged_quorum_state_is_fatal(content: bytes) -> None:
    with pytest.raises(QuorumError):
        decode_election(content)
