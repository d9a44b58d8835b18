"""Classic groups, rule by rule (facts: coordinators, section 2)."""

from __future__ import annotations

import pytest

from barnabas.groups.classic.group import State
from barnabas.wire.errors import ErrorCode
from tests.unit.groups.desk import Desk


def codes(*papers: object) -> list[ErrorCode]:
    """The errors of answers."""
    return [ErrorCode(paper.response.error_code) for paper in papers]  # type: ignore[attr-defined]


# -- joining -------------------------------------------------------------------------------------


def test_a_dynamic_member_comes_back_with_the_id_that_it_is_given() -> None:
    d = Desk()
    first = d.join(client="app").response
    assert first.error_code == ErrorCode.MEMBER_ID_REQUIRED
    assert first.member_id == "app-id0"
    assert d.group().members == {}
    second = d.join("app-id0", client="app")
    d.advance(0)
    assert second.response.error_code == ErrorCode.NONE
    assert second.response.generation_id == 1
    assert second.response.leader == second.response.member_id == "app-id0"
    assert [m.member_id for m in second.response.members] == ["app-id0"]
    assert second.response.protocol_name == "range"


def test_before_version_4_it_is_taken_at_once() -> None:
    d = Desk()
    paper = d.join(version=3)
    d.advance(0)
    assert paper.response.error_code == ErrorCode.NONE


def test_an_id_that_is_not_used_expires_with_its_session() -> None:
    d = Desk()
    paper = d.join()
    d.advance(10_000)
    assert d.group().pending_ids == {}
    late = d.join(paper.response.member_id)
    assert codes(late) == [ErrorCode.UNKNOWN_MEMBER_ID]


@pytest.mark.parametrize("session_ms", [5_999, 1_800_001])
def test_session_timeouts_have_bounds(session_ms: int) -> None:
    assert codes(Desk().join(session_ms=session_ms)) == [ErrorCode.INVALID_SESSION_TIMEOUT]


def test_a_member_of_an_unknown_group_is_unknown() -> None:
    d = Desk()
    assert codes(d.join("somebody")) == [ErrorCode.UNKNOWN_MEMBER_ID]
    assert d.heartbeat("somebody", 1) == ErrorCode.UNKNOWN_MEMBER_ID
    assert codes(d.sync("somebody", 1)) == [ErrorCode.UNKNOWN_MEMBER_ID]
    assert d.leave(("somebody", None)) == [ErrorCode.UNKNOWN_MEMBER_ID]


def test_protocols_have_to_fit() -> None:
    d = Desk()
    assert (
        codes(d.join(protocols={}), d.join(kind="")) == [ErrorCode.INCONSISTENT_GROUP_PROTOCOL] * 2
    )
    d.stable()
    assert (
        codes(d.join(kind="connect"), d.join(protocols={"other": b""}))
        == [ErrorCode.INCONSISTENT_GROUP_PROTOCOL] * 2
    )


def test_the_protocol_with_most_votes_among_those_common_to_all_is_taken() -> None:
    d = Desk(initial_rebalance_delay_ms=1_000)
    options = [
        {"a": b"", "b": b"1", "c": b""},
        {"b": b"2", "a": b""},
        {"b": b"3", "a": b"", "c": b""},
    ]
    papers = [d.new_member(protocols=each)[1] for each in options]
    d.advance(60_000)
    assert {paper.response.protocol_name for paper in papers} == {"b"}
    assert [m.metadata for m in papers[0].response.members] == [b"1", b"2", b"3"]


def test_a_group_that_is_full_takes_nobody() -> None:
    d = Desk(max_size=2)
    d.stable(2)
    full = d.join()
    assert codes(full) == [ErrorCode.GROUP_MAX_SIZE_REACHED]
    assert full.response.member_id == ""


def test_the_first_rebalance_waits_while_members_keep_coming() -> None:
    d = Desk(initial_rebalance_delay_ms=3_000)
    _, first = d.new_member(rebalance_ms=10_000)
    d.advance(2_000)
    _, second = d.new_member(rebalance_ms=10_000)
    d.advance(1_000)
    assert not first.done
    d.advance(3_000)
    assert (first.response.generation_id, second.response.generation_id) == (1, 1)
    assert len(first.response.members) == 2
    assert second.response.members == []


def test_the_first_rebalance_waits_no_longer_than_the_rebalance_timeout() -> None:
    d = Desk(initial_rebalance_delay_ms=3_000)
    papers = [d.new_member(rebalance_ms=8_000)[1]]
    for _ in range(7):
        d.advance(1_000)
        papers.append(d.new_member(rebalance_ms=8_000)[1])
    d.advance(1_000)
    assert all(paper.done for paper in papers)


# -- rebalances ----------------------------------------------------------------------------------


def test_a_new_member_makes_the_others_join_again() -> None:
    d = Desk()
    (leader,) = d.stable()
    member, paper = d.new_member()
    assert d.group().state is State.PREPARING
    assert d.heartbeat(leader, 1) == ErrorCode.REBALANCE_IN_PROGRESS
    assert codes(d.sync(leader, 1)) == [ErrorCode.REBALANCE_IN_PROGRESS]
    again = d.join(leader)
    assert again.response.generation_id == paper.response.generation_id == 2
    assert again.response.leader == leader
    assert {m.member_id for m in again.response.members} == {leader, member}
    assert d.heartbeat(leader, 1) == ErrorCode.ILLEGAL_GENERATION
    assert d.heartbeat(leader, 2) == ErrorCode.NONE


def test_who_does_not_join_again_in_time_is_out() -> None:
    d = Desk()
    leader, other = d.stable(2, session_ms=60_000)
    paper = d.join(leader, session_ms=60_000)
    d.advance(29_999)
    assert not paper.done
    d.advance(1)
    assert [m.member_id for m in paper.response.members] == [leader]
    assert d.heartbeat(other, 2) == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_leader_that_does_not_come_back_is_replaced() -> None:
    d = Desk()
    leader, other = d.stable(2, session_ms=60_000)
    d.new_member(session_ms=60_000)
    paper = d.join(other, session_ms=60_000)
    d.advance(30_000)
    assert leader not in d.group().members
    assert paper.response.leader in d.group().members


def test_who_does_not_ask_for_its_assignment_is_out() -> None:
    d = Desk()
    leader, other = d.stable(2, session_ms=60_000)
    d.join(leader, session_ms=60_000)
    d.join(other, session_ms=60_000)
    d.sync(leader, d.group().generation, {})
    d.advance(30_000)
    assert list(d.group().members) == [leader]
    assert d.group().state is State.PREPARING


def test_a_second_rebalance_sends_away_who_waits_for_an_assignment() -> None:
    d = Desk()
    leader, other = d.stable(2)
    d.join(leader)
    d.join(other)
    waiting = d.sync(other, d.group().generation)
    assert not waiting.done
    d.new_member()
    assert codes(waiting) == [ErrorCode.REBALANCE_IN_PROGRESS]


def test_the_same_member_may_ask_again_for_the_generation_that_is_there() -> None:
    d = Desk()
    leader, other = d.stable(2)
    generation = d.group().generation
    same = d.join(other)
    assert same.response.generation_id == generation
    assert same.response.members == []
    assert d.group().state is State.STABLE
    d.join(other, protocols={"range": b"other topics"})
    assert d.group().state is State.PREPARING
    d.join(leader)
    assert d.group().state is State.COMPLETING
    twice = d.join(leader)
    assert twice.response.generation_id == generation + 1
    assert len(twice.response.members) == 2
    assert d.group().state is State.COMPLETING


def test_a_leader_that_joins_again_asks_for_a_rebalance() -> None:
    d = Desk()
    (leader,) = d.stable()
    assert d.join(leader).response.generation_id == 2


def test_members_without_an_assignment_get_an_empty_one() -> None:
    d = Desk()
    leader, other = d.stable(2)
    d.join(leader)
    d.join(other)
    waiting = d.sync(other, d.group().generation)
    d.sync(leader, d.group().generation, {leader: b"all"})
    assert waiting.response.assignment == b""
    assert codes(waiting) == [ErrorCode.NONE]


def test_sync_checks_generation_and_protocol() -> None:
    d = Desk()
    (leader,) = d.stable()
    assert codes(d.sync(leader, 0), d.sync(leader, 1, protocol="sticky")) == [
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    ]
    assert d.sync(leader, 1).response.assignment == leader.encode()


def test_an_assignment_that_the_log_refuses_starts_another_rebalance() -> None:
    d = Desk()
    leader, other = d.stable(2)
    d.join(leader)
    d.join(other)
    waiting = d.sync(other, d.group().generation)
    d.refuse = ErrorCode.UNKNOWN_SERVER_ERROR
    paper = d.sync(leader, d.group().generation, {leader: b"x"})
    assert codes(paper, waiting) == [ErrorCode.UNKNOWN_SERVER_ERROR] * 2
    assert d.group().state is State.PREPARING


def test_a_new_group_that_the_log_refuses_is_forgotten() -> None:
    d = Desk()
    d.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert codes(d.join()) == [ErrorCode.COORDINATOR_NOT_AVAILABLE]
    assert d.shard.state.groups == {}


# -- staying and leaving -------------------------------------------------------------------------


def test_heartbeats_keep_a_session() -> None:
    d = Desk()
    (leader,) = d.stable()
    for _ in range(5):
        d.advance(9_000)
        assert d.heartbeat(leader, 1) == ErrorCode.NONE
    d.advance(10_000)
    assert d.heartbeat(leader, 1) == ErrorCode.UNKNOWN_MEMBER_ID


def test_when_the_last_member_is_gone_the_group_is_empty_and_the_log_says_so() -> None:
    d = Desk()
    (leader,) = d.stable()
    assert d.leave((leader, None)) == [ErrorCode.NONE]
    assert (d.group().state, d.group().generation) == (State.EMPTY, 2)
    d.reload()
    assert (d.group().state, d.group().generation) == (State.EMPTY, 2)
    assert codes(d.join(leader)) == [ErrorCode.UNKNOWN_MEMBER_ID]


def test_who_leaves_makes_the_others_share_anew() -> None:
    d = Desk()
    leader, other = d.stable(2)
    assert d.leave((other, None), ("nobody", None)) == [
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_MEMBER_ID,
    ]
    assert d.heartbeat(leader, d.group().generation) == ErrorCode.REBALANCE_IN_PROGRESS


def test_who_waits_and_is_removed_learns_it() -> None:
    d = Desk()
    leader, other = d.stable(2)
    waiting = d.join(other, protocols={"range": b"x"})
    assert not waiting.done
    d.leave((other, None))
    assert codes(waiting) == [ErrorCode.UNKNOWN_MEMBER_ID]
    assert d.join(leader).done


def test_an_id_that_was_given_out_may_leave() -> None:
    d = Desk()
    (leader,) = d.stable()
    pending = d.join().response.member_id
    again = d.join(leader)
    assert not again.done, "somebody is on the way"
    assert d.leave((pending, None)) == [ErrorCode.NONE]
    assert again.done


def test_a_new_member_whose_client_is_gone_does_not_block_for_ever() -> None:
    d = Desk()
    (leader,) = d.stable(session_ms=1_000_000, rebalance_ms=1_000_000)
    member, _ = d.new_member(session_ms=1_000_000, rebalance_ms=1_000_000)
    d.advance(300_000)
    assert member not in d.group().members
    assert d.join(leader, session_ms=1_000_000).done


# -- static members ------------------------------------------------------------------------------


def static_pair(d: Desk) -> tuple[str, str]:
    """Two static members, a and b, in a stable group: their ids, the leader's first."""
    one = d.join(instance="a")
    two = d.join(instance="b")
    d.advance(0)
    if not two.done or one.response.generation_id != two.response.generation_id:
        one = d.join(one.response.member_id, instance="a")
    leader, other = one.response.member_id, two.response.member_id
    generation = d.group().generation
    d.sync(other, generation, instance="b")
    d.sync(leader, generation, {leader: b"A", other: b"B"}, instance="a")
    assert d.group().state is State.STABLE
    return leader, other


def test_a_static_member_that_comes_back_takes_its_place_without_a_rebalance() -> None:
    d = Desk()
    leader, other = static_pair(d)
    generation = d.group().generation
    back = d.join(instance="b").response
    assert (back.error_code, back.generation_id) == (ErrorCode.NONE, generation)
    assert back.member_id != other
    assert d.sync(back.member_id, generation, instance="b").response.assignment == b"B"
    assert d.heartbeat(other, generation, instance="b") == ErrorCode.FENCED_INSTANCE_ID
    assert d.heartbeat(leader, generation, instance="a") == ErrorCode.NONE
    d.reload()
    assert d.heartbeat(back.member_id, generation, instance="b") == ErrorCode.NONE


def test_a_static_member_is_the_old_one_when_the_log_refuses_its_new_id() -> None:
    d = Desk()
    leader, other = static_pair(d)
    generation = d.group().generation
    d.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
    for instance in ("a", "b"):
        d.refuse = ErrorCode.COORDINATOR_NOT_AVAILABLE
        back = d.join(instance=instance, protocols={"range": b"meta", "new": b""})
        assert codes(back) == [ErrorCode.COORDINATOR_NOT_AVAILABLE]
    assert set(d.group().members) == {leader, other}
    assert d.group().leader_id == leader
    assert d.heartbeat(other, generation, instance="b") == ErrorCode.NONE
    assert d.sync(other, generation, instance="b").response.assignment == b"B"
    assert codes(d.join(instance="c", protocols={"new": b""})) == [
        ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    ]
    back = d.join(instance="b")
    assert codes(back) == [ErrorCode.NONE]
    d.reload()
    assert set(d.group().members) == {leader, back.response.member_id}


def test_a_static_leader_that_comes_back_need_not_assign() -> None:
    d = Desk()
    leader, _ = static_pair(d)
    back = d.join(instance="a").response
    assert back.skip_assignment
    assert back.leader == back.member_id
    assert len(back.members) == 2
    old = d.join(instance="a", version=8).response
    assert not old.skip_assignment
    assert old.leader == back.member_id != old.member_id
    assert old.members == []
    assert leader not in d.group().members


def test_a_static_member_with_another_protocol_causes_a_rebalance() -> None:
    d = Desk()
    static_pair(d)
    d.join(instance="b", protocols={"sticky": b"", "range": b""})
    assert d.group().state is State.STABLE
    d.leave(("", "a"))
    assert d.group().state is State.PREPARING


def test_who_waits_under_the_old_id_is_fenced() -> None:
    d = Desk()
    _, other = static_pair(d)
    waiting = d.join(other, instance="b", protocols={"range": b"new"})
    assert not waiting.done
    d.join(instance="b")
    assert codes(waiting) == [ErrorCode.FENCED_INSTANCE_ID]
    assert codes(d.join(other, instance="b")) == [ErrorCode.FENCED_INSTANCE_ID]
    assert codes(d.join("x", instance="unknown")) == [ErrorCode.UNKNOWN_MEMBER_ID]


def test_static_members_stay_when_they_miss_a_rebalance() -> None:
    d = Desk()
    leader, other = static_pair(d)
    paper = d.join(leader, instance="a", rebalance_ms=5_000)
    d.heartbeat(other, d.group().generation, instance="b")
    d.advance(9_000)
    d.heartbeat(other, d.group().generation, instance="b")
    d.advance(9_000)
    d.heartbeat(other, d.group().generation, instance="b")
    d.advance(9_000)
    d.heartbeat(other, d.group().generation, instance="b")
    d.advance(9_000)
    assert paper.done
    assert set(d.group().members) == {leader, other}


def test_an_administrator_removes_a_static_member_by_its_instance() -> None:
    d = Desk()
    _, other = static_pair(d)
    assert d.leave(("", "b"), ("", "c"), ("x", "a")) == [
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.FENCED_INSTANCE_ID,
    ]
    assert other not in d.group().members


# -- the log -------------------------------------------------------------------------------------


def test_a_stable_group_is_stable_after_a_reload_and_its_sessions_begin_anew() -> None:
    d = Desk()
    leader, other = d.stable(2)
    generation = d.group().generation
    before = d.group()
    d.advance(9_000)
    d.reload()
    after = d.group()
    assert after.state is State.STABLE
    assert (after.generation, after.protocol, after.leader_id) == (generation, "range", leader)
    assert list(after.members) == list(before.members)
    d.advance(9_999)
    assert d.heartbeat(leader, generation) == ErrorCode.NONE
    assert d.sync(other, generation).response.assignment == other.encode()
    d.advance(10_001)
    assert d.group().state is State.EMPTY


def test_a_rebalance_under_way_is_forgotten_by_a_reload() -> None:
    d = Desk()
    (leader,) = d.stable()
    d.new_member()
    d.reload()
    assert d.heartbeat(leader, 1) == ErrorCode.NONE


def test_a_group_that_is_too_large_after_a_reload_has_to_shrink() -> None:
    d = Desk()
    d.stable(3)
    d.settings = type(d.settings)(max_size=2, initial_rebalance_delay_ms=0)
    d.reload()
    assert d.group().state is State.PREPARING
    members = list(d.group().members)
    papers = [d.join(each) for each in members]
    assert codes(*[p for p in papers if p.done and p.response.error_code]) == [
        ErrorCode.GROUP_MAX_SIZE_REACHED
    ]


def test_unload_hands_out_everybody_who_waits() -> None:
    d = Desk()
    leader, other = d.stable(2)
    joining = d.join(other, protocols={"range": b"x"})
    assert d.shard.unload() == [joining]
    assert d.shard.unload() == []
    assert leader in d.group().members
