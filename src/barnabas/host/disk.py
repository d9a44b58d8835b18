"""The file systems of the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import cast

from barnabas.host.file import HostFile, ScratchPool
from barnabas.host.locks import lock_file
from barnabas.host.sync import GroupSync
from barnabas.ports import File

FILE_MODE = 0o644
"""What Kafka's JVM creates under the usual umask."""


class HostDisk:
    """`ports.Disk` of this machine. Its methods may be called from any thread."""

    __slots__ = ("_group_sync", "_scratch")

    def __init__(self, *, sync_threads: int = 4) -> None:
        self._scratch = ScratchPool()
        self._group_sync = GroupSync(sync_threads)

    def open(self, path: str, *, create: bool = False) -> HostFile:
        """Open for reading and writing; `create` makes an empty file when it is absent.

        Raises FileNotFoundError, IsADirectoryError, PermissionError or another OSError.
        """
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        fd = os.open(path, flags, FILE_MODE)
        try:
            return HostFile(fd, path, self._scratch)
        except BaseException:
            os.close(fd)
            raise

    def exists(self, path: str) -> bool:
        """Whether a file or directory is there."""
        return os.path.exists(path)

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a directory."""
        return os.path.isdir(path)

    def list_dir(self, path: str) -> list[str]:
        """Names in a directory, sorted."""
        return sorted(os.listdir(path))

    def make_dirs(self, path: str) -> None:
        """Create a directory and its parents; harmless when present."""
        os.makedirs(path, exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        """Atomic rename that replaces `target`; durable only after `sync_dir` of the parent."""
        os.replace(source, target)

    def unlink(self, path: str) -> None:
        """Remove a file; harmless when absent."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def remove_tree(self, path: str) -> None:
        """Remove a directory and all below it; harmless when absent."""
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if os.path.lexists(path):  # something inside vanished under us: finish the rest
                shutil.rmtree(path, ignore_errors=True)

    def sync_dir(self, path: str) -> None:
        """fsync of the directory itself (names, not contents)."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_files(self, files: Sequence[File]) -> None:
        """Make the contents of all `files` (opened by this disk) durable; see `GroupSync`.

        Raises the first OSError after every file was tried; none of the failed ones can be
        synced again.
        """
        if files:
            self._group_sync.sync(cast(Sequence[HostFile], files))

    def file_size(self, path: str) -> int:
        """Length of a file in bytes."""
        return os.stat(path).st_size

    def modified_ms(self, path: str) -> int:
        """Last modification time, milliseconds since the epoch."""
        return os.stat(path).st_mtime_ns // 1_000_000

    def set_modified_ms(self, path: str, when_ms: int) -> None:
        """Set the last modification time; the access time becomes the same."""
        os.utime(path, ns=(when_ms * 1_000_000, when_ms * 1_000_000))

    def lock(self, path: str) -> Callable[[], None]:
        """Take the lock on `path` (created if absent); see `lock_file`."""
        return lock_file(path)

    def usage(self, path: str) -> tuple[int, int]:
        """(total, usable) bytes of the volume that holds `path`."""
        volume = os.statvfs(path)
        return (volume.f_blocks * volume.f_frsize, volume.f_bavail * volume.f_frsize)

    def close(self) -> None:
        """End the sync threads; idempotent. Files and locks stay open."""
        self._group_sync.close()
