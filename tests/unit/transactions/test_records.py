"""__transaction_state, rule by rule (facts: coordinators, section 10), and what admins see of it."""

from __future__ import annotations

import pytest

from barnabas.coordinator.effects import Origin
from barnabas.coordinator.framing import CoordinatorRecord, DamagedRecord, decode_record
from barnabas.transactions.administration import Filters
from barnabas.transactions.record_types import TRANSACTION_RECORDS
from barnabas.transactions.records.transaction_log_key import TransactionLogKey
from barnabas.transactions.records.transaction_log_value import TransactionLogValue
from barnabas.wire.errors import ErrorCode
from tests.unit.transactions.desk import BUMPING, FIRST_ID, PLAIN, START_MS, Desk, Who

ANY = Filters(frozenset(), frozenset(), -1, None)


def last(d: Desk) -> tuple[int, TransactionLogValue]:
    """Version and value of the newest record."""
    key, value, _ = d.log[-1]
    record = decode_record(TRANSACTION_RECORDS, key, value)
    assert record is not None
    assert isinstance(record.value, TransactionLogValue)
    return record.version, record.value


def test_the_key_is_type_0_and_the_transactional_id() -> None:
    d = Desk()
    d.begin("x")
    assert d.log[-1][0] == b"\0\0" + b"\0\1x"


@pytest.mark.parametrize(("version", "written"), [(0, 0), (1, 1), (2, 1)])
def test_the_version_of_the_value_follows_the_transaction_version(
    version: int, written: int
) -> None:
    d = Desk(version)
    d.begin()
    assert last(d)[0] == written


def test_an_empty_transaction_has_null_partitions_and_a_complete_one_none() -> None:
    d = Desk()
    who = d.begin()
    assert last(d)[1].transaction_partitions is None
    d.add(who, ("t", 1), ("u", 0), ("t", 4))
    schemas = last(d)[1].transaction_partitions or []
    assert [(each.topic, each.partition_ids) for each in schemas] == [("t", [1, 4]), ("u", [0])]
    d.ended(who)
    assert last(d)[1].transaction_partitions == []


def test_previous_and_next_producer_ids_are_in_the_log() -> None:
    d = Desk()
    who = d.at_epoch(32766)
    d.add(who)
    d.end(who)
    value = last(d)[1]
    assert (value.previous_producer_id, value.next_producer_id) == (FIRST_ID, FIRST_ID + 1)
    assert value.next_producer_epoch == -1
    d.send()
    value = last(d)[1]
    assert (value.producer_id, value.previous_producer_id) == (FIRST_ID + 1, FIRST_ID)
    assert value.next_producer_id == -1


def test_a_state_that_is_none_is_damage_and_leaves_the_others() -> None:
    d = Desk()
    d.begin()
    record = CoordinatorRecord(TransactionLogKey("y"), TransactionLogValue(transaction_status=9), 1)
    with pytest.raises(DamagedRecord):
        d.shard.replay(record, Origin(5, START_MS, -1, -1))
    assert list(d.shard.state.transactions) == ["x"]


def test_the_times_of_a_transaction() -> None:
    d = Desk()
    who = d.begin(timeout_ms=1234)
    assert last(d)[1].transaction_start_timestamp_ms == -1
    d.advance(5)
    d.add(who)
    d.advance(5)
    d.end(who)
    d.advance(5)
    d.send()
    value = last(d)[1]
    assert value.transaction_start_timestamp_ms == START_MS + 5
    assert value.transaction_last_update_timestamp_ms == START_MS + 15
    assert value.transaction_timeout_ms == 1234


def test_describe() -> None:
    d = Desk()
    who = d.begin(timeout_ms=1234)
    d.add(who, ("t", 1), ("u", 0), ("t", 4))
    found = d.shard.describe("x")
    assert found.error_code == ErrorCode.NONE
    assert (found.transaction_state, found.transaction_timeout_ms) == ("Ongoing", 1234)
    assert (found.producer_id, found.producer_epoch) == who
    assert found.transaction_start_time_ms == START_MS
    assert [(t.topic, t.partitions) for t in found.topics] == [("t", [1, 4]), ("u", [0])]
    assert d.shard.describe("nobody").error_code == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND


def test_list_and_its_filters() -> None:
    d = Desk()
    d.begin("idle")
    who = d.begin("old")
    d.add(who, name="old", version=PLAIN)
    d.advance(1_000)
    d.add(d.begin("new"), name="new", version=BUMPING)

    def names(filters: Filters) -> list[str]:
        return [each.transactional_id for each in d.shard.list_transactions(filters, d.now)]

    assert names(ANY) == ["idle", "old", "new"]
    assert names(ANY._replace(states=frozenset({"Ongoing"}))) == ["old", "new"]
    assert names(ANY._replace(producer_ids=frozenset({who.id}))) == ["old"]
    assert names(ANY._replace(matches=lambda name: name > "m")) == ["old", "new"]
    # One that never began has begun long ago, as in Kafka.
    assert names(ANY._replace(longer_than_ms=999)) == ["idle", "old"]
    assert names(ANY._replace(longer_than_ms=1_000)) == ["idle"]
    listed = d.shard.list_transactions(ANY, d.now)[1]
    assert (listed.producer_id, listed.transaction_state) == (who.id, "Ongoing")


def test_what_version_0_cannot_say_is_remembered_by_the_coordinator() -> None:
    d = Desk(PLAIN)
    who = d.at_epoch(32766)
    d.add(who)
    told = d.end(who)
    assert (told.producer_id, told.producer_epoch) == (FIRST_ID + 1, 0)
    assert d.send().transaction_version == BUMPING
    transaction = d.transaction()
    assert (transaction.producer_id, transaction.epoch) == (FIRST_ID + 1, 0)
    again = d.init(of=Who(who.id, who.epoch))
    assert again.error_code == ErrorCode.NONE
