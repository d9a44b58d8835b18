"""`LogWriter`: takes what was appended to disk, in rounds, and tells each log how far it got.

Write stage: once per loop iteration the tails of all dirty logs are written; small rounds on the
loop (a `pwritev` into the page cache costs less than the hop to the executor), others on the
executor, never two of one log at a time. Sync stage: one round at a time makes durable all that
was written until it began, by one `Disk.sync_files`; the next begins when it ends. So syncs group
by themselves: the slower the disk, the more appends share one.

A failed write or sync takes the log directory offline. Nothing is retried, nothing rolled back:
what the page cache holds after a failed sync is unknown.
"""

from __future__ import annotations

from collections.abc import Callable

from barnabas.config.log_config import MAX_LONG
from barnabas.instruments import Times
from barnabas.log import names
from barnabas.log.errors import StorageError
from barnabas.log.files import FilePool
from barnabas.log.log import Log
from barnabas.log.pending import Pending
from barnabas.log.rounds import SyncPlan, sync_round, write_pieces, write_round
from barnabas.log.segment import Segment
from barnabas.ports import Clock, Executor, File

INLINE_BYTES = 256 * 1024
"""A larger round goes to the executor."""
SLOW_WRITE_MS = 5
"""When two inline rounds in a row take longer, the device throttles its writers..."""
COOL_DOWN_MS = 1000
"""...so for that long all rounds go to the executor."""

WAITING_BYTES = 64 << 20
"""When more is on its way to files that a round is already busy with, the disk does not keep up."""

Schedule = Callable[[Callable[[], None]], None]
OnFailure = Callable[[str, OSError], None]
Flushed = Callable[[StorageError | None], None]


class LogWriter:
    """Writes and syncs all logs of a node. Used on the event loop only.

    `schedule` runs a function once in this or the next loop iteration (`loop.call_soon`);
    `on_failure(directory, error)` must mark all logs of that directory offline (`Log.fail`).
    """

    def __init__(
        self,
        pool: FilePool,
        executor: Executor,
        clock: Clock,
        *,
        schedule: Schedule,
        on_failure: OnFailure,
    ) -> None:
        self._pool = pool
        self._disk = pool.disk
        self._executor = executor
        self._clock = clock
        self._schedule = schedule
        self._on_failure = on_failure
        self._dirty: list[Log] = []
        self._scheduled = False
        self._not_inline_before = -1
        self._writing_bytes = 0
        self._want_room: list[Callable[[], None]] = []
        self._to_sync: list[Log] = []
        self._syncing = False
        self._was_slow = False
        self._max_sync_files = max(1, pool.limit // 2)
        self._max_pinned = pool.limit // 4
        #: Rounds of either stage since the start; a round of writes on the loop is not timed.
        self.inline_rounds = self.executor_rounds = self.synced_files = 0
        self.sync_times = Times()
        self.on_rolled: Callable[[Log, int], None] = lambda *_: None
        """Told of a log whose closed segments are durable now, and of their bytes."""

    def dirty(self, log: Log) -> None:
        """`log` has pending bytes. (`Log.mark_dirty`; called once per clean-to-dirty change.)"""
        self._dirty.append(log)
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self._drain)

    def flush(self, log: Log, done: Flushed) -> None:
        """Call `done(None)` once all that is appended now is durable, whatever the mode.

        `done(error)` when the directory fails first.
        """
        if log.offline is not None:
            done(StorageError(f"{log.path} is offline"))
        elif log.durable_offset >= log.end_offset and not log.has_pending:
            done(None)
        else:
            log.sync.flushes.append((log.end_offset, done))
            self._want_sync(log)
            self._start_sync()

    def release(self, log: Log, then: Callable[[], None]) -> None:
        """Call `then` once no job on the executor works on the files of `log`.

        For one that nobody appends to any more (failed, blocked). Only then may its files be cut
        or its directory be renamed: a job that met a missing file would take the whole log
        directory offline.
        """
        log.sync.released.append(then)
        _call_released(log)

    def hold(self, log: Log) -> None:
        """A job on the executor is about to work on the files of `log`."""
        log.sync.held += 1

    def unhold(self, log: Log) -> None:
        """That job ended."""
        log.sync.held -= 1
        _call_released(log)

    @property
    def full(self) -> bool:
        """Whether appends to a log whose `sync.busy` is set should wait (`when_room`): the executor
        is behind, and all that it has not written is in memory."""
        behind = sum(log.pending_bytes for log in self._dirty if log.sync.busy)
        return self._writing_bytes + behind > WAITING_BYTES

    def when_room(self, then: Callable[[], None]) -> None:
        """Call `then` when the next round on the executor has ended. There may be room then."""
        self._want_room.append(then)

    @property
    def idle(self) -> bool:
        """Whether nothing is pending, being written or being synced."""
        return not (self._dirty or self._scheduled or self._to_sync or self._syncing)

    def _drain(self) -> None:
        """One write round over all dirty logs that are in no other."""
        self._scheduled = False
        logs, self._dirty = self._dirty, []
        small: list[tuple[Log, Pending | None]] = []
        heavy: list[Log] = []
        total = 0
        for log in logs:
            if log.sync.busy:
                self._dirty.append(log)  # `_wrote` schedules again when its round ends
            elif log.offline is None:
                tail = log.plain_tail()
                if tail is not None:
                    total += tail.end_position - tail.position
                elif log.makes_files:
                    heavy.append(log)
                    continue
                else:
                    total += log.pending_bytes
                small.append((log, tail))
        started = self._clock.monotonic_ms()
        if small and total <= INLINE_BYTES and started >= self._not_inline_before:
            self.inline_rounds += 1
            self._write_inline(small, started)
        else:
            heavy += [log for log, _ in small]
        if heavy:
            self._write_on_executor(heavy)

    def _write_inline(self, work: list[tuple[Log, Pending | None]], started: int) -> None:
        opened = self._pool.get
        for log, tail in work:
            if log.offline is not None:
                continue
            try:
                if tail is not None:
                    path = tail.segment.path + names.LOG
                    opened(path).pwritev(tail.buffers, tail.position)
                    log.wrote_tail()
                    self._unsynced(log, tail.segment)
                else:
                    pieces = log.take()
                    synced = log.config.ack_mode == "synced"
                    write_pieces(self._disk, opened, pieces, synced=synced)
                    self._written(log, pieces)
            except OSError as error:
                self._fail(log.directory, error)
        taken_ms = self._clock.monotonic_ms() - started
        if taken_ms > SLOW_WRITE_MS or self._was_slow:
            self._note_time(taken_ms)
        self._start_sync()
        for log, _ in work:
            if log.on_progress is not None:
                log.on_progress()

    def _note_time(self, taken_ms: int) -> None:
        """Of a round on the loop. One that is slow may have lost the processor to somebody else; two
        in a row met a device that throttles writers."""
        if taken_ms <= SLOW_WRITE_MS:
            self._was_slow = False
        elif self._was_slow:
            self._was_slow = False
            self._not_inline_before = self._clock.monotonic_ms() + COOL_DOWN_MS
        else:
            self._was_slow = True

    def _write_on_executor(self, logs: list[Log]) -> None:
        self.executor_rounds += 1
        work: list[tuple[Log, list[Pending], bool]] = []
        files: dict[str, File] = {}
        total = 0
        for log in logs:
            total += log.pending_bytes
            log.sync.busy = True
            pieces = log.take()
            path = pieces[0].segment.path + names.LOG
            if not pieces[0].new and len(files) < self._max_pinned:
                try:
                    files[path] = self._pool.pin(path)
                except OSError as error:
                    log.sync.busy = False
                    self._fail(log.directory, error)
                    continue
            work.append((log, pieces, log.config.ack_mode == "synced"))
        self._writing_bytes += total

        def wrote(failed: dict[Log, OSError] | None, error: BaseException | None) -> None:
            self._pool.unpin(files)
            self._wrote(work, total, failed, error)

        self._executor.submit(lambda: write_round(self._disk, work, files), wrote)

    def _wrote(
        self,
        work: list[tuple[Log, list[Pending], bool]],
        total: int,
        failed: dict[Log, OSError] | None,
        error: BaseException | None,
    ) -> None:
        """An executor round of `total` bytes ended."""
        if error is not None:
            raise error  # not an OSError: a bug of ours
        self._writing_bytes -= total
        for log, os_error in (failed or {}).items():
            self._fail(log.directory, os_error)
        for log, pieces, _ in work:
            log.sync.busy = False
            if log.offline is None:
                self._written(log, pieces)
            _call_released(log)
        self._start_sync()
        if self._dirty and not self._scheduled:
            self._scheduled = True
            self._schedule(self._drain)
        for log, _, _ in work:
            if log.on_progress is not None:
                log.on_progress()
        waiting, self._want_room = self._want_room, []
        for then in waiting:
            then()

    def _written(self, log: Log, pieces: list[Pending]) -> None:
        log.wrote(pieces)
        state = log.sync
        for piece in pieces:
            if piece.new:
                state.new_names = True
            if piece.last:
                state.rolled.append(piece)
            self._unsynced(log, piece.segment)

    def _unsynced(self, log: Log, segment: Segment) -> None:
        """Bytes of the log's segment were written: sync them, now or later, if the configs say so."""
        state = log.sync
        if not state.unsynced or state.unsynced[-1] is not segment:
            state.unsynced.append(segment)
        if state.queued:
            return
        config = log.config
        if (
            config.ack_mode == "synced"
            or state.rolled
            or state.flushes
            or log.written_offset - log.durable_offset >= config.flush_messages
        ):
            self._want_sync(log)
        elif config.flush_ms < MAX_LONG and state.timer is None:
            state.timer = self._clock.call_later(config.flush_ms, lambda: self._flush_due(log))

    def _flush_due(self, log: Log) -> None:
        log.sync.timer = None
        if log.offline is None:
            self._want_sync(log)
            self._start_sync()

    def _want_sync(self, log: Log) -> None:
        if not log.sync.queued:
            log.sync.queued = True
            self._to_sync.append(log)

    def _start_sync(self) -> None:
        if self._syncing or not self._to_sync:
            return
        plans: list[SyncPlan] = []
        paths: list[str] = []
        waiting, self._to_sync = self._to_sync, []
        for at, log in enumerate(waiting):
            if len(paths) >= self._max_sync_files:
                self._to_sync = waiting[at:] + self._to_sync
                break
            log.sync.queued = False
            if log.offline is None and (log.sync.unsynced or log.sync.new_names):
                plan = _plan(log, self._max_sync_files - len(paths))
                log.sync.syncing = True
                plans.append(plan)
                paths += plan.paths
                if log.sync.unsynced:
                    self._want_sync(log)  # the rest of it in a later round
        if not plans:
            return
        self._syncing = True
        files: dict[str, File] = {}
        for plan in plans:
            try:
                for path in plan.paths:
                    files[path] = self._pool.pin(path)
            except OSError as error:
                self._fail(plan.log.directory, error)
        plans_left = [plan for plan in plans if plan.log.offline is None]
        began_ns = self._clock.monotonic_ns()

        def synced(failed: dict[str, OSError] | None, error: BaseException | None) -> None:
            self.sync_times.add(self._clock.monotonic_ns() - began_ns)
            self.synced_files += len(files)
            self._synced(plans, list(files), failed, error)

        self._executor.submit(lambda: sync_round(self._disk, plans_left, files), synced)

    def _synced(
        self,
        plans: list[SyncPlan],
        paths: list[str],
        failed: dict[str, OSError] | None,
        error: BaseException | None,
    ) -> None:
        """A sync round ended."""
        self._syncing = False
        self._pool.unpin(paths)
        if error is not None:
            raise error  # not an OSError: a bug of ours
        for directory, os_error in (failed or {}).items():
            self._fail(directory, os_error)
        for plan in plans:
            plan.log.sync.syncing = False
            if plan.log.offline is None:
                _made_durable(plan)
                if plan.rolled:
                    self.on_rolled(plan.log, sum(p.segment.size for p in plan.rolled))
            if plan.log.sync.released:
                _call_released(plan.log)
        for plan in plans:
            if plan.log.sync.flushes:
                _call_flushed(plan.log)
                if plan.log.sync.flushes and plan.log.offline is None:
                    self._want_sync(plan.log)
        self._start_sync()
        for plan in plans:
            if plan.log.on_progress is not None:
                plan.log.on_progress()

    def _fail(self, directory: str, error: OSError) -> None:
        self._on_failure(directory, error)


def _plan(log: Log, room: int) -> SyncPlan:
    """What must be synced for what is written now; takes it out of the log's state.

    With more than `room` files only the oldest segments, one at least: a log that rolled many
    times while the disk stood still must not hold all their files open at once.
    """
    state = log.sync
    if state.timer is not None:
        state.timer.cancel()
        state.timer = None
    if len(state.unsynced) == 1 and not state.rolled:
        segment = state.unsynced.pop()
        path, offset, position = segment.path + names.LOG, log.written_offset, segment.size
        plan = SyncPlan(log, offset, position, segment.base_offset, [path], [], state.new_names)
        state.new_names = False
        return plan
    rolled = {piece.segment: piece for piece in state.rolled}
    paths: list[str] = []
    count = 0
    for segment in state.unsynced:
        more = [segment.path + names.LOG]
        if segment in rolled:
            more += [segment.path + names.OFFSET_INDEX, segment.path + names.TIME_INDEX]
            if segment.has_txns:
                more.append(segment.path + names.TXN_INDEX)
        if count and len(paths) + len(more) > room:
            break
        paths += more
        count += 1
    taken, state.unsynced = state.unsynced[:count], state.unsynced[count:]
    last = taken[-1] if taken else log.segments[-1]
    offset = rolled[last].end_offset if state.unsynced else log.written_offset
    pieces = [piece for piece in state.rolled if piece.end_offset <= offset]
    state.rolled = state.rolled[len(pieces) :]
    plan = SyncPlan(log, offset, last.size, last.base_offset, paths, pieces, state.new_names)
    state.new_names = False
    return plan


def _made_durable(plan: SyncPlan) -> None:
    log = plan.log
    log.durable_offset = plan.offset
    if plan.base > log.settled_base:
        log.settled_base = plan.base
    if plan.offset not in log.marks:
        log.mark(plan.offset, plan.base, plan.position)
    if plan.rolled:
        log.snapshots += [piece.next_base for piece in plan.rolled]


def _call_flushed(log: Log) -> None:
    """Tell those whose offset is durable now, or everybody when the directory failed."""
    flushes = log.sync.flushes
    error = None if log.offline is None else StorageError(f"{log.path} is offline")
    log.sync.flushes = [wait for wait in flushes if error is None and wait[0] > log.durable_offset]
    for offset, done in flushes:
        if error is not None or offset <= log.durable_offset:
            done(error)


def _call_released(log: Log) -> None:
    state = log.sync
    while state.released and not (state.busy or state.syncing or state.held):
        state.released.pop(0)()
