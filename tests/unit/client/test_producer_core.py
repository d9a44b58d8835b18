"""The producer's rules, one by one: when batches go out, in which order, and what failures do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from barnabas.client.batches import Batch, BatchState
from barnabas.client.config import ProducerConfig
from barnabas.client.errors import ConnectionLost, DeliveryFailed, RecordTooLarge
from barnabas.client.producer_core import ProducerCore
from barnabas.records.batch import read_header
from barnabas.records.record import read_records
from barnabas.wire.errors import ErrorCode, KafkaError

NODE = 1


def one_node(_topic: str, _partition: int) -> int:
    return NODE


class Rig:
    """A core with a clock, and a node that answers when it is told to."""

    def __init__(self, config: ProducerConfig | None = None, partitions: int = 1) -> None:
        self.config = config or ProducerConfig(batch_size=200, linger_ms=5)
        self.core = ProducerCore(self.config, lambda n: n // 2)
        self.core.records.learn("t", partitions)
        self.now = 0
        self.ids = 0
        self.proven = True
        """The node has taken a batch of this producer before."""

    def identify(self) -> None:
        self.ids += 1
        self.core.identified(100 + self.ids, 0)

    def add(self, value: bytes = b"v" * 80, partition: int | None = 0) -> Batch:
        return self.core.records.append("t", partition, None, value, 1, (), self.now)

    def values(self, batch: Batch) -> list[bytes | None]:
        assert batch.data is not None
        return [record.value for record in read_records(batch.data, limit=1 << 20)]

    def wants_identity(self) -> bool:
        return self.core.wants_identity

    def is_full(self) -> bool:
        return self.core.records.full

    def full_batches(self, count: int, partition: int = 0) -> list[Batch]:
        """Batches of one record each, closed."""
        batches = [self.add(b"v" * 150, partition) for _ in range(count)]
        self.core.close_batches()
        return batches

    def calls(self, leader: Callable[[str, int], int] = one_node) -> dict[int, list[Batch]]:
        calls = self.core.drain(leader, self.now)
        for queue in self.core._queues.values():
            queue.proven |= self.proven
        return calls

    def drain(self, leader: Callable[[str, int], int] = one_node) -> list[Batch]:
        return [b for batches in self.calls(leader).values() for b in batches]

    def drain_all(self) -> list[Batch]:
        sent: list[Batch] = []
        while batches := self.drain():
            sent += batches
        return sent

    def acknowledge(self, batch: Batch, offset: int = 0) -> None:
        self.core.request_done(NODE)
        self.core.acknowledged(batch, offset, -1)

    def fail(self, batch: Batch, error: ErrorCode | Exception) -> None:
        self.core.request_done(NODE)
        cause = KafkaError(error) if isinstance(error, ErrorCode) else error
        self.core.failed(batch, cause, self.now)


def stamp(batch: Batch) -> tuple[int, int, int]:
    assert batch.data is not None
    header = read_header(batch.data)
    return header.producer_id, header.producer_epoch, header.base_sequence


def ready() -> Rig:
    rig = Rig()
    rig.identify()
    return rig


# -- gathering --


def test_a_batch_goes_out_when_it_has_lingered() -> None:
    rig = ready()
    batch = rig.add()
    assert rig.drain() == []
    assert rig.core.wait_ms(rig.now) == 5
    rig.now = 5
    assert rig.drain() == [batch]


def test_a_full_batch_goes_out_at_once() -> None:
    rig = ready()
    first, second = rig.add(), rig.add()
    assert first is not second
    assert rig.drain() == [first]


def test_records_share_a_batch_in_order() -> None:
    rig = ready()
    batch = rig.add(b"a")
    assert rig.add(b"b") is batch
    rig.core.close_batches()
    rig.drain()
    assert batch.data is not None
    assert [r.value for r in read_records(batch.data, limit=1000)] == [b"a", b"b"]


def test_records_without_key_move_on_when_their_batch_is_full() -> None:
    rig = Rig(partitions=2)
    first = rig.add(partition=None)
    second = rig.add(partition=None)
    assert first.partition != second.partition


def test_a_chosen_partition_is_kept_when_its_batch_is_full() -> None:
    rig = Rig(partitions=2)
    batches = [rig.add(partition=at) for at in (0, 0, 0, 1, 1)]
    assert [batch.partition for batch in batches] == [0, 0, 0, 1, 1]


def test_a_record_beyond_the_request_size_is_refused() -> None:
    rig = Rig(ProducerConfig(max_request_size=1000))
    with pytest.raises(RecordTooLarge):
        rig.add(b"x" * 1000)
    assert rig.core.records.buffered_bytes == 0


def test_memory_is_counted_until_the_fate_is_known() -> None:
    rig = Rig(ProducerConfig(batch_size=200, buffer_memory=300))
    rig.identify()
    batches = rig.full_batches(2)
    assert rig.is_full()
    rig.drain_all()
    rig.acknowledge(batches[0])
    assert not rig.is_full()
    rig.acknowledge(batches[1])
    assert rig.core.records.buffered_bytes == 0


def test_full_memory_sends_what_still_lingers() -> None:
    rig = Rig(ProducerConfig(batch_size=10_000, buffer_memory=90, linger_ms=1000))
    rig.identify()
    assert rig.drain() == []
    batch = rig.add()
    assert rig.drain() == [batch]


# -- sending --


def test_nothing_goes_out_without_a_producer_id() -> None:
    rig = Rig()
    [batch] = rig.full_batches(1)
    assert rig.drain() == []
    assert rig.wants_identity()
    rig.identify()
    assert not rig.wants_identity()
    assert rig.drain() == [batch]
    assert stamp(batch) == (101, 0, 0)


def test_sequences_follow_each_other_per_partition() -> None:
    rig = Rig(partitions=2)
    rig.identify()
    zero = [rig.add(b"a"), rig.add(b"b")][0]
    one = rig.add(partition=1)
    rig.core.close_batches()
    rig.drain()
    [third] = rig.full_batches(1)
    rig.drain()
    assert [stamp(b)[2] for b in (zero, one, third)] == [0, 0, 2]


def test_one_batch_alone_until_the_node_knows_the_producer() -> None:
    rig = ready()
    rig.proven = False
    first, second, third = rig.full_batches(3)
    assert rig.drain_all() == [first]
    rig.fail(first, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    rig.now = first.retry_ms
    assert rig.drain_all() == [first]
    rig.acknowledge(first)
    assert rig.drain_all() == [second, third]


def test_at_most_five_requests_are_in_flight() -> None:
    rig = ready()
    batches = rig.full_batches(7)
    assert rig.drain_all() == batches[:5]
    rig.acknowledge(batches[0])
    assert rig.drain_all() == [batches[5]]


def test_one_request_holds_one_batch_per_partition() -> None:
    rig = Rig(partitions=3)
    rig.identify()
    for partition in (0, 0, 1, 2):
        rig.full_batches(1, partition)
    calls = rig.core.drain(one_node, 0)
    assert sorted(batch.partition for batch in calls[NODE]) == [0, 1, 2]


def test_a_request_does_not_outgrow_its_limit_and_no_partition_starves() -> None:
    rig = Rig(ProducerConfig(batch_size=200, max_request_size=600, linger_ms=0), partitions=4)
    rig.identify()
    for partition in range(4):
        rig.full_batches(2, partition)
    sent = []
    for _ in range(4):
        [batches] = rig.calls().values()
        assert sum(batch.size for batch in batches) <= 600
        sent += batches
    assert {batch.partition for batch in sent} == {0, 1, 2, 3}


def test_batches_go_to_the_leader_of_their_partition() -> None:
    rig = Rig(partitions=2)
    rig.identify()
    rig.full_batches(1, 0)
    rig.full_batches(1, 1)
    calls = rig.core.drain(lambda _topic, partition: partition + 7, 0)
    assert {node: [b.partition for b in batches] for node, batches in calls.items()} == {
        7: [0],
        8: [1],
    }


def test_no_leader_asks_for_metadata() -> None:
    rig = ready()
    [batch] = rig.full_batches(1)
    assert rig.drain(lambda _topic, _partition: -1) == []
    assert rig.core.stale_topics == {"t"}
    assert rig.drain() == [batch]


# -- outcomes --


def test_an_acknowledgement_finishes_a_batch() -> None:
    rig = ready()
    [batch] = rig.full_batches(1)
    told: list[Batch] = []
    batch.listeners.append(told.append)
    rig.drain()
    rig.acknowledge(batch, 42)
    assert told == [batch]
    assert (batch.done, batch.error, batch.base_offset) == (True, None, 42)
    assert rig.core.unfinished() == []


def test_a_retriable_error_repeats_the_same_bytes_later() -> None:
    rig = ready()
    [batch] = rig.full_batches(1)
    rig.drain()
    before = bytes(batch.data or b"")
    rig.fail(batch, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    assert rig.core.stale_topics == {"t"}
    assert rig.drain() == []
    assert rig.core.wait_ms(rig.now) == 100
    rig.now += 100
    assert rig.drain() == [batch]
    assert bytes(batch.data or b"") == before


def test_after_a_failure_one_batch_at_a_time_oldest_first() -> None:
    rig = ready()
    batches = rig.full_batches(4)
    rig.drain_all()
    for batch in (batches[1], batches[0]):
        rig.fail(batch, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    rig.now += 5000
    assert rig.drain() == []  # 2 and 3 are still in flight
    for batch in batches[2:]:
        rig.fail(batch, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    rig.now += 5000
    order = []
    while sent := rig.drain_all():
        assert len(sent) == 1
        order += sent
        rig.acknowledge(sent[0])
    assert order == batches
    assert all(batch.error is None for batch in batches)


def test_a_refused_batch_fails_and_the_rest_gets_the_next_epoch() -> None:
    rig = ready()
    bad, good = rig.full_batches(2)
    rig.drain_all()
    rig.fail(bad, ErrorCode.INVALID_RECORD)
    assert isinstance(bad.error, KafkaError)
    rig.fail(good, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    assert rig.drain() == [good]
    assert stamp(good) == (101, 1, 0)
    assert rig.values(good) == [b"v" * 150]


def test_other_partitions_keep_their_epoch() -> None:
    rig = Rig(partitions=2)
    rig.identify()
    [bad] = rig.full_batches(1, 0)
    [steady] = rig.full_batches(1, 1)
    rig.drain_all()
    rig.core.request_done(NODE)
    rig.core.failed(bad, KafkaError(ErrorCode.INVALID_RECORD), 0)
    rig.core.acknowledged(steady, 0, -1)
    [later] = rig.full_batches(1, 1)
    [fresh] = rig.full_batches(1, 0)
    rig.drain()
    assert stamp(later) == (101, 0, 1)
    assert stamp(fresh) == (101, 1, 0)


def test_a_batch_that_may_be_written_never_gets_a_second_sequence() -> None:
    rig = ready()
    bad, unsure = rig.full_batches(2)
    rig.drain_all()
    rig.fail(unsure, ConnectionLost("gone"))
    rig.fail(bad, ErrorCode.INVALID_RECORD)
    assert isinstance(unsure.error, DeliveryFailed)
    assert unsure.error.maybe_written


@pytest.mark.parametrize(
    "error", [ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]
)
def test_an_answer_that_leaves_it_open_is_not_taken_for_a_refusal(error: ErrorCode) -> None:
    rig = ready()
    [batch] = rig.full_batches(1)
    rig.drain()
    rig.fail(batch, error)
    rig.now += 1000
    assert rig.drain() == [batch]
    rig.fail(batch, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    assert isinstance(batch.error, DeliveryFailed)
    assert batch.error.maybe_written


def test_a_lost_sequence_of_the_oldest_batch_starts_over() -> None:
    rig = ready()
    [batch] = rig.full_batches(1)
    rig.drain()
    rig.fail(batch, ErrorCode.UNKNOWN_PRODUCER_ID)
    assert batch.state is BatchState.READY
    assert rig.drain() == [batch]
    assert stamp(batch) == (101, 1, 0)


def test_an_id_whose_epochs_are_used_up_is_replaced() -> None:
    rig = Rig()
    rig.core.identified(7, 32_766)
    [batch] = rig.full_batches(1)
    rig.drain()
    rig.fail(batch, ErrorCode.UNKNOWN_PRODUCER_ID)
    assert rig.drain() == []
    assert rig.wants_identity()
    rig.identify()
    assert rig.drain() == [batch]
    assert stamp(batch) == (101, 0, 0)


def test_a_leader_named_in_the_answer_is_tried_at_once() -> None:
    rig = ready()
    [batch] = rig.full_batches(1)
    rig.drain()
    rig.core.request_done(NODE)
    error = KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    rig.core.failed(batch, error, rig.now, moved=True)
    assert rig.core.stale_topics == set()
    assert rig.drain(lambda _topic, _partition: 2) == [batch]


def test_retries_are_counted_and_told() -> None:
    rig = Rig(ProducerConfig(retries=1, batch_size=200))
    rig.identify()
    [batch] = rig.full_batches(1)
    for _ in range(2):
        rig.drain()
        rig.fail(batch, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        rig.now += 1000
    assert isinstance(batch.error, DeliveryFailed)
    assert batch.error.attempts == 2
    assert not batch.error.maybe_written
    assert "t-0 was given up, 2 attempts; the last: NOT_LEADER_OR_FOLLOWER" in str(batch.error)
    assert isinstance(batch.error.__cause__, KafkaError)


def test_time_runs_out_for_a_batch_that_waits() -> None:
    rig = Rig(ProducerConfig(delivery_timeout_ms=1000, linger_ms=0))
    batch = rig.add()
    rig.now = 999
    rig.drain()
    assert not batch.done
    rig.now = 1000
    rig.drain()
    assert isinstance(batch.error, DeliveryFailed)
    assert not batch.error.maybe_written
    assert rig.core.records.buffered_bytes == 0


def test_time_runs_out_for_a_batch_that_may_be_written() -> None:
    rig = Rig(ProducerConfig(delivery_timeout_ms=1000, linger_ms=0))
    rig.identify()
    [batch] = rig.full_batches(1)
    rig.drain()
    rig.now = 1500
    assert not batch.done  # the answer decides
    rig.fail(batch, ConnectionLost("gone"))
    assert isinstance(batch.error, DeliveryFailed)
    assert batch.error.maybe_written


def test_the_core_says_when_to_look_again() -> None:
    rig = Rig(ProducerConfig(linger_ms=20, delivery_timeout_ms=100))
    assert rig.core.wait_ms(0) is None
    rig.add()
    assert rig.core.wait_ms(0) == 20
    assert rig.core.wait_ms(30) == 70


def test_without_idempotence_no_identity_and_plain_repetition() -> None:
    rig = Rig(ProducerConfig(acks=1, enable_idempotence=False, linger_ms=0))
    [batch] = rig.full_batches(1)
    assert rig.drain() == [batch]
    assert not rig.core.wants_identity
    assert stamp(batch) == (-1, -1, -1)
    rig.fail(batch, ConnectionLost("gone"))
    rig.now = 1000
    assert rig.drain() == [batch]
    rig.acknowledge(batch, 3)
    assert batch.error is None


def test_giving_up_fails_everything() -> None:
    rig = ready()
    batches = [*rig.full_batches(3), rig.add()]
    rig.drain()
    rig.core.abandon(RuntimeError("over"))
    assert all(isinstance(batch.error, RuntimeError) for batch in batches)
    assert rig.core.unfinished() == []
    assert rig.core.records.buffered_bytes == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"acks": 2}, "acks"),
        ({"acks": 1}, "idempotent"),
        ({"max_in_flight": 6}, "in flight"),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ProducerConfig(**settings)  # type: ignore[arg-type]
