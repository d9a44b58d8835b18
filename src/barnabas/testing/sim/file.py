"""An open file of a simulated disk."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

from barnabas.ports import Buffer
from barnabas.testing.sim.disk_model import FileNode, failure

if TYPE_CHECKING:
    from barnabas.testing.sim.disk import SimDisk


class SimFile:
    """`ports.File`. Dead after a crash of its disk: every method raises OSError (EBADF)."""

    __slots__ = ("_disk", "_failed", "_generation", "_path", "content", "node")

    def __init__(self, disk: SimDisk, node: int, content: FileNode, path: str) -> None:
        self._disk = disk
        self._generation = disk.generation
        self._path = path
        self._failed: int | None = None
        self.node = node
        self.content = content

    @property
    def path(self) -> str:
        """The absolute path it was opened under."""
        return self._path

    def size(self) -> int:
        """Current length in bytes."""
        self._check_open()
        return len(self.content.data)

    def pread(self, n: int, position: int) -> bytes:
        """Up to `n` bytes from `position`; fewer at the end of the file."""
        self._check_open()
        self._disk.look("read", self._path)
        return self._cut(n, position)

    def pread_nowait(self, n: int, position: int) -> bytes | None:
        """Like `pread`, but None when chance says that the page is cold."""
        self._check_open()
        self._disk.look("read", self._path)
        faults = self._disk.faults
        if faults.cold_rate > 0 and self._disk.random.random() < faults.cold_rate:
            return None
        return self._cut(n, position)

    def pwritev(self, buffers: Sequence[Buffer], position: int) -> int:
        """Write all `buffers` at `position`; returns the bytes written."""
        self._check_open()
        data = bytes(buffers[0]) if len(buffers) == 1 else b"".join(buffers)
        if data:
            self._disk.write(self, position, data)
        return len(data)

    def truncate(self, size: int) -> None:
        """Cut or zero-extend to `size`."""
        self._check_open()
        if size < 0:
            raise failure(errno.EINVAL, self._path)
        self._disk.truncate(self, size)

    def sync(self) -> None:
        """Make its bytes and length durable; after a failure every further call raises."""
        self._check_open()
        self.check_not_failed()
        try:
            self._disk.sync(self)
        except OSError as error:
            self._failed = error.errno or errno.EIO
            raise

    def check_not_failed(self) -> None:
        """Raise OSError when an earlier sync of this file failed."""
        if self._failed is not None:
            raise OSError(self._failed, "an earlier sync of this file failed", self._path)

    def close(self) -> None:
        """Close; harmless twice."""
        self._generation = -1

    def _check_open(self) -> None:
        if self._generation != self._disk.generation:
            raise failure(errno.EBADF, self._path)

    def _cut(self, n: int, position: int) -> bytes:
        if position < 0 or n < 0:
            raise failure(errno.EINVAL, self._path)
        with memoryview(self.content.data) as view:
            return bytes(view[position : position + n])
