"""Sizes of segments that were only listed so far, learned off the loop for who wants them all.

After a clean start nobody has looked at the files of old segments. One at a time that is cheap
(`Segment.load_sizes`); those of a whole node are opened here, on the executor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from barnabas.log import names
from barnabas.log.log import Log
from barnabas.log.segment import UNKNOWN, Segment, whole
from barnabas.ports import Disk, Executor

#: Segments that one job looks at (three files each), and one call at most, about.
AT_ONCE: Final = 256
IN_ALL: Final = 4096

_Sizes = tuple[int, int, int]


async def learn_sizes(
    logs: Sequence[Log], disk: Disk, executor: Executor, turn: Callable[[], Awaitable[None]]
) -> None:
    """Learn the sizes of at most `IN_ALL` segments; what cannot be read stays unknown.

    `turn` lets the loop do other things; it is awaited after every `AT_ONCE` logs or segments.
    """
    learned = 0
    for start in range(0, len(logs), AT_ONCE):
        unknown = [
            (log, segment)
            for log in logs[start : start + AT_ONCE]
            if log.offline is None
            for segment in log.segments
            if segment.size == UNKNOWN
        ]
        for at in range(0, len(unknown), AT_ONCE):
            if learned >= IN_ALL:
                return
            learned += AT_ONCE
            await _learn(unknown[at : at + AT_ONCE], disk, executor)
        await turn()


async def _learn(batch: Sequence[tuple[Log, Segment]], disk: Disk, executor: Executor) -> None:
    paths = [segment.path for _, segment in batch]
    found = await executor.run(lambda: [_sizes(disk, path) for path in paths])
    for (log, segment), sizes in zip(batch, found, strict=True):
        # Meanwhile somebody else may have looked, or cut the log.
        if sizes is not None and segment.size == UNKNOWN and log.offline is None:
            segment.size, segment.offset_bytes, segment.time_bytes = sizes


def known_size(log: Log) -> int | None:
    """Bytes of all segments, pending ones included; None while a size is unknown. No I/O."""
    if any(segment.size == UNKNOWN for segment in log.segments):
        return None
    return log.size()


def _sizes(disk: Disk, path: str) -> _Sizes | None:
    """What `Segment.load_sizes` would find."""
    try:
        return (
            _size(disk, path + names.LOG),
            whole(_size(disk, path + names.OFFSET_INDEX), 8),
            whole(_size(disk, path + names.TIME_INDEX), 12),
        )
    except OSError:
        return None


def _size(disk: Disk, path: str) -> int:
    file = disk.open(path)
    try:
        return file.size()
    finally:
        file.close()
