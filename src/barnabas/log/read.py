"""Reading batches back: one slice of one segment per call (facts: replication section 3.3).

A read first tries what is in the page cache, on the event loop. When a page is cold it turns into
a `ColdRead`, which the caller runs on the executor, so that a reader of old gigabytes delays
nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import TypeVar

from barnabas.log import names, offset_index
from barnabas.log.errors import OffsetOutOfRange, WouldBlock
from barnabas.log.log import Log
from barnabas.log.lookup import Pread, pread_blocking, pread_nowait
from barnabas.log.segment import OVERHEAD, Segment, locate
from barnabas.log.txn_index import AbortedTxn, collect
from barnabas.ports import Executor, File
from barnabas.wire.errors import ErrorCode, KafkaError

_LENGTH = Struct(">8xi")
UNBOUNDED = 2**31 - 1
T = TypeVar("T")


class ReadResult:
    """Batches from one segment.

    `data` begins with the batch that holds the offset asked for; its last batch may be cut.
    `segment_base` and `position` say where it begins. `first_incomplete`: there is data, but the
    first batch did not fit into `max_bytes` and was not asked for whole, so `data` is empty.
    `aborted` are the aborted transactions that overlap it, `None` when not asked for.
    """

    __slots__ = ("aborted", "data", "first_incomplete", "position", "segment_base")

    def __init__(self, data: bytes, segment_base: int, position: int) -> None:
        self.data = data
        self.segment_base = segment_base
        self.position = position
        self.first_incomplete = False
        self.aborted: list[AbortedTxn] | None = None


class ColdRead:
    """A read that met a cold page. `await run(executor)` finishes it off the loop."""

    __slots__ = ("_at_least_one", "_log", "_max_bytes", "_offset", "_upper", "_want_aborted")

    def __init__(
        self,
        log: Log,
        offset: int,
        max_bytes: int,
        upper: int,
        at_least_one: bool,
        want_aborted: bool,
    ) -> None:
        self._log = log
        self._offset = offset
        self._max_bytes = max_bytes
        self._upper = upper
        self._at_least_one = at_least_one
        self._want_aborted = want_aborted

    async def run(self, executor: Executor) -> ReadResult:
        """The result. Raises `OffsetOutOfRange`, `StorageError`, `LogDamaged`, `OSError`."""
        while True:
            replaced = self._log.replaced
            result = await self._run(executor)
            # Records of an old segment with the transaction index of a new one would not go
            # together: compaction takes aborted records, and then their entries, away.
            if self._log.replaced == replaced:
                return result

    async def _run(self, executor: Executor) -> ReadResult:
        log = self._log
        _check(log, self._offset)
        at = log.segment_index(self._offset)
        if self._offset >= log.written_offset:  # cut off since
            return _empty(log.bases[at], self._want_aborted)
        while True:
            view = _view(log, at, self._offset, self._upper)
            paths = [view.segment.file(suffix) for suffix in (names.LOG, names.OFFSET_INDEX)]
            result = await _pinned(log, paths, executor, partial(self._job, view))
            # The batch that held the offset may be in a later segment; the list may have changed.
            at = log.segment_index(view.segment.base_offset) + 1
            if result is not None or view.is_last or at >= len(log.segments):
                break
        result = _nothing(view) if result is None else result
        if self._want_aborted:
            # The segment of `result`, and what says which of its records were aborted, may have
            # been deleted meanwhile. Then the log start has passed the offset, too.
            _check(log, self._offset)
            search = _AbortedSearch(log, self._offset, result)
            job = partial(search.run, pread_blocking)
            result.aborted = await _pinned(log, search.paths, executor, job)
        return result

    def _job(self, view: _View) -> ReadResult | None:
        return _read_segment(view, self._max_bytes, self._at_least_one, pread_blocking)


async def _pinned(log: Log, paths: list[str], executor: Executor, job: Callable[[], T]) -> T:
    """Run `job` on the executor while the files of `paths` stay open."""
    for path in paths:
        log.pool.pin(path)
    try:
        return await executor.run(job)
    finally:
        log.pool.unpin(paths)


def read(
    log: Log,
    offset: int,
    max_bytes: int,
    upper_offset: int,
    *,
    at_least_one: bool,
    aborted: bool = False,
) -> ReadResult | ColdRead:
    """Batches from the one that holds `offset` on, all of whose offsets are below `upper_offset`.

    At most `max_bytes`, of one segment; the last batch may be cut. With `at_least_one` the first
    batch comes whole however large it is. `aborted` asks for the aborted transactions in it.

    Raises `OffsetOutOfRange` below the log start or above the log end, `StorageError` when the
    directory failed, `LogDamaged`, `OSError`.
    """
    _check(log, offset)
    at = log.segment_index(offset)
    if offset >= upper_offset or offset >= log.written_offset:
        return _empty(log.bases[at], aborted)
    try:
        while True:
            view = _view(log, at, offset, upper_offset)
            result = _read_segment(view, max_bytes, at_least_one, pread_nowait)
            if result is None and not view.is_last:
                at += 1  # the end of this segment was compacted away, or the offset never was
                continue
            result = _nothing(view) if result is None else result
            if aborted:
                result.aborted = _AbortedSearch(log, offset, result).run(pread_nowait)
            return result
    except WouldBlock:
        return ColdRead(log, offset, max_bytes, upper_offset, at_least_one, aborted)


def bytes_between(log: Log, offset: int, upper_offset: int) -> int | None:
    """Bytes of batches in [offset, upper_offset), `None` when the end lies in a later segment.

    For deciding whether a waiting fetch has enough; so a cold page counts as "enough".
    """
    _check(log, offset)
    upper_offset = min(upper_offset, log.written_offset)
    if offset >= upper_offset:
        return 0
    at = log.segment_index(offset)
    try:
        view = _view(log, at, offset, upper_offset)
        if at + 1 < len(log.bases) and upper_offset > log.bases[at + 1]:
            return None
        start = view.start if view.start >= 0 else _position(view, offset, pread_nowait)
        return _end(view, pread_nowait) - start
    except WouldBlock:
        return UNBOUNDED


class _AbortedSearch:
    """Looks for the aborted transactions that a reader of `result` has to filter, by Kafka's rule.

    The files are opened on the event loop; `run` may be called anywhere.
    """

    def __init__(self, log: Log, offset: int, result: ReadResult) -> None:
        at = log.segment_index(result.segment_base)
        self._segment = log.segments[at]
        self._offset = offset
        self._position = result.position + len(result.data)
        self._upper = log.bases[at + 1] if at + 1 < len(log.bases) else log.end_offset
        paths = [s.file(names.TXN_INDEX) for s in log.segments[at:] if s.has_txns]
        self.paths = [self._segment.file(names.OFFSET_INDEX), *paths] if result.data else []
        self._pool = log.pool
        self._files = [log.pool.get(path) for path in self.paths] if paths else []

    def run(self, pread: Pread) -> list[AbortedTxn]:
        """The list; may raise `WouldBlock` when `pread` does."""
        if not self._files:
            return []
        index, *files = self._files
        segment = self._segment
        upper = offset_index.upper_bound(
            index, segment.offset_bytes, segment.base_offset, self._position, pread
        )
        upper = self._upper if upper is None else upper
        found: list[AbortedTxn] = []
        for file in files:
            entries, complete = collect(pread(file, file.size(), 0), self._offset, upper)
            found += entries
            if complete:
                break
        return found


class _View:
    """What a read needs of a log, fixed when it starts: safe to use on the executor."""

    __slots__ = ("end", "index", "is_last", "log", "offset", "segment", "size", "start", "upper")

    segment: Segment
    log: File
    index: File
    size: int
    start: int
    end: int
    offset: int
    upper: int
    is_last: bool


def _check(log: Log, offset: int) -> None:
    log.check_online()
    if log.blocked:
        raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER, "the log is being truncated")
    if not log.log_start_offset <= offset <= log.end_offset:
        text = f"{offset} is not in [{log.log_start_offset}, {log.end_offset}]"
        raise OffsetOutOfRange(text)


def _view(log: Log, at: int, offset: int, upper: int) -> _View:
    """The segment at `at`, and of both ends what is known without a look at the disk (else -1)."""
    view = _View()
    segment = log.segments[at]
    segment.load_sizes(log.pool)
    base = segment.base_offset
    view.segment = segment
    view.size = segment.size
    view.offset = offset
    view.upper = upper
    mark = log.marks.get(offset)
    view.start = mark[1] if mark is not None and mark[0] == base else -1
    if offset <= base:
        view.start = 0
    if at + 1 < len(log.bases) and log.bases[at + 1] <= log.written_offset:
        view.is_last = upper <= log.bases[at + 1]
        whole = upper >= log.bases[at + 1]
    else:
        view.is_last = True
        whole = upper >= log.written_offset
    if whole:
        view.end = segment.size
    else:
        mark = log.marks.get(upper)
        view.end = mark[1] if mark is not None and mark[0] == base else -1
    # As `segment.file` says it, without the call: this is on the path of every fetch.
    view.log = log.pool.get(segment.path + names.LOG + segment.mark)
    if view.start >= 0 and view.end >= 0:
        view.index = view.log  # not looked at
    else:
        view.index = log.pool.get(segment.path + names.OFFSET_INDEX + segment.mark)
    return view


def _position(view: _View, offset: int, pread: Pread) -> int:
    place = locate(view.segment, view.log, view.index, offset, view.size, pread)
    return view.size if place is None else place[0]


def _end(view: _View, pread: Pread) -> int:
    if view.end < 0:
        view.end = _position(view, view.upper, pread)
    return view.end


def _read_segment(
    view: _View, max_bytes: int, at_least_one: bool, pread: Pread
) -> ReadResult | None:
    """`None` when the segment holds nothing at or above the offset."""
    start = view.start if view.start >= 0 else _position(view, view.offset, pread)
    if start >= view.size:
        return None
    available = _end(view, pread) - start
    if available <= 0 or (max_bytes <= 0 and not at_least_one):
        result = _nothing(view)
        result.first_incomplete = available > 0
        return result
    n = min(available, max(max_bytes, OVERHEAD))
    data = pread(view.log, n, start)
    result = ReadResult(data, view.segment.base_offset, start)
    if n < available or n > max_bytes:
        first = OVERHEAD + _LENGTH.unpack_from(data)[0] if len(data) >= OVERHEAD else 0
        if first > max_bytes:
            if at_least_one:
                result.data = pread(view.log, min(first, available), start)
            else:
                result.data = b""
                result.first_incomplete = True
    return result


def _empty(base: int, aborted: bool) -> ReadResult:
    result = ReadResult(b"", base, 0)
    result.aborted = [] if aborted else None
    return result


def _nothing(view: _View) -> ReadResult:
    return ReadResult(b"", view.segment.base_offset, max(view.start, 0))
