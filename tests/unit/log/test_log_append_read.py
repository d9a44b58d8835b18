"""Appending, rolling, indexing and reading of one log (facts: log-format 5, 11; replication 3.3)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log.errors import LogDamaged, OffsetOutOfRange
from barnabas.log.log import Log
from barnabas.log.read import ColdRead, bytes_between, read
from barnabas.log.timestamps import TimestampOffset, by_max_timestamp, by_timestamp
from barnabas.records.batch import HEADER_SIZE, read_header, write_crc
from barnabas.records.control import EndMarker, build_marker
from barnabas.testing.sim import SimDisk
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.unit.log.rebuild_oracle import read_bytes
from tests.unit.log.world import FakeExecutor, World, append, batch, fetch, finish, read_all

PATH = "/logs/t-0"
NOW = 1_700_000_000_000
T = TypeVar("T")


def world(**config: object) -> tuple[World, Log]:
    """A world and its log, created."""
    made = World(SimDisk(), LogConfig(**config))  # type: ignore[arg-type]
    return made, made.open()


def values(n: int, size: int = 100) -> list[bytes]:
    """`n` record values."""
    return [b"v" * size] * n


def test_append_touches_no_file_until_the_loop_goes_on() -> None:
    w, log = world()
    before = w.disk.op_count  # type: ignore[attr-defined]
    append(log, values(3))
    append(log, values(2))
    assert (log.end_offset, log.written_offset, log.durable_offset) == (5, 0, 0)
    assert w.disk.op_count == before  # type: ignore[attr-defined]
    assert len(w.soon) == 1, "one round for both"
    w.step()
    assert (log.written_offset, log.durable_offset) == (5, 0)
    w.settle()
    assert log.durable_offset == 5


def test_base_offset_and_epoch_may_be_given_beside_the_header() -> None:
    w, log = world()
    header = read_header(batch(0, values(2)))
    log.append(batch(0, values(2)), header, 0, 4)
    log.append(batch(2, values(2)), header, 2, 4)
    assert log.end_offset == 4
    assert log.epochs.entries() == [(4, 0)]
    w.settle()
    assert len(read_all(log)) == 2 * header.size


def test_offsets_never_go_back() -> None:
    _, log = world()
    append(log, values(3))
    data = batch(1, values(1))
    with pytest.raises(ValueError, match="behind 3"):
        log.append(data, read_header(data))


@pytest.mark.parametrize(("spare", "fit"), [(0, 3), (-1, 2)])
def test_rolls_when_the_next_batch_would_not_fit(spare: int, fit: int) -> None:
    size = len(batch(0, values(1)))
    w, log = world(segment_bytes=3 * size + spare)
    for _ in range(2 * fit + 1):
        append(log, values(1))
    w.settle()
    assert log.bases == [0, fit, 2 * fit]
    assert [segment.size for segment in log.segments] == [fit * size, fit * size, size]
    assert log.snapshots == [fit, 2 * fit]


def test_refuses_a_batch_larger_than_a_segment() -> None:
    _, log = world(segment_bytes=200)
    with pytest.raises(KafkaError) as refused:
        append(log, values(1, 500))
    assert refused.value.code == ErrorCode.RECORD_LIST_TOO_LARGE


def test_rolls_by_record_time_not_by_clock() -> None:
    w, log = world(segment_ms=1000)
    append(log, values(1), timestamp=NOW)
    w.clock.now += 10**9
    append(log, values(1), timestamp=NOW + 1000)
    assert log.bases == [0]
    append(log, values(1), timestamp=NOW + 1001)
    assert log.bases == [0, 2]


def test_rolls_by_age_without_timestamps() -> None:
    w, log = world(segment_ms=1000)
    append(log, values(1), timestamp=-1)
    w.clock.now += 1000
    append(log, values(1), timestamp=-1)
    assert log.bases == [0]
    w.clock.now += 1
    append(log, values(1), timestamp=-1)
    assert log.bases == [0, 2]


def test_compacted_topics_roll_within_their_compaction_lag() -> None:
    _, log = world(max_compaction_lag_ms=10, cleanup_policy=frozenset({"compact"}))
    append(log, values(1), timestamp=NOW)
    append(log, values(1), timestamp=NOW + 11)
    assert log.bases == [0, 1]


def test_rolls_when_an_index_is_full() -> None:
    w, log = world(index_interval_bytes=0, segment_index_bytes=36)
    for _ in range(6):
        append(log, values(1), timestamp=NOW)  # one timestamp: only the offset index fills
    assert log.bases == [0, 5]
    w.settle()
    assert log.segments[0].offset_bytes == 32
    assert log.segments[0].time_bytes == 12


def test_time_index_keeps_a_slot_for_its_last_entry() -> None:
    w, log = world(index_interval_bytes=0, segment_index_bytes=36)
    for at in range(4):
        append(log, values(1), timestamp=NOW + at)
    assert log.bases == [0, 3]
    w.settle()
    assert log.segments[0].time_bytes == 24, "two fit beside the slot; nothing is left to add"


@pytest.mark.parametrize(
    ("far", "rolls"), [(2**31 + 5, True), (2**31 - 1, True), (2**31 - 2, False)]
)
def test_rolls_when_offsets_leave_the_range_of_the_index(far: int, rolls: bool) -> None:
    w, log = world()
    append(log, values(1))
    data = batch(far, values(2))
    log.append(data, read_header(data))
    assert log.bases == ([0, far] if rolls else [0])
    w.settle()
    assert read_all(log)[-len(data) :] == bytes(data)


def test_changed_config_holds_from_the_next_append() -> None:
    _, log = world()
    append(log, values(1))
    log.update_config(LogConfig(segment_bytes=300))
    append(log, values(1))
    assert log.bases == [0, 1]


def test_index_entries_are_sparse_and_carry_last_offsets() -> None:
    size = len(batch(0, values(2)))
    w, log = world(index_interval_bytes=2 * size)
    for at in range(8):
        append(log, values(2), timestamp=NOW + 10 * at)
    w.settle()
    # Due before a batch once more than two batches lie between it and the one of the last entry.
    want = struct.pack(">iiii", 7, 3 * size, 13, 6 * size)
    assert read_bytes(w.disk, f"{PATH}/{0:020d}.index") == want
    want = struct.pack(">qiqi", NOW + 31, 7, NOW + 61, 13)
    assert read_bytes(w.disk, f"{PATH}/{0:020d}.timeindex") == want


def test_read_starts_at_the_batch_that_holds_the_offset() -> None:
    w, log = world()
    append(log, values(3))
    append(log, values(3))
    w.settle()
    size = len(batch(0, values(3)))
    for offset, start in ((0, 0), (2, 0), (3, size), (5, size)):
        assert fetch(log, offset).position == start
        assert len(fetch(log, offset).data) == 2 * size - start
    assert fetch(log, 6).data == b""


def test_read_outside_the_log() -> None:
    _, log = world()
    append(log, values(3))
    with pytest.raises(OffsetOutOfRange):
        fetch(log, 4)
    with pytest.raises(OffsetOutOfRange):
        fetch(log, -1)


def test_read_sizes() -> None:
    w, log = world()
    for _ in range(3):
        append(log, values(1))
    w.settle()
    size = len(batch(0, values(1)))
    assert len(fetch(log, 0, size + 5).data) == size + 5, "the last batch may be cut"
    small = fetch(log, 0, 5, at_least_one=True)
    assert len(small.data) == size
    none = fetch(log, 0, 5, at_least_one=False)
    assert none.data == b""
    assert none.first_incomplete
    assert len(fetch(log, 0, 10 * size, upper=2).data) == 2 * size
    assert fetch(log, 0, 0, at_least_one=False).data == b""


def test_one_read_stays_within_one_segment() -> None:
    size = len(batch(0, values(1)))
    w, log = world(segment_bytes=2 * size)
    for _ in range(5):
        append(log, values(1))
    w.settle()
    assert len(fetch(log, 1).data) == size
    assert len(fetch(log, 2).data) == 2 * size
    assert bytes_between(log, 0, 2) == 2 * size
    assert bytes_between(log, 1, 2) == size
    assert bytes_between(log, 0, 3) is None
    assert bytes_between(log, 4, 5) == size
    assert bytes_between(log, 4, 4) == 0


def test_pending_bytes_are_not_read() -> None:
    w, log = world(segment_bytes=300)
    append(log, values(1))
    w.settle()
    for _ in range(3):
        append(log, values(1))
    assert fetch(log, 1, upper=4).data == b""
    assert fetch(log, 3, upper=4).data == b""
    assert bytes_between(log, 1, 4) == 0


def test_cold_page_goes_to_the_executor() -> None:
    disk = SimDisk()
    w = World(disk)
    log = w.open()
    append(log, values(3))
    w.settle()
    disk.faults.cold_rate = 1.0
    cold = read(log, 0, 1000, 3, at_least_one=True, aborted=True)
    assert isinstance(cold, ColdRead)
    result = finish(cold.run(FakeExecutor()))
    assert len(result.data) == len(batch(0, values(3)))
    assert result.aborted == []


def test_a_cold_read_of_a_segment_that_retention_takes_meanwhile() -> None:
    """With it goes what says which records were aborted: they must not pass for committed ones."""
    w, log = world(segment_bytes=350, retention_bytes=0)
    transaction(log, 1, 0, commit=False)
    for _ in range(3):
        append(log, values(1))
    w.settle()
    log.high_watermark = log.end_offset
    assert isinstance(w.disk, SimDisk)
    w.disk.faults.cold_rate = 1.0
    cold = read(log, 0, 1000, log.end_offset, at_least_one=True, aborted=True)
    assert isinstance(cold, ColdRead)

    class Slow(FakeExecutor):
        async def run(self, job: Callable[[], T]) -> T:
            done = job()
            w.maintenance.retain(log)
            w.settle()
            return done

    with pytest.raises(OffsetOutOfRange):
        finish(cold.run(Slow()))
    assert log.log_start_offset > 0


def test_damaged_header_is_reported_not_followed() -> None:
    disk = SimDisk()
    w = World(disk)
    log = w.open()
    append(log, values(1))
    append(log, values(1))
    w.settle()
    log.marks.clear()
    disk.flip_bit(f"{PATH}/{0:020d}.log", 8, 7)  # a negative length
    with pytest.raises(LogDamaged):
        fetch(log, 1)


def transaction(log: Log, producer: int, sequence: int, *, commit: bool) -> None:
    """Two records and their marker."""
    append(
        log,
        values(2),
        producer_id=producer,
        producer_epoch=0,
        base_sequence=sequence,
        transactional=True,
    )
    marker = build_marker(producer, 0, EndMarker(commit, 0), NOW, base_offset=log.end_offset)
    log.append(marker, read_header(marker))


def test_aborted_transactions_come_with_a_read() -> None:
    w, log = world()
    transaction(log, 1, 0, commit=True)
    transaction(log, 1, 2, commit=False)
    log.high_watermark = 6
    unstable = [log.first_unstable_offset]
    append(log, values(1), producer_id=2, producer_epoch=0, base_sequence=0, transactional=True)
    unstable.append(log.first_unstable_offset)
    assert unstable == [None, 6]
    w.settle()
    aborted = fetch(log, 0, aborted=True).aborted
    assert aborted == [(1, 3, 5, 6)]
    assert fetch(log, 0).aborted is None
    data = read_bytes(w.disk, f"{PATH}/{0:020d}.txnindex")
    assert data == struct.pack(">hqqqq", 0, 1, 3, 5, 6)


def test_aborted_transaction_that_ends_in_a_later_segment() -> None:
    w, log = world(segment_bytes=350)
    transaction(log, 1, 0, commit=False)
    assert len(log.bases) > 1
    w.settle()
    assert fetch(log, 0, aborted=True).aborted == [(1, 0, 2, 3)]


def test_offset_by_time() -> None:
    w, log = world(segment_bytes=700, index_interval_bytes=100)
    for at in range(12):
        append(log, values(2), timestamp=NOW + 100 * at, epoch=3)
    w.settle()
    assert len(log.bases) > 2
    for stamp in range(NOW - 5, NOW + 1101, 7):
        found = by_timestamp(log, stamp)()
        at = max(0, -(-(stamp - NOW) // 100))
        if stamp - NOW > 100 * (at - 1) and at and stamp - NOW <= 100 * (at - 1) + 1:
            assert found == TimestampOffset(NOW + 100 * (at - 1) + 1, 2 * at - 1, 3)
        else:
            assert found == TimestampOffset(NOW + 100 * at, 2 * at, 3)
    assert by_timestamp(log, NOW + 1102)() is None
    assert by_max_timestamp(log)() == TimestampOffset(NOW + 1101, 23, 3)


def test_offset_by_time_with_times_that_fall() -> None:
    w, log = world(segment_bytes=400)
    for stamp in (50, 90, 20, 70, 90, 10, 95):
        append(log, values(1), timestamp=stamp)
    w.settle()
    wanted = {0: 0, 50: 0, 51: 1, 90: 1, 91: 6, 95: 6}
    for stamp, offset in wanted.items():
        found = by_timestamp(log, stamp)()
        assert found is not None
        assert found.offset == offset
    assert by_timestamp(log, 96)() is None
    log.log_start_offset = 2
    found = by_timestamp(log, 60)()
    assert found is not None
    assert (found.offset, found.timestamp) == (3, 70)


def test_offset_by_time_behind_a_broken_record() -> None:
    """The CRC is good, the record is not: the batch is answered as a whole."""
    w, log = world()
    append(log, values(1), timestamp=10)
    data = batch(1, values(2), timestamp=20)
    data[HEADER_SIZE] = 0x7F
    write_crc(data, 0, len(data))
    log.append(data, read_header(data))
    append(log, values(1), timestamp=30)
    w.settle()
    assert by_timestamp(log, 20)() == TimestampOffset(21, 1, 0)
    assert by_timestamp(log, 25)() == TimestampOffset(30, 3, 0)


def test_offset_by_time_of_an_empty_log() -> None:
    _, log = world()
    assert by_timestamp(log, 0)() is None
    assert by_max_timestamp(log)() is None


def test_epochs_are_noted_when_they_rise() -> None:
    w, log = world()
    log.begin_epoch(2, 0)
    append(log, values(1), epoch=2)
    append(log, values(1), epoch=5)
    append(log, values(1), epoch=5)
    assert log.epochs.entries() == [(2, 0), (5, 1)]
    w.stop()
    assert read_bytes(w.disk, f"{PATH}/leader-epoch-checkpoint") == b"0\n2\n2 0\n5 1\n"
