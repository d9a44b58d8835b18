"""Binary search in a file of sorted fixed-width entries, without holding it in memory.

Lookups are rare (a reader that follows the log needs none, see `Log.marks`), so that no index
is kept in memory: small files are read whole, of larger ones a dozen of blocks is probed.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TypeAlias

from barnabas.log.errors import WouldBlock
from barnabas.ports import File

Pread: TypeAlias = Callable[[File, int, int], bytes]
"""(file, bytes, position) -> bytes; may raise `WouldBlock` or `OSError`."""

WHOLE = 16384
"""Bytes that are read at once rather than probed."""


def pread_nowait(file: File, n: int, position: int) -> bytes:
    """Read what is in memory. Raises `WouldBlock` when it is not."""
    data = file.pread_nowait(n, position)
    if data is None:
        raise WouldBlock
    return data


def pread_blocking(file: File, n: int, position: int) -> bytes:
    """Read, waiting for the device when needed."""
    return file.pread(n, position)


def search(
    file: File, nbytes: int, width: int, key: Struct, at: int, target: int, pread: Pread
) -> tuple[bytes | None, bytes | None]:
    """(last entry whose key <= target, first entry whose key > target) of the first `nbytes`.

    `key` at byte `at` of each entry of `width` bytes must not decrease.
    """
    low, high = 0, nbytes // width  # entries; the answer lies between them
    step = WHOLE // width
    while high - low > step:
        middle = (low + high) // 2
        (found,) = key.unpack_from(pread(file, width, middle * width), at)
        if found <= target:
            low = middle
        else:
            high = middle
    # One entry more on each side: the neighbours of the boundary.
    start, stop = max(0, low - 1), min(nbytes // width, high + 1)
    block = pread(file, (stop - start) * width, start * width)
    count = len(block) // width
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if key.unpack_from(block, middle * width + at)[0] <= target:
            low = middle + 1
        else:
            high = middle
    before = block[(low - 1) * width : low * width] if low else None
    after = block[low * width : (low + 1) * width] if low < count else None
    return before, after


def last_entry(file: File, nbytes: int, width: int, pread: Pread) -> bytes | None:
    """The last whole entry of the first `nbytes`, `None` when there is none."""
    count = nbytes // width
    if not count:
        return None
    entry = pread(file, width, (count - 1) * width)
    return entry if len(entry) == width else None
