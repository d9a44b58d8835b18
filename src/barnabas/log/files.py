"""A bounded set of open files.

Used on the event loop only. A file that a job on the executor works with is pinned: a pinned file
is never closed, because its descriptor could be given to another file in the middle of a read.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from barnabas.ports import Disk, File

DEFAULT_LIMIT = 512
MIN_LIMIT = 16
"""One operation holds up to four files at once without pinning them: they must stay open."""


class FilePool:
    """Open files by path, the least recently used closed beyond `limit` (pinned ones excepted)."""

    def __init__(self, disk: Disk, limit: int = DEFAULT_LIMIT) -> None:
        self.disk = disk
        self.limit = max(limit, MIN_LIMIT)
        self._files: dict[str, File] = {}  # in order of use
        self._pins: dict[str, int] = {}
        self._doomed: dict[str, list[File]] = {}  # dropped while pinned

    def get(self, path: str, *, create: bool = False) -> File:
        """The open file of `path`, opened when needed. Raises `OSError`."""
        files = self._files
        file = files.pop(path, None)
        if file is None:
            if len(files) >= self.limit:
                self._evict()
            file = self.disk.open(path, create=create)
        files[path] = file
        return file

    def pin(self, path: str, *, create: bool = False) -> File:
        """Like `get`, and keeps the file open until `unpin`."""
        file = self.get(path, create=create)
        self._pins[path] = self._pins.get(path, 0) + 1
        return file

    def unpin(self, paths: Iterable[str]) -> None:
        """Give back what `pin` handed out."""
        pins = self._pins
        for path in paths:
            left = pins[path] - 1
            if left:
                pins[path] = left
                continue
            del pins[path]
            for doomed in self._doomed.pop(path, ()):
                doomed.close()

    def drop(self, path: str) -> None:
        """Forget `path` (renamed or removed); closed now, or when its last pin goes."""
        file = self._files.pop(path, None)
        if file is None:
            return
        if path in self._pins:
            self._doomed.setdefault(path, []).append(file)
        else:
            file.close()

    def close(self) -> None:
        """Close everything; the pool can be used again."""
        for file in self._files.values():
            file.close()
        for files in self._doomed.values():
            for file in files:
                file.close()
        self._files.clear()
        self._doomed.clear()
        self._pins.clear()

    def __len__(self) -> int:
        return len(self._files)

    def _evict(self) -> None:
        pins = self._pins
        # Not the newest: the operation that asks for one more file still works with them.
        oldest = islice(self._files, len(self._files) - MIN_LIMIT // 2)
        victims = [path for path in oldest if path not in pins]
        # A tenth at a time, so that a wide working set does not scan the pins for every file.
        for path in victims[: max(1, self.limit // 10)]:
            self._files.pop(path).close()
