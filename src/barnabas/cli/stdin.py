"""Standard input in chunks, without blocking the event loop and without a thread.

A thread that waits for a terminal can't be interrupted, so pipes and terminals are watched by the
loop; regular files, which never make anyone wait, are simply read.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator

from barnabas.ports import Clock

CHUNK_BYTES = 256 * 1024


def size(fd: int) -> int | None:
    """How many bytes are left in a regular file; None for anything else."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return None
    return max(status.st_size - os.lseek(fd, 0, os.SEEK_CUR), 0)


async def chunks(fd: int, clock: Clock) -> AsyncIterator[bytes]:
    """Bytes as they come, until the end of the input."""
    watched = not stat.S_ISREG(os.fstat(fd).st_mode)
    while True:
        if watched and not await _readable(fd):
            watched = False
        data = os.read(fd, CHUNK_BYTES)
        if not data:
            return
        yield data
        await clock.sleep(0)  # a regular file would not let anyone else run


async def _readable(fd: int) -> bool:
    """Wait for input. False when the loop can't watch this kind of file (/dev/null)."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    except (OSError, ValueError):
        return False
    try:
        await ready
    finally:
        loop.remove_reader(fd)
    return True
