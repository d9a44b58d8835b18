"""Compaction beside everything else that happens to a log: readers, retention, cuts, stops."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from random import Random
from typing import TypeVar

import pytest

from barnabas.log import names
from barnabas.log.checkpoints import decode_offsets
from barnabas.log.cleaning.cleaner import CleanerSettings
from barnabas.log.errors import OffsetOutOfRange
from barnabas.log.log import Log
from barnabas.log.read import ColdRead, read
from barnabas.log.retention import delete_old_segments, raise_log_start
from barnabas.log.timestamps import by_timestamp, run_search
from barnabas.log.txn_index import decode
from barnabas.testing.sim import SimDisk
from tests.unit.log.compacted import COMPACT, NOW, Compacted, Pair, filled, only_newest
from tests.unit.log.rebuild_oracle import read_bytes
from tests.unit.log.world import DIRECTORY, FakeExecutor, fetch, finish, read_all

PATH = f"{DIRECTORY}/t-0"
T = TypeVar("T")


def settle_reading(run: Compacted, allowed: list[bytes]) -> set[bytes]:
    """Run everything; after each step a reader must get one of `allowed`. Which it got."""
    seen = set()
    while run.world.step():
        found = read_all(run.log)
        assert found in allowed
        seen.add(found)
    return seen


def test_readers_see_the_old_or_the_new_segments_never_half() -> None:
    other = Compacted()
    filled(other, rounds=9)
    other.clean()
    new = read_all(other.log)
    run = Compacted()
    filled(run, rounds=9)
    assert len(run.log.segments) == 3
    old = read_all(run.log)
    # Two groups of one segment each: one of them may be new already.
    first_new = new[: other.log.segments[0].size] + old[run.log.segments[0].size :]
    run.cleaner.look()
    seen = settle_reading(run, [old, first_new, new])
    assert seen == {old, first_new, new}


def test_a_read_that_was_under_way_begins_again() -> None:
    """Its files stay open; but old records do not go with a new transaction index."""
    run = Compacted()
    filled(run)
    run.disk.faults.cold_rate = 1.0
    found = read(run.log, 0, 1 << 20, run.log.written_offset, at_least_one=True, aborted=True)
    assert isinstance(found, ColdRead)
    before = run.log.segments[0].size
    executor = HoldingExecutor()
    waiting = found.run(executor)
    waiting.send(None)
    run.clean()
    run.world.advance(run.config.file_delete_delay_ms)
    assert run.log.segments[0].size < before
    result = finish(waiting)
    assert result.data == fetch(run.log, 0).data != b""


class HoldingExecutor(FakeExecutor):
    """Waits before its first job, runs others at once."""

    def __init__(self) -> None:
        super().__init__()
        self.held = False

    async def run(self, job: Callable[[], T]) -> T:
        """Wait before the first job."""
        if not self.held:
            self.held = True
            await Pause()
        return job()


class Pause:
    """Something to await that lets the test go on."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def test_a_search_by_time_is_repeated_when_segments_were_replaced() -> None:
    run = Compacted()
    for at in range(24):
        run.world.clock.now = NOW + 100 * at
        run.append((b"k%d" % (at % 3), b"%d" % at))
    executor = HoldingExecutor()
    waiting = run_search(run.log, executor, lambda: by_timestamp(run.log, NOW))
    waiting.send(None)
    run.clean()
    run.world.advance(run.config.file_delete_delay_ms)
    found = finish(waiting)
    assert found is not None
    assert found.offset == run.records()[0][0] > 0


def test_retention_takes_a_source_meanwhile() -> None:
    run = Compacted(replace(COMPACT, cleanup_policy=frozenset({"compact", "delete"})))
    sent = filled(run)
    run.cleaner.look()
    start = run.log.bases[1]
    raise_log_start(run.log, start)
    deletion, _ = delete_old_segments(run.log, NOW, run.log.high_watermark)
    assert deletion is not None
    deletion.mark()
    run.settle()
    assert run.reports == []
    assert run.broken == []
    assert run.world.failures == []
    assert run.records() == [one for one in sent if one[0] >= start]
    dirty_end = run.log.active_base_offset
    run.clean()
    assert run.records() == only_newest([one for one in sent if one[0] >= start], dirty_end)


def test_a_cut_meanwhile_spoils_the_cleaning() -> None:
    run = Compacted()
    sent = filled(run)
    run.cleaner.look()
    done: list[Exception | None] = []
    run.world.manager.truncate(run.log, 9, done.append)
    run.settle()
    assert done == [None]
    assert run.records() == [one for one in sent if one[0] < 8]
    assert not run.names(names.CLEANED, names.SWAP)
    assert run.reports == []


def test_a_cut_before_a_result_arrives_spoils_it() -> None:
    """What was cleaned counts on newer records that are no more."""
    run = Compacted()
    sent = filled(run)
    cut = run.log.bases[2]
    run.cleaner.look()
    job, told = run.world.executor.jobs.popleft()
    result = job()
    done: list[Exception | None] = []
    run.world.manager.truncate(run.log, cut, done.append)
    run.settle()
    assert done == [None]
    told(result, None)
    run.settle()
    assert run.records() == [one for one in sent if one[0] < cut]
    assert not run.names(names.CLEANED, names.SWAP)
    assert run.world.failures == []


def test_a_cut_lowers_the_checkpoint_first() -> None:
    run = Compacted()
    filled(run)
    run.clean()
    keep = run.log.bases[2]
    done: list[Exception | None] = []
    run.world.manager.truncate(run.log, keep, done.append)
    run.settle()
    data = read_bytes(run.disk, f"{DIRECTORY}/cleaner-offset-checkpoint")
    assert decode_offsets(data) == {("t", 0): run.log.end_offset}
    assert run.log.end_offset <= keep


def test_a_deleted_partition_leaves_nothing_and_a_new_one_of_its_name_is_dirty() -> None:
    run = Compacted()
    filled(run)
    run.clean()
    run.append((b"k0", b"again"))
    run.roll()
    run.cleaner.look()
    done: list[Exception | None] = []
    run.world.manager.delete("t", 0, done.append)
    run.settle()
    assert done == [None]
    assert run.cleaner.cleaning == []
    assert read_bytes(run.disk, f"{DIRECTORY}/cleaner-offset-checkpoint") == b"0\n0\n"
    run.log = run.world.open()
    sent = filled(run)
    dirty_end = run.log.active_base_offset
    run.clean()
    assert run.records() == only_newest(sent, dirty_end)


def test_a_stop_ends_it_and_leaves_the_old_segments() -> None:
    for steps in range(14):
        run = Compacted()
        sent = filled(run)
        dirty_end = run.log.active_base_offset
        run.cleaner.look()
        for _ in range(steps):
            run.world.step()
        done: list[bool] = []
        run.cleaner.stop(partial(done.append, True))
        run.settle()
        assert done == [True]
        assert not run.names(names.CLEANED, names.SWAP)
        run.world.stop()
        again = Compacted(run.config, run.disk)
        again.clean()
        assert again.records() == only_newest(sent, dirty_end)


@pytest.mark.parametrize("after", range(0, 40, 3))
def test_a_failing_disk_takes_the_directory_offline(after: int) -> None:
    run = Compacted()
    filled(run, rounds=9)
    run.cleaner.look()
    for _ in range(2):
        run.world.step()
    fail_from(run.disk, after)
    run.settle()
    if run.world.failures:
        assert run.reports == []
        assert run.log.offline is not None
    assert run.broken == []
    assert run.cleaner.cleaning == []


def fail_from(disk: SimDisk, count: int) -> None:
    """Every operation fails from the `count`-th on."""
    left = count
    whole = disk.sync_dir

    def sync_dir(path: str) -> None:
        nonlocal left
        left -= 3
        if left < 0:
            raise OSError(5, "broken")
        whole(path)

    disk.sync_dir = sync_dir  # type: ignore[method-assign]


def test_a_worker_that_is_lost_is_tried_again_a_few_times() -> None:
    run = Compacted()
    sent = filled(run)
    dirty_end = run.log.active_base_offset
    for times in (2, 3):
        run.cleaner.uncleanable.clear()
        run.broken.clear()
        for _ in range(times):
            assert run.broken == []
            run.cleaner.look()
            run.lose_workers()
            run.settle()
        assert len(run.broken) == (1 if times == 3 else 0)
        assert run.records() == sent
        run.cleaner.uncleanable.clear()
        if times == 2:
            run.clean()
            assert run.records() == only_newest(sent, dirty_end)
            run = Compacted()
            sent = filled(run)


def test_the_filthiest_first_and_two_at_once_with_two_threads() -> None:
    for threads in (1, 2):
        run = Compacted(settings=CleanerSettings(threads=threads))
        logs: list[Log] = [run.log, run.open("u"), run.open("v")]
        for log, rounds in zip(logs, (12, 12, 12), strict=True):
            run.log = log
            filled(run, rounds)
            run.clean_once() if log is logs[2] else None
        run.log = logs[0]
        run.clean()
        assert {report.key[0] for report in run.reports} == {"t", "u", "v"}
        run.append((b"k0", b"again"))
        run.roll()
        run.log = logs[1]
        filled(run, rounds=9)
        run.reports.clear()
        run.cleaner.look()
        assert len(run.cleaner.cleaning) == threads
        assert run.cleaner.cleaning[0] == ("u", 0)
        run.clean()


def test_logs_of_other_policies_are_left_alone() -> None:
    run = Compacted(replace(COMPACT, cleanup_policy=frozenset({"delete"})))
    sent = filled(run)
    run.clean()
    assert run.records() == sent
    assert run.reports == []


def test_logs_that_nobody_opened_are_cleaned_too() -> None:
    run = Compacted()
    filled(run)
    run.world.stop()
    again = Compacted(run.config, run.disk)
    del again.world.manager.logs["t", 0]
    again.clean_once()
    assert [report.key for report in again.reports] == [("t", 0)]


def test_start_looks_again_and_again() -> None:
    run = Compacted(settings=CleanerSettings(backoff_ms=500))
    run.cleaner.start()
    filled(run)
    run.world.advance(499)
    assert run.reports == []
    run.world.advance(1)
    assert len(run.reports) == 1
    run.append((b"k0", b"again"))
    run.roll()
    run.world.advance(500)
    assert len(run.reports) == 2
    run.cleaner.stop(lambda: None)


def test_random_logs_against_the_naive_compaction(seed: int) -> None:
    random = Random(seed)
    for _ in range(15):
        run = Compacted(
            replace(
                COMPACT,
                segment_bytes=random.choice((300, 900, 5000)),
                index_interval_bytes=random.choice((0, 200)),
                delete_retention_ms=10**9,
            ),
            settings=CleanerSettings(
                dedupe_buffer_bytes=random.choice((200, 10_000)),
                io_buffer_bytes=random.choice((100, 10_000)),
            ),
        )
        sent: list[tuple[int, bytes | None, bytes | None]] = []
        clean = 0
        for _ in range(random.randrange(60)):
            pairs: list[Pair] = [
                (
                    random.choice((None, b"%d" % random.randrange(9), random.randbytes(2))),
                    random.choice((None, random.randbytes(random.randrange(40)))),
                )
                for _ in range(random.randrange(1, 5))
            ]
            base = run.append(*pairs, codec=random.randrange(5))
            sent += [(base + at, key, value) for at, (key, value) in enumerate(pairs)]
            if random.random() < 0.1:
                run.clean()
                clean = run.log.active_base_offset
                sent = only_newest(sent, clean)
                assert run.records() == sent
        with pytest.raises(OffsetOutOfRange):
            fetch(run.log, run.log.end_offset + 1)
        run.world.stop()
        again = Compacted(run.config, run.disk)
        assert again.records() == sent
        for name in again.names(names.TXN_INDEX):
            assert list(decode(read_bytes(run.disk, f"{PATH}/{name}"))) == []
