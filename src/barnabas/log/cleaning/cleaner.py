"""`LogCleaner`: runs cleanings beside a node and swaps their results in. Used on the event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from barnabas.log import names
from barnabas.log.checkpoints import TopicPartition
from barnabas.log.cleaning import choice
from barnabas.log.cleaning.facts import facts_of, plan_of
from barnabas.log.cleaning.plan import CleanedGroup, Plan, Summary
from barnabas.log.cleaning.stats import CleanerStats
from barnabas.log.cleaning.swap import Swap, discard
from barnabas.log.log import Log
from barnabas.log.manager import LogManager
from barnabas.ports import Bench, Timer, WorkerLost

MIN_READ_BYTES = 64 << 10
MAX_LOSSES = 3
"""A log whose worker was lost so often in a row is left alone."""
SLICE = 16
"""Logs that are looked at in one go."""


class CleanerSettings(NamedTuple):
    """Kafka's `log.cleaner.*` configs."""

    threads: int = 1
    """Logs that are cleaned at once."""
    dedupe_buffer_bytes: int = 128 << 20
    """Memory of all maps from key to offset."""
    load_factor: float = 0.9
    io_buffer_bytes: int = 512 << 10
    bytes_per_second: float = float("inf")
    backoff_ms: int = 15000


class Report(NamedTuple):
    """A cleaning that came to its end."""

    key: TopicPartition
    first_dirty: int
    summary: Summary


class _Run:
    """A cleaning under way."""

    def __init__(self, key: TopicPartition, log: Log, plan: Plan, began_ms: int) -> None:
        self.key = key
        self.began_ms = began_ms
        self.log = log
        self.plan = plan
        self.replaced = log.replaced
        self.groups: deque[CleanedGroup] = deque()
        self.summary: Summary | None = None
        self.error: BaseException | None = None
        self.swapping = False
        self.ended = False
        self.spoiled = False
        """The log changed under it: nothing more is swapped in."""
        self.cancel: Callable[[], None] = lambda: None


class LogCleaner:
    """Looks for dirty logs every `backoff_ms`, cleans the filthiest, then looks again at once.

    `settings` is asked each time. `open_partition(topic, number, then)` opens one that nobody has
    used yet: whoever serves it knows what is committed, the log alone does not. `on_cleaned` hears of each cleaning, `on_uncleanable` of a log
    that will not be looked at again before a restart, and why.
    """

    def __init__(
        self,
        manager: LogManager,
        settings: Callable[[], CleanerSettings],
        *,
        open_partition: Callable[[str, int, Callable[[], None]], None],
        on_cleaned: Callable[[Report], None] = lambda _: None,
        on_uncleanable: Callable[[TopicPartition, BaseException], None] = lambda *_: None,
    ) -> None:
        self._manager = manager
        self._settings = settings
        self._open_partition = open_partition
        self._on_cleaned = on_cleaned
        self._on_uncleanable = on_uncleanable
        self.uncleanable: set[TopicPartition] = set()
        self.stats = CleanerStats(manager.clock.monotonic_ms())
        self._runs: dict[TopicPartition, _Run] = {}
        self._losses: dict[TopicPartition, int] = {}
        self._timer: Timer | None = None
        self._looking = False
        self._stopped: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to look, after the first pause."""
        self._later(self._settings().backoff_ms)

    def stop(self, done: Callable[[], None]) -> None:
        """End the work that is under way; `done` once no file is touched any more."""
        self._stopped = done
        if self._timer is not None:
            self._timer.cancel()
        for run in list(self._runs.values()):
            run.spoiled = True
            run.cancel()
        if not self._runs:
            done()

    def reconfigured(self) -> None:
        """The settings changed: the pause until the next look may be another."""
        if self._timer is not None and self._stopped is None:
            self._later(self._settings().backoff_ms)

    @property
    def cleaning(self) -> list[TopicPartition]:
        """The logs that are being cleaned."""
        return list(self._runs)

    def uncleanable_bytes(self) -> dict[TopicPartition, int]:
        """What there would be to clean in logs that are left alone. May read a few bytes of each."""
        found = {}
        for key in self.uncleanable:
            log = self._manager.logs.get(key)
            if log is None or key not in self._manager.homes or log.offline is not None:
                continue
            try:
                candidate = self._measure(log)
            except OSError:
                continue  # a write will meet it
            found[key] = 0 if candidate is None else candidate.cleanable
        return found

    # -- which -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at all compacted logs, and clean what is due."""
        if self._looking or self._stopped is not None:
            return
        self._looking = True
        manager = self._manager
        self.uncleanable.intersection_update(manager.homes)
        left = [
            key
            for key, home in reversed(manager.homes.items())
            if home.offline is None and key not in self.uncleanable and key not in self._runs
        ]
        self._survey(left, [])

    def _later(self, delay_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._manager.clock.call_later(delay_ms, self.look)

    def _survey(
        self, left: list[TopicPartition], found: list[tuple[Log, choice.Candidate]]
    ) -> None:
        """A slice of the logs, then the next; after the last the choice."""
        manager = self._manager
        for _ in range(SLICE):
            if self._stopped is not None:
                return
            if not left:
                self._looking = False
                self._choose(found)
                return
            topic, number = left.pop()
            log = manager.logs.get((topic, number))
            config = manager.config_for(topic) if log is None else log.config
            if "compact" not in config.cleanup_policy:
                continue
            if log is not None and log.on_progress is not None:
                self._judge(log, found)
                continue

            def opened(key: TopicPartition = (topic, number)) -> None:
                log = manager.logs.get(key)
                if log is not None:
                    self._judge(log, found)
                self._survey(left, found)

            self._open_partition(topic, number, opened)
            return
        manager.clock.call_later(1, lambda: self._survey(left, found))

    def _judge(self, log: Log, found: list[tuple[Log, choice.Candidate]]) -> None:
        if log.offline is not None or log.blocked:
            return
        home = self._manager.homes[log.topic, log.partition]
        try:
            candidate = self._measure(log)
        except OSError as error:
            self._manager.failed(home, error)
            return
        if candidate is not None:
            found.append((log, candidate))

    def _measure(self, log: Log) -> choice.Candidate | None:
        key = log.topic, log.partition
        facts = facts_of(log, self._manager.homes[key].cleaner_points.get(key))
        return choice.measure(facts, self._manager.clock.wall_ms())

    def _choose(self, found: list[tuple[Log, choice.Candidate]]) -> None:
        by_candidate = {id(candidate): log for log, candidate in found}
        candidates = [one for log, one in found if choice.is_ready(one, log.config)]
        self.stats.looked(
            self._manager.clock.monotonic_ms(),
            max((one.ratio for _, one in found), default=0.0),
            max(one.overdue_ms for _, one in found) if candidates else None,
        )
        settings = self._settings()
        while len(self._runs) < settings.threads:
            best = choice.filthiest(candidates)
            if best is None:
                break
            candidates.remove(best)
            self._clean(by_candidate[id(best)], best, settings)
        self._later(settings.backoff_ms)

    # -- one cleaning ----------------------------------------------------------------------------

    def _clean(self, log: Log, candidate: choice.Candidate, settings: CleanerSettings) -> None:
        key = (log.topic, log.partition)
        if self._manager.logs.get(key) is not log or log.offline is not None or log.blocked:
            return
        plan = plan_of(log, candidate, self._manager.clock.wall_ms())
        plan = plan._replace(
            map_bytes=settings.dedupe_buffer_bytes // settings.threads,
            load_factor=settings.load_factor,
            read_bytes=max(settings.io_buffer_bytes // settings.threads // 2, MIN_READ_BYTES),
        )
        run = self._runs[key] = _Run(key, log, plan, self._manager.clock.monotonic_ms())

        def item(value: CleanedGroup | Summary) -> None:
            if isinstance(value, CleanedGroup):
                run.groups.append(value)
                self._next(run)
            else:
                run.summary = value

        def done(error: BaseException | None) -> None:
            run.ended = True
            run.error = error
            self._next(run)

        run.cancel = self._manager.executor.stream(
            partial(_work, plan), item, done, bytes_per_second=max(settings.bytes_per_second, 1.0)
        )

    def _next(self, run: _Run) -> None:
        if run.swapping:
            return
        if run.groups:
            group = run.groups.popleft()
            if self._fits(run, group):
                self._swap(run, group)
                return
            # Nothing behind it either: its `.cleaned` files stay until the run ends, and a `.swap`
            # above them would not survive a crash.
            run.spoiled = True
            run.groups.clear()
        if run.ended:
            self._end(run)

    def _fits(self, run: _Run, group: CleanedGroup) -> bool:
        """Whether the group still is what the log holds."""
        log = run.log
        if run.spoiled or not self._same(run) or group.bases[0] not in log.bases:
            return False
        first = log.bases.index(group.bases[0])
        return tuple(log.bases[first : first + len(group.bases)]) == group.bases

    def _same(self, run: _Run) -> bool:
        """Whether the log is the one that the plan was made for."""
        log = run.log
        return (
            self._manager.logs.get(run.key) is log
            and log.offline is None
            and not log.blocked
            and log.replaced == run.replaced
        )

    def _swap(self, run: _Run, group: CleanedGroup) -> None:
        """The steps of `Swap`, each off the loop that blocks. The log is held meanwhile, so that
        nobody cuts, renames or closes it half-way."""
        manager, log = self._manager, run.log
        swap = Swap(log, group)
        run.swapping = True
        manager.writer.hold(log)

        def promoted() -> None:
            swap.replace()
            self._step(run, swap.retire, retired)

        def retired() -> None:
            swap.rename()
            self._step(run, swap.conclude, concluded)

        def concluded() -> None:
            run.replaced = log.replaced
            delay = log.config.file_delete_delay_ms
            manager.clock.call_later(
                delay, lambda: manager.executor.submit(swap.remove, self._removed(run.key))
            )
            self._swapped(run)

        self._step(run, swap.promote, promoted)

    def _step(self, run: _Run, job: Callable[[], None], then: Callable[[], None]) -> None:
        def ended(_: None, error: BaseException | None) -> None:
            failure = error
            if failure is None:
                try:
                    then()
                except OSError as failed:
                    failure = failed
            if failure is not None:
                run.spoiled = True
                self._fail(run, failure)
                self._swapped(run)

        self._manager.executor.submit(job, ended)

    def _swapped(self, run: _Run) -> None:
        run.swapping = False
        self._manager.writer.unhold(run.log)
        self._next(run)

    def _removed(self, key: TopicPartition) -> Callable[[None, BaseException | None], None]:
        def removed(_: None, error: BaseException | None) -> None:
            home = self._manager.homes.get(key)
            if isinstance(error, OSError) and home is not None:
                self._manager.failed(home, error)

        return removed

    # -- the end ---------------------------------------------------------------------------------

    def _end(self, run: _Run) -> None:
        manager = self._manager
        if run.error is None and not run.spoiled and self._same(run) and run.summary is not None:
            home = manager.homes[run.key]
            home.cleaner_points[run.key] = run.summary.end_offset
            took_ms = manager.clock.monotonic_ms() - run.began_ms
            self.stats.cleaned(took_ms, run.summary, self._settings().threads)
            report = Report(run.key, run.plan.first_dirty, run.summary)

            def noted() -> None:
                self._losses.pop(run.key, None)
                if home.offline is None:
                    self._on_cleaned(report)
                self._over(run, again=True)

            manager.checkpoints.write(names.CLEANER_POINTS, noted)
            return
        if run.error is not None and not run.spoiled and self._same(run) and self._whole(run):
            self._fail(run, run.error)
        directory = run.plan.directory
        manager.executor.submit(
            lambda: discard(manager.disk, directory), lambda *_: self._over(run, again=False)
        )

    def _whole(self, run: _Run) -> bool:
        """Whether retention left the sources alone: if not, the cleaning could not but fail."""
        return all(source.base in run.log.bases for source in run.plan.sources)

    def _fail(self, run: _Run, error: BaseException) -> None:
        home = self._manager.homes.get(run.key)
        if isinstance(error, OSError):
            if home is not None:
                self._manager.failed(home, error)
            return
        if isinstance(error, WorkerLost):
            # Somebody killed it, the machine for want of memory perhaps: not once and for all.
            self._losses[run.key] = self._losses.get(run.key, 0) + 1
            if self._losses[run.key] < MAX_LOSSES:
                return
        self.uncleanable.add(run.key)
        self._on_uncleanable(run.key, error)

    def _over(self, run: _Run, *, again: bool) -> None:
        del self._runs[run.key]
        if self._stopped is not None:
            if not self._runs:
                self._stopped()
        elif again:
            self._later(0)


def _work(plan: Plan, bench: Bench) -> Iterator[CleanedGroup | Summary]:
    # Imported where the work is done: in most nodes that is another process.
    from barnabas.log.cleaning.work import clean

    return clean(plan, bench)
