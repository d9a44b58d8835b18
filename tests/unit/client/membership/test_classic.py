"""A classic member, rule by rule (Kafka's AbstractCoordinator and ConsumerCoordinator)."""

from __future__ import annotations

import pytest

from barnabas.client.membership.classic import Phase
from barnabas.client.membership.events import (
    Assign,
    CommitAnswered,
    CoordinatorFound,
    CoordinatorRefused,
    Describe,
    Fail,
    FindCoordinator,
    Leave,
    Lose,
    Released,
    Revoke,
    Send,
    Subscribed,
    Tick,
    Topics,
)
from barnabas.client.membership.protocol import (
    decode_assignment,
    decode_sticky,
    decode_subscription,
    encode_assignment,
)
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.heartbeat_request import HeartbeatRequest
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.join_group_request import JoinGroupRequest
from barnabas.wire.messages.join_group_response import JoinGroupResponse
from barnabas.wire.messages.leave_group_request import LeaveGroupRequest
from barnabas.wire.messages.sync_group_request import SyncGroupRequest
from barnabas.wire.messages.sync_group_response import SyncGroupResponse
from tests.unit.client.membership.desk import (
    Desk,
    classic,
    join_error,
    joined,
    parts,
    stable,
    sync_error,
    synced,
)

LOST_COORDINATOR = [ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE]


def beat(desk: Desk, code: ErrorCode = ErrorCode.NONE) -> None:
    """Wait for the next heartbeat and answer it."""
    desk.wait()
    token, _ = desk.sent(HeartbeatRequest)
    desk.answer(token, HeartbeatResponse(error_code=code))


# -- joining ---------------------------------------------------------------------------------------


def test_the_first_join_says_what_this_member_can() -> None:
    desk = classic("range", "cooperative-sticky", topics=("u", "t"))
    _, request = desk.sent(JoinGroupRequest)
    assert (request.group_id, request.member_id, request.protocol_type) == ("g", "", "consumer")
    assert (request.session_timeout_ms, request.rebalance_timeout_ms) == (45_000, 300_000)
    assert [each.name for each in request.protocols] == ["range", "cooperative-sticky"]
    said = decode_subscription(request.protocols[0].metadata)
    assert (said.topics, said.owned, said.generation) == (("t", "u"), (), -1)
    # The coordinator holds the answer back until the others are there: longer than they may take.
    send = desk.only(Send)
    assert send.waits
    assert send.timeout_ms == 305_000


def test_a_member_id_that_is_demanded_is_used_at_once() -> None:
    desk = classic("range")
    join_error(desk, ErrorCode.MEMBER_ID_REQUIRED, "m-1")
    assert desk.sent(JoinGroupRequest)[1].member_id == "m-1"


def test_an_unknown_member_joins_as_a_new_one() -> None:
    desk = classic("range")
    join_error(desk, ErrorCode.MEMBER_ID_REQUIRED, "m-1")
    join_error(desk, ErrorCode.UNKNOWN_MEMBER_ID)
    assert desk.sent(JoinGroupRequest)[1].member_id == ""


@pytest.mark.parametrize("code", LOST_COORDINATOR)
def test_join_at_the_wrong_node_looks_for_the_right_one(code: ErrorCode) -> None:
    desk = classic("range")
    join_error(desk, code)
    assert desk.effects == [FindCoordinator(100)]
    desk(CoordinatorFound(), after_ms=100)
    desk.sent(JoinGroupRequest)


@pytest.mark.parametrize(
    "code", [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.REBALANCE_IN_PROGRESS]
)
def test_join_tries_again_after_a_pause(code: ErrorCode) -> None:
    desk = classic("range")
    join_error(desk, code)
    assert desk.effects == []
    assert desk(Tick(), after_ms=99) == []
    desk(Tick(), after_ms=1)
    desk.sent(JoinGroupRequest)


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
        ErrorCode.INVALID_SESSION_TIMEOUT,
        ErrorCode.INVALID_GROUP_ID,
        ErrorCode.GROUP_AUTHORIZATION_FAILED,
        ErrorCode.GROUP_MAX_SIZE_REACHED,
        ErrorCode.FENCED_INSTANCE_ID,
        ErrorCode.UNSUPPORTED_VERSION,
        ErrorCode.UNKNOWN_SERVER_ERROR,
    ],
)
def test_join_gives_up_where_nothing_helps(code: ErrorCode) -> None:
    desk = classic("range")
    join_error(desk, code)
    error = desk.only(Fail).error
    assert isinstance(error, KafkaError)
    assert error.code == code
    assert desk(Tick(), after_ms=1_000_000) == []


def test_a_lost_connection_is_a_lost_coordinator_with_growing_pauses() -> None:
    desk = classic("range")
    for pause in (100, 200, 400, 800, 1_000, 1_000):
        token, _ = desk.sent(JoinGroupRequest)
        desk.lose_connection(token)
        assert desk.effects == [FindCoordinator(pause)]
        desk(CoordinatorFound(), after_ms=pause)


def test_a_coordinator_that_cannot_be_had_ends_it() -> None:
    desk = classic("range")
    error = KafkaError(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    assert desk(CoordinatorRefused(error)) == [Fail(error)]


def test_an_answer_to_an_earlier_join_changes_nothing() -> None:
    desk = classic("range")
    token, _ = desk.sent(JoinGroupRequest)
    desk.lose_connection(token)
    assert desk.answer(token, JoinGroupResponse(generation_id=9, member_id="m")) == []
    assert desk.core.generation == -1


def test_another_protocol_type_or_assignor_is_refused() -> None:
    for kind, name in (("connect", "range"), ("consumer", "mine")):
        desk = classic("range")
        token, _ = desk.sent(JoinGroupRequest)
        desk.answer(
            token,
            JoinGroupResponse(
                generation_id=1, protocol_type=kind, protocol_name=name, leader="x", member_id="m"
            ),
        )
        desk.only(Fail)


# -- leading ---------------------------------------------------------------------------------------


def lead(*, skip: bool = False) -> Desk:
    desk = classic("range")
    if not skip:
        joined(desk, leader="m")
        return desk
    token, _ = desk.sent(JoinGroupRequest)
    desk.answer(
        token,
        JoinGroupResponse(
            generation_id=1,
            protocol_type="consumer",
            protocol_name="range",
            leader="m",
            member_id="m",
            skip_assignment=True,
        ),
    )
    return desk


def test_a_follower_syncs_without_an_assignment() -> None:
    desk = classic("range")
    joined(desk)
    _, request = desk.sent(SyncGroupRequest)
    assert (request.generation_id, request.member_id, request.protocol_name) == (1, "m", "range")
    assert request.assignments == []


def test_the_leader_looks_up_everybodys_topics_and_assigns() -> None:
    desk = lead()
    assert desk.effects == [Describe(frozenset({"t", "u"}))]
    desk(Topics({"t": 3, "u": 1, "other": 5}, {}))
    _, request = desk.sent(SyncGroupRequest)
    found = {e.member_id: decode_assignment(e.assignment) for e in request.assignments}
    assert found == {"m": parts(0, 1), "n": parts(2) | {("u", 0)}}


def test_a_static_leader_that_is_back_assigns_nothing() -> None:
    desk = lead(skip=True)
    assert desk.sent(SyncGroupRequest)[1].assignments == []


@pytest.mark.parametrize(
    ("after", "again"), [({"t": 3}, False), ({"t": 4}, True), ({"t": 3, "u": 1}, True)]
)
def test_the_leader_rejoins_when_topics_change(after: dict[str, int], again: bool) -> None:
    desk = lead()
    desk(Topics({"t": 3}, {}))
    synced(desk)
    desk(Topics(after, {}))
    assert (
        any(isinstance(e, Send) and isinstance(e.request, JoinGroupRequest) for e in desk.effects)
        == again
    )


def test_a_follower_does_not() -> None:
    desk = stable()
    assert desk(Topics({"t": 4}, {})) == []


def test_the_leader_heartbeats_while_it_looks_topics_up() -> None:
    desk = lead()
    desk(Tick(), after_ms=3_000)
    desk.sent(HeartbeatRequest)


# -- syncing ---------------------------------------------------------------------------------------


def test_an_assignment_begins() -> None:
    desk = classic("range")
    joined(desk)
    synced(desk, 0, 2)
    assert desk.effects == [Assign(parts(0, 2))]
    assert desk.core.commits_as == ("m", 1)


def test_sync_in_another_rebalance_joins_again_with_the_same_id() -> None:
    desk = classic("range")
    joined(desk)
    sync_error(desk, ErrorCode.REBALANCE_IN_PROGRESS)
    assert desk.sent(JoinGroupRequest)[1].member_id == "m"


@pytest.mark.parametrize(
    ("code", "member"), [(ErrorCode.UNKNOWN_MEMBER_ID, ""), (ErrorCode.ILLEGAL_GENERATION, "m")]
)
def test_sync_in_a_generation_that_is_over(code: ErrorCode, member: str) -> None:
    desk = classic("range")
    joined(desk)
    sync_error(desk, code)
    assert desk.sent(JoinGroupRequest)[1].member_id == member


@pytest.mark.parametrize("code", LOST_COORDINATOR)
def test_sync_at_the_wrong_node(code: ErrorCode) -> None:
    desk = classic("range")
    joined(desk)
    sync_error(desk, code)
    assert desk.effects == [FindCoordinator(100)]


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.FENCED_INSTANCE_ID,
        ErrorCode.GROUP_AUTHORIZATION_FAILED,
        ErrorCode.UNKNOWN_SERVER_ERROR,
    ],
)
def test_sync_gives_up_where_nothing_helps(code: ErrorCode) -> None:
    desk = classic("range")
    joined(desk)
    sync_error(desk, code)
    desk.only(Fail)


def test_another_protocol_in_sync_is_refused() -> None:
    desk = classic("range")
    joined(desk)
    token, _ = desk.sent(SyncGroupRequest)
    desk.answer(token, SyncGroupResponse(protocol_type="consumer", protocol_name="sticky"))
    desk.only(Fail)


def test_a_broken_assignment_is_an_error() -> None:
    desk = classic("range")
    joined(desk)
    token, _ = desk.sent(SyncGroupRequest)
    desk.answer(token, SyncGroupResponse(assignment=b""))
    desk.only(Fail)


def test_an_assignment_beside_the_subscription_joins_again() -> None:
    desk = classic("range")
    joined(desk)
    token, _ = desk.sent(SyncGroupRequest)
    desk(Subscribed(frozenset({"u"})))
    desk.answer(token, SyncGroupResponse(assignment=encode_assignment(parts(0))))
    assert not desk.has(Assign)
    said = desk.sent(JoinGroupRequest)[1].protocols[0].metadata
    assert decode_subscription(said).topics == ("u",)


# -- heartbeats ------------------------------------------------------------------------------------


def test_heartbeats_come_at_their_interval_one_at_a_time() -> None:
    desk = stable(0)
    assert desk(Tick(), after_ms=2_999) == []
    desk(Tick(), after_ms=1)
    token, request = desk.sent(HeartbeatRequest)
    assert (request.generation_id, request.member_id) == (1, "m")
    assert desk(Tick(), after_ms=60_000) == []
    desk.answer(token, HeartbeatResponse())
    assert desk(Tick(), after_ms=2_999) == []
    desk(Tick(), after_ms=1)
    desk.sent(HeartbeatRequest)


def test_a_rebalance_makes_an_eager_member_give_up_all_first() -> None:
    desk = stable(0, 1)
    beat(desk, ErrorCode.REBALANCE_IN_PROGRESS)
    assert desk.effects == [Revoke(parts(0, 1))]
    assert desk.core.commits_as == ("m", 1)  # it may still commit
    desk(Tick(), after_ms=3_000)
    token, _ = desk.sent(HeartbeatRequest)  # and stays alive, however long it takes
    desk.answer(token, HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS))
    assert desk.effects == []
    desk(Released())
    said = decode_subscription(desk.sent(JoinGroupRequest)[1].protocols[0].metadata)
    assert said.owned == ()
    joined(desk, 2)
    synced(desk, 1)
    assert desk.effects == [Assign(parts(1))]


@pytest.mark.parametrize(
    ("code", "member"), [(ErrorCode.UNKNOWN_MEMBER_ID, ""), (ErrorCode.ILLEGAL_GENERATION, "m")]
)
def test_a_member_that_was_dropped_has_lost_its_partitions(code: ErrorCode, member: str) -> None:
    desk = stable(0, 1)
    beat(desk, code)
    assert desk.effects[0] == Lose(parts(0, 1))
    assert desk.sent(JoinGroupRequest)[1].member_id == member
    assert desk.core.commits_as == ("", -1)


def test_a_member_that_is_dropped_while_it_gives_up_joins_when_that_is_done() -> None:
    desk = stable(0, 1)
    beat(desk, ErrorCode.REBALANCE_IN_PROGRESS)
    beat(desk, ErrorCode.UNKNOWN_MEMBER_ID)
    assert desk.effects == [Lose(parts(0, 1))]
    desk(Released())
    assert desk.sent(JoinGroupRequest)[1].member_id == ""


@pytest.mark.parametrize("code", LOST_COORDINATOR)
def test_a_coordinator_that_moved_is_found_and_the_partitions_stay(code: ErrorCode) -> None:
    desk = stable(0)
    beat(desk, code)
    assert desk.effects == [FindCoordinator(100)]
    desk(CoordinatorFound(), after_ms=100)
    assert desk.sent(HeartbeatRequest)[1].generation_id == 1
    assert desk.core.owned == parts(0)


@pytest.mark.parametrize(
    "code", [ErrorCode.FENCED_INSTANCE_ID, ErrorCode.GROUP_AUTHORIZATION_FAILED]
)
def test_a_fenced_member_is_told(code: ErrorCode) -> None:
    desk = stable(0, instance="i")
    beat(desk, code)
    assert desk.effects[0] == Lose(parts(0))
    desk.only(Fail)


def test_a_late_answer_of_an_earlier_generation_is_ignored() -> None:
    desk = stable(0)
    desk(Tick(), after_ms=3_000)
    token, _ = desk.sent(HeartbeatRequest)
    desk(Subscribed(frozenset({"t", "u"})))
    desk(Released())
    joined(desk, 2)
    desk.answer(token, HeartbeatResponse(error_code=ErrorCode.ILLEGAL_GENERATION))
    assert desk.core.phase is Phase.SYNCING
    assert desk.core.generation == 2


# -- cooperative members ---------------------------------------------------------------------------


def test_a_cooperative_member_keeps_its_partitions_and_says_so() -> None:
    desk = stable(0, 1, strategy="cooperative-sticky")
    beat(desk, ErrorCode.REBALANCE_IN_PROGRESS)
    said = decode_subscription(desk.sent(JoinGroupRequest)[1].protocols[0].metadata)
    assert (sorted(said.owned), said.generation) == (sorted(parts(0, 1)), 1)
    assert not desk.has(Revoke)


def test_it_gives_up_what_moves_and_joins_again() -> None:
    desk = stable(0, 1, strategy="cooperative-sticky")
    beat(desk, ErrorCode.REBALANCE_IN_PROGRESS)
    joined(desk, 2)
    synced(desk, 0, 2)
    assert desk.effects == [Revoke(parts(1)), Assign(parts(2))]
    assert desk(Tick(), after_ms=10) == []  # not before that is done
    desk(Released())
    said = decode_subscription(desk.sent(JoinGroupRequest)[1].protocols[0].metadata)
    assert sorted(said.owned) == sorted(parts(0, 2))


def test_it_gives_up_topics_that_it_does_not_want_any_more() -> None:
    desk = stable(0, strategy="cooperative-sticky")
    desk(Subscribed(frozenset({"u"})))
    assert desk.effects == [Revoke(parts(0))]
    desk(Released())
    desk.sent(JoinGroupRequest)


def test_losing_the_generation_also_loses_what_was_being_given_up() -> None:
    desk = stable(0, 1, strategy="cooperative-sticky")
    beat(desk, ErrorCode.REBALANCE_IN_PROGRESS)
    joined(desk, 2)
    synced(desk, 0)
    beat(desk, ErrorCode.UNKNOWN_MEMBER_ID)
    assert desk.effects == [Lose(parts(0, 1))]


def test_one_eager_assignor_makes_the_member_eager() -> None:
    assert not classic("cooperative-sticky", "range").core.cooperative
    assert classic("cooperative-sticky").core.cooperative


def test_sticky_tells_what_it_had_though_it_gave_it_up() -> None:
    desk = stable(0, 1, strategy="sticky")
    beat(desk, ErrorCode.REBALANCE_IN_PROGRESS)
    desk(Released())
    said = decode_subscription(desk.sent(JoinGroupRequest)[1].protocols[0].metadata)
    assert said.owned == ()
    assert decode_sticky(said.user_data) == ((("t", 0), ("t", 1)), 1)


# -- commits and the end ---------------------------------------------------------------------------


def test_a_refused_commit_is_as_good_as_a_heartbeat() -> None:
    desk = stable(0)
    assert desk(CommitAnswered(ErrorCode.ILLEGAL_GENERATION, 0)) == []  # of an earlier generation
    desk(CommitAnswered(ErrorCode.UNKNOWN_MEMBER_ID, 1))
    assert desk.effects[0] == Lose(parts(0))
    desk = stable(0)
    desk(CommitAnswered(ErrorCode.REBALANCE_IN_PROGRESS, 1))
    assert desk.effects == [Revoke(parts(0))]
    desk = stable(0, instance="i")
    desk(CommitAnswered(ErrorCode.FENCED_INSTANCE_ID, 1))
    desk.only(Fail)
    desk = stable(0)
    desk(CommitAnswered(ErrorCode.NOT_COORDINATOR, 1))
    desk.only(FindCoordinator)


def test_a_dynamic_member_leaves_a_static_one_stays() -> None:
    desk = stable(0)
    desk(Leave(stay=False))
    assert [each.member_id for each in desk.sent(LeaveGroupRequest)[1].members] == ["m"]
    assert desk(Tick(), after_ms=60_000) == []
    desk = stable(0, instance="i")
    assert desk(Leave(stay=True)) == []


def test_a_static_member_says_who_it_is_everywhere() -> None:
    desk = classic("range", instance="i")
    assert desk.sent(JoinGroupRequest)[1].group_instance_id == "i"
    joined(desk)
    assert desk.sent(SyncGroupRequest)[1].group_instance_id == "i"
    synced(desk, 0)
    desk.wait()
    assert desk.sent(HeartbeatRequest)[1].group_instance_id == "i"
