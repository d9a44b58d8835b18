"""The writer's rounds: what is written when, what is durable when, and what happens on failure."""

from __future__ import annotations

import errno
from typing import cast

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log.errors import StorageError
from barnabas.log.log import Log
from barnabas.log.writer import COOL_DOWN_MS, INLINE_BYTES, WAITING_BYTES
from barnabas.testing.sim import DiskFault, SimDisk
from barnabas.testing.sim.file import SimFile
from tests.unit.log.rebuild_oracle import read_bytes
from tests.unit.log.world import World, append, fetch, read_all

MAX = 2**63 - 1


def world(**config: object) -> tuple[World, Log, SimDisk]:
    """A world, its log, its disk."""
    disk = SimDisk()
    made = World(disk, LogConfig(**config))  # type: ignore[arg-type]
    return made, made.open(), disk


def count(disk: SimDisk, kind: str, part: str = "") -> list[str]:
    """From now on, the paths of operations of a kind."""
    seen: list[str] = []

    def note(what: str, path: str) -> None:
        if what == kind and part in path:
            seen.append(path)

    disk.observer = note
    return seen


def test_small_round_is_written_on_the_loop_as_one_write() -> None:
    w, log, disk = world()
    writes = count(disk, "write", ".log")
    for _ in range(5):
        append(log, [b"x"])
    w.step()
    assert log.written_offset == 5
    assert len(writes) == 1


def test_large_round_goes_to_the_executor() -> None:
    w, log, _ = world()
    append(log, [b"x" * (INLINE_BYTES + 1)])
    w.step()
    assert log.written_offset == 0
    append(log, [b"y"])
    w.step()
    assert log.written_offset == 0, "no second round of a log that is being written"
    w.settle()
    assert log.durable_offset == 2
    assert len(read_all(log)) > INLINE_BYTES


def test_slow_device_moves_writes_off_the_loop_for_a_while() -> None:
    w, log, disk = world()

    def slow(kind: str, path: str) -> None:
        if kind == "write" and path.endswith(".log"):
            w.clock.now += 6

    disk.observer = slow
    for written in (1, 2):
        append(log, [b"x"])
        w.step()
        assert log.written_offset == written
    append(log, [b"x"])
    w.step()
    assert log.written_offset == 2
    w.settle()
    disk.observer = None
    w.clock.now += COOL_DOWN_MS
    append(log, [b"x"])
    w.step()
    assert log.written_offset == 4


def test_one_slow_round_among_quick_ones_moves_nothing() -> None:
    w, log, disk = world()
    for slow in (True, False, True, False, True):
        disk.observer = (lambda *_: setattr(w.clock, "now", w.clock.now + 6)) if slow else None
        append(log, [b"x"])
        w.step()
        assert log.written_offset == log.end_offset


def test_small_rounds_stay_on_the_loop_beside_logs_that_make_files() -> None:
    w, log, _ = world()
    append(log, [b"x"])
    w.settle()
    fresh = w.open("u")
    append(fresh, [b"x"])
    append(log, [b"y"])
    w.step()
    assert log.written_offset == 2


def test_one_sync_covers_all_that_was_written_before_it() -> None:
    w, log, disk = world()
    other = w.open("u")
    syncs = count(disk, "sync", ".log")
    append(log, [b"a"])
    w.step()  # written; the sync of it is queued
    append(log, [b"b"])
    append(other, [b"c"])
    while w.soon:
        w.step()
    assert (log.written_offset, other.written_offset) == (2, 1)
    w.step()  # the first sync
    assert (log.durable_offset, other.durable_offset) == (1, 0)
    w.step()  # the second takes both
    assert (log.durable_offset, other.durable_offset) == (2, 1)
    assert len(syncs) == 3
    assert w.manager.writer.idle


def test_progress_is_told_once_per_round() -> None:
    w, log, _ = world()
    heard: list[tuple[int, int]] = []
    log.on_progress = lambda: heard.append((log.written_offset, log.durable_offset))
    append(log, [b"a"])
    append(log, [b"b"])
    w.settle()
    assert heard == [(2, 0), (2, 2)]


def test_page_cache_mode_syncs_only_when_asked() -> None:
    w, log, _ = world(ack_mode="page-cache")
    append(log, [b"a"])
    w.settle()
    assert (log.written_offset, log.durable_offset) == (1, 0)
    done: list[StorageError | None] = []
    w.manager.writer.flush(log, done.append)
    w.settle()
    assert done == [None]
    assert log.durable_offset == 1
    w.manager.writer.flush(log, done.append)
    assert done == [None, None], "nothing to do: at once"


def test_page_cache_mode_syncs_by_count_and_by_time() -> None:
    w, log, _ = world(ack_mode="page-cache", flush_messages=3)
    append(log, [b"a", b"b"])
    w.settle()
    assert log.durable_offset == 0
    append(log, [b"c"])
    w.settle()
    assert log.durable_offset == 3
    w, log, _ = world(ack_mode="page-cache", flush_ms=100)
    append(log, [b"a"])
    w.advance(99)
    assert log.durable_offset == 0
    w.advance(1)
    assert log.durable_offset == 1


def test_roll_syncs_the_old_segment_in_page_cache_mode_too() -> None:
    w, log, _ = world(ack_mode="page-cache", segment_bytes=200)
    append(log, [b"x" * 80])
    append(log, [b"x" * 80])
    w.settle()
    assert log.bases == [0, 1]
    assert log.durable_offset >= 1
    assert log.snapshots == [1]
    w.maintenance.checkpoint_all()
    w.settle()
    assert log.recovery_point == log.durable_offset


@pytest.mark.parametrize("mode", ["synced", "page-cache"])
def test_a_roll_leaves_a_snapshot_and_synced_indexes(mode: str) -> None:
    w, log, disk = world(ack_mode=mode, segment_bytes=200, index_interval_bytes=0)
    indexes = count(disk, "sync", "index")
    append(log, [b"x" * 80], producer_id=5, producer_epoch=0, base_sequence=0)
    append(log, [b"x" * 80], producer_id=5, producer_epoch=0, base_sequence=1)
    w.settle()
    old = f"/logs/t-0/{0:020d}"
    assert sorted(indexes) == [f"{old}.index", f"{old}.timeindex"]
    assert log.snapshots == [1]
    assert disk.exists(f"/logs/t-0/{1:020d}.snapshot")


def test_new_segment_waits_for_the_old_one() -> None:
    """Synced mode: no byte of a new segment before the old one is durable."""
    w, log, disk = world(segment_bytes=200)
    seen: list[tuple[str, str]] = []
    disk.observer = lambda kind, path: seen.append((kind, path.rpartition("/")[2]))
    append(log, [b"x" * 80])
    append(log, [b"x" * 80])
    w.settle()
    old, new = f"{0:020d}.log", f"{1:020d}.log"
    assert seen.index(("sync", old)) < seen.index(("sync_dir", "t-0"))
    assert seen.index(("sync_dir", "t-0")) < seen.index(("create", new))


@pytest.mark.parametrize(
    ("kind", "number"), [("write", errno.ENOSPC), ("write", errno.EIO), ("sync", errno.EIO)]
)
def test_failure_takes_the_directory_offline_for_good(kind: str, number: int) -> None:
    w, log, disk = world()
    append(log, [b"good"])
    w.settle()
    heard: list[int] = []
    log.on_progress = lambda: heard.append(log.durable_offset)
    disk.faults.rules.append(DiskFault(kind, number, ".log", times=-1))
    append(log, [b"bad"])
    failed: list[StorageError | None] = []
    w.manager.writer.flush(log, failed.append)
    w.settle()
    assert [path for path, _ in w.failures] == ["/logs"]
    assert log.durable_offset == 1, "never acknowledged"
    assert isinstance(failed[0], StorageError)
    assert heard, "whoever waits is told"
    disk.faults.rules.clear()
    syncs = count(disk, "sync")
    with pytest.raises(StorageError):
        append(log, [b"more"])
    with pytest.raises(StorageError):
        fetch(log, 0)
    w.settle()
    assert syncs == [], "nothing is retried"
    with pytest.raises(StorageError):
        w.open("another")


def test_failed_roll_takes_the_directory_offline() -> None:
    w, log, disk = world(segment_bytes=200)
    disk.faults.rules.append(DiskFault("create", errno.ENOSPC, f"{1:020d}"))
    append(log, [b"x" * 80])
    append(log, [b"x" * 80])
    w.settle()
    assert len(w.failures) == 1
    assert log.durable_offset == 0


def test_stop_after_a_failure_leaves_no_clean_marker() -> None:
    w, log, disk = world()
    disk.faults.rules.append(DiskFault("sync", errno.EIO, ".log"))
    append(log, [b"x"])
    w.stop()
    assert not disk.exists("/logs/.kafka_cleanshutdown")
    disk.power_loss()
    again = World(disk, w.config)
    assert again.open(create=False).end_offset in (0, 1)


def test_many_logs_share_rounds_within_the_bound_of_open_files() -> None:
    disk = SimDisk()
    w = World(disk, LogConfig(), max_open_files=16)
    logs = [w.open("t", at) for at in range(40)]
    for log in logs:
        append(log, [b"x"])
    w.settle()
    assert all(log.durable_offset == 1 for log in logs)
    assert len(w.manager.pool) <= 16
    w.stop()
    text = read_bytes(disk, "/logs/recovery-point-offset-checkpoint").decode()
    assert text.startswith("0\n40\nt 0 1\n")


class Handles:
    """Counts the open handles of a disk."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.open: set[int] = set()
        self.most = 0
        opened, closed = SimDisk.open, SimFile.close

        def open_file(disk: SimDisk, path: str, *, create: bool = False) -> SimFile:
            file = opened(disk, path, create=create)
            self.open.add(id(file))
            self.files.append(file)
            self.most = max(self.most, len(self.open))
            return file

        def close_file(file: SimFile) -> None:
            self.open.discard(id(file))
            closed(file)

        self.files: list[SimFile] = []  # so that no id is given twice
        patch.setattr(SimDisk, "open", open_file)
        patch.setattr(SimFile, "close", close_file)


@pytest.mark.parametrize("mode", ["synced", "page-cache"])
def test_a_log_that_rolled_often_at_once_holds_few_files_open(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk stood still, and each batch had its own segment."""
    disk = SimDisk()
    config = LogConfig(ack_mode=mode, segment_bytes=200, index_interval_bytes=0)
    w = World(disk, config, max_open_files=16)
    log = w.open()
    handles = Handles(monkeypatch)
    heard: list[int] = []
    log.on_progress = lambda: heard.append(log.durable_offset)
    for at in range(60):
        append(log, [b"x" * 80], producer_id=5, producer_epoch=0, base_sequence=at)
    w.settle()
    assert handles.most <= 16 + 4
    assert log.durable_offset >= 59
    assert heard == sorted(heard)
    assert min(end for end in heard if end) < 10, "durable is what was synced, bit by bit"
    assert log.snapshots == log.bases[1:]
    assert log.recovery_point == 0
    disk.power_loss()
    again = World(disk, config).open(create=False)
    assert again.end_offset >= 59
    assert len(read_all(again)) >= 59 * 150


def test_a_disk_that_does_not_keep_up_is_full() -> None:
    w, log, _ = world()
    other = w.open("u")
    writer = w.manager.writer
    append(log, [b"x" * (INLINE_BYTES + 1)])
    w.step()  # on its way to the executor, which does not begin
    assert log.sync.busy
    assert not other.sync.busy
    told: list[bool] = []
    while not writer.full:
        assert log.pending_bytes <= WAITING_BYTES
        append(log, [b"x" * (1 << 20)])
    writer.when_room(lambda: told.append(writer.full))
    w.step()
    assert told == []
    w.settle()
    assert told == [False]
    assert log.pending_bytes == 0
    assert log.durable_offset == log.end_offset


def test_buffers_are_written_as_they_were_given() -> None:
    """Views, bytes and bytearrays; nothing is copied before the write."""
    w, log, _ = world()
    data = bytearray(200)
    append(log, [cast(bytes, data)])
    w.settle()
    assert len(read_all(log)) > 200
