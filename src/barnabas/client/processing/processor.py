"""Carries `Consumer.process` out, on the loop of whoever calls it.

fetcher (own thread) -> Intake -> Lanes -> Runner -> judge -> Lanes -> commits (own thread)
                                                       '-> Burial (dead letter topic)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from barnabas.client.consumer.leases import CommitRefused, Lease, OffsetAndMetadata
from barnabas.client.consumer.running import Running, Setup
from barnabas.client.errors import ClientError
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.processing.burial import Burial
from barnabas.client.processing.failures import Again, Stop, judge
from barnabas.client.processing.gaps import NOTHING, decode
from barnabas.client.processing.intake import Intake, Taken
from barnabas.client.processing.lanes import COMMIT_MS, Lanes, Mark, Part, Work
from barnabas.client.processing.plan import Plan
from barnabas.client.processing.runners import runner_for
from barnabas.host import open_ports
from barnabas.ports import Timer
from barnabas.wire.errors import ErrorCode, KafkaError

_log = logging.getLogger("barnabas.client.consumer")
AHEAD_BYTES = 4 * 1024 * 1024
"""Fetched bytes that wait beside the records that are held."""
PAUSE_MS = 100
"""Between commits that fail."""


class Processor:
    """One call of `process`. Methods are for its loop; `wake` and `stop` for any thread."""

    def __init__(self, running: Running, setup: Setup, plan: Plan) -> None:
        """Call it on the loop. Raises `ValueError`."""
        self._running = running
        self._engine = running.engine
        self._plan = plan
        self.loop = asyncio.get_running_loop()
        self._runner = runner_for(
            plan.handler, self.loop, plan.concurrency, plan.processes, self._ended
        )
        config = setup.config
        self._commits = config.group_id is not None and config.enable_auto_commit
        self._revoke_timeout_ms = config.revoke_timeout_ms
        self._lanes = Lanes(plan.order, plan.limits(config.prefetch_bytes))
        self._intake = Intake(self._engine)
        self._ports = open_ports(self.loop)
        self._clock = self._ports.clock
        self._burial: Burial | None = None
        if plan.dead_letter is not None:
            self._burial = Burial(self._ports, setup, plan.dead_letter)
        self._leases: dict[TopicPartition, Lease] = {}
        self._news = asyncio.Event()
        self._woken = self._stopping = self._plain = False
        self._error: BaseException | None = None
        self._timer: Timer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._committing: asyncio.Task[None] | None = None
        self._commit_since: int | None = None
        self._commit_not_before = 0
        self._cut: set[Work] = set()
        self._over = asyncio.Event()

    # -- from any thread --

    def wake(self) -> None:
        """Something is new."""
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self._news.set)

    def stop(self) -> None:
        """Begin nothing more, let what has begun end, and return."""
        self._stopping = True
        self.wake()

    async def stopped(self) -> None:
        """`stop`, and wait until it is over."""
        self.stop()
        await self._over.wait()

    # -- life --

    async def run(self) -> None:
        """Until `stop`, cancellation, or an error: that of a record without a dead letter topic,
        of a commit, of the dead letter topic, of the consumer."""
        try:
            await self._runner.open()
            if self._burial is not None:
                await self._burial.open()
            await self._on_core(self._engine.rewind(list(self._engine.leases.held.values())))
            while not self._stopping:
                self._woken = False
                self._news.clear()
                self._turn()
                if self._error is not None:
                    raise self._error
                await self._news.wait()
        finally:
            try:
                await self._drain()
            finally:
                await self._end()
        if self._error is not None:
            raise self._error

    async def _drain(self) -> None:
        """Wait for what has begun, up to revoke.timeout.ms; commit; leave the rest to others."""
        for name in list(self._lanes.parts):
            self._lanes.close(name)
        deadline = self._clock.monotonic_ms() + self._revoke_timeout_ms
        timer = self._clock.call_later(self._revoke_timeout_ms, self._news.set)
        try:
            while self._lanes.running and self._clock.monotonic_ms() < deadline:
                self._woken = False
                self._news.clear()
                self._look()
                await self._news.wait()
        finally:
            timer.cancel()
            for part in list(self._lanes.parts.values()):
                self._cut_off([work for work in part.open.values() if work.running])
        await self._runner.settle()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._look()
        self._mark()
        if self._commits:
            try:
                await self.commit()
            except (ClientError, KafkaError) as error:  # whoever is next repeats some
                _log.warning("the last commit failed: %s", error)
        kept = [lease for lease in self._leases.values() if lease.token is not None]
        for lease in kept:
            lease.handed = lease.processed
        with suppress(ClientError):
            await self._on_core(self._engine.rewind(kept))

    def _cut_off(self, works: list[Work]) -> None:
        for work in works:
            self._cut.add(work)
            self._runner.cancel(work)

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._over.set()
        self._runner.close()
        try:
            if self._burial is not None:
                await self._burial.close()
        finally:
            self._ports.close()

    async def _on_core(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._running.thread.loop)
        except RuntimeError:
            work.close()
            raise ClientError("the consumer is closed") from None
        await asyncio.wrap_future(future)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self._stopping = True
        self._news.set()

    # -- a turn --

    def _turn(self) -> None:
        """Look at everything that may be new."""
        self._raise_errors()
        self._look()
        self._fill()
        now = self._clock.monotonic_ms()
        for work in self._lanes.start(now):
            self._runner.start(work)
        self._commit_if_due(now)
        self._sleep(now)

    def _raise_errors(self) -> None:
        """Errors of the consumer end it, but for those that pass."""
        try:
            self._engine.raise_errors()
        except CommitRefused as error:  # a listener's, of partitions that are gone
            _log.warning("while processing: %s", error)
        except KafkaError as error:
            if not error.code.retriable or self._engine.fatal is error:
                raise
            _log.warning("while processing: %s", error)

    def _look(self) -> None:
        """Which partitions are still ours."""
        for name, part in list(self._lanes.parts.items()):
            lease = self._leases[name]
            if lease.gone or lease.handed != part.reached:  # lost or sought
                self._cut_off([work for work in self._lanes.end(name) if work.running])
            elif lease.token is None:  # being revoked
                self._lanes.close(name)
                self._publish(part)
                if not part.running:
                    self._lanes.end(name)
                    lease.handed = lease.processed
                    self._running.soon(self._engine.moved)
            else:
                self._lanes.pause(part, lease.paused)

    def _fill(self) -> None:
        intake, lanes = self._intake, self._lanes
        lanes.partitions = max(len(self._engine.leases.held), len(lanes.parts))
        held = {name for name, part in lanes.parts.items() if part.held}
        if intake.nbytes_waiting(held) < AHEAD_BYTES and intake.sort():
            self._running.soon(self._engine.fill)
        for name in intake.names():
            room = lanes.room(lanes.parts.get(name))
            if room and name not in held:
                for taken in intake.take(name, room):
                    self._received(name, taken)
        for lease in intake.take_moved():
            self._spawn(self._on_core(self._engine.rewind([lease])))
        for part, hold in lanes.holds():
            self._spawn(self._on_core(self._engine.hold(self._leases[part.name], hold)))

    def _received(self, name: TopicPartition, taken: Taken) -> None:
        part = self._lanes.parts.get(name)
        if part is None or self._leases[name] is not taken.lease or part.reached != taken.start:
            saved = taken.lease.saved
            known = NOTHING
            if saved is not None and saved.offset == taken.start:
                known = decode(saved.offset, saved.metadata)
            if part is not None:
                self._cut_off([work for work in self._lanes.end(name) if work.running])
            self._leases[name] = taken.lease
            part = self._lanes.begin(name, taken.start, known)
        self._lanes.received(part, taken.events, taken.reached)
        if not part.open:
            self._publish(part)

    def _sleep(self, now: int) -> None:
        """Set the timer for what is next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [self._lanes.next_due()]
        if self._commit_since is not None and self._committing is None:
            times.append(max(self._commit_since + COMMIT_MS, self._commit_not_before))
        due = min((each for each in times if each is not None), default=None)
        if due is not None:
            self._timer = self._clock.call_later(max(due - now, 1), self._news.set)

    # -- handlers that have ended --

    def _ended(self, work: Work, error: BaseException | None) -> None:
        """A handler has returned, or raised."""
        self._news.set()
        if error is None or work.part.gone:
            self._cut.discard(work)
            self._done(work)
            return
        if work in self._cut:
            self._cut.discard(work)
            self._lanes.again(work, 0)
            return
        if isinstance(error, asyncio.CancelledError):
            error = ClientError("the handler was cancelled")
        verdict = judge(
            self._plan.retry,
            work.attempts,
            error,
            dead_letter=self._burial is not None,
            below=self._ports.random.below,
        )
        where = f"{work.event.topic}-{work.event.partition} at {work.event.offset}"
        if isinstance(verdict, Again):
            _log.info("attempt %d at %s failed: %r", work.attempts, where, error)
            self._lanes.again(work, self._clock.monotonic_ms() + verdict.delay_ms)
        elif isinstance(verdict, Stop):
            _log.error("attempt %d at %s failed, the last: %r", work.attempts, where, error)
            self._lanes.again(work, 1 << 62)
            self._fail(error)
        else:
            _log.warning("dead letter after attempt %d: %s: %r", work.attempts, where, error)
            self._spawn(self._bury(work, error))

    async def _bury(self, work: Work, error: BaseException) -> None:
        """It counts as done once the dead letter topic has it."""
        assert self._burial is not None
        try:
            await self._burial.bury(work.event, error, work.attempts)
        except (ClientError, KafkaError) as failure:
            self._lanes.again(work, 1 << 62)
            self._fail(failure)
        else:
            self._done(work)
            self._news.set()

    def _done(self, work: Work) -> None:
        self._lanes.finish(work)
        if self._commit_since is None and self._lanes.done:
            self._commit_since = self._clock.monotonic_ms()

    # -- commits --

    def _publish(self, part: Part) -> None:
        """Let the core see what may be committed."""
        lease = self._leases[part.name]
        if lease.handed != part.reached:
            return
        offset, metadata = part.told()
        lease.progress = OffsetAndMetadata(
            offset, "" if self._plain else metadata, lease.leader_epoch
        )
        lease.processed = offset

    def _commit_if_due(self, now: int) -> None:
        if self._committing is not None or now < self._commit_not_before:
            return
        waited = 0 if self._commit_since is None else now - self._commit_since
        if self._lanes.commit_due(waited):
            self._commit_since = None
            self._committing = self._spawn(self._commit(self._mark()))
            self._committing.add_done_callback(self._committed)

    def _committed(self, _task: asyncio.Task[None]) -> None:
        self._committing = None
        if self._commit_since is None and self._lanes.done:
            self._commit_since = self._clock.monotonic_ms()
        self._news.set()

    def _mark(self) -> Mark:
        for part in self._lanes.parts.values():
            self._publish(part)
        return self._lanes.mark()

    async def _commit(self, mark: Mark) -> None:
        if self._commits:
            try:
                await self._on_core(self._engine.commits.commit_processed(None))
            except CommitRefused:  # the leases tell which
                self._commit_not_before = self._clock.monotonic_ms() + PAUSE_MS
                return
            except KafkaError as error:
                self._commit_not_before = self._clock.monotonic_ms() + PAUSE_MS
                if error.code == ErrorCode.OFFSET_METADATA_TOO_LARGE and not self._plain:
                    _log.warning("offset.metadata.max.bytes: a crash will repeat more records")
                    self._plain = True
                elif not error.code.retriable:
                    self._fail(error)
                return
            except ClientError as error:
                self._commit_not_before = self._clock.monotonic_ms() + PAUSE_MS
                _log.warning("a commit failed: %s", error)
                return
        self._lanes.settle(mark)

    async def commit(self) -> None:
        """Commit what is done, now. Raises as the consumer's `commit` does."""
        mark = self._mark()
        if self._running.engine.config.group_id is not None:
            await self._on_core(self._engine.commits.commit_processed(None))
        self._lanes.settle(mark)
