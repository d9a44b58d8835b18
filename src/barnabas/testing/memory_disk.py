"""A disk that is a tree of byte arrays: for nodes whose data nobody needs after the test."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence

from barnabas.ports import Buffer, File

CAPACITY = 1 << 40
"""What `usage` tells; memory is what really ends it."""


class _Node:
    """A file's bytes; a directory has `names` instead."""

    __slots__ = ("data", "modified_ms", "names")

    def __init__(self, *, directory: bool) -> None:
        self.data = bytearray()
        self.names: dict[str, _Node] | None = {} if directory else None
        self.modified_ms = time.time_ns() // 1_000_000


class MemoryFile:
    """`ports.File` over a byte array. Reads and writes of one file do not overlap."""

    __slots__ = ("_lock", "_node", "_path", "closed")

    def __init__(self, node: _Node, path: str, lock: threading.RLock) -> None:
        self._node = node
        self._path = path
        self._lock = lock
        self.closed = False

    @property
    def path(self) -> str:
        """The absolute path it was opened under."""
        return self._path

    def _open(self) -> bytearray:
        if self.closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self._path)
        return self._node.data

    def size(self) -> int:
        """Current length in bytes."""
        return len(self._open())

    def pread(self, n: int, position: int) -> bytes:
        """Up to `n` bytes from `position`."""
        with self._lock:
            return bytes(memoryview(self._open())[position : position + n])

    def pread_nowait(self, n: int, position: int) -> bytes | None:
        """The same: nothing here has to be waited for."""
        return self.pread(n, position)

    def pwritev(self, buffers: Sequence[Buffer], position: int) -> int:
        """Write all `buffers` at `position`; zeros fill the gap before it."""
        with self._lock:
            data = self._open()
            total = sum(map(len, buffers))
            if total and position > len(data):
                data.extend(bytes(position - len(data)))
            for buffer in buffers:
                data[position : position + len(buffer)] = buffer
                position += len(buffer)
            self._node.modified_ms = time.time_ns() // 1_000_000
            return total

    def truncate(self, size: int) -> None:
        """Cut or zero-extend to `size`."""
        if size < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self._path)
        with self._lock:
            data = self._open()
            if size < len(data):
                del data[size:]
            else:
                data.extend(bytes(size - len(data)))

    def sync(self) -> None:
        """As durable as it gets."""
        self._open()

    def close(self) -> None:
        """Close; harmless twice."""
        self.closed = True


class MemoryDisk:
    """`ports.Disk`, empty at first. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._root = _Node(directory=True)
        self._lock = threading.RLock()
        self._locked: set[str] = set()

    def _find(self, path: str) -> _Node | None:
        node = self._root
        for name in path.split("/"):
            if not name:
                continue
            if node.names is None:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            found = node.names.get(name)
            if found is None:
                return None
            node = found
        return node

    def _get(self, path: str) -> _Node:
        node = self._find(path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return node

    def _names(self, path: str) -> dict[str, _Node]:
        names = self._get(path).names
        if names is None:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return names

    def _place(self, path: str) -> tuple[dict[str, _Node], str]:
        """(entries of the parent, name within it)."""
        parent, _, name = path.rstrip("/").rpartition("/")
        return self._names(parent), name

    def open(self, path: str, *, create: bool = False) -> MemoryFile:
        """Open for reading and writing."""
        with self._lock:
            names, name = self._place(path)
            node = names.get(name)
            if node is None:
                if not create:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
                node = names[name] = _Node(directory=False)
            if node.names is not None:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            return MemoryFile(node, path, self._lock)

    def exists(self, path: str) -> bool:
        """Whether a file or directory is there."""
        try:
            return self._find(path) is not None
        except NotADirectoryError:
            return False

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a directory."""
        return self.exists(path) and self._get(path).names is not None

    def list_dir(self, path: str) -> list[str]:
        """Names in a directory, sorted."""
        with self._lock:
            return sorted(self._names(path))

    def make_dirs(self, path: str) -> None:
        """Create a directory and its parents."""
        with self._lock:
            node = self._root
            for name in path.split("/"):
                if not name:
                    continue
                if node.names is None:
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
                node = node.names.setdefault(name, _Node(directory=True))
            if node.names is None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    def rename(self, source: str, target: str) -> None:
        """Rename, in place of a file or an empty directory."""
        with self._lock:
            node = self._get(source)
            if target.startswith(source.rstrip("/") + "/"):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), target)
            names, name = self._place(target)
            there = names.get(name)
            if there is node:
                return
            if there is not None:
                _check_replaceable(node, there, target)
            old_names, old_name = self._place(source)
            names[name] = node
            del old_names[old_name]

    def unlink(self, path: str) -> None:
        """Remove a file; harmless when absent."""
        with self._lock:
            node = self._find(path)
            if node is None:
                return
            if node.names is not None:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            names, name = self._place(path)
            del names[name]

    def remove_tree(self, path: str) -> None:
        """Remove a directory and all below it; harmless when absent."""
        with self._lock:
            node = self._find(path)
            if node is None:
                return
            if node.names is None:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            names, name = self._place(path)
            del names[name]

    def sync_dir(self, path: str) -> None:
        """As durable as it gets."""
        self._names(path)

    def sync_files(self, files: Sequence[File]) -> None:
        """As durable as it gets."""
        for file in files:
            file.sync()

    def file_size(self, path: str) -> int:
        """Length of a file in bytes."""
        return len(self._get(path).data)

    def modified_ms(self, path: str) -> int:
        """Last modification time, milliseconds since the epoch."""
        return self._get(path).modified_ms

    def set_modified_ms(self, path: str, when_ms: int) -> None:
        """Set the last modification time."""
        self._get(path).modified_ms = when_ms

    def lock(self, path: str) -> Callable[[], None]:
        """Take the lock on `path`, which excludes others of this disk."""
        with self._lock:
            if path in self._locked:
                raise BlockingIOError(errno.EAGAIN, "locked by another node", path)
            self.open(path, create=True).close()
            self._locked.add(path)
        held = [path]

        def release() -> None:
            while held:
                self._locked.discard(held.pop())

        return release

    def usage(self, path: str) -> tuple[int, int]:
        """(total, usable) bytes."""
        self._get(path)
        return CAPACITY, CAPACITY

    def close(self) -> None:
        """Nothing to end."""


def _check_replaceable(node: _Node, there: _Node, target: str) -> None:
    if there.names is None:
        if node.names is not None:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), target)
    elif node.names is None:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    elif there.names:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), target)
