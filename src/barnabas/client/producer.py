"""The producer's asyncio face: carries out what `ProducerCore` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import TracebackType
from typing import Any

from barnabas.client.batches import Batch
from barnabas.client.cluster import Cluster
from barnabas.client.config import ProducerConfig
from barnabas.client.connection import Connection
from barnabas.client.errors import ClientError, error_code
from barnabas.client.producer_core import ProducerCore
from barnabas.ports import Timer
from barnabas.records.record import Headers
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from barnabas.wire.uuids import ZERO

Callback = Callable[[Message | None, Exception | None], None]


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Delivery:
    """The fate of one record. Await it for the offset (-1 with acks=0)."""

    __slots__ = ("_index", "batch")

    def __init__(self, batch: Batch, index: int) -> None:
        self.batch = batch
        self._index = index

    @property
    def offset(self) -> int:
        """The record's offset, -1 while unknown."""
        base = self.batch.base_offset
        return base if base < 0 else base + self._index

    def __await__(self) -> Generator[Any, None, int]:
        batch = self.batch
        if not batch.done:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            batch.listeners.append(lambda _batch: _wake(future))
            yield from future
        if batch.error is not None:
            raise batch.error
        return self.offset


class Producer:
    """Sends records. Use it as an async context manager: leaving flushes.

    `try_send` never waits; `room` waits until it may be called again. `send` is both.
    """

    def __init__(self, cluster: Cluster, config: ProducerConfig | None = None) -> None:
        self._cluster = cluster
        self._config = config or ProducerConfig()
        self._clock = cluster.ports.clock
        self._core = ProducerCore(self._config, cluster.ports.random.below)
        self._timer: Timer | None = None
        self._room: list[asyncio.Future[None]] = []
        self._chores: dict[str, asyncio.Task[None]] = {}
        self._fatal: Exception | None = None
        self._closed = False
        self.on_batch: Callable[[Batch], None] | None = None
        """Called with every batch once its fate is known."""

    async def __aenter__(self) -> Producer:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close(flush=error is None)

    async def close(self, *, flush: bool = True) -> None:
        """Deliver what is gathered (unless told not to), then stop."""
        if flush:
            await self.flush()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        chores = list(self._chores.values())
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)

    # -- records in --

    async def prepare(self, topic: str, *, create: bool = True) -> int:
        """Learn a topic before records are sent to it; returns its number of partitions."""
        state = await self._cluster.topic(topic, create=create)
        self._core.learn(topic, len(state.partitions))
        return len(state.partitions)

    def try_send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Headers = (),
    ) -> Delivery | None:
        """Take a record for a prepared topic; None when memory is full (see `room`).

        Raises `RecordTooLarge`, and what made the producer stop for good.
        """
        core = self._core
        if self._fatal is not None:
            raise self._fatal
        if core.full:
            return None
        now = self._clock.monotonic_ms()
        stamp = self._clock.wall_ms() if timestamp_ms is None else timestamp_ms
        batch = core.append(topic, partition, key, value, stamp, headers, now)
        index = len(batch.records) - 1
        if index == 0:
            batch.listeners.append(self._batch_done)
        if core.has_news:
            core.has_news = False
            self._pump()
        return Delivery(batch, index)

    async def room(self) -> None:
        """Return when `try_send` would take a record."""
        while self._core.full and self._fatal is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(future)
            self._pump()
            await future

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Headers = (),
    ) -> Delivery:
        """Take a record, waiting for metadata and memory if need be. Await the result for its fate."""
        if not self._core.knows(topic):
            await self.prepare(topic)
        while True:
            delivery = self.try_send(
                topic,
                value,
                key=key,
                partition=partition,
                timestamp_ms=timestamp_ms,
                headers=headers,
            )
            if delivery is not None:
                return delivery
            await self.room()

    async def flush(self) -> None:
        """Return when the fate of every record taken so far is known."""
        self._core.close_batches()
        waiting = [Delivery(batch, 0) for batch in self._core.unfinished()]
        self._pump()
        await asyncio.gather(*waiting, return_exceptions=True)

    # -- batches out --

    def _batch_done(self, batch: Batch) -> None:
        if self.on_batch is not None:
            self.on_batch(batch)
        if self._room and not self._core.full:
            waiting, self._room = self._room, []
            for future in waiting:
                _wake(future)

    def _pump(self) -> None:
        """Send what may be sent, start chores that are due, set the timer for the rest."""
        if self._closed:
            return
        now = self._clock.monotonic_ms()
        for node, batches in self._core.drain(self._cluster.metadata.leader, now).items():
            self._dispatch(node, batches)
        if self._core.wants_identity:
            self._chore("identity", self._fetch_identity)
        if self._core.stale_topics:
            self._chore("metadata", self._refresh)
        if self._timer is not None:
            self._timer.cancel()
        wait = self._core.wait_ms(now)
        self._timer = None if wait is None else self._clock.call_later(wait, self._pump)

    def _chore(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` in the background unless it is running already, then look again."""
        if name in self._chores:
            return

        def done(task: asyncio.Task[None]) -> None:
            del self._chores[name]
            if not task.cancelled():
                if (error := task.exception()) is not None:
                    self._stop(error)
                self._pump()

        task = asyncio.ensure_future(work())
        self._chores[name] = task
        task.add_done_callback(done)

    def _stop(self, error: BaseException) -> None:
        """Nothing can be sent any more: fail what waits and what comes."""
        self._fatal = error if isinstance(error, Exception) else ClientError(str(error))
        self._core.abandon(self._fatal)
        waiting, self._room = self._room, []
        for future in waiting:
            _wake(future)

    async def _fetch_identity(self) -> None:
        async def attempt() -> None:
            response = await self._cluster.ask(
                InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000),
                InitProducerIdResponse,
            )
            if response.error_code != ErrorCode.NONE:
                raise KafkaError(error_code(response.error_code), "no producer id")
            self._core.identified(response.producer_id, response.producer_epoch)

        await self._cluster.retrying(attempt, self._config.delivery_timeout_ms)

    async def _refresh(self) -> None:
        topics = sorted(self._core.stale_topics)
        self._core.stale_topics.clear()
        try:
            await self._cluster.refresh(topics)
        except (ClientError, KafkaError):
            self._core.stale_topics.update(topics)
        for topic in topics:
            state = self._cluster.metadata.topics.get(topic)
            if state is not None and state.partitions:
                self._core.learn(topic, len(state.partitions))
        # Elections take time: asking more often than this would only add load.
        await self._clock.sleep(self._cluster.pause_ms(0))

    def _dispatch(self, node: int, batches: list[Batch]) -> None:
        connection = self._cluster.open_connection(node)
        if connection is not None:
            self._send(connection, node, batches)
            return
        self._chore(f"connect {id(batches)}", partial(self._connect, node, batches))

    async def _connect(self, node: int, batches: list[Batch]) -> None:
        try:
            connection = await self._cluster.connection(node)
        except ClientError as error:
            self._not_sent(node, batches, error)
        else:
            self._send(connection, node, batches)

    def _not_sent(self, node: int, batches: list[Batch], error: ClientError) -> None:
        """No bytes left: unlike a lost connection, this says that nothing was written."""
        now = self._clock.monotonic_ms()
        self._core.request_done(node)
        for batch in batches:
            refused = KafkaError(ErrorCode.LEADER_NOT_AVAILABLE, str(error))
            self._core.failed(batch, refused, now)

    def _send(self, connection: Connection, node: int, batches: list[Batch]) -> None:
        request = self._request(batches)
        try:
            if self._config.acks == 0:
                connection.send(request, None, partial(self._unanswered, node, batches))
            else:
                connection.send(request, ProduceResponse, partial(self._answered, node, batches))
        except KafkaError as error:
            self._core.request_done(node)
            for batch in batches:
                self._core.failed(batch, error, self._clock.monotonic_ms())

    def _request(self, batches: list[Batch]) -> ProduceRequest:
        topics: dict[str, TopicProduceData] = {}
        for batch in batches:
            data = topics.get(batch.topic)
            if data is None:
                state = self._cluster.metadata.topics.get(batch.topic)
                topic_id = ZERO if state is None else state.id
                data = TopicProduceData(name=batch.topic, topic_id=topic_id, partition_data=[])
                topics[batch.topic] = data
            data.partition_data.append(
                PartitionProduceData(index=batch.partition, records=batch.data)
            )
        return ProduceRequest(
            transactional_id=None,
            acks=self._config.acks,
            timeout_ms=self._cluster.config.request_timeout_ms,
            topic_data=list(topics.values()),
        )

    def _unanswered(
        self, node: int, batches: list[Batch], _none: Message | None, error: Exception | None
    ) -> None:
        self._core.request_done(node)
        for batch in batches:
            if error is None:
                self._core.acknowledged(batch, -1, -1)
            else:
                self._core.failed(batch, error, self._clock.monotonic_ms())

    def _answered(
        self, node: int, batches: list[Batch], response: Message | None, error: Exception | None
    ) -> None:
        self._core.request_done(node)
        now = self._clock.monotonic_ms()
        if isinstance(response, ProduceResponse):
            self._outcomes(batches, response, now)
        else:
            for batch in batches:
                self._core.failed(batch, error or ClientError("no answer"), now)
        self._pump()

    def _outcomes(self, batches: list[Batch], response: ProduceResponse, now: int) -> None:
        names = {state.id: state.name for state in self._cluster.metadata.topics.values()}
        answers = {
            (topic.name or names.get(topic.topic_id, ""), entry.index): entry
            for topic in response.responses
            for entry in topic.partition_responses
        }
        for batch in batches:
            entry = answers.get((batch.topic, batch.partition))
            if entry is None:
                self._core.failed(batch, ClientError("the answer leaves a partition out"), now)
            elif entry.error_code in (ErrorCode.NONE, ErrorCode.DUPLICATE_SEQUENCE_NUMBER):
                self._core.acknowledged(batch, entry.base_offset, entry.log_append_time_ms)
            else:
                leader = entry.current_leader
                self._cluster.metadata.moved(
                    batch.topic, batch.partition, leader.leader_id, leader.leader_epoch
                )
                error = KafkaError(error_code(entry.error_code), entry.error_message)
                self._core.failed(batch, error, now)
