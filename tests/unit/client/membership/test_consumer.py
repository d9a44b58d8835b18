"""A KIP-848 member, rule by rule."""

from __future__ import annotations

import pytest

from barnabas.client.membership.consumer import ConsumerMember
from barnabas.client.membership.events import (
    Assign,
    CommitAnswered,
    CoordinatorFound,
    Describe,
    Fail,
    FindCoordinator,
    GroupConfig,
    Leave,
    Lose,
    Released,
    Revoke,
    Subscribed,
    Tick,
    Topics,
)
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.consumer_group_heartbeat_request import ConsumerGroupHeartbeatRequest
from barnabas.wire.messages.consumer_group_heartbeat_response import (
    Assignment,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from tests.unit.client.membership.desk import ID, OTHER_ID, Desk, parts

Request = ConsumerGroupHeartbeatRequest


def begin(instance: str | None = None, rack: str | None = None) -> Desk:
    """A member that has just sent its first heartbeat."""
    config = GroupConfig("g", instance, client_rack=rack, group_remote_assignor="range")
    desk = Desk(ConsumerMember(config, "m"))
    desk(Subscribed(frozenset({"t"})))
    assert desk.effects == [FindCoordinator(0)]
    desk(CoordinatorFound())
    return desk


def hear(desk: Desk, epoch: int, *numbers: int, silent: bool = False, topic: bytes = ID) -> None:
    """Answer the heartbeat that was just sent; `silent`: without an assignment."""
    token, _ = desk.sent(Request)
    target = [TopicPartitions(topic, list(numbers))] if numbers else []
    desk.answer(
        token,
        ConsumerGroupHeartbeatResponse(
            member_id="m",
            member_epoch=epoch,
            heartbeat_interval_ms=5_000,
            assignment=None if silent else Assignment(target),
        ),
    )


def refuse(desk: Desk, code: ErrorCode) -> None:
    token, _ = desk.sent(Request)
    desk.answer(token, ConsumerGroupHeartbeatResponse(error_code=code))


def stable(*numbers: int, instance: str | None = None) -> Desk:
    """A member of epoch 3 that owns these partitions, and has said so."""
    desk = begin(instance)
    hear(desk, 3, *numbers)
    if numbers:
        desk(Topics({}, {ID: "t"}))
    hear(desk, 3, silent=True)
    return desk


def test_the_first_heartbeat_says_everything() -> None:
    desk = begin("i", "rack-1")
    _, request = desk.sent(Request)
    assert (request.group_id, request.member_id, request.member_epoch) == ("g", "m", 0)
    assert (request.instance_id, request.rack_id) == ("i", "rack-1")
    assert (request.rebalance_timeout_ms, request.server_assignor) == (300_000, "range")
    assert (request.subscribed_topic_names, request.topic_partitions) == (["t"], [])


def test_an_assignment_is_taken_when_its_topics_have_names_and_told_at_once() -> None:
    desk = begin()
    hear(desk, 3, 0, 1)
    assert Describe(frozenset({"t"}), frozenset({ID})) in desk.effects
    desk(Topics({}, {ID: "t"}))
    assert Assign(parts(0, 1)) in desk.effects
    _, request = desk.sent(Request)
    assert request.member_epoch == 3
    assert request.topic_partitions is not None
    assert [(e.topic_id, e.partitions) for e in request.topic_partitions] == [(ID, [0, 1])]
    assert request.subscribed_topic_names is None  # not again
    assert request.rebalance_timeout_ms == -1


def test_an_empty_assignment_counts_too() -> None:
    desk = begin()
    hear(desk, 3)
    assert Assign(parts()) in desk.effects


def test_what_has_a_name_does_not_wait_for_what_has_none() -> None:
    desk = stable(0)
    desk.wait()
    token, _ = desk.sent(Request)
    both = Assignment([TopicPartitions(ID, [0, 1]), TopicPartitions(OTHER_ID, [0])])
    desk.answer(token, ConsumerGroupHeartbeatResponse(member_epoch=4, assignment=both))
    assert Assign(parts(1)) in desk.effects
    desk(Topics({}, {OTHER_ID: "u"}))
    assert Assign(frozenset({("u", 0)})) in desk.effects


def test_heartbeats_come_at_the_coordinators_interval_and_say_only_news() -> None:
    desk = stable(0)
    assert desk(Tick(), after_ms=4_999) == []
    desk(Tick(), after_ms=1)
    _, request = desk.sent(Request)
    assert request.topic_partitions is None
    assert request.subscribed_topic_names is None
    assert desk(Tick(), after_ms=60_000) == []  # one at a time


def test_partitions_are_given_up_before_others_are_taken() -> None:
    desk = stable(0, 1)
    desk.wait()
    hear(desk, 3, 1, 2)
    assert desk.effects == [Revoke(parts(0))]
    # Until that is done they are its own, in every heartbeat.
    assert desk.core.owned == parts(0, 1)
    desk.wait()
    assert desk.sent(Request)[1].topic_partitions is None
    hear(desk, 3, silent=True)
    desk(Released())
    assert Assign(parts(2)) in desk.effects
    _, request = desk.sent(Request)
    assert request.topic_partitions is not None
    assert [e.partitions for e in request.topic_partitions] == [[1, 2]]


def test_a_new_subscription_is_told_at_once() -> None:
    desk = stable(0)
    desk(Subscribed(frozenset({"t", "u"})))
    assert desk.sent(Request)[1].subscribed_topic_names == ["t", "u"]


@pytest.mark.parametrize("code", [ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID])
def test_a_fenced_member_puts_everything_down_and_joins_again(code: ErrorCode) -> None:
    desk = stable(0, 1)
    desk.wait()
    refuse(desk, code)
    assert desk.effects[0] == Lose(parts(0, 1))
    _, request = desk.sent(Request)
    assert (request.member_id, request.member_epoch) == ("m", 0)
    assert (request.subscribed_topic_names, request.topic_partitions) == (["t"], [])
    assert desk.core.commits_as == ("", -1)


def test_a_member_that_is_fenced_while_it_gives_up_joins_when_that_is_done() -> None:
    desk = stable(0, 1)
    desk.wait()
    hear(desk, 3, 1)
    desk.wait()
    refuse(desk, ErrorCode.FENCED_MEMBER_EPOCH)
    assert desk.effects == [Lose(parts(0, 1))]
    assert desk(Tick(), after_ms=60_000) == []
    desk(Released())
    assert desk.sent(Request)[1].member_epoch == 0


@pytest.mark.parametrize("code", [ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE])
def test_a_coordinator_that_moved_is_found_and_told_everything(code: ErrorCode) -> None:
    desk = stable(0)
    desk.wait()
    refuse(desk, code)
    assert desk.effects == [FindCoordinator(100)]
    desk(CoordinatorFound(), after_ms=100)
    _, request = desk.sent(Request)
    assert (request.member_epoch, request.subscribed_topic_names) == (3, ["t"])
    assert request.topic_partitions is not None
    assert request.rebalance_timeout_ms == 300_000


def test_a_lost_answer_is_asked_for_with_everything() -> None:
    desk = stable(0)
    desk.wait()
    desk.lose_connection(desk.sent(Request)[0])
    assert desk.effects == [FindCoordinator(100)]
    desk(CoordinatorFound(), after_ms=100)
    assert desk.sent(Request)[1].subscribed_topic_names == ["t"]


@pytest.mark.parametrize(
    "code", [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.TOPIC_AUTHORIZATION_FAILED]
)
def test_patience(code: ErrorCode) -> None:
    desk = stable(0)
    desk.wait()
    refuse(desk, code)
    assert desk.effects == []
    desk(Tick(), after_ms=100)
    desk.sent(Request)
    assert desk.core.owned == parts(0)


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.GROUP_AUTHORIZATION_FAILED,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.GROUP_MAX_SIZE_REACHED,
        ErrorCode.UNSUPPORTED_ASSIGNOR,
        ErrorCode.UNRELEASED_INSTANCE_ID,
        ErrorCode.FENCED_INSTANCE_ID,
        ErrorCode.UNSUPPORTED_VERSION,
        ErrorCode.GROUP_ID_NOT_FOUND,
    ],
)
def test_what_ends_it(code: ErrorCode) -> None:
    desk = stable(0, instance="i")
    desk.wait()
    refuse(desk, code)
    assert desk.effects[0] == Lose(parts(0))
    desk.only(Fail)
    assert desk(Tick(), after_ms=60_000) == []


def test_a_commit_may_say_that_the_coordinator_moved() -> None:
    desk = stable(0)
    assert desk(CommitAnswered(ErrorCode.STALE_MEMBER_EPOCH, 3)) == []
    assert desk(CommitAnswered(ErrorCode.NOT_COORDINATOR, 3)) == [FindCoordinator(100)]


def test_a_commit_carries_the_newest_epoch() -> None:
    desk = stable(0)
    assert desk.core.commits_as == ("m", 3)
    desk.wait()
    hear(desk, 4, silent=True)
    assert desk.core.commits_as == ("m", 4)


@pytest.mark.parametrize(
    ("instance", "stay", "epoch"), [(None, False, -1), ("i", True, -2), ("i", False, -1)]
)
def test_leaving(instance: str | None, stay: bool, epoch: int) -> None:
    desk = stable(0, instance=instance)
    desk(Leave(stay))
    _, request = desk.sent(Request)
    assert (request.member_epoch, request.instance_id) == (epoch, instance)
    assert desk(Tick(), after_ms=60_000) == []
