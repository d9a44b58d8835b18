"""`barnabas.Consumer`: the asyncio face."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from barnabas.client.consumer.leases import OffsetAndMetadata
from barnabas.client.consumer.records import Batch, Event
from barnabas.client.consumer.running import (
    BEGINNING,
    END,
    Offsets,
    RebalanceListener,
    Running,
    Setup,
)
from barnabas.client.consumer.settings import consumer_settings, topics_and_config
from barnabas.client.errors import ClientError
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.offsets import OffsetAt
from barnabas.client.processing.failures import Retry
from barnabas.client.processing.lanes import Order
from barnabas.client.processing.plan import Plan
from barnabas.client.processing.processor import Processor
from barnabas.client.processing.runners import Handler
from barnabas.ports import Clock

T = TypeVar("T")
FOREVER_MS = 86_400_000


class Consumer:
    """Reads topics, alone or as a member of a group.

        async with Consumer("orders", group_id="billing", bootstrap_servers="...") as consumer:
            async for event in consumer:
                ...

    Positional arguments: topics to subscribe to, or one compiled regular expression; a dict takes
    settings under Kafka's names. Keyword arguments: settings in Python's spelling. The network and
    the heartbeats have a thread of their own, so a handler may block the loop for as long as it
    likes; it is told of a rebalance when it comes back, and its commit is refused then.

    With `enable_auto_commit` what is processed is committed now and then, at a rebalance and at the
    end; an event is processed when the next one is asked for, or when the `async with` block ends
    without an exception. Not for several tasks at once. Raises `ValueError` for a setting that
    there is not.
    """

    def __init__(
        self,
        *what: str | re.Pattern[str] | Mapping[str, object],
        listener: RebalanceListener | None = None,
        **options: object,
    ) -> None:
        self._subscription, config = topics_and_config(what)
        self._setup = consumer_settings(config, options)
        self._listener = listener
        self._running: Running | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._waiting = self._stopping = False
        self._processor: Processor | None = None

    @classmethod
    def configured(
        cls, setup: Setup, *topics: str, listener: RebalanceListener | None = None
    ) -> Consumer:
        """From settings that are put together already."""
        self = cls(*topics, listener=listener)
        self._setup = setup
        return self

    # -- life --

    async def start(self) -> Consumer:
        """Connect, and subscribe to what the constructor was given. Raises `CannotConnect`."""
        if self._running is not None:
            raise RuntimeError("this consumer runs already")
        self._loop = asyncio.get_running_loop()
        self._running = await asyncio.to_thread(Running, self._setup, self._heard, self._tell)
        if self._subscription:
            try:
                await self.subscribe(self._subscription)
            except BaseException:
                await self.stop(finished=False)
                raise
        return self

    async def stop(self, *, finished: bool = True) -> None:
        """Commit what is processed (`finished`: all that was handed out), leave the group (static
        members stay), disconnect. Harmless twice."""
        running = self._running
        if running is None or self._stopping:
            return
        if self._processor is not None:
            await self._processor.stopped()
        self._stopping = True  # the listener may still commit
        work = asyncio.ensure_future(_on(running, running.close(finished=finished)))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await work
            raise
        finally:
            self._running = None
            self._stopping = False
            await asyncio.to_thread(running.thread.stop)
            self._news.set()

    async def __aenter__(self) -> Consumer:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop(finished=kind is None)

    def _core(self) -> Running:
        if self._running is None:
            raise RuntimeError("this consumer does not run: use it in `async with`, or start it")
        return self._running

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return await _on(self._core(), work)

    def _heard(self) -> None:
        """Called in the core's thread."""
        processor = self._processor  # another thread takes it away
        if processor is not None:
            processor.wake()
        if self._waiting and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    async def _tell(self, what: str, partitions: list[TopicPartition]) -> None:
        """Called on the core's loop: run the listener on the application's."""
        if self._listener is None or self._loop is None or self._loop.is_closed():
            return
        method = getattr(self._listener, f"on_{what}")
        told = asyncio.run_coroutine_threadsafe(_called(method, partitions), self._loop)
        await asyncio.wrap_future(told)

    # -- records --

    async def __aiter__(self) -> AsyncIterator[Event]:
        """All events, for as long as the consumer runs."""
        running = self._core()
        while self._running is running:
            given = False
            self._raise(running)
            running.hand.finish()
            for event in running.hand.one_by_one():
                given = True
                yield event
                if self._running is not running:
                    return
            if not given:
                await self._wait(running, None)

    async def get_many(
        self, max_records: int | None = None, *, timeout_ms: int = 1_000
    ) -> list[Event]:
        """What is there, up to `max_records` (max.poll.records); waits up to `timeout_ms` for the
        first. The events of the last call count as processed. Raises `KafkaError`, `ClientError`.
        """
        limit = self._setup.config.max_poll_records if max_records is None else max_records
        running = self._core()
        self._raise(running)
        running.hand.finish()
        clock = running.ports.clock
        deadline = clock.monotonic_ms() + timeout_ms
        while not (events := running.hand.take(limit)):
            left = deadline - clock.monotonic_ms()
            if left <= 0:
                break
            await self._wait(running, left)
            if self._running is not running:
                break
            self._raise(running)
        return events

    async def get_batch(
        self, max_records: int | None = None, *, timeout_ms: int = 1_000
    ) -> Batch | None:
        """Records of one partition as columns, without an object per record: what is left of one
        batch as it was produced, up to `max_records`. None when nothing came in time. Raises as
        `get_many` does."""
        running = self._core()
        self._raise(running)
        running.hand.finish()
        clock = running.ports.clock
        deadline = clock.monotonic_ms() + timeout_ms
        while (batch := running.hand.take_batch(max_records)) is None:
            left = deadline - clock.monotonic_ms()
            if left <= 0:
                return None
            await self._wait(running, left)
            if self._running is not running:
                return None
            self._raise(running)
        return batch

    async def batches(self) -> AsyncIterator[Batch]:
        """All batches as columns, for as long as the consumer runs."""
        while self._running is not None:
            batch = await self.get_batch(timeout_ms=FOREVER_MS)
            if batch is not None:
                yield batch

    # -- side by side --

    async def process(
        self,
        handler: Handler,
        *,
        concurrency: int = 16,
        order: Order = "key",
        processes: int = 0,
        retry: Retry = Retry(),  # noqa: B008 - it cannot be changed
        dead_letter: str | None = None,
        max_in_flight: int | None = None,
    ) -> None:
        """Call `handler(event)` for every record, up to `concurrency` side by side, also those of
        one partition. Runs until `stop_processing`, cancellation, `stop`, or an error.

        A coroutine function runs on this loop, another function in threads; with `processes` in so
        many processes (it has to be picklable). Records of a key (order="key"; those without one
        have no order), of a partition, or none ("none") come one after the other, each when the
        one before is done. What is done is committed soon, also behind what is not: at most
        `max_in_flight` records (as many as `concurrency`) are begun and not committed, and so
        much may a crash repeat.

        A handler that raises is tried again as `retry` says; then the record goes to the topic
        `dead_letter` with the reason in headers, or, without one, its error ends this call. What
        has begun then ends first, for up to revoke.timeout.ms, and what is done is committed.

        Raises `ValueError` and `TypeError` for arguments, `KafkaError`, `ClientError`, and what
        the handler raised.
        """
        if self._processor is not None:
            raise RuntimeError("process() runs already")
        plan = Plan(handler, concurrency, order, processes, retry, dead_letter, max_in_flight)
        self._processor = Processor(self._core(), self._setup, plan)
        try:
            await self._processor.run()
        finally:
            self._processor = None

    def stop_processing(self) -> None:
        """Let `process` end: nothing more begins, what has begun is waited for. A handler may call
        it."""
        if self._processor is not None:
            self._processor.stop()

    def _raise(self, running: Running) -> None:
        if self._processor is not None:
            raise RuntimeError("process() takes all records while it runs")
        running.engine.raise_errors()

    async def _wait(self, running: Running, timeout_ms: int | None) -> None:
        """Until something is ready, or time is up."""
        running.hand.idle()
        self._news.clear()
        self._waiting = True
        try:
            # Whatever came before `_waiting` was set is seen here.
            if not running.engine.ready and not running.engine.errors:
                async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                    await self._news.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting = False

    # -- partitions --

    async def subscribe(self, topics: Iterable[str] | re.Pattern[str]) -> None:
        """Take part in the group for these topics, or for all that match; instead of what was
        subscribed to. Needs `group_id`. Raises `ClientError`."""
        await self._run(
            self._core().subscribe(topics if isinstance(topics, re.Pattern) else list(topics))
        )

    async def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these (topic, partition) without a group's help, from what the group has committed
        or where auto.offset.reset says. Raises `KafkaError` for a topic that there is not."""
        await self._run(self._core().assign(list(partitions)))

    def assignment(self) -> list[TopicPartition]:
        """What this consumer reads now, sorted."""
        return sorted(self._core().engine.leases.held)

    def position(self, partition: TopicPartition) -> int:
        """The offset behind what was handed out; -1 before it is known. Raises `ValueError`."""
        return self._core().engine.lease(partition).handed

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on from `offset`. Raises `ValueError` for a partition that is not assigned."""
        await self._run(self._core().engine.seek({partition: offset}))

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Go to the first offset of these, or of all assigned partitions."""
        await self._run(self._core().seek_to(partitions or self.assignment(), BEGINNING))

    async def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Go to the end of these, or of all assigned partitions."""
        await self._run(self._core().seek_to(partitions or self.assignment(), END))

    async def pause(self, *partitions: TopicPartition) -> None:
        """Hand out nothing of these until `resume`; they stay assigned. Raises `ValueError`."""
        await self._run(self._core().engine.pause(partitions, True))

    async def resume(self, *partitions: TopicPartition) -> None:
        """Undo `pause`."""
        await self._run(self._core().engine.pause(partitions, False))

    def paused(self) -> list[TopicPartition]:
        """What is paused, sorted."""
        held = self._core().engine.leases.held
        return sorted(name for name, lease in held.items() if lease.paused)

    # -- offsets --

    async def commit(self, offsets: Offsets | None = None) -> None:
        """Commit `offsets`, or all that was handed out, the event at hand included; while `process`
        runs: all that is done.

        Raises `CommitRefused` for partitions that are somebody else's by now, `KafkaError`.
        """
        if offsets is None and self._processor is not None:
            await self._processor.commit()
            return
        await self._run(self._core().commit(offsets))

    async def committed(
        self, *partitions: TopicPartition
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed for these; absent where it has nothing."""
        return await self._run(self._core().committed(partitions))

    async def beginning_offsets(self, *partitions: TopicPartition) -> dict[TopicPartition, int]:
        """The first offsets."""
        return await self._run(self._core().ends(partitions, BEGINNING))

    async def end_offsets(self, *partitions: TopicPartition) -> dict[TopicPartition, int]:
        """The offsets behind what may be read."""
        return await self._run(self._core().ends(partitions, END))

    async def offsets_for_times(
        self, times: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAt]:
        """The first record at or after a time (ms); absent where all are older."""
        return await self._run(self._core().offsets_for_times(times))

    async def partitions_for(self, topic: str) -> list[int]:
        """The partitions of a topic. Raises `KafkaError`."""
        return await self._run(self._core().partitions_for(topic))

    @property
    def clock(self) -> Clock:
        """The clock of the core, while the consumer runs."""
        return self._core().ports.clock

    def group_member(self) -> tuple[str, int]:
        """Member id and generation (or member epoch); ("", -1) while it is in no group."""
        return self._core().engine.group_member()


async def _called(method: Any, partitions: list[TopicPartition]) -> None:
    result = method(partitions)
    if inspect.isawaitable(result):
        await result


async def _on(running: Running, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the core's loop; cancelling the caller cancels it."""
    try:
        future = asyncio.run_coroutine_threadsafe(work, running.thread.loop)
    except RuntimeError:
        work.close()
        raise ClientError("the consumer is closed") from None
    return await asyncio.wrap_future(future)
