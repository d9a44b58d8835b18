"""AddPartitionsToTxn, rule by rule (facts: coordinators, sections 9 and 11)."""

from __future__ import annotations

import pytest

from barnabas.transactions.transaction import State
from barnabas.wire.errors import ErrorCode
from tests.unit.transactions.desk import BUMPING, PLAIN, START_MS, Desk, Who

NONE = ErrorCode.NONE
BOTH = pytest.mark.parametrize("verify", [False, True])


@BOTH
def test_an_unknown_id_or_another_producer_id(verify: bool) -> None:
    d = Desk()
    assert d.add(Who(1, 0), verify=verify) == [ErrorCode.INVALID_PRODUCER_ID_MAPPING]
    who = d.begin()
    other = Who(who.id + 1, 0)
    assert d.add(other, verify=verify) == [ErrorCode.INVALID_PRODUCER_ID_MAPPING]


@BOTH
def test_an_empty_transactional_id(verify: bool) -> None:
    assert Desk().add(Who(1, 0), name="", verify=verify) == [ErrorCode.INVALID_REQUEST]


@BOTH
@pytest.mark.parametrize("epoch", [0, 2])
def test_another_epoch_is_fenced(verify: bool, epoch: int) -> None:
    d = Desk()
    d.begin()
    who = d.begin()
    wrong = Who(who.id, epoch)
    assert d.add(wrong, verify=verify) == [ErrorCode.PRODUCER_FENCED]


@BOTH
@pytest.mark.parametrize("commit", [False, True])
def test_while_the_former_transaction_is_prepared_the_producer_waits(
    verify: bool, commit: bool
) -> None:
    d = Desk()
    who = d.begin()
    d.add(who)
    answer = d.end(who, commit=commit)
    after = Who(answer.producer_id, answer.producer_epoch)
    assert d.add(after, verify=verify) == [ErrorCode.CONCURRENT_TRANSACTIONS]
    d.send()
    assert d.add(after) == [NONE]


def test_the_first_partition_begins_the_transaction() -> None:
    d = Desk()
    who = d.begin()
    d.advance(50)
    assert d.add(who, ("t", 1), ("u", 0)) == [NONE, NONE]
    assert d.state() is State.ONGOING
    assert d.transaction().start_ms == START_MS + 50
    d.advance(50)
    d.add(who, ("t", 2))
    assert d.transaction().start_ms == START_MS + 50
    assert d.transaction().updated_ms == START_MS + 100
    d.reload()
    assert list(d.transaction().partitions) == [("t", 1), ("t", 2), ("u", 0)]


def test_what_is_in_the_transaction_already_is_not_written_again() -> None:
    d = Desk()
    who = d.begin()
    d.add(who, ("t", 0), ("t", 1))
    written = len(d.log)
    assert d.add(who, ("t", 1)) == [NONE]
    assert len(d.log) == written


def test_the_next_transaction_begins_without_the_partitions_of_the_last() -> None:
    d = Desk()
    who = d.begin()
    d.add(who, ("t", 0))
    after = d.ended(who)
    d.add(after, ("t", 1))
    assert list(d.transaction().partitions) == [("t", 1)]


def test_verification_tells_each_partition_and_adds_none() -> None:
    d = Desk()
    who = d.begin()
    d.add(who, ("t", 0))
    written = len(d.log)
    codes = d.add(who, ("t", 0), ("t", 1), verify=True)
    assert codes == [NONE, ErrorCode.TRANSACTION_ABORTABLE]
    assert len(d.log) == written


def test_verification_outside_of_a_transaction_finds_nothing() -> None:
    d = Desk()
    assert d.add(d.begin(), verify=True) == [ErrorCode.TRANSACTION_ABORTABLE]


@pytest.mark.parametrize("version", [PLAIN, BUMPING])
def test_the_record_says_which_version_the_client_uses(version: int) -> None:
    d = Desk()
    d.add(d.begin(), version=version)
    assert d.transaction().client_version == version
