"""EndTxn and what follows, rule by rule (facts: coordinators, section 9)."""

from __future__ import annotations

import pytest

from barnabas.transactions.shard import ABORT, AbortTimer
from barnabas.transactions.transaction import State
from barnabas.wire.errors import ErrorCode
from tests.unit.transactions.desk import BUMPING, FIRST_ID, PLAIN, START_MS, Desk, Who

NONE, ITS = ErrorCode.NONE, ErrorCode.INVALID_TXN_STATE
FENCED, CONCURRENT = ErrorCode.PRODUCER_FENCED, ErrorCode.CONCURRENT_TRANSACTIONS
OUTCOMES = pytest.mark.parametrize("commit", [True, False])
VERSIONS = pytest.mark.parametrize("version", [PLAIN, BUMPING])


def in_state(state: State, version: int) -> tuple[Desk, Who]:
    """`x` in a state; the producer as the log has it."""
    d = Desk(version)
    who = d.begin()
    if state is State.EMPTY:
        return d, who
    d.add(who, version=version)
    if state is State.ONGOING:
        return d, who
    commit = state in (State.PREPARE_COMMIT, State.COMPLETE_COMMIT)
    d.end(who, commit=commit, version=version)
    if state in (State.COMPLETE_COMMIT, State.COMPLETE_ABORT):
        d.send()
    assert d.state() is state
    return d, Who(d.transaction().producer_id, d.transaction().epoch)


@VERSIONS
@OUTCOMES
def test_an_unknown_id_or_another_producer_id(version: int, commit: bool) -> None:
    d = Desk()
    unknown = ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert d.end(Who(1, 0), commit=commit, version=version).error_code == unknown
    who = d.begin()
    other = Who(who.id + 1, 0)
    assert d.end(other, commit=commit, version=version).error_code == unknown
    assert d.end(who, name="", version=version).error_code == ErrorCode.INVALID_REQUEST


#: State -> (commit, abort) below EndTxn v5.
PLAIN_TABLE = {
    State.COMPLETE_COMMIT: (NONE, ITS),
    State.COMPLETE_ABORT: (ITS, NONE),
    State.PREPARE_COMMIT: (CONCURRENT, ITS),
    State.PREPARE_ABORT: (ITS, CONCURRENT),
    State.EMPTY: (ITS, ITS),
}


@pytest.mark.parametrize("state", list(PLAIN_TABLE))
def test_below_v5_what_is_not_ongoing_is_answered_by_its_outcome(state: State) -> None:
    for commit, code in zip((True, False), PLAIN_TABLE[state], strict=True):
        d, who = in_state(state, PLAIN)
        written = len(d.log)
        answer = d.end(who, commit=commit, version=PLAIN)
        assert (answer.error_code, answer.producer_id, answer.producer_epoch) == (code, -1, -1)
        assert len(d.log) == written
        assert d.end(Who(who.id, who.epoch + 1), version=PLAIN).error_code == FENCED


@OUTCOMES
def test_below_v5_a_transaction_keeps_its_epoch(commit: bool) -> None:
    d = Desk(PLAIN)
    who = d.begin()
    d.add(who, ("t", 0), ("u", 3), version=PLAIN)
    answer = d.end(who, commit=commit, version=PLAIN)
    assert (answer.error_code, answer.producer_id) == (NONE, -1)
    assert d.state() is (State.PREPARE_COMMIT if commit else State.PREPARE_ABORT)
    order = d.send()
    assert order == ("x", who.id, 0, commit, PLAIN, (("t", 0), ("u", 3)))
    assert d.state() is (State.COMPLETE_COMMIT if commit else State.COMPLETE_ABORT)
    assert not d.transaction().partitions
    assert d.transaction().epoch == 0


@OUTCOMES
def test_from_v5_on_markers_and_producer_have_the_next_epoch(commit: bool) -> None:
    d = Desk()
    who = d.begin()
    d.add(who)
    answer = d.end(who, commit=commit)
    assert (answer.producer_id, answer.producer_epoch) == (who.id, 1)
    assert d.send() == ("x", who.id, 1, commit, BUMPING, (("t", 0),))
    assert d.add(who) == [FENCED]
    assert d.add(Who(who.id, 1)) == [NONE]


#: State -> (abort repeated, abort now, commit repeated, commit now) from EndTxn v5 on; True: done.
BUMPING_TABLE = {
    State.EMPTY: (FENCED, True, FENCED, ITS),
    State.COMPLETE_ABORT: (NONE, True, ITS, ITS),
    State.COMPLETE_COMMIT: (ITS, True, NONE, ITS),
    State.PREPARE_COMMIT: (ITS, FENCED, CONCURRENT, FENCED),
    State.PREPARE_ABORT: (CONCURRENT, FENCED, ITS, FENCED),
}


@pytest.mark.parametrize("state", list(BUMPING_TABLE))
def test_from_v5_on_what_is_not_ongoing_is_answered_by_outcome_and_epoch(state: State) -> None:
    asked = [(False, -1), (False, 0), (True, -1), (True, 0)]
    for (commit, back), expected in zip(asked, BUMPING_TABLE[state], strict=True):
        d, who = in_state(state, BUMPING)
        epoch = who.epoch
        answer = d.end(Who(who.id, epoch + back), commit=commit)
        if expected is True:  # an empty abort
            assert (answer.error_code, answer.producer_epoch) == (NONE, epoch + 1)
            assert d.state() is State.PREPARE_ABORT
            assert d.transaction().start_ms == d.now.wall
            assert d.send().partitions == ()
            assert d.state() is State.COMPLETE_ABORT
        else:
            assert answer.error_code == expected
            repeated = (who.id, epoch) if expected is NONE else (-1, -1)
            assert (answer.producer_id, answer.producer_epoch) == repeated


# -- exhausted epochs -----------------------------------------------------------------------------


@OUTCOMES
def test_an_exhausted_epoch_gives_a_new_producer_id_once_complete(commit: bool) -> None:
    d = Desk()
    who = d.at_epoch(32766)
    d.add(who)
    answer = d.end(who, commit=commit)
    assert (answer.producer_id, answer.producer_epoch) == (FIRST_ID + 1, 0)
    assert (d.transaction().producer_id, d.transaction().epoch) == (FIRST_ID, 32767)
    assert d.transaction().next_producer_id == FIRST_ID + 1
    d.reload()  # 4.3 keeps the next producer id in the log
    order = d.send()
    assert (order.producer_id, order.producer_epoch) == (FIRST_ID, 32767)
    assert (d.transaction().producer_id, d.transaction().epoch) == (FIRST_ID + 1, 0)
    assert d.transaction().next_producer_id == -1
    assert d.add(Who(FIRST_ID + 1, 0)) == [NONE]


def test_a_repeated_end_of_an_exhausted_epoch_is_answered_by_the_new_producer() -> None:
    d = Desk()
    who = d.at_epoch(32766)
    d.add(who)
    d.ended(who)
    again = d.end(who)
    assert (again.error_code, again.producer_id, again.producer_epoch) == (NONE, FIRST_ID + 1, 0)
    assert d.end(who, commit=False).error_code == ITS


def test_the_coordinator_itself_aborts_at_an_exhausted_epoch_with_a_new_producer_id() -> None:
    d = Desk()
    d.add(d.at_epoch(32766))
    d.init()
    assert (d.transaction().epoch, d.transaction().next_producer_id) == (32767, FIRST_ID + 1)
    d.send()
    assert d.begin() == (FIRST_ID + 1, 1)


def test_at_the_highest_epoch_of_all_fencing_and_abort_keep_it() -> None:
    for version in (PLAIN, BUMPING):
        d = Desk(version)
        d.add(d.at_epoch(32767), version=version)
        d.init()
        assert d.state() is State.PREPARE_ABORT
        assert d.transaction().epoch == 32767
        d.send()
        assert d.begin().id != FIRST_ID


# -- markers --------------------------------------------------------------------------------------


@VERSIONS
@OUTCOMES
def test_a_load_goes_on_with_the_markers_of_what_is_prepared(version: int, commit: bool) -> None:
    d = Desk(version)
    who = d.begin()
    d.add(who, ("t", 0), ("u", 1), version=version)
    d.end(who, commit=commit, version=version)
    before = d.orders[:]
    d.reload()
    assert d.orders == before
    d.send()
    assert d.state() is (State.COMPLETE_COMMIT if commit else State.COMPLETE_ABORT)
    d.reload()
    assert not d.orders


def test_a_refused_end_changes_nothing() -> None:
    d = Desk()
    who = d.begin()
    d.add(who)
    d.refuse = ErrorCode.NOT_ENOUGH_REPLICAS
    assert d.end(who).error_code == ErrorCode.NOT_ENOUGH_REPLICAS
    assert d.state() is State.ONGOING
    assert not d.orders
    assert d.ended(who) == (who.id, 1)


def test_a_complete_record_that_is_refused_is_tried_again() -> None:
    d = Desk()
    who = d.begin()
    d.add(who)
    d.end(who)
    d.refuse = ErrorCode.NOT_ENOUGH_REPLICAS
    d.send()
    assert d.state() is State.PREPARE_COMMIT
    d.advance(99)
    assert d.state() is State.PREPARE_COMMIT
    d.advance(1)
    assert d.state() is State.COMPLETE_COMMIT


# -- old bugs (shared/proof.md, section 1) --------------------------------------------------------


def test_old_bug_a_delayed_end_does_not_end_a_later_transaction() -> None:
    """Bufstream 0.1.0 and Kafka before KIP-890: a delayed EndTxn acts on the next transaction."""
    for commit in (True, False):
        for late in (True, False):
            d = Desk()
            who = d.begin()
            d.add(who)
            after = d.ended(who, commit=commit)
            d.add(after)
            assert d.end(who, commit=late).error_code == FENCED
            assert d.state() is State.ONGOING


def test_old_bug_markers_reported_late_do_not_complete_a_later_transaction() -> None:
    d = Desk()
    who = d.begin()
    d.add(who)
    d.end(who)
    old = d.send()
    after = Who(who.id, 1)
    d.add(after)
    d.end(after, commit=False)
    d.repeat(old)
    assert d.state() is State.PREPARE_ABORT


# -- time ------------------------------------------------------------------------------------------


@VERSIONS
def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(version: int) -> None:
    d = Desk(version)
    who = d.begin(timeout_ms=15_000)
    d.add(who, version=version)
    d.advance(15_000)
    assert d.state() is State.ONGOING
    d.advance(4_999)
    assert d.state() is State.ONGOING
    d.advance(1)  # the second look, every ten seconds
    assert d.state() is State.PREPARE_ABORT
    assert d.transaction().epoch == 1
    d.send()
    assert d.add(who) == [FENCED]
    assert d.end(who, version=PLAIN).error_code == FENCED


def test_the_look_for_late_transactions_goes_on_and_takes_many() -> None:
    d = Desk(abort_interval_ms=1_000)
    for number in range(250):
        d.add(d.begin(f"x{number}", timeout_ms=10), name=f"x{number}")
    d.advance(1_010)
    assert len(d.orders) == 250
    d.orders.clear()
    d.add(d.begin("y", timeout_ms=10), name="y")
    d.advance(1_000)
    assert [order.transactional_id for order in d.orders] == ["y"]


def test_a_late_transaction_that_the_log_refuses_to_end_holds_up_no_other() -> None:
    d = Desk()
    for name in "xyz":
        d.add(d.begin(name), name=name)
    d.refuse = ErrorCode.UNKNOWN_SERVER_ERROR
    d.advance(70_000)
    assert [order.transactional_id for order in d.orders] == ["y", "z"]
    d.advance(10_000)  # the next look
    assert [order.transactional_id for order in d.orders] == ["y", "z", "x"]


def test_a_late_transaction_that_ends_before_its_turn_is_left_alone() -> None:
    d = Desk()
    who = d.begin()
    d.add(who)
    d.advance(60_000)
    d.ms += 1
    look = d.shard.timer(ABORT, d.now)
    assert AbortTimer("x") in dict(look.timers)
    d.end(who)
    assert not d.shard.timer(AbortTimer("x"), d.now).records


def test_without_a_producer_id_at_hand_a_late_transaction_waits_for_the_next_look() -> None:
    d = Desk()
    d.add(d.at_epoch(32766))
    d.ids_at_hand = False
    d.advance(80_000)
    assert d.state() is State.ONGOING
    d.ids_at_hand = True
    d.advance(10_000)
    assert d.state() is State.PREPARE_ABORT


def test_a_transactional_id_that_nobody_uses_is_forgotten() -> None:
    d = Desk(id_expiration_ms=10_000_000)
    d.begin("idle")
    who = d.begin("busy", timeout_ms=900_000)
    d.add(who, name="busy")
    d.end(who, name="busy")  # its markers never get through
    d.advance(10_800_000)  # the third look, every hour
    assert list(d.shard.state.transactions) == ["busy"]
    assert d.log[-1][1] is None
    d.reload()
    assert list(d.shard.state.transactions) == ["busy"]


def test_very_many_transactional_ids_are_forgotten_in_pieces() -> None:
    d = Desk(id_expiration_ms=1_000, expire_interval_ms=2_000)
    for number in range(2_500):
        d.begin(f"x{number}")
    d.advance(2_010)
    assert not d.shard.state.transactions


def test_use_keeps_a_transactional_id() -> None:
    d = Desk(id_expiration_ms=5_000_000)
    d.begin()
    d.advance(3_000_000)
    d.begin()
    d.advance(5_000_000)
    assert d.state() is State.EMPTY
    assert d.transaction().updated_ms == START_MS + 3_000_000
