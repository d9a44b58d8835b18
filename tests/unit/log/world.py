"""A node's log layer without a node: manager, writer and a disk, driven step by step."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from random import Random
from typing import Any, TypeVar

from barnabas.config.log_config import LogConfig
from barnabas.log.directory import LogDirectory
from barnabas.log.log import Log
from barnabas.log.maintenance import LogMaintenance
from barnabas.log.manager import LogManager
from barnabas.log.read import ColdRead, ReadResult, read
from barnabas.ports import Bench, Disk
from barnabas.records.batch import assign, iter_batches, read_header
from barnabas.records.builder import build_batch
from barnabas.testing.inline import stream_inline

T = TypeVar("T")

TOPIC_ID = bytes(range(16))
DIRECTORY = "/logs"


class FakeTimer:
    """`ports.Timer`."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget it."""
        self.callback = None


class FakeClock:
    """`ports.Clock` that moves when told to."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.timers: list[tuple[int, int, FakeTimer]] = []
        self._numbers = count()

    def wall_ms(self) -> int:
        """Now."""
        return self.now

    def monotonic_ms(self) -> int:
        """Now."""
        return self.now

    def monotonic_ns(self) -> int:
        return self.monotonic_ms() * 1_000_000

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> FakeTimer:
        """Remember it."""
        timer = FakeTimer(callback)
        heapq.heappush(self.timers, (self.now + delay_ms, next(self._numbers), timer))
        return timer

    async def sleep(self, delay_ms: int) -> None:
        """Not used by the log."""
        raise NotImplementedError


class FakeExecutor:
    """`ports.Executor`: jobs wait until the world runs them."""

    def __init__(self, disk: Disk | None = None) -> None:
        self._disk = disk
        self.jobs: deque[tuple[Callable[[], Any], Callable[[Any, Any], None]]] = deque()

    def submit(
        self, job: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        """Queue it."""
        self.jobs.append((job, done))

    async def run(self, job: Callable[[], T]) -> T:
        """Run it now."""
        return job()

    @property
    def unfinished(self) -> int:
        """How many wait."""
        return len(self.jobs)

    def stream(
        self,
        job: Callable[[Bench], Iterator[T]],
        item: Callable[[T], None],
        done: Callable[[BaseException | None], None],
        *,
        bytes_per_second: float = 0,
    ) -> Callable[[], None]:
        """Queue it, step by step."""
        del bytes_per_second
        assert self._disk is not None
        return stream_inline(self, self._disk, job, item, done)


class FakeRandom:
    """`ports.Random`, seeded."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def bytes(self, n: int) -> bytes:
        """`n` random bytes."""
        return self._random.randbytes(n)

    def below(self, n: int) -> int:
        """A uniform integer in [0, n)."""
        return self._random.randrange(n)


class World:
    """One run of the log layer over `disk`; make another one after a crash or a stop."""

    def __init__(
        self,
        disk: Disk,
        config: LogConfig | None = None,
        *,
        now: int = 1_700_000_000_000,
        path: str = DIRECTORY,
        seed: int = 0,
        max_open_files: int = 64,
    ) -> None:
        self.config = config or LogConfig()
        self.disk = disk
        self.clock = FakeClock(now)
        self.executor = FakeExecutor(disk)
        self.soon: deque[Callable[[], None]] = deque()
        self.failures: list[tuple[str, OSError]] = []
        self.directory = LogDirectory(disk, path)
        self.directory.lock()
        self.manager = LogManager(
            disk,
            self.executor,
            self.clock,
            FakeRandom(seed),
            schedule=self.soon.append,
            config_for=lambda _: self.config,
            on_offline=lambda home, error: self.failures.append((home.path, error)),
            max_open_files=max_open_files,
        )
        self.manager.load([self.directory])
        self.maintenance = LogMaintenance(self.manager)

    def step(self) -> bool:
        """Run one thing that is due: a scheduled call, a job; false when there is nothing."""
        if self.soon:
            self.soon.popleft()()
            return True
        if self.executor.jobs:
            job, done = self.executor.jobs.popleft()
            result, failure = None, None
            try:
                result = job()
            except Exception as error:
                failure = error
            done(result, failure)
            return True
        return False

    def settle(self) -> None:
        """Run until nothing is left but timers."""
        while self.step():
            pass

    def advance(self, ms: int) -> None:
        """Let time pass, and what is due happen."""
        end = self.clock.now + ms
        self.settle()
        while self.clock.timers and self.clock.timers[0][0] <= end:
            when, _, timer = heapq.heappop(self.clock.timers)
            self.clock.now = max(self.clock.now, when)
            if timer.callback is not None:
                timer.callback()
            self.settle()
        self.clock.now = end

    def open(self, topic: str = "t", partition: int = 0, *, create: bool = True) -> Log:
        """The log, made when it is not there."""
        results: list[tuple[Log | None, Exception | None]] = []

        def done(log: Log | None, error: Exception | None) -> None:
            results.append((log, error))

        if create:
            self.manager.create(topic, partition, self.config, TOPIC_ID, done)
        else:
            self.manager.open(topic, partition, self.config, done)
        while not results and self.step():
            pass
        log, error = results[0]
        if error is not None:
            raise error
        assert log is not None
        return log

    def open_partition(self, topic: str, partition: int, then: Callable[[], None]) -> None:
        """Open a log that is there, later."""
        self.manager.open(topic, partition, self.config, lambda *_: self.soon.append(then))

    def stop(self) -> None:
        """The clean stop."""
        done: list[bool] = []
        self.maintenance.stop(7, lambda: done.append(True))
        self.settle()
        assert done


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("it waits")


def batch(
    base: int,
    values: list[bytes],
    *,
    timestamp: int = 1_700_000_000_000,
    epoch: int = 0,
    **options: Any,
) -> bytearray:
    """A batch whose records have no key, and timestamps that rise by one."""
    records = [(None, value, timestamp + at, ()) for at, value in enumerate(values)]
    data = build_batch(records, **options)
    assign(data, 0, base, epoch)
    return data


def append(log: Log, values: list[bytes], **options: Any) -> int:
    """Append a batch at the log end; its base offset."""
    base = log.end_offset
    data = batch(base, values, **options)
    log.append(data, read_header(data))
    return base


def fetch(
    log: Log,
    offset: int,
    max_bytes: int = 1 << 20,
    upper: int | None = None,
    *,
    at_least_one: bool = True,
    aborted: bool = False,
) -> ReadResult:
    """Read up to the written end, on the executor when pages are cold."""
    end = log.written_offset if upper is None else upper
    found = read(log, offset, max_bytes, end, at_least_one=at_least_one, aborted=aborted)
    if isinstance(found, ColdRead):
        return finish(found.run(FakeExecutor()))
    return found


def read_all(log: Log, max_bytes: int = 1 << 20) -> bytes:
    """Every written byte, as a consumer that follows the log gets it."""
    out = b""
    offset = log.log_start_offset
    while offset < log.written_offset:
        data = fetch(log, offset, max_bytes).data
        if not data:
            break  # the end of the log lies behind a gap
        end = 0
        for position, header in iter_batches(data):
            end = position + header.size
            offset = header.next_offset
        out += data[:end]
    return out
