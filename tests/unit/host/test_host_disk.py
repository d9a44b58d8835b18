"""What only the machine's disk has: failing syncs, short writes, locks between processes."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from barnabas.host import file as file_module
from barnabas.host.disk import HostDisk
from barnabas.host.file import SCRATCH_BYTES, HostFile
from barnabas.host.sync import SYNCFS_MIN_FILES, GroupSync, load_syncfs
from barnabas.ports import Buffer


@pytest.fixture
def disk() -> Iterator[HostDisk]:
    """A disk of this machine."""
    disk = HostDisk(sync_threads=3)
    yield disk
    disk.close()


def make_files(disk: HostDisk, base: Path, count: int) -> list[HostFile]:
    """Open `count` new files."""
    return [disk.open(str(base / str(i)), create=True) for i in range(count)]


def fail_syncs(monkeypatch: pytest.MonkeyPatch, bad: set[int]) -> list[int]:
    """Make fdatasync fail for some descriptors; returns the list of all calls."""
    calls: list[int] = []
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        calls.append(fd)
        if fd in bad:
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    return calls


def test_failed_sync_is_never_retried(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = make_files(disk, tmp_path, 1)
    calls = fail_syncs(monkeypatch, {file.fileno()})
    with pytest.raises(OSError, match="Input/output error"):
        file.sync()
    for again in (file.sync, lambda: disk.sync_files([file])):
        with pytest.raises(OSError, match="earlier sync") as caught:
            again()
        assert caught.value.errno == errno.EIO
    assert len(calls) == 1


def test_group_sync_raises_once_and_syncs_the_others(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_files(disk, tmp_path, 5)
    calls = fail_syncs(monkeypatch, {files[1].fileno(), files[3].fileno()})
    with pytest.raises(OSError, match="Input/output error"):
        disk.sync_files(files)
    assert sorted(calls) == sorted(file.fileno() for file in files)
    with pytest.raises(OSError, match="earlier sync"):
        disk.sync_files([files[0], files[3]])
    assert len(calls) == 5  # a set with an abandoned file is not synced at all
    disk.sync_files([files[0], files[2]])


def test_failed_syncfs_marks_every_file(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_files(disk, tmp_path, SYNCFS_MIN_FILES)

    def syncfs(fd: int) -> None:
        assert fd == files[0].fileno()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(disk._group_sync, "_syncfs", syncfs)
    with pytest.raises(OSError, match="Input/output error"):
        disk.sync_files(files)
    for file in files:
        with pytest.raises(OSError, match="earlier sync"):
            file.sync()


def test_forbidden_syncfs_falls_back(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_files(disk, tmp_path, SYNCFS_MIN_FILES)
    asked: list[int] = []

    def syncfs(fd: int) -> None:
        asked.append(fd)
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(disk._group_sync, "_syncfs", syncfs)
    calls = fail_syncs(monkeypatch, set())
    disk.sync_files(files)
    disk.sync_files(files)
    assert len(asked) == 1
    assert len(calls) == 2 * len(files)


def test_one_thread_syncs_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = HostDisk(sync_threads=1)
    files = make_files(disk, tmp_path, 4)
    calls = fail_syncs(monkeypatch, set())
    disk.sync_files(files)
    assert calls == [file.fileno() for file in files]
    assert disk._group_sync._pool is None


def test_volumes_are_synced_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[list[int]] = []

    class Stub:
        def __init__(self, device: int) -> None:
            self.device = device

        def check_not_failed(self) -> None:
            """Never failed."""

    def note(_self: GroupSync, files: list[Stub]) -> OSError | None:
        groups.append([file.device for file in files])
        return OSError(errno.EIO, "second volume") if files[0].device == 2 else None

    monkeypatch.setattr(GroupSync, "_sync_volume", note)
    stubs: Any = [Stub(device) for device in (1, 2, 1, 3, 2)]
    with pytest.raises(OSError, match="second volume"):
        GroupSync(2).sync(stubs)
    assert groups == [[1, 1], [2, 2], [3]]


@pytest.mark.parametrize(
    ("release", "trusted"), [("6.1.0", True), ("5.8.0-x", True), ("5.7.9", False), ("odd", False)]
)
def test_old_kernels_do_not_report_syncfs_errors(
    release: str, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barnabas.host.sync.platform.release", lambda: release)
    monkeypatch.setattr("barnabas.host.sync.sys.platform", "linux")
    assert (load_syncfs() is not None) == trusted


def test_short_writes_are_continued(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = make_files(disk, tmp_path, 1)
    real = os.pwritev

    def pwritev(fd: int, buffers: Sequence[Buffer], position: int) -> int:
        return real(fd, [b"".join(buffers)[:5]], position)

    monkeypatch.setattr(os, "pwritev", pwritev)
    monkeypatch.setattr(os, "pwrite", lambda fd, b, p: pwritev(fd, [b], p))
    assert file.pwritev([b"abcdefg", b"", b"hi", bytearray(b"jklmnopqrst")], 2) == 20
    assert file.pwritev([b"0123456789"], 22) == 10
    assert file.pread(99, 2) == b"abcdefghijklmnopqrst0123456789"


def test_write_without_progress_ends(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = make_files(disk, tmp_path, 1)
    monkeypatch.setattr(os, "pwritev", lambda *_: 0)
    with pytest.raises(OSError, match="no progress"):
        file.pwritev([b"a", b"b"], 0)


def test_short_reads_are_continued(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = make_files(disk, tmp_path, 1)
    file.pwritev([b"abcdefghij"], 0)
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, p: real(fd, min(n, 3), p))
    assert file.pread(8, 1) == b"bcdefghi"
    assert file.pread(99, 1) == b"bcdefghij"


def test_cold_pages_and_strange_file_systems_decline(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = make_files(disk, tmp_path, 1)
    file.pwritev([b"x" * 100], 0)
    for error in (errno.EAGAIN, errno.EOPNOTSUPP):

        def decline(*_: object, number: int = error) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "preadv", decline)
        assert file.pread_nowait(10, 0) is None
        assert file.pread_nowait(SCRATCH_BYTES + 1, 0) is None
    monkeypatch.setattr(os, "preadv", lambda *_: 7)
    assert file.pread_nowait(10, 0) is None  # short, and not at the end: the rest is cold
    assert len(file.pread_nowait(10, 93) or b"") == 7


def test_platform_without_nowait_declines(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = make_files(disk, tmp_path, 1)
    monkeypatch.setattr(file_module, "_RWF_NOWAIT", None)
    assert file.pread_nowait(0, 0) is None


HOLD = """
import fcntl, sys
f = open(sys.argv[1], "r+")
fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("held", flush=True)
sys.stdin.read()
"""


def test_lock_conflicts_with_a_posix_lock_of_another_process(
    disk: HostDisk, tmp_path: Path
) -> None:
    path = str(tmp_path / ".lock")
    release = disk.lock(path)
    command = [sys.executable, "-c", HOLD, path]
    refused = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    assert "BlockingIOError" in refused.stderr
    disk.open(path).close()  # would drop a plain POSIX lock
    refused = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    assert "BlockingIOError" in refused.stderr
    release()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            disk.lock(path)
        other.communicate()
    disk.lock(path)()


def test_lock_where_the_platform_has_only_posix_locks(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barnabas.host.locks._OFD_SETLK", None)
    path = str(tmp_path / ".lock")
    release = disk.lock(path)
    refused = subprocess.run(
        [sys.executable, "-c", HOLD, path], input="", capture_output=True, text=True, check=False
    )
    assert "BlockingIOError" in refused.stderr
    release()

    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fcntl, "lockf", denied)
    with pytest.raises(BlockingIOError):
        disk.lock(path)


def test_files_are_not_inherited(disk: HostDisk, tmp_path: Path) -> None:
    (file,) = make_files(disk, tmp_path, 1)
    assert not os.get_inheritable(file.fileno())


def test_removal_survives_a_race(
    disk: HostDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    real = shutil.rmtree
    raised: list[int] = []

    def rmtree(path: str, ignore_errors: bool = False) -> None:
        if not raised:
            raised.append(1)
            raise FileNotFoundError(errno.ENOENT, "vanished", path)
        real(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    disk.remove_tree(str(tmp_path / "a"))
    assert os.listdir(tmp_path) == []
