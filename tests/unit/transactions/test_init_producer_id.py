"""InitProducerId with a transactional id, rule by rule (facts: coordinators, section 9)."""

from __future__ import annotations

import pytest

from barnabas.transactions.transaction import NO_EPOCH, UNLIMITED_MS, State
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.unit.transactions.desk import BUMPING, FIRST_ID, PLAIN, Desk, Who

VERSIONS = pytest.mark.parametrize("version", [PLAIN, 1, BUMPING])


def test_an_empty_transactional_id_is_refused() -> None:
    assert Desk().init("").error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("timeout_ms", [0, -1, 900_001])
def test_a_time_out_that_is_none_or_beyond_the_maximum_is_refused(timeout_ms: int) -> None:
    answer = Desk().init(timeout_ms=timeout_ms)
    assert answer.error_code == ErrorCode.INVALID_TRANSACTION_TIMEOUT
    assert (answer.producer_id, answer.producer_epoch) == (-1, -1)


def test_the_largest_time_out_is_allowed() -> None:
    assert Desk().init(timeout_ms=900_000).error_code == ErrorCode.NONE


def test_two_phase_commit_has_to_be_enabled_and_then_knows_no_time_out() -> None:
    denied = Desk().init(enable2_pc=True)
    assert denied.error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    d = Desk(two_phase_commit=True)
    who = d.begin(timeout_ms=0, enable2_pc=True)
    assert d.transaction().timeout_ms == UNLIMITED_MS
    d.add(who)
    d.advance(1_000_000_000)
    assert d.state() is State.ONGOING


def test_keeping_a_prepared_transaction_is_not_supported() -> None:
    answer = Desk(two_phase_commit=True).init(keep_prepared_txn=True)
    assert answer.error_code == ErrorCode.UNSUPPORTED_VERSION


@VERSIONS
def test_an_unknown_id_gets_a_new_producer_id_with_epoch_0(version: int) -> None:
    d = Desk(version)
    assert d.begin() == (FIRST_ID, 0)
    assert d.begin("y") == (FIRST_ID + 1, 0)
    d.reload()
    assert d.state() is State.EMPTY
    assert d.transaction().epoch == 0


def test_an_unknown_id_ignores_what_its_caller_was() -> None:
    assert Desk().begin(of=Who(5, 3)) == (FIRST_ID, 0)


def test_without_a_producer_id_at_hand_the_client_comes_again() -> None:
    d = Desk()
    d.ids_at_hand = False
    with pytest.raises(KafkaError):
        d.init()
    assert not d.log
    d.ids_at_hand = True
    assert d.begin() == (FIRST_ID, 0)


@VERSIONS
def test_the_next_instance_gets_the_next_epoch(version: int) -> None:
    d = Desk(version)
    who = d.begin()
    assert d.begin() == (who.id, 1)
    assert d.add(who) == [ErrorCode.PRODUCER_FENCED]


@VERSIONS
@pytest.mark.parametrize("commit", [True, False])
def test_while_a_transaction_is_prepared_the_client_waits(version: int, commit: bool) -> None:
    d = Desk(version)
    who = d.begin()
    d.add(who)
    d.end(who, commit=commit, version=PLAIN)
    assert d.init().error_code == ErrorCode.CONCURRENT_TRANSACTIONS
    d.send()
    assert d.init().error_code == ErrorCode.NONE


@VERSIONS
def test_an_ongoing_transaction_is_aborted_first_and_its_producer_fenced(version: int) -> None:
    d = Desk(version)
    who = d.begin()
    d.add(who)
    assert d.init().error_code == ErrorCode.CONCURRENT_TRANSACTIONS
    assert d.state() is State.PREPARE_ABORT
    assert d.transaction().epoch == 1  # one bump in all, whatever the version
    assert d.end(who, commit=True, version=PLAIN).error_code == ErrorCode.PRODUCER_FENCED
    order = d.send()
    assert (order.producer_id, order.producer_epoch, order.commit) == (who.id, 1, False)
    assert order.transaction_version == (BUMPING if version == BUMPING else PLAIN)
    assert d.begin() == (who.id, 2)


def test_a_fence_that_the_log_refuses_bumps_once_when_repeated() -> None:
    for version in (PLAIN, BUMPING):
        d = Desk(version)
        d.add(d.begin())
        d.refuse = ErrorCode.NOT_ENOUGH_REPLICAS
        assert d.init().error_code == ErrorCode.NOT_ENOUGH_REPLICAS
        assert not d.orders
        d.init()
        assert d.transaction().epoch == 1


# -- KIP-360: the caller says who it is -----------------------------------------------------------


def test_the_current_producer_may_bump_its_epoch() -> None:
    d = Desk()
    who = d.begin()
    assert d.begin(of=who) == (who.id, 1)


def test_a_repeated_bump_gets_the_same_epoch_again() -> None:
    d = Desk()
    who = d.begin()
    d.begin(of=who)
    assert d.begin(of=who) == (who.id, 1)
    assert d.begin(of=who) == (who.id, 1)


def test_after_a_load_a_repeated_bump_is_fenced_since_only_memory_knew_it() -> None:
    d = Desk()
    who = d.begin()
    d.begin(of=who)
    d.reload()
    assert d.init(of=who).error_code == ErrorCode.PRODUCER_FENCED


def test_a_bump_of_another_instance_forgets_the_last_epoch() -> None:
    d = Desk()
    who = d.begin()
    d.begin(of=who)
    d.begin()
    assert d.init(of=Who(who.id, 1)).error_code == ErrorCode.PRODUCER_FENCED


@pytest.mark.parametrize("of", [Who(FIRST_ID + 9, 0), Who(FIRST_ID, 5), Who(FIRST_ID + 9, 32766)])
def test_another_producer_is_fenced(of: Who) -> None:
    d = Desk()
    d.begin()
    assert d.init(of=of).error_code == ErrorCode.PRODUCER_FENCED
    assert d.transaction().epoch == 0


def test_a_fenced_caller_learns_it_also_while_a_transaction_is_prepared() -> None:
    d = Desk()
    who = d.begin()
    d.add(who)
    d.end(who)
    assert d.init(of=Who(5, 5)).error_code == ErrorCode.PRODUCER_FENCED


# -- exhausted epochs -----------------------------------------------------------------------------


def test_an_exhausted_epoch_gives_a_new_producer_id() -> None:
    d = Desk()
    assert d.at_epoch(32765).id == FIRST_ID
    assert d.begin() == (FIRST_ID, 32766)
    assert d.begin() == (FIRST_ID + 1, 0)
    assert d.transaction().previous_producer_id == FIRST_ID


def test_the_producer_before_a_new_producer_id_may_repeat_itself() -> None:
    d = Desk()
    old = d.at_epoch(32766)
    assert d.begin(of=old) == (FIRST_ID + 1, 0)
    assert d.transaction().last_epoch == 32766
    assert d.begin(of=old) == (FIRST_ID + 1, 0)
    assert d.init(of=Who(FIRST_ID, 7)).error_code == ErrorCode.PRODUCER_FENCED


def test_a_new_producer_id_of_another_instance_fences_the_former_producer() -> None:
    d = Desk()
    old = d.at_epoch(32766)
    d.begin()
    assert d.transaction().last_epoch == NO_EPOCH
    assert d.init(of=old).error_code == ErrorCode.PRODUCER_FENCED
