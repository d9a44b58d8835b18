"""ConsumerGroupHeartbeat: one test for each rule of facts/coordinators.md, section 3."""

from __future__ import annotations

from typing import Any

import pytest

from barnabas.groups.consumer.group import GroupState
from barnabas.groups.consumer.member import AWAY, MemberState
from barnabas.groups.settings import ConsumerGroupSettings
from barnabas.wire.errors import ErrorCode
from tests.unit.groups.consumer_desk import ConsumerDesk, World

INVALID = ErrorCode.INVALID_REQUEST
FIRST: dict[str, Any] = {
    "subscribed_topic_names": ["t"],
    "rebalance_timeout_ms": 30_000,
    "owned": {},
}


@pytest.mark.parametrize(
    ("member", "epoch", "fields", "code"),
    [
        ("", 0, FIRST, INVALID),
        ("", 1, {"version": 0}, INVALID),
        ("", -1, {"version": 0}, INVALID),
        ("m", 0, {**FIRST, "group": ""}, INVALID),
        ("m", 0, {**FIRST, "instance_id": ""}, INVALID),
        ("m", 0, {**FIRST, "rack_id": ""}, INVALID),
        ("m", 0, {**FIRST, "rebalance_timeout_ms": -1}, INVALID),
        ("m", 0, {**FIRST, "owned": {"t": [0]}}, INVALID),
        ("m", 0, {**FIRST, "owned": None}, INVALID),
        ("m", 0, {**FIRST, "subscribed_topic_names": None}, INVALID),
        ("m", -2, {}, INVALID),
        ("m", -3, {}, INVALID),
        ("m", 0, {**FIRST, "server_assignor": "magic"}, ErrorCode.UNSUPPORTED_ASSIGNOR),
        ("m", 0, {**FIRST, "subscribed_topic_regex": "("}, ErrorCode.INVALID_REGULAR_EXPRESSION),
        (
            "m",
            0,
            {**FIRST, "subscribed_topic_regex": "(?=a)"},
            ErrorCode.INVALID_REGULAR_EXPRESSION,
        ),
    ],
)
def test_request_checks(member: str, epoch: int, fields: dict[str, Any], code: ErrorCode) -> None:
    """Request checks; nothing is written."""
    desk = ConsumerDesk()
    assert desk.error(member, epoch, **fields) == code
    assert not desk.log


def test_version_0_gives_an_id_to_a_member_without_one() -> None:
    desk = ConsumerDesk()
    assert desk.beat("", 0, version=0, **FIRST).member_id == "id0"


def test_the_first_member_gets_everything_in_epoch_2() -> None:
    """A new group starts at epoch 1: its first bump, and so the first member epoch, is 2."""
    desk = ConsumerDesk()
    answer = desk.start("a")
    assert (answer.member_epoch, answer.heartbeat_interval_ms) == (2, 5_000)
    assert desk.named(answer) == {"t": [0, 1, 2, 3, 4, 5]}
    assert desk.consumers().state is GroupState.STABLE
    assert desk.written(0) == [
        "ConsumerGroupMemberMetadata",
        "ConsumerGroupMetadata",
        "ConsumerGroupTargetAssignmentMember",
        "ConsumerGroupTargetAssignmentMetadata",
        "ConsumerGroupCurrentMemberAssignment",
    ]


def test_nothing_new_writes_nothing_and_says_no_assignment() -> None:
    """Null fields mean unchanged; the assignment comes only when it changed or all was told."""
    desk = ConsumerDesk()
    desk.start("a")
    before = len(desk.log)
    assert desk.beat("a").assignment is None
    full = desk.beat("a", subscribed_topic_names=["t"], rebalance_timeout_ms=30_000, owned={})
    assert desk.named(full) == {"t": [0, 1, 2, 3, 4, 5]}
    assert len(desk.log) == before


def test_a_second_member_gets_its_share_after_the_first_gave_it_up() -> None:
    """Reconciliation: revoke first; epochs never exceed the target's."""
    desk = ConsumerDesk()
    desk.note("a", desk.start("a"))
    joined = desk.start("b")
    assert (joined.member_epoch, desk.named(joined)) == (3, {})
    assert desk.member("b").state is MemberState.UNRELEASED
    told = desk.beat("a", owned={"t": range(6)})
    assert (told.member_epoch, desk.named(told)) == (2, {"t": [0, 1, 2]})
    assert desk.member("a").state is MemberState.UNREVOKED
    assert desk.consumers().state is GroupState.RECONCILING
    assert desk.beat("b", owned={}).assignment is None  # still with the first one
    done = desk.beat("a", owned={"t": [0, 1, 2]})
    assert done.member_epoch == 3
    assert desk.named(desk.beat("b", owned={})) == {"t": [3, 4, 5]}
    assert desk.consumers().state is GroupState.STABLE


def test_a_member_that_does_not_say_what_it_owns_has_not_given_up_anything() -> None:
    desk = ConsumerDesk()
    desk.start("a")
    desk.start("b")
    desk.beat("a", owned={"t": range(6)})
    assert desk.beat("a").member_epoch == 2
    assert desk.member("a").state is MemberState.UNREVOKED


def test_kept_partitions_keep_their_epoch_and_added_ones_get_the_target_s() -> None:
    """KIP-1251: assignment epochs of partitions."""
    desk = ConsumerDesk()
    desk.settle("a", "b")
    desk.beat("b", -1)
    desk.live("a")
    epochs = desk.member("a").assigned[World.id_of("t")]
    assert epochs == {0: 2, 1: 2, 2: 2, 3: 4, 4: 4, 5: 4}


@pytest.mark.parametrize(("epoch", "owned"), [(9, {}), (1, {"t": [0]}), (2, {"t": [5]}), (2, None)])
def test_an_epoch_that_is_not_the_member_s_is_fenced(epoch: int, owned: Any) -> None:
    """Fencing; the previous epoch only with no more than is assigned."""
    desk = ConsumerDesk()
    desk.settle("a", "b")
    assert (desk.member("a").epoch, desk.member("a").previous_epoch) == (3, 2)
    assert desk.error("a", epoch, owned=owned) == ErrorCode.FENCED_MEMBER_EPOCH


def test_the_previous_epoch_is_taken_while_nothing_more_is_owned() -> None:
    """A lost answer."""
    desk = ConsumerDesk()
    desk.settle("a", "b")
    assert desk.beat("a", 2, owned={"t": [0, 1]}).member_epoch == 3


def test_leaving_bumps_the_group_and_frees_the_partitions() -> None:
    desk = ConsumerDesk()
    desk.settle("a", "b")
    before = len(desk.log)
    answer = desk.beat("b", -1)
    assert (answer.member_id, answer.member_epoch) == ("b", -1)
    assert desk.written(before) == [
        "-ConsumerGroupCurrentMemberAssignment",
        "-ConsumerGroupTargetAssignmentMember",
        "-ConsumerGroupMemberMetadata",
        "ConsumerGroupMetadata",
    ]
    assert desk.consumers().epoch == 4
    desk.live("a")
    assert desk.held("a") == [0, 1, 2, 3, 4, 5]


def test_unknown_groups_and_members() -> None:
    """69 for a group that is not there or of another kind, 25 for a member."""
    desk = ConsumerDesk()
    assert desk.error("m", 1) == ErrorCode.GROUP_ID_NOT_FOUND
    assert desk.error("m", -1) == ErrorCode.GROUP_ID_NOT_FOUND
    desk.start("a")
    assert desk.error("m", 1) == ErrorCode.UNKNOWN_MEMBER_ID
    assert desk.error("m", -1) == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_group_of_another_type_is_not_found() -> None:
    desk = ConsumerDesk()
    desk.new_member(kind="connect", group="w")
    assert desk.error("m", 0, **FIRST, group="w") == ErrorCode.GROUP_ID_NOT_FOUND


def test_a_full_group_takes_nobody_but_its_members() -> None:
    desk = ConsumerDesk(consumer=ConsumerGroupSettings(max_size=1))
    desk.start("a")
    assert desk.start("b").error_code == ErrorCode.GROUP_MAX_SIZE_REACHED
    assert desk.start("a").error_code == ErrorCode.NONE


# -- static members ------------------------------------------------------------------------------


def test_a_static_member_that_left_for_a_while_keeps_its_place() -> None:
    """Epoch -2: the assignment is kept; its epochs are 0 (4.3); a new id takes it over."""
    desk = ConsumerDesk()
    desk.settle("a", instance_id="i")
    desk.settle("b")
    desk.live("a", "b")
    before = len(desk.log)
    assert desk.beat("a", AWAY, instance_id="i").member_epoch == AWAY
    assert desk.written(before) == ["ConsumerGroupCurrentMemberAssignment"]
    assert set(desk.member("a").assigned[World.id_of("t")].values()) == {0}
    group_epoch = desk.consumers().epoch
    before = len(desk.log)
    answer = desk.start("a2", instance_id="i")
    assert desk.named(answer) == {"t": [0, 1, 2]}
    assert desk.consumers().epoch == group_epoch
    assert desk.written(before)[:6] == [
        "-ConsumerGroupCurrentMemberAssignment",
        "-ConsumerGroupTargetAssignmentMember",
        "-ConsumerGroupMemberMetadata",
        "ConsumerGroupMemberMetadata",
        "ConsumerGroupTargetAssignmentMember",
        "ConsumerGroupCurrentMemberAssignment",
    ]
    assert desk.error("a", 3, instance_id="i") == ErrorCode.FENCED_INSTANCE_ID


def test_an_instance_in_use_is_not_released() -> None:
    desk = ConsumerDesk()
    desk.settle("a", instance_id="i")
    assert desk.start("a2", instance_id="i").error_code == ErrorCode.UNRELEASED_INSTANCE_ID


def test_an_unknown_instance_cannot_go_on() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    assert desk.error("a", 2, instance_id="i") == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_static_member_that_does_not_come_back_is_fenced() -> None:
    desk = ConsumerDesk()
    desk.settle("a", instance_id="i")
    desk.beat("a", AWAY, instance_id="i")
    desk.advance(45_001)
    assert not desk.consumers().members


# -- deadlines -----------------------------------------------------------------------------------


def test_a_silent_member_is_fenced_when_its_session_ends() -> None:
    desk = ConsumerDesk()
    desk.settle("a", "b")
    desk.advance(30_000)
    desk.live("a")
    desk.advance(15_001)
    assert list(desk.consumers().members) == ["a"]


def test_a_member_that_does_not_revoke_in_time_is_fenced() -> None:
    """The rebalance time-out of the member."""
    desk = ConsumerDesk()
    desk.settle("a")
    desk.start("b")
    desk.beat("a", owned={"t": range(6)})
    for _ in range(6):
        desk.advance(5_001)
        desk.error("a", owned={"t": range(6)})
        desk.live("b", rounds=1)
    assert list(desk.consumers().members) == ["b"]
    assert desk.held("b") == [0, 1, 2, 3, 4, 5]


def test_a_member_that_left_while_it_had_to_revoke_owes_nothing_but_its_return() -> None:
    """After a load, too: Kafka then takes it out after its rebalance time-out."""
    desk = ConsumerDesk()
    desk.settle("a", instance_id="i")
    desk.start("b")
    desk.beat("a", instance_id="i", owned={"t": range(6)})
    assert desk.member("a").state is MemberState.UNREVOKED
    desk.beat("a", AWAY, instance_id="i")
    desk.reload()
    desk.advance(44_999)
    assert "a" in desk.consumers().members
    desk.advance(1)
    assert "a" not in desk.consumers().members


def test_a_silent_member_is_fenced_once_the_log_takes_it() -> None:
    """Its partitions must not be lost because there were too few replicas at that moment."""
    desk = ConsumerDesk()
    desk.settle("a")
    for _ in range(3):
        desk.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
        desk.advance(45_499)
        assert list(desk.consumers().members) == ["a"]
        desk.reload()
    desk.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
    desk.advance(45_500)
    assert not desk.consumers().members


def test_a_heartbeat_that_the_log_refuses_is_a_sign_of_life() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    desk.advance(40_000)
    desk.topic("t", 8)
    desk.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert desk.error("a", owned={"t": range(6)}) == ErrorCode.COORDINATOR_NOT_AVAILABLE
    desk.advance(44_999)
    assert desk.consumers().members
    desk.advance(1)
    assert not desk.consumers().members


def test_deadlines_begin_anew_after_a_load() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    desk.start("b")
    desk.beat("a", owned={"t": range(6)})
    desk.advance(29_000)
    desk.reload()
    desk.advance(29_000)
    assert set(desk.consumers().members) == {"a", "b"}
    desk.advance(1_001)
    assert set(desk.consumers().members) == {"b"}


# -- epochs of groups ----------------------------------------------------------------------------


def test_changed_topics_bump_the_group_with_the_next_heartbeat() -> None:
    """Partitions added, topic created, topic deleted: the metadata hash is another one."""
    desk = ConsumerDesk()
    desk.settle("a", topics=["t", "later"])
    assert desk.consumers().epoch == 2
    desk.topic("t", 8)
    assert desk.named(desk.beat("a", owned={"t": range(6)})) == {"t": list(range(8))}
    desk.topic("later", 1)
    desk.beat("a", owned={"t": range(8)})
    assert desk.held("a", "later") == [0]
    desk.topic("t", None)
    desk.live("a")
    assert (desk.held("a"), desk.held("a", "later")) == ([], [0])
    assert desk.consumers().epoch == 5


def test_topics_that_nobody_reads_bump_nothing() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    desk.topic("other", 3)
    desk.live("a")
    assert desk.consumers().epoch == 2


def test_another_subscription_bumps_the_group_and_revokes() -> None:
    desk = ConsumerDesk({"t": 2, "u": 2})
    desk.settle("a", topics=["t", "u"])
    answer = desk.beat("a", subscribed_topic_names=["u"], owned={"t": [0, 1], "u": [0, 1]})
    assert desk.named(answer) == {"u": [0, 1]}
    assert desk.consumers().epoch == 3


def test_an_assignment_is_kept_for_its_interval() -> None:
    """KIP-1263: a member that joins meanwhile waits in the current assignment epoch."""
    desk = ConsumerDesk(consumer=ConsumerGroupSettings())
    desk.start("a")
    desk.advance(999)
    answer = desk.start("b")
    assert (answer.member_epoch, desk.named(answer)) == (2, {})
    assert desk.consumers().state is GroupState.ASSIGNING
    assert desk.consumers().assignment_epoch == 2
    desk.advance(1)
    desk.beat("b", owned={})
    assert desk.consumers().assignment_epoch == 3


def test_the_assignment_interval_of_a_group_wins() -> None:
    desk = ConsumerDesk(consumer=ConsumerGroupSettings())
    desk.configs["g"] = {"consumer.assignment.interval.ms": 0}
    desk.start("a")
    desk.start("b")
    assert desk.consumers().assignment_epoch == 3


def test_session_and_heartbeat_of_a_group_win() -> None:
    desk = ConsumerDesk()
    desk.configs["g"] = {
        "consumer.session.timeout.ms": 50_000,
        "consumer.heartbeat.interval.ms": 7_000,
    }
    assert desk.start("a").heartbeat_interval_ms == 7_000
    desk.advance(49_999)
    assert desk.consumers().members
    desk.advance(2)
    assert not desk.consumers().members


def test_the_assignor_that_most_members_prefer() -> None:
    desk = ConsumerDesk({"t": 4, "u": 3})
    for member in "abc":
        desk.start(member, ["t", "u"], server_assignor="range" if member != "a" else "uniform")
    desk.live(*"abc")
    assert [desk.held(m) for m in "abc"] == [[0, 1], [2], [3]]
    assert [desk.held(m, "u") for m in "abc"] == [[0], [1], [2]]


def test_a_restarted_member_joins_again_with_what_it_had() -> None:
    """Epoch 0 of a known member is a rejoin."""
    desk = ConsumerDesk()
    desk.settle("a", "b")
    answer = desk.start("a")
    assert (answer.member_epoch, desk.named(answer)) == (3, {"t": [0, 1, 2]})


def test_a_state_of_a_later_release_makes_the_member_start_over() -> None:
    desk = ConsumerDesk()
    desk.settle("a")
    group = desk.consumers()
    group.put(desk.member("a")._replace(state=MemberState(7), previous_epoch=1))
    assert desk.error("a", owned={"t": range(6)}) == ErrorCode.FENCED_MEMBER_EPOCH
    assert desk.start("a").error_code == ErrorCode.NONE


def test_a_refused_write_leaves_no_group() -> None:
    desk = ConsumerDesk()
    desk.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert desk.start("a").error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert desk.shard.state.consumer("g") is None


def test_a_reloaded_group_is_the_same() -> None:
    desk = ConsumerDesk({"t": 6, "u": 3})
    desk.settle("a", "b", topics=["t", "u"], rack_id="r", server_assignor="range")
    desk.start("c", ["u"], instance_id="i")
    desk.beat("a", owned=desk.owned["a"])
    before = desk.consumers()
    desk.reload()
    after = desk.consumers()
    assert after.members == before.members
    assert (after.epoch, after.metadata_hash) == (before.epoch, before.metadata_hash)
    assert after.targets.of == before.targets.of
    assert after.assignment_epoch == before.assignment_epoch
    assert after.assignment_ms == before.assignment_ms
    assert after.names == before.names
    assert after.static_ids == before.static_ids
    for topic, count in desk.world.topics.items():
        for number in range(count):
            topic_id = World.id_of(topic)
            assert after.is_free(topic_id, number) == before.is_free(topic_id, number)
