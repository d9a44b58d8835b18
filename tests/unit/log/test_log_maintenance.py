"""Retention and checkpoints (facts: log-format 7, 12, 15)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log import maintenance
from barnabas.log.log import Log
from barnabas.log.retention import raise_log_start
from barnabas.testing.sim import CrashLimits, DiskFault, SimDisk, enumerate_crashes
from barnabas.testing.sim.history import History
from tests.unit.log.filled import NOW, PATH, SIZE, ignore, world
from tests.unit.log.rebuild_oracle import dump, read_bytes
from tests.unit.log.world import TOPIC_ID, World, append, read_all


def retain(w: World, log: Log) -> None:
    """One run."""
    w.maintenance.retain(log)
    w.settle()


def names(w: World) -> list[str]:
    """Files of the partition."""
    return w.disk.list_dir(PATH)


def test_retention_by_size_takes_whole_segments_from_the_start() -> None:
    w, log = world(retention_bytes=3 * SIZE)
    retain(w, log)
    assert log.bases == [2, 4]
    assert log.log_start_offset == 2
    assert log.epochs.entries() == [(2, 2), (3, 3), (4, 4), (5, 5)]
    assert f"{0:020d}.log.deleted" in names(w)
    assert f"{2:020d}.snapshot" in names(w)
    w.advance(59999)
    assert f"{0:020d}.log.deleted" in names(w)
    w.advance(1)
    assert not [name for name in names(w) if name.endswith(".deleted")]


def test_retention_by_time_rolls_and_takes_the_active_segment() -> None:
    w, log = world(retention_ms=1000)
    w.clock.now = NOW + 1003
    retain(w, log)
    assert log.bases == [2, 4], "2 and 3 are younger than a second and a bit"
    w.clock.now = NOW + 1006
    retain(w, log)
    assert log.bases == [6]
    assert (log.log_start_offset, log.end_offset) == (6, 6)
    retain(w, log)
    assert log.bases == [6]
    append(log, [b"x"])
    w.stop()
    assert World(w.disk, w.config).open(create=False).log_start_offset == 6


def test_retention_by_time_uses_the_file_date_without_timestamps() -> None:
    w, log = world(0, retention_ms=1000)
    for _ in range(4):
        append(log, [b"v" * 100], timestamp=-1)
    w.settle()
    log.high_watermark = 4
    for segment in log.segments:
        w.disk.set_modified_ms(segment.path + ".log", NOW)
    w.clock.now = NOW + 1000
    retain(w, log)
    assert log.bases == [0, 2]
    w.clock.now = NOW + 1001
    w.disk.set_modified_ms(log.segments[1].path + ".log", NOW + 5)
    retain(w, log)
    assert log.bases == [2]


def test_retention_stops_at_the_high_watermark() -> None:
    w, log = world(retention_bytes=0)
    log.high_watermark = 3
    retain(w, log)
    assert log.bases == [2, 4]


def test_retention_below_a_raised_log_start_whatever_the_policy() -> None:
    w, log = world(cleanup_policy=frozenset({"compact"}), retention_bytes=0)
    retain(w, log)
    assert log.bases == [0, 2, 4]
    assert raise_log_start(log, 3)
    assert not raise_log_start(log, 2)
    retain(w, log)
    assert (log.bases, log.log_start_offset) == ([2, 4], 3)


def test_retention_run_opens_logs_that_nobody_used() -> None:
    w, _ = world(retention_bytes=3 * SIZE)
    w.stop()
    again = World(w.disk, w.config, now=NOW)
    again.maintenance.start()
    again.advance(29999)
    assert again.manager.logs == {}
    again.advance(1)
    assert again.manager.logs["t", 0].bases == [2, 4]


def test_retention_run_over_many_that_are_opened_at_once() -> None:
    """New partitions need no look at the disk; one after the other they must not fill the stack."""
    w, _ = world(0)
    w.manager.prepare([(("many", at), TOPIC_ID, None) for at in range(400)])
    w.settle()
    try:
        w.maintenance.retain_all()
        w.advance(1000)
    except RecursionError:
        pytest.fail("it does")
    assert len(w.manager.logs) == 401


def test_recovery_of_many_whose_directory_fails() -> None:
    w, _ = world(0)
    w.manager.prepare([(("many", at), TOPIC_ID, None) for at in range(400)])
    w.settle()
    assert isinstance(w.disk, SimDisk)
    w.disk.kill()
    again = World(w.disk)
    again.maintenance.start()
    again.manager.failed(again.directory, OSError(errno.EIO, "gone"))
    try:
        again.advance(1000)
    except RecursionError:
        pytest.fail("each within the one before")
    assert again.manager.logs == {}


def test_reader_of_a_deleted_segment_gets_to_its_end() -> None:
    w, log = world(retention_bytes=0)
    file = log.pool.pin(f"{PATH}/{0:020d}.log")
    retain(w, log)
    w.advance(60000)
    assert len(file.pread(1000, 0)) == 2 * SIZE
    log.pool.unpin([f"{PATH}/{0:020d}.log"])


def test_checkpoints_are_written_by_their_timers() -> None:
    w, log = world()
    w.maintenance.start()
    append(log, [b"x"])
    log.high_watermark = 3
    w.advance(5000)
    assert read_bytes(w.disk, "/logs/replication-offset-checkpoint") == b"0\n1\nt 0 3\n"
    assert not w.disk.exists("/logs/recovery-point-offset-checkpoint")
    raise_log_start(log, 1)
    w.advance(55000)
    assert read_bytes(w.disk, "/logs/recovery-point-offset-checkpoint") == b"0\n1\nt 0 7\n"
    assert read_bytes(w.disk, "/logs/log-start-offset-checkpoint") == b"0\n1\nt 0 1\n"


def test_a_checkpoint_covers_what_was_durable_when_it_began() -> None:
    w, log = world(3)
    w.maintenance.checkpoint_all()
    append(log, [b"too late"])
    w.settle()
    assert log.recovery_point == 3
    assert read_bytes(w.disk, "/logs/recovery-point-offset-checkpoint") == b"0\n1\nt 0 3\n"


def test_epochs_are_on_disk_before_the_recovery_point_passes_them() -> None:
    w, log = world()
    w.maintenance.checkpoint_all()
    w.settle()
    assert log.recovery_point == 6
    assert isinstance(w.disk, SimDisk)
    w.disk.power_loss()
    again = World(w.disk, w.config, now=NOW).open(create=False)
    assert again.epochs.entries() == [(at, at) for at in range(6)]


def test_unopened_logs_keep_their_checkpoints() -> None:
    w, _ = world()
    before = read_all(w.open())
    w.stop()
    again = World(w.disk, w.config)
    again.stop()
    assert read_bytes(w.disk, "/logs/recovery-point-offset-checkpoint") == b"0\n1\nt 0 6\n"
    assert read_all(World(w.disk, w.config).open(create=False)) == before


def test_after_a_crash_all_logs_are_recovered_before_a_stop_counts_as_clean() -> None:
    w, _ = world()
    disk = w.disk
    assert isinstance(disk, SimDisk)
    disk.kill()
    again = World(disk, w.config)
    assert again.manager.unrecovered() == [("t", 0)]
    again.stop()
    assert not disk.exists("/logs/.kafka_cleanshutdown")
    again = World(disk, w.config)
    again.maintenance.start()
    again.settle()
    assert again.manager.unrecovered() == []
    again.stop()
    assert disk.exists("/logs/.kafka_cleanshutdown")


def test_failed_checkpoint_takes_the_directory_offline() -> None:
    w, log = world()
    disk = w.disk
    assert isinstance(disk, SimDisk)
    append(log, [b"x"])
    w.settle()
    disk.faults.rules.append(DiskFault("sync", errno.EIO, "recovery-point"))
    w.maintenance.checkpoint_all()
    w.settle()
    assert len(w.failures) == 1
    assert log.offline is not None


def delete_below(w: World, log: Log, offset: int, done: Callable[[], None]) -> None:
    """What DeleteRecords does."""
    raise_log_start(log, offset)
    w.manager.checkpoints.write("log-start-offset-checkpoint", done)
    w.settle()


def test_checkpoint_writes_never_overlap_and_the_last_word_wins() -> None:
    w, log = world()
    done: list[int] = []
    for at in (1, 2, 3):
        raise_log_start(log, at)
        w.manager.checkpoints.write("log-start-offset-checkpoint", partial(done.append, at))
    w.manager.checkpoints.when_idle(lambda: done.append(9))
    assert len(w.executor.jobs) == 1
    w.step()
    assert (done, len(w.executor.jobs)) == ([1], 1), "whoever came meanwhile shares the next one"
    w.step()
    assert (done, len(w.executor.jobs)) == ([1, 2, 3, 9], 0)
    assert read_bytes(w.disk, "/logs/log-start-offset-checkpoint") == b"0\n1\nt 0 3\n"


def test_a_log_start_is_kept_in_the_checkpoint_until_the_segments_below_are_gone() -> None:
    w, log = world()
    delete_below(w, log, 2, lambda: None)
    w.maintenance.retain(log)
    assert log.bases == [2, 4]
    marking = w.executor.jobs.popleft()
    delete_below(w, log, 2, lambda: None)
    assert read_bytes(w.disk, "/logs/log-start-offset-checkpoint") == b"0\n1\nt 0 2\n"
    w.executor.jobs.append(marking)
    w.settle()
    delete_below(w, log, 2, lambda: None)
    assert read_bytes(w.disk, "/logs/log-start-offset-checkpoint") == b"0\n0\n"


def test_a_deletion_waits_until_the_former_one_has_marked_its_files() -> None:
    w, log = world()
    for at in (2, 4):
        raise_log_start(log, at)
        w.maintenance.retain(log)
    assert log.bases == [2, 4]
    assert len(w.executor.jobs) == 1
    w.settle()
    assert log.bases == [4]
    assert f"{2:020d}.log.deleted" in names(w)


def test_a_clean_stop_waits_for_a_checkpoint_that_is_being_written() -> None:
    w, log = world()
    raise_log_start(log, 1)
    w.manager.checkpoints.write("log-start-offset-checkpoint")
    w.stop()
    assert w.failures == []
    assert World(w.disk, w.config).open(create=False).log_start_offset == 1


def scripted(disk: SimDisk, history: History) -> None:
    """Produce, roll, checkpoint, deletion, retention, truncation; promises are marked."""
    config = LogConfig(
        segment_bytes=2 * SIZE, index_interval_bytes=0, retention_bytes=6 * SIZE, retention_ms=-1
    )
    w = World(disk, config, now=NOW)
    log = w.open()
    log.on_progress = lambda: history.mark(("durable", log.durable_offset))
    for at in range(9):
        append(log, [bytes([at]) * 100], timestamp=NOW + at, epoch=at // 4)
        w.settle()
        log.high_watermark = log.durable_offset
        if at == 5:
            w.maintenance.checkpoint_all()
            w.settle()
    delete_below(w, log, 3, lambda: history.mark(("deleted", 3)))
    w.maintenance.retain(log)
    w.settle()
    delete_below(w, log, 4, lambda: history.mark(("deleted", 4)))
    w.maintenance.retain(log)
    w.settle()
    w.manager.checkpoints.write("log-start-offset-checkpoint")
    w.settle()
    history.mark(("durable", 0))
    w.manager.truncate(log, 7, ignore)
    w.settle()
    history.mark(("durable", 7))
    w.stop()


def last_promise(marks: Sequence[object], kind: str) -> int:
    """The offset of the newest mark of a kind, 0 without."""
    found = [m[1] for m in marks if isinstance(m, tuple) and m[0] == kind]
    return found[-1] if found else 0


def test_every_crash_of_a_scripted_run() -> None:
    """Before each sync, with all that may be lost, torn, zeroed or applied out of order."""
    disk = SimDisk()
    history = disk.start_history()
    scripted(disk, history)
    config = LogConfig(segment_bytes=2 * SIZE, index_interval_bytes=0, retention_ms=-1)
    images = 0
    for image in enumerate_crashes(history, limits=CrashLimits(images=12, contents=12, tears=2)):
        images += 1
        after = SimDisk(model=image.model)
        w = World(after, config, now=NOW)
        promised = last_promise(image.marks, "durable")
        deleted = last_promise(image.marks, "deleted")
        if ("t", 0) not in w.manager.homes:
            assert promised == 0
            continue
        log = w.open(create=False)
        assert log.end_offset >= promised
        assert log.log_start_offset >= deleted
        data = read_all(log)
        found = [data[at + 70 :][:1] for at in range(0, len(data), SIZE)]
        assert found == [bytes([at]) for at in range(log.log_start_offset, log.end_offset)]
        once = dump(after, PATH)
        after.kill()
        World(after, config, now=NOW).open(create=False)
        assert dump(after, PATH) == once
    assert images > 300


def test_retention_leaves_a_rolled_segment_to_the_writer_until_its_indexes_are_synced() -> None:
    w, log = world(retention_bytes=0)
    other = w.open("u")
    append(other, [b"x"])
    while not w.executor.jobs:
        w.step()
    sync_of_other = w.executor.jobs.popleft()
    log.roll()  # its data is durable, its last index entries are not
    w.settle()
    w.maintenance.retain(log)
    w.settle()
    w.executor.jobs.append(sync_of_other)
    w.settle()
    retain(w, log)
    assert w.failures == []
    assert log.bases == [log.end_offset]


def test_much_in_closed_segments_is_written_down_before_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maintenance, "ROLLED_BYTES", 4 * SIZE)
    w, log = world(0)
    w.maintenance.start()
    for at in range(4):  # one closed segment, which is not enough
        append(log, [b"v" * 100], timestamp=NOW + at)
        w.settle()
    assert "recovery-point-offset-checkpoint" not in w.disk.list_dir("/logs")
    append(log, [b"v" * 100], timestamp=NOW + 5)
    w.settle()
    assert "recovery-point-offset-checkpoint" in w.disk.list_dir("/logs")
    assert b"t 0 5" in read_bytes(w.disk, "/logs/recovery-point-offset-checkpoint")
    assert isinstance(w.disk, SimDisk)
    w.disk.kill()
    assert World(w.disk, w.config, now=NOW).open(create=False).end_offset == 5
