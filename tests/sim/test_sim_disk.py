"""The simulated disk: what survives which crash, faults, crash points, snapshots."""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random

import pytest

from barnabas.testing.sim import DiskFault, SimDisk, SimulatedCrash


def small_disk(seed: int = 0) -> SimDisk:
    """A disk with a durable directory /d and a durable empty file /d/f."""
    disk = SimDisk(Random(seed))
    disk.make_dirs("/d")
    disk.open("/d/f", create=True).sync()
    disk.sync_dir("/d")
    disk.sync_dir("/")
    return disk


def after_power_loss(prepare: Callable[[SimDisk], object], path: str) -> set[bytes | None]:
    """All contents of `path` (None: absent) that many power losses after `prepare` leave."""
    found: set[bytes | None] = set()
    for seed in range(200):
        disk = small_disk(seed)
        prepare(disk)
        disk.power_loss()
        found.add(disk.open(path).pread(10_000, 0) if disk.exists(path) else None)
    return found


def test_unsynced_bytes_may_be_lost_kept_or_zeroed() -> None:
    def write(disk: SimDisk) -> None:
        disk.open("/d/f").pwritev([b"abc"], 0)

    assert after_power_loss(write, "/d/f") == {b"", b"abc", b"\0\0\0"}


def test_synced_bytes_stay() -> None:
    def write(disk: SimDisk) -> None:
        file = disk.open("/d/f")
        file.pwritev([b"abc"], 0)
        file.sync()

    assert after_power_loss(write, "/d/f") == {b"abc"}


def test_syncing_a_file_does_not_sync_its_name() -> None:
    def write(disk: SimDisk) -> None:
        file = disk.open("/d/new", create=True)
        file.pwritev([b"abc"], 0)
        file.sync()

    assert after_power_loss(write, "/d/new") == {None, b"abc"}


def test_syncing_a_directory_does_not_sync_its_files() -> None:
    def write(disk: SimDisk) -> None:
        disk.open("/d/new", create=True).pwritev([b"abc"], 0)
        disk.sync_dir("/d")

    assert after_power_loss(write, "/d/new") == {b"", b"abc", b"\0\0\0"}


def test_writes_tear_at_sectors_of_the_file() -> None:
    def write(disk: SimDisk) -> None:
        disk.open("/d/f").pwritev([b"a" * 500, b"b" * 1100], 0)

    contents = after_power_loss(write, "/d/f")
    whole = b"a" * 500 + b"b" * 1100
    assert {whole, b"", bytes(1600), whole[:512], whole[:1024]} <= contents
    assert whole[:512] + bytes(1088) in contents
    assert bytes(512) + whole[512:] in contents
    for content in contents:
        assert content is not None
        for start in range(0, len(content), 512):
            sector = content[start : start + 512]
            assert sector in (whole[start : start + 512], bytes(len(sector)))


def test_writes_between_syncs_survive_in_any_combination() -> None:
    def write(disk: SimDisk) -> None:
        file = disk.open("/d/f")
        file.pwritev([b"....."], 0)
        file.sync()
        for position, data in enumerate((b"a", b"b", b"c")):
            file.pwritev([data], position)

    contents = after_power_loss(write, "/d/f")
    assert contents == {
        a + b + c + b".." for a in (b"a", b".") for b in (b"b", b".") for c in (b"c", b".")
    }


def test_pending_cut_may_be_lost() -> None:
    def write(disk: SimDisk) -> None:
        file = disk.open("/d/f")
        file.pwritev([b"abcdef"], 0)
        file.sync()
        file.truncate(2)

    assert after_power_loss(write, "/d/f") == {b"abcdef", b"ab"}


def test_rename_is_atomic() -> None:
    def write(disk: SimDisk) -> None:
        disk.open("/d/f").pwritev([b"old"], 0)
        disk.open("/d/f").sync()
        new = disk.open("/d/tmp", create=True)
        new.pwritev([b"new"], 0)
        new.sync()
        disk.rename("/d/tmp", "/d/f")

    assert after_power_loss(write, "/d/f") == {b"old", b"new"}


def test_rename_of_an_unsynced_file_may_leave_it_empty() -> None:
    def write(disk: SimDisk) -> None:
        disk.open("/d/tmp", create=True).pwritev([b"new"], 0)
        disk.rename("/d/tmp", "/d/f")
        disk.sync_dir("/d")

    assert after_power_loss(write, "/d/f") == {b"", b"new", b"\0\0\0"}


def test_unlink_may_be_undone() -> None:
    def write(disk: SimDisk) -> None:
        file = disk.open("/d/f")
        file.pwritev([b"abc"], 0)
        file.sync()
        disk.unlink("/d/f")

    assert after_power_loss(write, "/d/f") == {b"abc", None}


def test_synced_removal_spares_a_newer_file_of_the_name() -> None:
    def write(disk: SimDisk) -> None:
        disk.rename("/d/f", "/elsewhere")
        disk.open("/d/f", create=True)
        disk.sync_dir("/d")
        disk.sync_dir("/")

    assert after_power_loss(write, "/d/f") == {b""}
    assert after_power_loss(write, "/elsewhere") == {b""}


def test_directory_is_lost_with_all_below() -> None:
    def write(disk: SimDisk) -> None:
        disk.make_dirs("/d/sub")
        disk.open("/d/sub/f", create=True).sync()
        disk.sync_dir("/d/sub")

    assert after_power_loss(write, "/d/sub/f") == {None, b""}


def test_kill_keeps_the_page_cache() -> None:
    disk = small_disk()
    file = disk.open("/d/f")
    file.pwritev([b"abc"], 0)
    release = disk.lock("/d/.lock")
    disk.kill()
    assert disk.open("/d/f").pread(9, 0) == b"abc"
    disk.lock("/d/.lock")
    release()  # of a former life: without effect
    with pytest.raises(BlockingIOError):
        disk.lock("/d/.lock")
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.pread(1, 0)
    disk.power_loss()
    assert disk.open("/d/f").pread(9, 0) in (b"", b"abc", b"\0\0\0")


def test_crash_before_and_after_an_operation() -> None:
    for after in (False, True):
        disk = small_disk()
        file = disk.open("/d/f")
        disk.crash_at(disk.op_count + 2, after=after)
        file.pwritev([b"one"], 0)
        with pytest.raises(SimulatedCrash):
            file.pwritev([b"two"], 3)
        with pytest.raises(SimulatedCrash):
            file.pread(1, 0)
        with pytest.raises(SimulatedCrash):
            disk.exists("/d")
        with pytest.raises(SimulatedCrash):
            disk.list_dir("/d")
        disk.kill()
        assert disk.open("/d/f").pread(9, 0) == (b"onetwo" if after else b"one")


def test_every_changing_operation_is_a_crash_point() -> None:
    disk = SimDisk()

    def counted(use: Callable[[], object]) -> int:
        before = disk.op_count
        use()
        return disk.op_count - before

    assert counted(lambda: disk.make_dirs("/a/b")) == 2
    assert counted(lambda: disk.make_dirs("/a/b")) == 0
    assert counted(lambda: disk.open("/a/f", create=True)) == 1
    file = disk.open("/a/f")
    assert counted(lambda: file.pwritev([b"x"], 0)) == 1
    assert counted(lambda: file.truncate(0)) == 1
    assert counted(file.sync) == 1
    assert counted(lambda: disk.sync_files([file])) == 1
    assert counted(lambda: disk.sync_dir("/a")) == 1
    assert counted(lambda: disk.rename("/a/f", "/a/g")) == 1
    assert counted(lambda: disk.list_dir("/a")) == counted(lambda: file.pread(1, 0)) == 0
    assert counted(lambda: disk.unlink("/a/g")) == 1
    assert counted(lambda: disk.remove_tree("/a")) == 2


def test_failed_sync_drops_the_pages_and_is_not_retried() -> None:
    disk = small_disk(3)
    file = disk.open("/d/f")
    file.pwritev([b"abc"], 0)
    disk.faults.rules.append(DiskFault("sync", path="/d/f"))
    with pytest.raises(OSError, match="Input/output error"):
        file.sync()
    with pytest.raises(OSError, match="earlier sync"):
        file.sync()
    with pytest.raises(OSError, match="earlier sync"):
        disk.sync_files([file])
    assert file.pread(9, 0) == b"abc"  # the cache still shows it
    again = disk.open("/d/f")
    again.sync()  # the lie of fsyncgate: nothing is dirty, so it succeeds
    disk.evict()
    durable = again.pread(9, 0)
    disk.power_loss()
    assert disk.open("/d/f").pread(9, 0) == durable


def test_failed_sync_loses_data_for_some_seeds() -> None:
    def lossy(seed: int) -> bytes:
        disk = small_disk(seed)
        file = disk.open("/d/f")
        file.pwritev([b"abc"], 0)
        disk.faults.rules.append(DiskFault("sync"))
        with pytest.raises(OSError, match="Input/output error"):
            file.sync()
        disk.evict()
        return file.pread(9, 0)

    assert {lossy(seed) for seed in range(50)} == {b"", b"abc", b"\0\0\0"}


def test_group_sync_tries_every_file_and_raises_once() -> None:
    disk = small_disk()
    files = [disk.open(f"/d/{i}", create=True) for i in range(5)]
    for file in files:
        file.pwritev([b"x"], 0)
    disk.sync_dir("/d")
    disk.faults.rules.append(DiskFault("sync", path="/d/2"))
    with pytest.raises(OSError, match="/d/2"):
        disk.sync_files(files)
    disk.power_loss()
    assert [disk.open(f"/d/{i}").pread(1, 0) for i in (0, 1, 3, 4)] == [b"x"] * 4


def test_faults_hit_the_operation_they_name() -> None:
    disk = small_disk()
    file = disk.open("/d/f")
    disk.faults.rules += [
        DiskFault("write", number=errno.EROFS, skip=1, partial=2),
        DiskFault("read", times=2),
        DiskFault("rename", number=errno.EACCES),
    ]
    file.pwritev([b"ok"], 0)
    with pytest.raises(OSError, match="Read-only"):
        file.pwritev([b"four"], 2)
    assert file.size() == 4
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            file.pread(4, 0)
    assert file.pread(4, 0) == b"okfo"
    with pytest.raises(PermissionError):
        disk.rename("/d/f", "/d/g")
    assert disk.list_dir("/d") == ["f"]
    with pytest.raises(ValueError, match="unknown kind"):
        DiskFault("fsync")


def test_full_disk_takes_a_part() -> None:
    disk = SimDisk(capacity=10)
    file = disk.open("/f", create=True)
    file.pwritev([b"12345678"], 0)
    assert disk.usage("/") == (10, 2)
    with pytest.raises(OSError, match="No space left"):
        file.pwritev([b"abcdef"], 8)
    assert file.pread(99, 0) == b"12345678ab"
    file.pwritev([b"overwriting"[:10]], 0)
    disk.unlink("/f")
    assert disk.usage("/") == (10, 10)


def test_damage() -> None:
    disk = small_disk()
    disk.open("/d/f").pwritev([b"abc"], 0)
    disk.flip_bit("/d/f", 1, 0)
    assert disk.open("/d/f").pread(9, 0) == b"acc"
    disk.power_loss()
    assert disk.open("/d/f").pread(9, 0) == b"acc"


def test_cold_pages() -> None:
    disk = small_disk()
    file = disk.open("/d/f")
    file.pwritev([b"abc"], 0)
    disk.faults.cold_rate = 0.5
    assert {file.pread_nowait(3, 0) for _ in range(50)} == {None, b"abc"}


def test_slow_and_stalled_device_takes_time() -> None:
    disk = small_disk()
    file = disk.open("/d/f")

    def cost(use: Callable[[], object]) -> int:
        disk.elapsed_us = 0
        use()
        return disk.elapsed_us

    usual = cost(file.sync)
    disk.faults.stall_us = 5_000_000
    assert cost(file.sync) == usual + 5_000_000
    disk.faults.slow_rate = 1.0
    assert cost(lambda: file.pwritev([b"x"], 0)) == disk.faults.slow_us


def test_snapshot_and_restore() -> None:
    disk = small_disk()
    file = disk.open("/d/f")
    file.pwritev([b"abc"], 0)
    state = disk.snapshot()
    file.pwritev([b"xyz"], 0)
    disk.open("/d/other", create=True)
    for _ in range(2):
        disk.restore(state)
        assert disk.list_dir("/d") == ["f"]
        again = disk.open("/d/f")
        assert again.pread(9, 0) == b"abc"
        again.pwritev([b"!"], 0)
    disk.restore(state)
    disk.power_loss()
    assert disk.open("/d/f").pread(9, 0) in (b"", b"abc", b"\0\0\0")


def test_same_seed_same_crash() -> None:
    def image(seed: int) -> list[bytes]:
        disk = small_disk(seed)
        for i in range(20):
            disk.open(f"/d/{i}", create=True).pwritev([bytes([i]) * 700], 0)
        disk.power_loss()
        return [disk.open(f"/d/{name}").pread(999, 0) for name in disk.list_dir("/d")]

    assert image(5) == image(5)
    assert len({tuple(image(seed)) for seed in range(10)}) == 10


def test_paths_must_be_absolute() -> None:
    with pytest.raises(ValueError, match="absolute"):
        SimDisk().exists("relative")
    with pytest.raises(ValueError, match=r"\.\."):
        SimDisk().exists("/a/../b")


def test_removed_files_are_forgotten() -> None:
    disk = small_disk()
    for i in range(100):
        disk.open(f"/d/{i}", create=True)
        disk.unlink(f"/d/{i}")
        disk.sync_dir("/d")
    assert len(disk.model.files) == 1
