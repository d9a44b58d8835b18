"""One machine of a simulated world: its ports, its crashes, its pauses."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from barnabas.ports import Bench, Usage
from barnabas.testing.inline import stream_inline
from barnabas.testing.sim.disk import SimDisk
from barnabas.testing.sim.disk_model import DiskModel
from barnabas.testing.sim.guard import EPOCH_US
from barnabas.testing.sim.loop import GATE, Gate, SimLoop
from barnabas.testing.sim.network import Fabric, SimNetwork
from barnabas.testing.sim.plan import FaultPlan

T = TypeVar("T")

EXECUTOR_THREADS = 4


class SimClock:
    """`ports.Clock`: virtual time, plus what is wrong with this host's wall clock."""

    def __init__(self, loop: SimLoop, start_ms: int) -> None:
        self._loop = loop
        self._start_ms = start_ms
        self.skew_ms = 0
        """Added to the wall clock; change it for a jump."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch."""
        return (EPOCH_US + self._loop.now_us) // 1000 + self.skew_ms

    def monotonic_ms(self) -> int:
        """Milliseconds since some start; never goes back."""
        return self._start_ms + self._loop.now_us // 1000

    def monotonic_ns(self) -> int:
        """Nanoseconds since the same start, as fine as virtual time is."""
        return self._start_ms * 1_000_000 + self._loop.now_us * 1000

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Run `callback` after `delay_ms` of virtual time."""
        return self._loop.call_later_us(max(0, delay_ms) * 1000, callback)

    async def sleep(self, delay_ms: int) -> None:
        """Return after `delay_ms` of virtual time."""
        await asyncio.sleep(delay_ms / 1000)


class SimRandom:
    """`ports.Random`, seeded."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def bytes(self, n: int) -> bytes:
        """`n` random bytes."""
        return self._random.randbytes(n)

    def below(self, n: int) -> int:
        """A uniform integer in [0, n)."""
        return self._random.randrange(n)


class SimExecutor:
    """`ports.Executor`: a job runs on the loop at a later instant, as long as its disk takes."""

    def __init__(self, loop: SimLoop, fabric: Fabric, disk: SimDisk) -> None:
        self._loop = loop
        self._fabric = fabric
        self._disk = disk
        self._busy = 0
        self._queue: deque[tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]]
        self._queue = deque()

    def submit(
        self, job: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        """Run `job` later, then `done(result, error)` later still."""
        self._queue.append((job, done))
        self._start_jobs()

    async def run(self, job: Callable[[], T]) -> T:
        """Run `job` later and return its result or raise its error."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.submit(job, done)
        return await future  # type: ignore[no-any-return]

    @property
    def unfinished(self) -> int:
        """Jobs in the queue or running."""
        return len(self._queue) + self._busy

    def stream(
        self,
        job: Callable[[Bench], Iterator[T]],
        item: Callable[[T], None],
        done: Callable[[BaseException | None], None],
        *,
        bytes_per_second: float = 0,
    ) -> Callable[[], None]:
        """Run each step of `job` as a job of its own, so that anything may come between."""
        del bytes_per_second
        return stream_inline(self, self._disk, job, item, done)

    def _start_jobs(self) -> None:
        while self._queue and self._busy < EXECUTOR_THREADS:
            self._busy += 1
            job, done = self._queue.popleft()
            self._loop.call_later_us(self._hop_us(), self._run_job, job, done)

    def _run_job(
        self, job: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        self._disk.elapsed_us = 0
        result, error = None, None
        try:
            result = job()
        except Exception as failure:
            error = failure
        delay = self._disk.elapsed_us + self._hop_us()
        self._loop.call_later_us(delay, self._finish, done, result, error)

    def _finish(
        self,
        done: Callable[[Any, BaseException | None], None],
        result: Any,
        error: BaseException | None,
    ) -> None:
        self._busy -= 1
        self._start_jobs()
        done(result, error)

    def _hop_us(self) -> int:
        return self._fabric.between(self._fabric.plan.executor_delay_us)


class SimMachine:
    """`ports.Machine`: of the process that simulates there is nothing to tell."""

    def usage(self) -> Usage:
        """Nothing is known."""
        return Usage(*[-1] * len(Usage._fields))

    def loop_cpu_ns(self) -> int:
        """Code takes no virtual time."""
        return 0

    def keep(self) -> None:
        """The world collects garbage as it sees fit."""


@dataclass(frozen=True, slots=True)
class SimPorts:
    """`ports.Ports` of one life of one host."""

    clock: SimClock
    random: SimRandom
    executor: SimExecutor
    disk: SimDisk
    network: SimNetwork
    machine: SimMachine


class SimHost:
    """A machine. `ports` belong to its present life: take them anew after `restart`."""

    def __init__(
        self, loop: SimLoop, fabric: Fabric, plan: FaultPlan, name: str, seed: str
    ) -> None:
        self.name = name
        self._loop = loop
        self._fabric = fabric
        self._random = Random(f"{seed}/{name}")
        self._gate = Gate()
        self._context = self._new_context()
        self._crashed: asyncio.Future[None] = loop.create_future()
        clock = SimClock(loop, self._random.randrange(1_000_000))
        clock.skew_ms = self._random.randint(*plan.clock_skew_ms)
        self.disk = SimDisk(Random(f"{seed}/{name}/disk"), now_ms=clock.wall_ms)
        self.disk.faults.error_rate = plan.disk_error_rate
        self.disk.faults.cold_rate = plan.disk_cold_rate
        self.disk.faults.slow_rate = plan.disk_slow_rate
        self.disk.observer = lambda kind, path: loop.trace.event(
            loop.now_us, name, f"{kind} {path}"
        )
        self.disk.on_dead = lambda: self._die(silently=False)
        self.network = fabric.add(name, lambda: self._context)
        self.ports = self._new_ports(clock)

    @property
    def address(self) -> str:
        """Its IP address."""
        return self.network.address

    @property
    def is_alive(self) -> bool:
        """Whether it has not crashed since its last start."""
        return not self._gate.dead

    def spawn(self, coro: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Run `coro` as a process of this host: it ends, without clean-up, when the host crashes."""
        label = None if name is None else f"{self.name}/{name}"
        return self._loop.create_task(coro, name=label, context=self._context.copy())

    def pause(self) -> None:
        """SIGSTOP: its code stands still; its kernel goes on receiving."""
        self._gate.paused = True

    def resume(self) -> None:
        """SIGCONT: what came due meanwhile runs now."""
        self._loop.release(self._gate)

    def kill(self) -> None:
        """kill -9: the process is gone, the page cache stays, peers see closed connections."""
        self._die(silently=False)
        self.disk.kill()

    def power_loss(self, image: DiskModel | None = None) -> None:
        """The machine is gone with its page cache; peers hear nothing.

        `image` decides what the disk keeps; else chance does.
        """
        self._die(silently=True)
        self.network.up = False
        self.disk.power_loss(image)

    def restart(self) -> SimPorts:
        """A new life on the same disk. Raises RuntimeError when the host has not crashed."""
        if self.is_alive:
            raise RuntimeError(f"{self.name} is still running")
        self._gate = Gate()
        self._context = self._new_context()
        self._crashed = self._loop.create_future()
        self.network.power_on()
        self.ports = self._new_ports(self.ports.clock)
        return self.ports

    async def crashed(self) -> None:
        """Return when the host has crashed, for instance at a `disk.crash_at`."""
        await asyncio.shield(self._crashed)

    def _die(self, *, silently: bool) -> None:
        if self._gate.dead:
            return
        self._gate.dead = True
        self._gate.parked.clear()
        self.network.crash(silently=silently)
        self._loop.trace.event(self._loop.now_us, self.name, "crash")
        if not self._crashed.done():
            self._crashed.set_result(None)

    def _new_context(self) -> contextvars.Context:
        context = contextvars.Context()
        context.run(GATE.set, self._gate)
        return context

    def _new_ports(self, clock: SimClock) -> SimPorts:
        return SimPorts(
            clock=clock,
            random=SimRandom(Random(self._random.randrange(1 << 62))),
            executor=SimExecutor(self._loop, self._fabric, self.disk),
            disk=self.disk,
            network=self.network,
            machine=SimMachine(),
        )
