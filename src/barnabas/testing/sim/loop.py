"""An asyncio event loop without a real clock or I/O: virtual time, seeded order."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import heapq
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

from barnabas.testing.sim.disk_faults import SimulatedCrash
from barnabas.testing.sim.guard import no_outside
from barnabas.testing.sim.refusals import RefusingLoop
from barnabas.testing.sim.schedule import FifoSchedule, RandomSchedule, Schedule
from barnabas.testing.sim.trace import Trace

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STEP_US = 1
"""Virtual time that a callback takes, so that a task that spins does not stop the clock."""
COLLECT_STEPS = 1 << 18
"""Garbage is collected at fixed points of a run, so that finalizers run at the same instants."""
MAX_CLOSES = 100
"""A coroutine that awaits in `finally` must be closed again for each of its awaits."""
MAX_STEPS = 50_000_000
"""A run that takes more callbacks than this is taken for a live-lock."""


class SimDeadlock(RuntimeError):
    """Nothing is ready, no timer is set, and the run has not ended."""


class SimLivelock(RuntimeError):
    """The run took more steps than it may."""


class Gate:
    """Says whether a callback made under it may run: a host that is dead or paused."""

    __slots__ = ("dead", "parked", "paused")

    def __init__(self) -> None:
        self.dead = False
        self.paused = False
        self.parked: list[Any] = []


GATE: contextvars.ContextVar[Gate | None] = contextvars.ContextVar("gate", default=None)
"""The gate of the host on whose behalf code runs; callbacks and tasks inherit it."""


class SimLoop(RefusingLoop):
    """Runs callbacks one by one; when none is ready, time jumps to the next timer.

    `fifo` keeps asyncio's order of arrival; else a seeded draw among lanes decides: the steps of
    one task are a lane, the callbacks bound to one object are a lane, all others share one.
    Errors that nobody handles are collected in `errors`; a run that leaves any has failed.
    """

    def __init__(self, seed: int | str = 0, *, fifo: bool = False, trace: Trace | None = None):
        self.now_us = 0
        self.trace = Trace() if trace is None else trace
        self.max_steps = MAX_STEPS
        self.errors: list[BaseException] = []
        self._random = Random(f"{seed}/loop")
        self._fifo = fifo
        self._ready: Schedule = FifoSchedule() if fifo else RandomSchedule(self._random)
        self._timers: list[tuple[int, float, int, Any]] = []
        self._sequence = 0
        self._task_count = 0
        self._tasks: dict[asyncio.Task[Any], Gate | None] = {}
        self._prune_at = 1000
        self._running = False
        self._stopping = False
        self._closed = False
        self._handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None

    # -- callbacks --------------------------------------------------------------------------

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Run `callback` in its lane's turn."""
        self._check_closed()
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.add(lane_of(callback), handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` after `delay` virtual seconds."""
        when_us = self.now_us + max(0, round(delay * 1e6))
        return self._call_at_us(when_us, callback, args, context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` when `time()` reaches `when` (seconds)."""
        return self._call_at_us(round(when * 1e6), callback, args, context)

    def call_later_us(
        self, delay_us: int, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        """Run `callback` after `delay_us` virtual microseconds, exactly."""
        return self._call_at_us(self.now_us + delay_us, callback, args, None)

    def _call_at_us(
        self,
        when_us: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> asyncio.TimerHandle:
        self._check_closed()
        timer = asyncio.TimerHandle(when_us / 1e6, callback, args, self, context)
        self._sequence += 1
        # Timers of one instant run in any order, unless asyncio's is asked for.
        tie = 0.0 if self._fifo else self._random.random()
        heapq.heappush(self._timers, (when_us, tie, self._sequence, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """asyncio tells of each cancelled timer; it is skipped when its time comes."""

    def time(self) -> float:
        """Virtual seconds since the world began."""
        return self.now_us / 1e6

    # -- futures and tasks ------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        """A task of this loop; without a name it gets one that is the same in every run."""
        self._check_closed()
        if name is None:
            self._task_count += 1
            name = f"{getattr(coro, '__qualname__', type(coro).__name__)}#{self._task_count}"
        task = asyncio.Task(coro, loop=self, name=str(name), context=context, **options)
        self._tasks[task] = GATE.get() if context is None else context.get(GATE)
        if len(self._tasks) >= self._prune_at:
            kept = {t: gate for t, gate in self._tasks.items() if not t.done() or t._log_traceback}
            self._tasks, self._prune_at = kept, 2 * len(kept) + 1000
        return task

    def pending_tasks(self) -> list[asyncio.Task[Any]]:
        """Tasks that are not done, oldest first; those of dead hosts left out."""
        tasks = self._tasks.items()
        return [task for task, gate in tasks if not task.done() and not (gate and gate.dead)]

    def bury_dead_tasks(self) -> None:
        """Close what crashes left behind, deaf to what its clean-up code complains about."""
        for task, gate in self._tasks.items():
            if gate is None or not gate.dead or task.done():
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coro: Any = task.get_coro()
            for _ in range(MAX_CLOSES):
                try:
                    coro.close()
                    break
                except BaseException:
                    continue

    def unheard_errors(self) -> list[BaseException]:
        """Errors of finished tasks that nobody has asked for, oldest first; asks for them."""
        failed = [task for task in self._tasks if task.done() and task._log_traceback]
        errors = [task.exception() for task in failed]
        return [e for e in errors if e is not None and not isinstance(e, SimulatedCrash)]

    # -- running ----------------------------------------------------------------------------

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until `future` is done; returns its result or raises its error.

        Raises SimDeadlock when nothing is left that could complete it, SimLivelock after
        `max_steps` callbacks.
        """
        own = not asyncio.isfuture(future)
        waited: asyncio.Future[T] = asyncio.ensure_future(cast(Awaitable[T], future), loop=self)
        try:
            self._run(waited)
        except BaseException:
            if own and waited.done() and not waited.cancelled():
                waited.exception()  # it is not the error to report
            raise
        return waited.result()

    def run_forever(self) -> None:
        """Run until `stop`, or until nothing is left to do."""
        self._run(None)

    def end_tasks(self, limit_us: int) -> None:
        """Cancel all pending tasks and run until they are done, or for `limit_us` at most."""
        pending = self.pending_tasks()
        for task in pending:
            task.cancel()
        if pending:
            waiter = self.create_task(asyncio.wait(pending, timeout=limit_us / 1e6), name="end")
            self._run(waiter)

    def _run(self, until: asyncio.Future[Any] | None) -> None:
        self._check_closed()
        if self._running:
            raise RuntimeError("the loop is already running")
        self._running, self._stopping = True, False
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._end_generator)
        previous = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        collecting = gc.isenabled()
        gc.disable()
        try:
            with no_outside(lambda: self.now_us):
                self._run_steps(until)
        finally:
            if collecting:
                gc.enable()
            asyncio._set_running_loop(previous)
            sys.set_asyncgen_hooks(*hooks)
            self._running = False

    def _run_steps(self, until: asyncio.Future[Any] | None) -> None:
        ready, timers = self._ready, self._timers
        steps = 0
        while not self._stopping and (until is None or not until.done()):
            if timers and timers[0][0] <= self.now_us:
                self._wake_timers()
            if ready:
                self._step(ready.take())
                steps += 1
                if steps % COLLECT_STEPS == 0:
                    gc.collect()
                if steps > self.max_steps:
                    raise SimLivelock(f"more than {self.max_steps} steps")
            elif timers:
                self.now_us = max(self.now_us, timers[0][0])
            elif until is None:
                return
            else:
                waiting = ", ".join(task.get_name() for task in self.pending_tasks()[:20])
                raise SimDeadlock(f"nothing left to run at {self.now_us} us; waiting: {waiting}")

    def _wake_timers(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self.now_us:
            timer = heapq.heappop(timers)[3]
            if not timer._cancelled:
                self._ready.add(lane_of(timer._callback), timer)

    def _step(self, handle: Any) -> None:
        if handle._cancelled:
            return
        gate = handle._context.get(GATE)
        if gate is not None and (gate.dead or gate.paused):
            if not gate.dead:
                gate.parked.append(handle)
            return
        callback = handle._callback
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, asyncio.Task):
            self.trace.event(self.now_us, "task", owner.get_name())
        else:
            label = getattr(callback, "__qualname__", None) or type(callback).__name__
            self.trace.event(self.now_us, "call", label)
        handle._run()
        self.now_us += STEP_US

    def release(self, gate: Gate) -> None:
        """Let a paused gate's callbacks run, in the order in which they came due."""
        gate.paused = False
        parked, gate.parked = gate.parked, []
        for handle in parked:
            self._ready.add(lane_of(handle._callback), handle)

    def stop(self) -> None:
        """End `run_forever` after the current callback."""
        self._stopping = True

    def is_running(self) -> bool:
        """Whether callbacks are being run."""
        return self._running

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Forget everything; harmless twice."""
        if self._running:
            raise RuntimeError("cannot close a running event loop")
        self._closed = True
        self._timers.clear()
        while self._ready:
            self._ready.take()

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: async generators are ended when they are dropped."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing to do: there is no executor."""

    def _end_generator(self, generator: Any) -> None:
        if not self._closed:
            self.call_soon(self.create_task, generator.aclose())

    def _check_closed(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")

    # -- errors -----------------------------------------------------------------------------

    def get_debug(self) -> bool:
        """Always off."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """Has no effect: debug mode reads the real clock."""

    def get_exception_handler(
        self,
    ) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None:
        """The handler that replaces the collecting of errors."""
        return self._handler

    def set_exception_handler(
        self, handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    ) -> None:
        """Replace the collecting of errors."""
        self._handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep the error: the run has failed."""
        error = context.get("exception")
        if error is None:
            error = RuntimeError(context.get("message", "unknown error in the event loop"))
        if not isinstance(error, SimulatedCrash):
            self.errors.append(error)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Called by asyncio for an error that nobody can be given."""
        if self._handler is None:
            self.default_exception_handler(context)
        else:
            self._handler(self, context)


def lane_of(callback: Any) -> Any:
    """What must stay in order with `callback`: its task, its object, or all unbound callbacks."""
    owner = getattr(callback, "__self__", None)
    return None if owner is None else id(owner)
