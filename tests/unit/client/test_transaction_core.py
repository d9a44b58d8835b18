"""A producer's transaction: what may be done when, and what errors leave possible."""

from __future__ import annotations

import pytest

from barnabas.client.batches import Batch
from barnabas.client.config import ProducerConfig
from barnabas.client.errors import ClientError, DeliveryFailed
from barnabas.client.producer_core import ProducerCore
from barnabas.client.transaction_core import FATAL_OF_COORDINATOR, State, TransactionCore
from barnabas.records.batch import TRANSACTIONAL_BIT, read_header
from barnabas.wire.errors import ErrorCode, KafkaError

P0, P1 = ("t", 0), ("t", 1)


def opened(*, implicit: bool = False) -> TransactionCore:
    core = TransactionCore()
    core.ready()
    core.begin(implicit=implicit)
    return core


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((), "call init_transactions"),
        (("ready",), "call begin_transaction"),
        (("ready", "begin", "commit"), "is ending a transaction"),
    ],
)
def test_records_belong_into_a_transaction(steps: tuple[str, ...], told: str) -> None:
    core = TransactionCore()
    for step in steps:
        if step == "begin":
            core.begin(implicit=False)
        else:
            getattr(core, step)()
    with pytest.raises(RuntimeError, match=told):
        core.require(State.OPEN)


def test_a_partition_must_be_known_before_a_batch_leaves() -> None:
    core = opened()
    assert not core.may_send(P0)
    assert not core.may_send(P1)
    assert core.asked == {P0, P1}
    core.knows([P0])
    assert core.may_send(P0)
    assert core.asked == {P1}


def test_the_next_transaction_knows_no_partition() -> None:
    core = opened()
    core.knows([P0])
    core.commit()
    assert core.may_send(P0)  # what is left of it still goes out
    core.ready()
    core.begin(implicit=False)
    assert not core.may_send(P0)


def test_with_version_2_the_cluster_adds_partitions() -> None:
    core = opened(implicit=True)
    before = core.started
    assert core.may_send(P0)
    assert (before, core.started) == (False, True)
    assert core.asked == frozenset()


def test_after_an_error_only_an_abort_is_left() -> None:
    core = opened()
    error = KafkaError(ErrorCode.INVALID_RECORD)
    core.failed(error)
    with pytest.raises(KafkaError, match="INVALID_RECORD"):
        core.require(State.OPEN)
    with pytest.raises(KafkaError, match="INVALID_RECORD"):
        core.commit()
    assert not core.may_send(P0)
    core.abort()
    core.failed(KafkaError(ErrorCode.INVALID_RECORD))  # of what was dropped
    assert core.state is State.ENDING
    core.ready()
    core.begin(implicit=False)


@pytest.mark.parametrize("code", sorted(FATAL_OF_COORDINATOR))
def test_after_a_fatal_error_nothing_is_left(code: ErrorCode) -> None:
    core = opened()
    core.failed(KafkaError(code), FATAL_OF_COORDINATOR)
    for step in (core.abort, core.commit):
        with pytest.raises(KafkaError, match=code.name):
            step()
    with pytest.raises(KafkaError, match=code.name):
        core.begin(implicit=False)


def test_a_batch_with_an_old_epoch_does_not_end_the_producer() -> None:
    """The coordinator decides whether it is fenced (KIP-588)."""
    core = opened()
    core.failed(KafkaError(ErrorCode.INVALID_PRODUCER_EPOCH))
    assert core.state is State.FAILED


class Rig:
    """A producer's core in an open transaction that knows partition 0."""

    def __init__(self) -> None:
        self.transaction = TransactionCore()
        config = ProducerConfig(batch_size=200, linger_ms=0, transactional_id="id")
        self.core = ProducerCore(config, lambda n: n // 2, transaction=self.transaction)
        self.core.restart(7, 3)
        self.core.records.learn("t", 1)
        self.transaction.ready()
        self.transaction.begin(implicit=False)
        self.transaction.knows([P0])

    def send(self, count: int) -> list[Batch]:
        batches = [
            self.core.records.append("t", 0, None, b"v" * 150, 1, (), 0) for _ in range(count)
        ]
        self.core.close_batches()
        return batches

    def drain(self) -> list[Batch]:
        calls = self.core.drain(lambda _topic, _partition: 1, 10_000)
        return [batch for batches in calls.values() for batch in batches]


def test_batches_say_that_they_are_of_a_transaction() -> None:
    rig = Rig()
    [batch] = rig.send(1)
    assert rig.drain() == [batch]
    header = read_header(batch.data or b"")
    assert header.attributes & TRANSACTIONAL_BIT
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 3, 0)


@pytest.mark.parametrize("code", [ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode.INVALID_RECORD])
def test_a_failed_batch_fails_the_transaction_and_no_epoch_is_invented(code: ErrorCode) -> None:
    rig = Rig()
    first, second = rig.send(2)
    rig.drain()
    rig.core.request_done(1)
    rig.core.failed(first, KafkaError(code), 0)
    assert first.done
    assert rig.transaction.state is State.FAILED
    assert rig.drain() == []
    assert rig.core.identity == (7, 3)
    rig.transaction.abort()
    rig.core.drop_unsent(DeliveryFailed("aborted", maybe_written=False))
    assert second.done
    assert rig.core.unfinished() == []
    assert rig.core.records.buffered_bytes == 0


def test_an_abort_lets_what_is_in_flight_end_and_repeats_nothing() -> None:
    rig = Rig()
    first, second = rig.send(2)
    rig.drain()
    rig.transaction.abort()
    rig.core.drop_unsent(DeliveryFailed("aborted", maybe_written=False))
    assert (first.done, second.done) == (False, True)
    rig.core.request_done(1)
    rig.core.failed(first, KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER), 0)
    assert first.done
    assert rig.core.unfinished() == []


def test_a_new_epoch_begins_all_sequences_anew() -> None:
    rig = Rig()
    [batch] = rig.send(1)
    rig.drain()
    rig.core.request_done(1)
    rig.core.acknowledged(batch, 0, -1)
    rig.core.restart(7, 4)
    [later] = rig.send(1)
    rig.drain()
    header = read_header(later.data or b"")
    assert (header.producer_epoch, header.base_sequence) == (4, 0)


@pytest.mark.parametrize("step", ["commit", "abort"])
def test_an_end_that_was_interrupted_can_only_be_aborted(step: str) -> None:
    core = opened()
    getattr(core, step)()
    core.interrupted(ClientError("was cancelled"))
    with pytest.raises(ClientError, match="was cancelled"):
        core.require(State.OPEN)
    core.abort()
    core.ready()
    core.begin(implicit=False)
