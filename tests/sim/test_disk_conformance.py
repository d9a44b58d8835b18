"""One suite for every `ports.Disk`: the machine's, the simulated one and the one in memory must not
be told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from barnabas.host.disk import HostDisk
from barnabas.ports import Disk
from barnabas.testing.memory_disk import MemoryDisk
from barnabas.testing.sim import SimDisk


@pytest.fixture(params=["host", "sim", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Disk, str]]:
    """A disk and an existing directory on it."""
    if request.param == "host":
        host = HostDisk(sync_threads=2)
        yield host, str(tmp_path)
        host.close()
    else:
        other = SimDisk() if request.param == "sim" else MemoryDisk()
        other.make_dirs("/base")
        yield other, "/base"


def test_create_write_read(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    assert file.path == f"{base}/f"
    assert file.size() == 0
    assert file.pwritev([b"abc", bytearray(b"de"), memoryview(b"xfgx")[1:3]], 0) == 7
    assert file.pread(100, 0) == b"abcdefg"
    assert file.pread(3, 2) == b"cde"
    assert file.pread(3, 7) == b""
    assert file.pread(3, 100) == b""
    assert file.size() == 7
    file.close()
    file.close()


def test_open_never_truncates(place: tuple[Disk, str]) -> None:
    disk, base = place
    disk.open(f"{base}/f", create=True).pwritev([b"kept"], 0)
    assert disk.open(f"{base}/f", create=True).pread(9, 0) == b"kept"
    assert disk.open(f"{base}/f").pread(9, 0) == b"kept"


def test_two_handles_see_each_other(place: tuple[Disk, str]) -> None:
    disk, base = place
    one = disk.open(f"{base}/f", create=True)
    two = disk.open(f"{base}/f")
    one.pwritev([b"one"], 0)
    two.pwritev([b"two"], 3)
    assert one.pread(9, 0) == two.pread(9, 0) == b"onetwo"


def test_write_beyond_the_end_leaves_zeros(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    file.pwritev([b"z"], 5)
    assert file.pread(9, 0) == b"\0\0\0\0\0z"


def test_overwrite_in_the_middle(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    file.pwritev([b"abcdef"], 0)
    file.pwritev([b"XY"], 2)
    assert file.pread(9, 0) == b"abXYef"


def test_empty_write_changes_nothing(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    assert file.pwritev([], 10) == 0
    assert file.pwritev([b"", b""], 10) == 0
    assert file.pwritev([b""], 10) == 0
    assert file.size() == 0


def test_more_buffers_than_one_system_call_takes(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    parts = [bytes([i % 251]) * (i % 3) for i in range(5000)]
    whole = b"".join(parts)
    assert file.pwritev(parts, 3) == len(whole)
    assert file.pread(len(whole) + 10, 3) == whole


def test_truncate_cuts_and_extends(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    file.pwritev([b"abcdef"], 0)
    file.truncate(3)
    assert file.pread(9, 0) == b"abc"
    file.truncate(5)
    assert file.pread(9, 0) == b"abc\0\0"
    with pytest.raises(OSError, match="Invalid argument"):
        file.truncate(-1)


def test_pread_nowait_agrees_with_pread_or_declines(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    file.pwritev([b"0123456789" * 300_000], 0)
    for n, position in ((10, 0), (10, 2_999_995), (5, 4_000_000), (3_000_000, 1), (0, 0)):
        assert file.pread_nowait(n, position) in (None, file.pread(n, position))


def test_closed_file_refuses(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    file.close()
    for use in (
        file.size,
        file.sync,
        lambda: file.pread(1, 0),
        lambda: file.pwritev([b"x"], 0),
        lambda: file.truncate(0),
    ):
        with pytest.raises(OSError, match="Bad file descriptor"):
            use()


def test_unlinked_file_lives_on_in_its_handle(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    file.pwritev([b"still"], 0)
    disk.unlink(f"{base}/f")
    disk.unlink(f"{base}/f")
    assert not disk.exists(f"{base}/f")
    disk.sync_dir(base)
    file.pwritev([b"here"], 5)
    file.sync()
    assert file.pread(20, 0) == b"stillhere"
    assert disk.open(f"{base}/f", create=True).size() == 0


def test_open_errors(place: tuple[Disk, str]) -> None:
    disk, base = place
    disk.open(f"{base}/file", create=True)
    with pytest.raises(FileNotFoundError):
        disk.open(f"{base}/absent")
    with pytest.raises(FileNotFoundError):
        disk.open(f"{base}/no/such", create=True)
    with pytest.raises(NotADirectoryError):
        disk.open(f"{base}/file/below", create=True)
    with pytest.raises(IsADirectoryError):
        disk.open(base)
    with pytest.raises(IsADirectoryError):
        disk.open(base, create=True)


def test_directories(place: tuple[Disk, str]) -> None:
    disk, base = place
    disk.make_dirs(f"{base}/a/b/c")
    disk.make_dirs(f"{base}/a/b/c")
    disk.open(f"{base}/a/z", create=True)
    disk.open(f"{base}/a/B", create=True)
    assert disk.list_dir(f"{base}/a") == ["B", "b", "z"]
    assert disk.is_dir(f"{base}/a/b")
    assert not disk.is_dir(f"{base}/a/z")
    assert not disk.is_dir(f"{base}/absent")
    assert disk.exists(f"{base}/a/z")
    assert not disk.exists(f"{base}/a/z/below")
    with pytest.raises(FileExistsError):
        disk.make_dirs(f"{base}/a/z")
    with pytest.raises(NotADirectoryError):
        disk.make_dirs(f"{base}/a/z/below")
    with pytest.raises(NotADirectoryError):
        disk.list_dir(f"{base}/a/z")
    with pytest.raises(FileNotFoundError):
        disk.list_dir(f"{base}/absent")


def test_rename_replaces(place: tuple[Disk, str]) -> None:
    disk, base = place
    new = disk.open(f"{base}/new", create=True)
    new.pwritev([b"new"], 0)
    old = disk.open(f"{base}/old", create=True)
    old.pwritev([b"old"], 0)
    disk.rename(f"{base}/new", f"{base}/old")
    assert disk.list_dir(base) == ["old"]
    assert disk.open(f"{base}/old").pread(9, 0) == b"new"
    assert old.pread(9, 0) == b"old"
    new.pwritev([b"er"], 3)
    assert disk.open(f"{base}/old").pread(9, 0) == b"newer"
    disk.rename(f"{base}/old", f"{base}/old")
    assert disk.list_dir(base) == ["old"]


def test_rename_of_a_directory(place: tuple[Disk, str]) -> None:
    disk, base = place
    disk.make_dirs(f"{base}/topic-0")
    disk.make_dirs(f"{base}/other/full")
    file = disk.open(f"{base}/topic-0/log", create=True)
    disk.rename(f"{base}/topic-0", f"{base}/topic-0.x-delete")
    file.pwritev([b"moved"], 0)
    assert disk.open(f"{base}/topic-0.x-delete/log").pread(9, 0) == b"moved"
    disk.make_dirs(f"{base}/empty")
    disk.rename(f"{base}/topic-0.x-delete", f"{base}/empty")
    assert disk.list_dir(base) == ["empty", "other"]
    with pytest.raises(OSError, match="Directory not empty"):
        disk.rename(f"{base}/empty", f"{base}/other")
    with pytest.raises(OSError, match="Invalid argument"):
        disk.rename(f"{base}/other", f"{base}/other/full/inside")


def test_rename_errors(place: tuple[Disk, str]) -> None:
    disk, base = place
    disk.make_dirs(f"{base}/dir")
    disk.open(f"{base}/file", create=True)
    with pytest.raises(FileNotFoundError):
        disk.rename(f"{base}/absent", f"{base}/x")
    with pytest.raises(FileNotFoundError):
        disk.rename(f"{base}/file", f"{base}/no/such")
    with pytest.raises(IsADirectoryError):
        disk.rename(f"{base}/file", f"{base}/dir")
    with pytest.raises(NotADirectoryError):
        disk.rename(f"{base}/dir", f"{base}/file")


def test_removal(place: tuple[Disk, str]) -> None:
    disk, base = place
    disk.make_dirs(f"{base}/a/b")
    disk.open(f"{base}/a/b/f", create=True)
    disk.open(f"{base}/a/g", create=True)
    with pytest.raises(IsADirectoryError):
        disk.unlink(f"{base}/a")
    with pytest.raises(NotADirectoryError):
        disk.remove_tree(f"{base}/a/g")
    disk.remove_tree(f"{base}/a")
    disk.remove_tree(f"{base}/a")
    assert disk.list_dir(base) == []


def test_syncs(place: tuple[Disk, str]) -> None:
    disk, base = place
    files = [disk.open(f"{base}/{i}", create=True) for i in range(12)]
    for count in (0, 1, 3, 12):
        for file in files:
            file.pwritev([b"x"], file.size())
        disk.sync_files(files[:count])
    disk.sync_dir(base)
    with pytest.raises(FileNotFoundError):
        disk.sync_dir(f"{base}/absent")
    with pytest.raises(NotADirectoryError):
        disk.sync_dir(f"{base}/1")
    assert [file.size() for file in files] == [4] * 12


def test_size_of_a_file_by_name(place: tuple[Disk, str]) -> None:
    disk, base = place
    file = disk.open(f"{base}/f", create=True)
    assert disk.file_size(f"{base}/f") == 0
    file.pwritev([b"abcd"], 3)
    assert disk.file_size(f"{base}/f") == file.size() == 7
    with pytest.raises(FileNotFoundError):
        disk.file_size(f"{base}/absent")


def test_modification_time(place: tuple[Disk, str]) -> None:
    disk, base = place
    disk.open(f"{base}/f", create=True)
    disk.set_modified_ms(f"{base}/f", 1_234_567_891_234)
    assert disk.modified_ms(f"{base}/f") == 1_234_567_891_234
    with pytest.raises(FileNotFoundError):
        disk.modified_ms(f"{base}/absent")
    with pytest.raises(FileNotFoundError):
        disk.set_modified_ms(f"{base}/absent", 1)


def test_lock(place: tuple[Disk, str]) -> None:
    disk, base = place
    release = disk.lock(f"{base}/.lock")
    assert disk.exists(f"{base}/.lock")
    with pytest.raises(BlockingIOError):
        disk.lock(f"{base}/.lock")
    disk.lock(f"{base}/.lock2")()
    release()
    release()
    again = disk.lock(f"{base}/.lock")
    release()
    with pytest.raises(BlockingIOError):
        disk.lock(f"{base}/.lock")
    again()


def test_usage(place: tuple[Disk, str]) -> None:
    disk, base = place
    total, usable = disk.usage(base)
    assert 0 < usable <= total
    with pytest.raises(FileNotFoundError):
        disk.usage(f"{base}/absent")
