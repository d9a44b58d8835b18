"""Locks on files that exclude other processes, Apache Kafka's JVM among them."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable

_OFD_SETLK: int | None = getattr(fcntl, "F_OFD_SETLK", None)


def lock_file(path: str) -> Callable[[], None]:
    """Take the exclusive record lock on the whole of `path` (created if absent); returns release.

    Kafka's `.lock` is a POSIX record lock (FileChannel.tryLock). Linux's open-file-description
    locks conflict with those, and, unlike them, also within one process, and are not lost when
    some other descriptor of the file is closed; elsewhere the plain POSIX lock is taken.
    Raises BlockingIOError when someone else holds it, OSError for anything else.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _set_lock(fd)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EAGAIN):
            raise BlockingIOError(errno.EAGAIN, "locked by another process", path) from error
        raise
    held = [fd]

    def release() -> None:
        while held:
            os.close(held.pop())  # closing the description drops its locks

    return release


def _set_lock(fd: int) -> None:
    if _OFD_SETLK is None:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    # struct flock: type, whence, start, length (0 = to the end), pid (must be 0)
    fcntl.fcntl(fd, _OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
