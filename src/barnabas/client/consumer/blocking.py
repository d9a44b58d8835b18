"""`barnabas.sync.Consumer`: the blocking face, over the same core."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
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
from barnabas.host.background import Latch, Lock, LoopThread

T = TypeVar("T")
G = TypeVar("G")
SLICE_MS = 3_600_000
"""Waiting without an end comes in slices of this."""


class Consumer:
    """Reads topics, alone or as a member of a group; for programs without asyncio.

        with Consumer("orders", group_id="billing", bootstrap_servers="...") as consumer:
            for event in consumer:
                ...

    Arguments and rules are those of `barnabas.Consumer`. It connects when it is made. The listener
    is called in a thread of the consumer's. Methods may be called from several threads: each event
    goes to one of them, and all that were given out before the last call count as processed.
    """

    def __init__(
        self,
        *what: str | re.Pattern[str] | Mapping[str, object],
        listener: RebalanceListener | None = None,
        **options: object,
    ) -> None:
        """Raises `ValueError` for a setting that there is not, `CannotConnect`."""
        subscription, config = topics_and_config(what)
        self._setup = consumer_settings(config, options)
        self._listener = listener
        self._latch = Latch()
        self._lock = Lock()
        self._closing = False
        self._processor: Processor | None = None
        running = Running(self._setup, self._heard, self._tell)
        self._executor = running.ports.executor
        self._running: Running | None = running
        if subscription:
            try:
                self.subscribe(subscription)
            except BaseException:
                self.close(finished=False)
                raise

    # -- life --

    def close(self, *, finished: bool = True) -> None:
        """Commit what is processed (`finished`: all that was handed out), leave the group (static
        members stay), disconnect. Harmless twice."""
        running = self._running
        if running is None or self._closing:
            return
        processor = self._processor
        if processor is not None:
            asyncio.run_coroutine_threadsafe(processor.stopped(), processor.loop).result()
        self._closing = True  # the listener may still commit
        try:
            running.thread.call(running.close(finished=finished))
        finally:
            self._running = None
            running.thread.stop()
            self._latch.set()

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(finished=kind is None)

    def _alive(self) -> bool:
        return self._running is not None and not self._closing

    def _core(self) -> Running:
        if self._running is None:
            raise ClientError("the consumer is closed")
        return self._running

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return self._core().thread.call(work)

    def _heard(self) -> None:
        """Called in the core's thread."""
        self._latch.set()
        processor = self._processor  # another thread takes it away
        if processor is not None:
            processor.wake()

    async def _tell(self, what: str, partitions: list[TopicPartition]) -> None:
        """Called on the core's loop."""
        if self._listener is not None:
            method = getattr(self._listener, f"on_{what}")
            await self._executor.run(lambda: method(partitions))

    # -- records --

    def __iter__(self) -> Iterator[Event]:
        """All events, for as long as the consumer runs. For one thread; several use `get_many`."""
        while self._alive():
            running = self._core()
            if not self._next(lambda each: each.hand.has_next(), SLICE_MS):
                continue
            for event in running.hand.one_by_one():
                yield event
                if not self._alive():
                    return

    def get_many(self, max_records: int | None = None, *, timeout_ms: int = 1_000) -> list[Event]:
        """What is there, up to `max_records` (max.poll.records); waits up to `timeout_ms` for the
        first. The events of the last call count as processed. Raises `KafkaError`, `ClientError`.
        """
        limit = self._setup.config.max_poll_records if max_records is None else max_records
        return self._next(lambda running: running.hand.take(limit), timeout_ms) or []

    def get_batch(self, max_records: int | None = None, *, timeout_ms: int = 1_000) -> Batch | None:
        """Records of one partition as columns; None when nothing came in time."""
        return self._next(lambda running: running.hand.take_batch(max_records), timeout_ms)

    def batches(self) -> Iterator[Batch]:
        """All batches as columns, for as long as the consumer runs."""
        while self._alive():
            batch = self.get_batch(timeout_ms=SLICE_MS)
            if batch is not None:
                yield batch

    def _next(self, take: Callable[[Running], G], timeout_ms: int) -> G | None:
        """What `take` finds when there is something, None when that takes too long."""
        if self._processor is not None:
            raise RuntimeError("process() takes all records while it runs")
        running = self._core()
        with self._lock:
            running.hand.finish()
        clock = running.ports.clock
        deadline = clock.monotonic_ms() + timeout_ms
        while True:
            if not self._alive():
                return None
            running.engine.raise_errors()
            with self._lock:
                if self._latch.is_set:  # else others wait for it, too
                    self._latch = Latch()
                latch = self._latch
                found = take(running)
                if not found:
                    running.hand.idle()
            if found:
                return found
            left = deadline - clock.monotonic_ms()
            if left <= 0 or not self._alive():
                return None
            # Whatever came before the latch was there is in `ready`.
            if not running.engine.ready and not running.engine.errors:
                latch.wait(left / 1000)

    # -- side by side --

    def process(
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
        """See `barnabas.Consumer.process`. Returns or raises when it is over; Ctrl-C ends it in the
        same orderly way. A coroutine function runs on a loop in a thread of its own."""
        if self._processor is not None:
            raise RuntimeError("process() runs already")
        plan = Plan(handler, concurrency, order, processes, retry, dead_letter, max_in_flight)
        running = self._core()

        async def begin() -> Processor:
            return Processor(running, self._setup, plan)

        thread = LoopThread("barnabas-process")
        try:
            processor = self._processor = thread.call(begin())
            run = asyncio.run_coroutine_threadsafe(processor.run(), thread.loop)
            try:
                run.result()
            except KeyboardInterrupt:
                processor.stop()
                run.result()
                raise
        finally:
            self._processor = None
            thread.stop()

    def stop_processing(self) -> None:
        """Let `process` end: nothing more begins, what has begun is waited for. A handler may call
        it."""
        processor = self._processor
        if processor is not None:
            processor.stop()

    # -- partitions --

    def subscribe(self, topics: Iterable[str] | re.Pattern[str]) -> None:
        """Take part in the group for these topics, or for all that match; instead of what was
        subscribed to. Raises `ValueError` without a group, `ClientError`."""
        what = topics if isinstance(topics, re.Pattern) else list(topics)
        self._call(self._core().subscribe(what))

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these (topic, partition) without a group's help. Raises `KafkaError`."""
        self._call(self._core().assign(list(partitions)))

    def assignment(self) -> list[TopicPartition]:
        """What this consumer reads now, sorted."""
        return sorted(self._core().engine.leases.held)

    def position(self, partition: TopicPartition) -> int:
        """The offset behind what was handed out; -1 before it is known. Raises `ValueError`."""
        return self._core().engine.lease(partition).handed

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on from `offset`. Raises `ValueError` for a partition that is not assigned."""
        self._call(self._core().engine.seek({partition: offset}))

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Go to the first offset of these, or of all assigned partitions."""
        self._call(self._core().seek_to(partitions or self.assignment(), BEGINNING))

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Go to the end of these, or of all assigned partitions."""
        self._call(self._core().seek_to(partitions or self.assignment(), END))

    def pause(self, *partitions: TopicPartition) -> None:
        """Hand out nothing of these until `resume`; they stay assigned. Raises `ValueError`."""
        self._call(self._core().engine.pause(partitions, True))

    def resume(self, *partitions: TopicPartition) -> None:
        """Undo `pause`."""
        self._call(self._core().engine.pause(partitions, False))

    def paused(self) -> list[TopicPartition]:
        """What is paused, sorted."""
        held = self._core().engine.leases.held
        return sorted(name for name, lease in held.items() if lease.paused)

    # -- offsets --

    def commit(self, offsets: Offsets | None = None) -> None:
        """Commit `offsets`, or all that was handed out, the event at hand included; while `process`
        runs: all that is done.

        Raises `CommitRefused` for partitions that are somebody else's by now, `KafkaError`.
        """
        processor = self._processor
        if offsets is None and processor is not None:
            asyncio.run_coroutine_threadsafe(processor.commit(), processor.loop).result()
            return
        self._call(self._core().commit(offsets))

    def committed(self, *partitions: TopicPartition) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed for these; absent where it has nothing."""
        return self._call(self._core().committed(partitions))

    def beginning_offsets(self, *partitions: TopicPartition) -> dict[TopicPartition, int]:
        """The first offsets."""
        return self._call(self._core().ends(partitions, BEGINNING))

    def end_offsets(self, *partitions: TopicPartition) -> dict[TopicPartition, int]:
        """The offsets behind what may be read."""
        return self._call(self._core().ends(partitions, END))

    def offsets_for_times(
        self, times: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAt]:
        """The first record at or after a time (ms); absent where all are older."""
        return self._call(self._core().offsets_for_times(times))

    def partitions_for(self, topic: str) -> list[int]:
        """The partitions of a topic. Raises `KafkaError`."""
        return self._call(self._core().partitions_for(topic))

    def group_member(self) -> tuple[str, int]:
        """Member id and generation (or member epoch); ("", -1) while it is in no group."""
        return self._core().engine.group_member()
