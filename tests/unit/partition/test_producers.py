"""Producer state: sequences, epochs, transactions, the last stable offset."""

from __future__ import annotations

import pytest

from barnabas.partition.producer_entry import SentBatch
from barnabas.partition.producers import LATE_TRANSACTION_BUFFER_MS, ProducerStates
from barnabas.records.batch import MAX_INT32, TRANSACTIONAL_BIT, BatchHeader
from barnabas.wire.errors import ErrorCode

PID = 77
OK = (0, None)
FENCED = (ErrorCode.INVALID_PRODUCER_EPOCH, None)
OUT_OF_ORDER = (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, None)
BAD_STATE = (ErrorCode.INVALID_TXN_STATE, None)


def batch(
    sequence: int, count: int = 1, *, pid: int = PID, epoch: int = 0, txn: bool = False
) -> BatchHeader:
    """The header of a produced batch."""
    return BatchHeader(
        base_offset=0,
        batch_length=100,
        leader_epoch=-1,
        magic=2,
        crc=0,
        attributes=TRANSACTIONAL_BIT if txn else 0,
        last_offset_delta=count - 1,
        base_timestamp=0,
        max_timestamp=0,
        producer_id=pid,
        producer_epoch=epoch,
        base_sequence=sequence,
        records_count=count,
    )


def wrote(states: ProducerStates, *headers: BatchHeader, timestamp: int = 0) -> ProducerStates:
    """Append batches at the end without asking."""
    for header in headers:
        states.append(header, states.end_offset, timestamp)
    return states


def mark(
    states: ProducerStates,
    *,
    pid: int = PID,
    epoch: int = 0,
    commit: bool = True,
    coordinator: int = 0,
) -> object:
    """Append a marker at the end."""
    return states.append_marker(
        pid, epoch, states.end_offset, 0, commit=commit, coordinator_epoch=coordinator
    )


def test_a_producer_never_seen_may_start_anywhere() -> None:
    for sequence in (0, 1, 500, MAX_INT32):
        assert ProducerStates().check(batch(sequence)) == OK


def test_sequences_must_continue() -> None:
    states = wrote(ProducerStates(), batch(0, 5))
    assert states.end_offset == 5
    assert states.check(batch(5)) == OK
    assert states.check(batch(6)) == OUT_OF_ORDER
    assert states.check(batch(4)) == OUT_OF_ORDER
    assert states.check(batch(0, 4)) == OUT_OF_ORDER
    assert states.check(batch(0, 6)) == OUT_OF_ORDER


def test_each_producer_counts_for_itself() -> None:
    states = wrote(ProducerStates(), batch(0, 5), batch(9, pid=1))
    assert states.check(batch(10, pid=1)) == OK
    assert states.check(batch(5, pid=1)) == OUT_OF_ORDER
    assert states.check(batch(5)) == OK


def test_sequences_wrap_to_zero() -> None:
    states = wrote(ProducerStates(), batch(MAX_INT32 - 1, 2))
    assert states.check(batch(0)) == OK
    assert states.check(batch(1)) == OUT_OF_ORDER
    states = wrote(ProducerStates(), batch(MAX_INT32, 3))
    assert states.check(batch(2)) == OK
    assert states.check(batch(MAX_INT32, 3)) == (0, SentBatch(MAX_INT32, 1, 0, 2, 0))


def test_five_batches_are_remembered() -> None:
    states = ProducerStates(1000)
    for number in range(6):
        wrote(states, batch(number * 3, 3), timestamp=50 + number)
    assert states.check(batch(0, 3)) == OUT_OF_ORDER
    for number in range(1, 6):
        first = number * 3
        expected = SentBatch(first, first + 2, 1000 + first, 1002 + first, 50 + number)
        assert states.check(batch(first, 3)) == (0, expected)
        assert states.check(batch(first, 2)) == OUT_OF_ORDER


def test_a_new_epoch_starts_at_zero_and_forgets() -> None:
    states = wrote(ProducerStates(), batch(0, 5, epoch=3))
    assert states.check(batch(5, epoch=2)) == FENCED
    assert states.check(batch(0, 5, epoch=2)) == FENCED
    assert states.check(batch(5, epoch=4)) == OUT_OF_ORDER
    assert states.check(batch(0, epoch=4)) == OK
    wrote(states, batch(0, epoch=4))
    assert states.check(batch(0, 5, epoch=3)) == FENCED
    assert states.check(batch(1, epoch=4)) == OK


def test_a_coordinators_write_has_no_sequence() -> None:
    states = wrote(ProducerStates(), batch(-1, epoch=3))
    assert states.check(batch(-1, epoch=3), client=False) == OK
    assert states.check(batch(-1, epoch=4), client=False) == OK
    assert states.check(batch(-1, epoch=2), client=False) == FENCED
    assert states.check(batch(-1, epoch=3, txn=True), client=False) == BAD_STATE
    assert states.check(batch(-1, epoch=3, txn=True), client=False, verify=False) == OK


def test_a_transaction_from_its_verification_to_its_marker() -> None:
    states = ProducerStates(100)
    assert states.check(batch(0, txn=True)) == BAD_STATE
    error, guard = states.start_verification(PID, 0, 0, True, 5)
    assert error == 0
    assert guard is not None
    assert states.check(batch(0, txn=True)) == BAD_STATE
    assert states.check(batch(0, txn=True), guard) == OK
    wrote(states, batch(0, txn=True))
    assert states.has_ongoing_transaction(PID, 0)
    assert not states.has_ongoing_transaction(PID, 1)
    assert states.start_verification(PID, 1, 0, True, 6) == OK
    assert states.check(batch(1, txn=True)) == OK
    assert states.check(batch(1)) == BAD_STATE
    assert mark(states, epoch=1, coordinator=9, commit=False) == (PID, 100, 101, True, 102)
    assert states.producers[PID].txn_first_offset == -1
    assert states.producers[PID].coordinator_epoch == 9
    assert states.check(batch(1, epoch=1, txn=True), guard) == BAD_STATE
    assert states.check(batch(2, txn=True), guard) == FENCED


def test_an_old_guard_does_not_open_a_new_transaction() -> None:
    states = ProducerStates()
    _, first = states.start_verification(PID, 0, 0, False, 5)
    mark(states)
    assert states.check(batch(0, txn=True), first) == BAD_STATE
    _, second = states.start_verification(PID, 0, 0, False, 6)
    assert second is not first
    assert states.check(batch(0, txn=True), first) == BAD_STATE
    assert states.check(batch(0, txn=True), second) == OK


def test_a_marker_leaves_the_verification_of_the_next_transaction() -> None:
    states = ProducerStates()
    wrote(states, batch(0, txn=True))
    _, guard = states.start_verification(PID, 0, 1, True, 5)
    assert guard is not None
    mark(states, epoch=1)
    assert states.check(batch(0, epoch=1, txn=True), guard) == OK


def test_verification_is_shared_by_waiting_batches() -> None:
    states = ProducerStates()
    _, guard = states.start_verification(PID, 5, 0, False, 1)
    assert states.start_verification(PID, 3, 0, False, 2) == (0, guard)
    # The batch that starts at 3 will be sent again; the one at 5 must not overtake it.
    assert states.check(batch(5, txn=True), guard) == OUT_OF_ORDER
    assert states.check(batch(3, txn=True), guard) == OK
    states.start_verification(PID, 9, 1, False, 3)
    assert states.check(batch(9, epoch=1, txn=True), guard) == OK


def test_version_2_producers_start_at_zero_where_nothing_is_known() -> None:
    states = ProducerStates()
    _, guard = states.start_verification(PID, 4, 0, True, 1)
    assert states.check(batch(4, txn=True), guard) == OUT_OF_ORDER
    _, guard = states.start_verification(1, 4, 0, False, 1)
    assert states.check(batch(4, pid=1, txn=True), guard) == OK


def test_verification_refuses_old_epochs() -> None:
    states = wrote(ProducerStates(), batch(0, epoch=3))
    assert states.start_verification(PID, 0, 2, True, 5) == FENCED


def test_verification_may_be_off() -> None:
    assert ProducerStates().check(batch(7, txn=True), verify=False) == OK


def test_markers() -> None:
    states = wrote(ProducerStates(), batch(0, epoch=3, txn=True))
    assert states.check_marker(PID, 2, 0, 0) == ErrorCode.INVALID_PRODUCER_EPOCH
    assert states.check_marker(PID, 3, 0, 0) == 0
    assert states.check_marker(PID, 3, 0, 2) == ErrorCode.INVALID_PRODUCER_EPOCH
    assert states.check_marker(PID, 4, 0, 2) == 0
    assert states.check_marker(1, 0, 0, 2) == 0
    mark(states, epoch=4, coordinator=7)
    assert states.check_marker(PID, 4, 7, 2) == 0, "the same marker again"
    assert states.check_marker(PID, 3, 7, 2) == ErrorCode.INVALID_PRODUCER_EPOCH
    assert states.check_marker(PID, 5, 6, 2) == ErrorCode.TRANSACTION_COORDINATOR_FENCED
    wrote(states, batch(0, epoch=32767, txn=True))
    assert states.check_marker(PID, 32767, 7, 2) == 0, "an epoch that cannot rise"


def test_a_marker_with_nothing_open_sets_the_epoch() -> None:
    states = ProducerStates(10)
    assert mark(states, epoch=5) is None
    assert states.end_offset == 11
    assert states.first_unstable_offset(0) is None
    assert states.check(batch(0, epoch=4)) == FENCED
    assert states.check(batch(3, epoch=5)) == OUT_OF_ORDER
    assert states.check(batch(0, epoch=5)) == OK


def test_a_marker_of_the_same_epoch_keeps_the_sequence() -> None:
    states = wrote(ProducerStates(), batch(0, 4, txn=True))
    mark(states)
    assert states.check(batch(4)) == OK
    assert states.check(batch(0, 4, txn=True))[1] is not None
    assert states.check(batch(0)) == OUT_OF_ORDER


def test_replicas_believe_the_log() -> None:
    states = wrote(ProducerStates(), batch(0, epoch=5), batch(9, epoch=5), batch(3, epoch=4))
    entry = states.producers[PID]
    assert (entry.epoch, entry.last_sequence, len(entry.batches)) == (4, 3, 1)


def test_the_last_stable_offset_waits_for_decision_and_watermark() -> None:
    states = ProducerStates()
    wrote(states, batch(0, 10))  # 0..9
    wrote(states, batch(0, 5, pid=1, txn=True), batch(0, 5, pid=2, txn=True))  # 10..14, 15..19
    assert states.last_stable_offset(5) == 5
    assert states.last_stable_offset(20) == 10
    assert mark(states, pid=2, commit=False) == (2, 15, 20, True, 10)
    assert states.last_stable_offset(21) == 10
    wrote(states, batch(5, pid=1, txn=True))  # 21
    assert mark(states, pid=1) == (1, 10, 22, False, 23)
    assert states.first_unstable_offset(22) == 10, "the marker is not below the watermark"
    assert states.first_unstable_offset(23) is None
    assert states.last_stable_offset(23) == 23


def test_an_inner_transaction_may_be_decided_first() -> None:
    states = ProducerStates()
    wrote(states, batch(0, pid=1, txn=True), batch(0, pid=2, txn=True), batch(0, pid=3, txn=True))
    assert mark(states, pid=1, commit=False) == (1, 0, 3, True, 1)
    assert states.first_unstable_offset(4) == 1
    assert mark(states, pid=3) == (3, 2, 4, False, 1)
    assert states.first_unstable_offset(4) == 1
    assert mark(states, pid=2) == (2, 1, 5, False, 6)
    assert states.first_unstable_offset(5) == 1
    assert states.first_unstable_offset(6) is None


def test_transactions_that_hang() -> None:
    states = ProducerStates()
    assert not states.has_late_transaction(10**12, 0)
    wrote(states, batch(0, txn=True), timestamp=1000)
    late = 1000 + 60_000 + LATE_TRANSACTION_BUFFER_MS
    assert not states.has_late_transaction(late, 60_000)
    assert states.has_late_transaction(late + 1, 60_000)
    mark(states)
    assert not states.has_late_transaction(late + 1, 60_000)


def test_idle_producers_are_forgotten() -> None:
    states = ProducerStates()
    wrote(states, batch(0, pid=1), timestamp=1000)
    wrote(states, batch(0, pid=2), timestamp=2000)
    wrote(states, batch(0, pid=3, txn=True), timestamp=1000)
    states.start_verification(4, 0, 0, True, 1000)
    assert states.expire(1999, 1000) == 0
    assert states.expire(2000, 1000) == 1
    assert set(states.producers) == {2, 3}
    _, guard = states.start_verification(4, 5, 0, True, 3000)
    assert guard is not None
    assert guard.lowest_sequence == 5, "the old verification is gone"


def test_truncation_and_reload() -> None:
    states = wrote(ProducerStates(), batch(0, 9), batch(0, pid=5, txn=True), timestamp=100)
    entries = list(states.producers.values())
    states.truncate(4)
    assert (states.end_offset, len(states.producers)) == (4, 0)
    assert states.first_unstable_offset(4) is None
    states.load(reversed(entries), 10, now_ms=100, expiration_ms=50)
    assert states.end_offset == 10
    assert states.first_unstable_offset(10) == 9
    assert states.check(batch(9)) == OK
    assert mark(states, pid=5, commit=False) == (5, 9, 10, True, 11)
    states.load(entries[:1], 10, now_ms=150, expiration_ms=50)
    assert len(states.producers) == 0


def test_the_log_start_passes_decided_transactions() -> None:
    states = ProducerStates()
    wrote(states, batch(0, txn=True))
    mark(states)
    states.log_start_moved(1)
    assert states.first_unstable_offset(0) == 0
    states.log_start_moved(50)
    assert states.first_unstable_offset(0) is None
    assert states.end_offset == 50


@pytest.mark.parametrize("producers", [1, 50])
def test_the_view_of_producers_is_read_only(producers: int) -> None:
    states = ProducerStates()
    for pid in range(producers):
        wrote(states, batch(0, pid=pid))
    assert len(states.producers) == producers
    with pytest.raises(TypeError):
        states.producers[0] = states.producers[0]  # type: ignore[index]
