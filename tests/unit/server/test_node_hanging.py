"""What could keep a transaction from ending, and with it the readers of its partitions (T6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barnabas.coordinator.framing import CoordinatorRecord, encode_record
from barnabas.metadata.controller.decision import Decision
from barnabas.metadata.record_types import PartitionChangeRecord
from barnabas.records.builder import build_batch
from barnabas.server.append import append_own
from barnabas.server.broker import Broker
from barnabas.server.coordinators.internal_topics import TRANSACTION_STATE
from barnabas.transactions.records.transaction_log_key import TransactionLogKey
from barnabas.transactions.records.transaction_log_value import TransactionLogValue
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.delete_records_request import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from barnabas.wire.messages.delete_records_response import DeleteRecordsResponse
from tests.unit.server.calm import Session, calm
from tests.unit.server.transacting import Transactor, Who, stable_end

NONE = ErrorCode.NONE
OFTEN = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"}


def broker(s: Session) -> Broker:
    """The node's."""
    assert s.node.node is not None
    return s.node.node.broker


def home(s: Session, x: Transactor) -> int:
    """The partition of __transaction_state that coordinates it."""
    return broker(s).coordinators.transactions.runtime.partition_of(x.name)


@pytest.mark.parametrize("late", [True, False])
def test_what_was_begun_ends_however_small_the_coordinators_batches_have_become(
    late: bool,
) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init(timeout_ms=5_000)
        assert await x.send("t", b"a") is NONE
        hosted = s.hosted(TRANSACTION_STATE, home(s, x))
        # As small as the record of the transaction that is open; that of its end is larger.
        hosted.update_config(replace(hosted.config, max_message_bytes=100))
        if late:
            await s.sleep(6_000)
        else:
            assert await x.end() is NONE
        assert await x.settled() == ("CompleteAbort" if late else "CompleteCommit")
        assert await stable_end(s, "t") == (2, 2)

    calm(scenario, OFTEN)


def test_a_coordinator_that_is_elected_anew_loads_what_nobody_asks_for() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init(timeout_ms=5_000)
        assert await x.send("t", b"a") is NONE
        topic = broker(s).image.topics.by_name[TRANSACTION_STATE]
        number = home(s, x)
        for leader in (-1, broker(s).node_id):
            change = PartitionChangeRecord(partition_id=number, topic_id=topic.id, leader=leader)
            await broker(s).submit(lambda _, change=change: Decision([change], None))  # type: ignore[misc]
        assert s.hosted(TRANSACTION_STATE, number).replica.leader_epoch == 2
        await s.sleep(6_000)
        assert await stable_end(s, "t") == (2, 2)

    calm(scenario, OFTEN)


def test_a_late_transaction_whose_epoch_is_used_up_ends_after_a_restart() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init(timeout_ms=5_000)
        shard = broker(s).coordinators.transactions.runtime.shard(home(s, x))
        assert shard is not None
        shard.state.transactions["x"].epoch = 32766
        x.who = Who(x.who.id, 32766)
        assert await x.send("t", b"a") is NONE
        # From now on nobody asks for a producer id.
        await s.restart("power loss")
        await s.sleep(6_000)
        assert await stable_end(s, "t") == (2, 2)
        described = await x.describe()
        assert (described.producer_id, described.producer_epoch) != x.who
        assert described.producer_epoch == 0

    calm(scenario, OFTEN)


def test_decided_transactions_are_forgotten_where_nobody_reads() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        for _ in range(10):
            assert await x.send("t", b"a") is NONE
            assert await x.end() is NONE
            await x.settled()
        assert s.hosted("t").log.producers.decided <= 2

    calm(scenario)


def test_a_transaction_whose_records_are_deleted_hides_nothing_below_the_log_start() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init()
        assert await x.send("t", b"a") is NONE
        for _ in range(2):
            assert (await s.produce("t", s.batch(b"plain"))).error_code == 0
        topic = DeleteRecordsTopic("t", [DeleteRecordsPartition(0, 2)])
        await s.ask(DeleteRecordsRequest([topic], 5_000), DeleteRecordsResponse)
        # Who begins at the end would be told it is out of range, over and over.
        assert await stable_end(s, "t") == (2, 3)
        assert await x.end() is NONE
        await x.settled()
        assert await stable_end(s, "t") == (4, 4)

    calm(scenario)


def test_a_damaged_record_keeps_no_other_transaction_from_ending() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init(timeout_ms=5_000)
        assert await x.send("t", b"a") is NONE
        hosted = s.hosted(TRANSACTION_STATE, home(s, x))
        no_state = TransactionLogValue(transaction_status=9)
        key, value = encode_record(CoordinatorRecord(TransactionLogKey("y"), no_state, 1))
        assert append_own(hosted, build_batch([(key, value, s.now, ())])).error is NONE
        await s.sleep(100)
        await s.restart()
        await s.sleep(6_000)
        assert await stable_end(s, "t") == (2, 2)
        assert await x.settled() == "CompleteAbort"

    calm(scenario, OFTEN)
