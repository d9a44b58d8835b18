"""Compaction of a log: what stays of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import pytest

from barnabas.log import names
from barnabas.log.cleaning.cleaner import CleanerSettings
from barnabas.records.batch import iter_batches, write_crc
from barnabas.records.record import read_records
from tests.unit.log.compacted import COMPACT, NOW, Compacted, filled, only_newest
from tests.unit.log.rebuild_oracle import check_partition, dump, read_bytes
from tests.unit.log.world import DIRECTORY, fetch, read_all

PATH = f"{DIRECTORY}/t-0"
T = TypeVar("T")


def test_the_newest_record_of_each_key_stays_where_it_was() -> None:
    run = Compacted()
    sent = filled(run)
    dirty_end = run.log.active_base_offset
    end = run.log.end_offset
    run.clean()
    assert run.records() == only_newest(sent, dirty_end)
    assert run.log.end_offset == end
    assert [report.summary.end_offset for report in run.reports] == [dirty_end]
    assert run.reports[0].summary.bytes_written < run.reports[0].summary.bytes_read


def test_the_files_are_what_a_rebuild_makes_of_them_and_a_restart_changes_nothing() -> None:
    run = Compacted(replace(COMPACT, index_interval_bytes=100))
    filled(run)
    run.clean()
    run.world.advance(run.config.file_delete_delay_ms)
    assert not run.names(names.DELETED, names.SWAP, names.CLEANED)
    want = run.records()
    run.world.stop()
    check_partition(run.disk, PATH, 100)
    before = dump(run.disk, DIRECTORY)
    again = Compacted(run.config, run.disk)
    assert again.records() == want
    again.world.stop()
    assert dump(run.disk, DIRECTORY) == before


def test_the_checkpoint_is_kafkas_file_and_tells_the_next_start() -> None:
    run = Compacted()
    filled(run)
    dirty_end = run.log.active_base_offset
    run.clean()
    data = read_bytes(run.disk, f"{DIRECTORY}/cleaner-offset-checkpoint")
    assert data == b"0\n1\nt 0 %d\n" % dirty_end
    run.world.stop()
    again = Compacted(run.config, run.disk)
    again.clean()
    assert again.reports == []


def test_a_broken_checkpoint_means_all_is_dirty() -> None:
    run = Compacted()
    filled(run)
    run.clean()
    run.world.stop()
    file = run.disk.open(f"{DIRECTORY}/cleaner-offset-checkpoint")
    file.pwritev([b"9"], 0)
    again = Compacted(run.config, run.disk)
    again.clean()
    assert [report.first_dirty for report in again.reports] == [0]


def test_segments_that_shrank_become_one() -> None:
    run = Compacted()
    filled(run, rounds=60)
    many = len(run.log.segments)
    run.clean()
    run.append((b"k0", b"again"))
    run.roll()
    run.clean()
    assert len(run.log.segments) < many / 2
    assert all(segment.size <= run.config.segment_bytes for segment in run.log.segments)


def test_indexes_bound_a_group_too() -> None:
    run = Compacted(replace(COMPACT, segment_index_bytes=36))
    filled(run, rounds=20)
    assert len(run.log.segments) > 4
    run.clean()
    run.append((b"k0", b"again"))
    run.roll()
    run.clean()
    assert all(max(one.offset_bytes, one.time_bytes) <= 36 for one in run.log.segments)


def test_a_tombstone_stays_for_its_time() -> None:
    run = Compacted()
    run.append((b"a", b"1"), (b"b", b"1"))
    run.append((b"a", None), (b"c", None))
    run.append((b"c", b"2"))
    run.roll()
    run.clean()
    assert run.records() == [(1, b"b", b"1"), (2, b"a", None), (4, b"c", b"2")]
    header = run.batches()[1][0]
    assert header.has_delete_horizon
    assert header.base_timestamp == NOW + run.config.delete_retention_ms
    for wait, left in ((9_999, True), (1, False)):
        run.world.advance(wait)
        run.append((b"x", b"%d" % wait))
        run.roll()
        run.clean()
        assert ((2, b"a", None) in run.records()) == left
    assert run.records()[0] == (1, b"b", b"1")


def test_timestamps_survive_a_delete_horizon() -> None:
    run = Compacted()
    run.append((b"a", b"1"), (b"b", None), (b"c", b"3"))
    before = run.batches()[0][1]
    run.append((b"a", b"2"))
    run.roll()
    run.clean()
    assert run.batches()[0][1] == before[1:]
    run.append((b"c", b"4"))
    run.roll()
    run.clean()
    assert run.batches()[0][1] == before[1:2]


def test_a_record_without_key_goes() -> None:
    run = Compacted()
    run.append((None, b"1"), (b"b", b"1"))
    run.roll()
    run.append((None, b"2"))
    run.clean()
    assert run.records() == [(1, b"b", b"1"), (2, None, b"2")]


@pytest.mark.parametrize("codec", range(5))
def test_every_codec_stays_what_it_is(codec: int) -> None:
    run = Compacted(replace(COMPACT, segment_bytes=100_000))
    value = b"v" * 300
    run.append(*((b"k%d" % at, value) for at in range(40)), codec=codec)
    run.append(*((b"k%d" % at, None if at == 7 else value) for at in range(5, 40)), codec=codec)
    run.roll()
    run.clean()
    first, second = run.batches()
    assert [record.offset for record in first[1]] == [0, 1, 2, 3, 4]
    assert [record.offset for record in second[1]] == list(range(40, 75))
    assert first[0].codec == second[0].codec == codec
    assert first[0].last_offset == 39
    assert second[1][2].value is None


def test_append_times_stay() -> None:
    run = Compacted()
    run.append((b"a", b"1"), (b"b", b"1"), log_append_time=NOW + 77)
    run.append((b"b", b"2"))
    run.roll()
    run.clean()
    header, records = run.batches()[0]
    assert header.log_append_time
    assert [record.timestamp for record in records] == [NOW + 77]


def test_the_largest_timestamp_is_that_of_what_is_left() -> None:
    run = Compacted()
    run.append((b"a", b"1"), (b"b", b"1"), (b"c", b"1"))
    run.append((b"b", b"2"), (b"c", b"2"))
    run.roll()
    run.clean()
    assert run.batches()[0][0].max_timestamp == NOW


# -- transactions and producers -----------------------------------------------------------------


def test_aborted_records_go_and_markers_after_them() -> None:
    run = Compacted()
    run.send(7, (b"a", b"1"), transactional=True)
    run.send(8, (b"a", b"2"), transactional=True)
    run.send(7, (b"b", b"1"), transactional=True)
    run.end(7, commit=False)
    run.end(8, commit=True)
    run.send(7, (b"z", b"1"))
    run.send(8, (b"z", b"2"))
    run.roll()
    run.clean()
    assert run.records() == [(1, b"a", b"2"), (6, b"z", b"2")]
    assert [h.base_offset for h, _ in run.batches() if h.is_control] == [3, 4]
    assert run.names(names.TXN_INDEX)
    assert not run.batches()[0][0].has_delete_horizon
    # Nothing of the aborted one is left: now its marker's time runs, and its index entry goes.
    run.append((b"y", b"1"))
    run.roll()
    run.clean()
    markers = [h for h, _ in run.batches() if h.is_control]
    assert [h.has_delete_horizon for h in markers] == [True, False]
    assert not run.names(names.TXN_INDEX)
    run.world.advance(run.config.delete_retention_ms)
    run.append((b"x", b"1"))
    run.roll()
    run.clean()
    assert [h.base_offset for h, _ in run.batches() if h.is_control] == [4]


def test_a_transaction_that_was_aborted_long_ago_says_nothing_of_the_next() -> None:
    run = Compacted()
    run.append((b"a", b"0"))
    run.send(7, (b"x", b"1"), transactional=True)
    run.end(7, commit=False)
    run.roll()
    run.clean()
    assert run.names(names.TXN_INDEX)
    run.send(7, (b"a", b"1"), transactional=True)
    run.end(7, commit=True)
    run.roll()
    run.clean()
    assert run.records() == [(3, b"a", b"1")]


def test_an_open_transaction_and_all_behind_it_wait() -> None:
    run = Compacted()
    run.append((b"a", b"1"))
    run.append((b"a", b"2"))
    run.roll()
    run.send(7, (b"a", b"3"), transactional=True)
    run.roll()
    run.append((b"a", b"4"))
    run.roll()
    run.clean()
    assert [offset for offset, _, _ in run.records()] == [1, 2, 3]
    run.end(7, commit=True)
    run.clean()
    assert [offset for offset, _, _ in run.records()] == [3]


def test_a_read_committed_reader_is_never_misled() -> None:
    """Whatever was compacted, the aborted records that it gets are said to be aborted."""
    run = Compacted(replace(COMPACT, segment_bytes=300))
    for at in range(20):
        run.send(7, (b"k%d" % (at % 3), b"%d" % at), transactional=True)
        run.send(9, (b"a", b"%d" % at))
        if at % 2:
            run.end(7, commit=at % 4 == 1)
    for _ in range(3):
        run.clean()
        offset = 0
        while offset < run.log.written_offset:
            found = fetch(run.log, offset, aborted=True)
            for position, header in iter_batches(found.data):
                offset = header.next_offset
                if header.producer_id == 7 and header.records_count and not header.is_control:
                    value = int(run_value(found.data, position))
                    said = any(
                        txn.first_offset <= header.base_offset <= txn.last_offset
                        for txn in found.aborted or []
                    )
                    assert said == (value % 4 in (2, 3))
        run.append((b"y", b"1"))
        run.roll()


def run_value(data: bytes, position: int) -> bytes:
    """Value of the first record of a batch."""
    return read_records(data, position, limit=1000)[0].value or b""


def test_the_last_batch_of_a_producer_leaves_its_header() -> None:
    run = Compacted()
    run.send(7, (b"a", b"1"), (b"b", b"1"))
    run.send(7, (b"a", b"2"), (b"b", b"2"))
    run.append((b"a", b"3"), (b"b", b"3"))
    run.append((b"c", b"3"))
    run.roll()
    run.clean()
    header, records = run.batches()[0]
    assert records == []
    assert (header.base_offset, header.last_offset) == (2, 3)
    assert (header.producer_id, header.last_sequence) == (7, 3)
    run.world.stop()
    for name in run.names(names.SNAPSHOT):
        run.disk.unlink(f"{PATH}/{name}")
    run.disk.unlink(f"{DIRECTORY}/{names.CLEAN_SHUTDOWN}")
    again = Compacted(run.config, run.disk)
    assert again.log.producers.producers[7].next_sequence == 4


def test_a_producer_that_is_forgotten_leaves_nothing() -> None:
    run = Compacted()
    run.send(7, (b"a", b"1"))
    run.append((b"a", b"3"))
    run.roll()
    run.log.producers.expire(NOW + 10**9, 1)
    run.clean()
    assert [header.base_offset for header, _ in run.batches()] == [1]


def test_the_end_of_what_was_cleaned_stays_as_a_header() -> None:
    run = Compacted()
    run.append((b"a", b"1"))
    run.append((b"b", b"1"), (None, b"1"))
    run.append((None, b"2"))
    run.roll()
    run.clean()
    header, records = run.batches()[-1]
    assert records == []
    assert header.base_offset == 3


# -- many keys, bad records ---------------------------------------------------------------------


def test_a_map_that_is_too_small_takes_several_passes() -> None:
    settings = CleanerSettings(dedupe_buffer_bytes=16 * 13)  # 11 keys
    run = Compacted(settings=settings)
    sent = []
    for at in range(60):
        key, value = b"k%d" % (at * 7 % 30), b"%d" % at
        sent.append((run.append((key, value)), key, value))
    dirty_end = run.log.active_base_offset
    run.clean()
    assert len(run.reports) > 3
    assert run.reports[-1].summary.end_offset == dirty_end
    assert run.records() == only_newest(sent, dirty_end)


def test_a_batch_that_cannot_be_read_is_kept() -> None:
    run = Compacted()
    run.append((b"a", b"1"))
    run.append((b"a", b"2"))
    damage(run, 1, at=61)
    run.append((b"a", b"3"))
    run.roll()
    data = read_all(run.log)
    run.clean()
    assert run.broken == []
    assert run.reports[0].summary.batches_kept_broken == 1
    kept = read_all(run.log)
    heads = [(h.base_offset, h.size) for _, h in iter_batches(kept)]
    assert [base for base, _ in heads] == [1, 2]
    assert kept[: heads[0][1]] in data


def damage(run: Compacted, base: int, *, at: int, crc: bool = True) -> None:
    """Change a byte of the batch at `base` on disk, and make its CRC good again, or not."""
    file = run.disk.open(run.log.segments[0].file(names.LOG))
    data = bytearray(file.pread(file.size(), 0))
    for position, header in iter_batches(bytes(data)):
        if header.base_offset == base:
            data[position + at] ^= 0xFF
            if crc:
                write_crc(data, position, header.size)
    file.pwritev([data], 0)
    file.sync()
    file.close()


def test_bit_rot_makes_a_log_uncleanable_and_changes_nothing() -> None:
    run = Compacted()
    run.append((b"a", b"1"))
    run.append((b"a", b"2"))
    damage(run, 0, at=64, crc=False)
    run.roll()
    before = read_all(run.log)
    run.clean_once()
    assert [key for key, _ in run.broken] == [("t", 0)]
    assert run.cleaner.uncleanable == {("t", 0)}
    assert run.cleaner.uncleanable_bytes() == {("t", 0): run.log.segments[0].size}
    assert read_all(run.log) == before
    assert not run.names(names.CLEANED, names.SWAP)
    run.clean_once()
    assert len(run.broken) == 1


def test_what_it_knows_of_itself() -> None:
    config = replace(COMPACT, max_compaction_lag_ms=1000, min_cleanable_dirty_ratio=0.6)
    run = Compacted(config, settings=CleanerSettings(dedupe_buffer_bytes=1600))
    stats = run.cleaner.stats
    assert (stats.dirtiest, stats.recopied, stats.longest_ms, stats.fullest) == (0, 0, 0, 0)
    for value in (b"1", b"2", b"3", b"4"):
        run.append((b"a", value))
    run.roll()
    run.world.clock.now += 3000
    run.clean_once()
    assert (stats.dirtiest, stats.overdue_ms) == (1.0, 2000)
    assert stats.recopied == 0.25
    assert stats.fullest == 0.01
    size = run.log.segments[0].size
    run.append((b"b", b"1"))
    run.roll()
    looked = stats.looked_ms
    run.world.clock.now += 500
    run.clean_once()
    assert run.cleaner.stats.looked_ms > looked
    # Not enough of it is dirty, nor has it waited: what the last cleaning said stays.
    assert 0 < stats.dirtiest == run.log.segments[1].size / (size + run.log.segments[1].size) < 0.6
    assert (stats.overdue_ms, stats.recopied) == (2000, 0.25)
