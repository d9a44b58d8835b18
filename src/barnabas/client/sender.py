"""The producer's hands: carries out what `ProducerCore` decides, on one event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Final

from barnabas.client.batches import Batch
from barnabas.client.chores import Chores
from barnabas.client.cluster import Cluster
from barnabas.client.columns import cut
from barnabas.client.config import ProducerConfig
from barnabas.client.connection import Connection
from barnabas.client.deliveries import NOWHERE, Deliveries, Delivery, Failures, told_of, wake
from barnabas.client.errors import ClientError, RecordTooLarge, error_code
from barnabas.client.metadata import TopicState
from barnabas.client.parking import Parked, Parking
from barnabas.client.produce_calls import ask_identity, outcomes, produce_request
from barnabas.client.producer_core import ProducerCore
from barnabas.client.producer_transactions import Transactions
from barnabas.client.rows import Rows, check_partition, check_topic, checked
from barnabas.client.transaction_core import State, TransactionCore
from barnabas.ports import Timer
from barnabas.records.record import Headers
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.produce_request import ProduceRequest
from barnabas.wire.messages.produce_response import ProduceResponse

_log = logging.getLogger("barnabas.client.producer")
_LAST_EXPLICIT_PRODUCE: Final = 11
"""From Produce 12 on the cluster adds partitions to a transaction by itself (KIP-890)."""


class Sender:
    """Sends records over a `Cluster`. Use it as an async context manager: leaving flushes.

    It belongs to one event loop. `try_send` never waits for memory; `room` and `send_many` do.
    """

    def __init__(self, cluster: Cluster, config: ProducerConfig | None = None) -> None:
        self._cluster = cluster
        self._config = config or ProducerConfig()
        self._clock = cluster.ports.clock
        transaction = None if self._config.transactional_id is None else TransactionCore()
        self._core = ProducerCore(
            self._config, cluster.ports.random.below, self._settled, transaction
        )
        self._transaction = transaction
        self.transactions = (
            None
            if transaction is None
            else Transactions(
                cluster, self._config, self._core, transaction, self._quiesce, self._drop
            )
        )
        self._records = self._core.records
        self._timer: Timer | None = None
        self._room: list[asyncio.Future[None]] = []
        self._chores = Chores(self._chore_ended)
        self._unsent: dict[int, list[list[Batch]]] = {}
        self._parking = Parking(self._records, self._fails)
        self._failures = Failures()
        self._fatal: Exception | None = None
        self._closed = self._pumping = False
        self.on_batch: Callable[[Batch], None] | None = None
        """Called with every batch once its fate is known."""

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close(flush=error is None)

    async def close(self, *, flush: bool = True) -> None:
        """Deliver what is gathered (unless told not to), then stop. Raises as `flush`.

        An open transaction is aborted.
        """
        try:
            if self.transactions is not None and self.transactions.open:
                await self.transactions.abort()
            elif flush:
                await self.flush()
        finally:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            await self._chores.cancel()
            self._fatal = self._fatal or ClientError("the producer is closed")
            self._abandon(ClientError("the producer was closed before this was delivered"))

    # -- records in --

    async def prepare(self, topic: str, *, create: bool = True) -> int:
        """Learn a topic before records are sent to it; returns its number of partitions.

        Raises `KafkaError` or `ClientError` when that takes longer than `max_block_ms`.
        """
        check_topic(topic)
        state = await self._cluster.topic(
            topic, create=create, timeout_ms=self._config.max_block_ms
        )
        self._learn(state)
        return len(state.partitions)

    def _learn(self, state: TopicState) -> None:
        led = [index for index, each in state.partitions.items() if each.leader >= 0]
        self._records.learn(state.name, len(state.partitions), led)
        if self._parking.release(state.name, self._clock.monotonic_ms()):
            self._pump()

    def try_send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Headers = (),
        into: Delivery | None = None,
    ) -> Delivery | None:
        """Take a record; None when memory is full (see `room`). `into` is filled in and returned.

        A topic that is not known yet is asked for. Raises `RecordTooLarge`, `ValueError` for a
        partition that there is not, and what made the producer stop for good.
        """
        records = self._records
        if self._fatal is not None:
            raise self._fatal
        if self._transaction is not None:
            self._transaction.require(State.OPEN)
        if records.buffered_bytes >= records.memory:
            return None
        own_time = timestamp_ms is not None
        stamp = self._clock.wall_ms() if timestamp_ms is None else timestamp_ms
        if not records.knows(topic):
            check_topic(topic)
            delivery = into or Delivery(NOWHERE, 0)
            parked = Parked(delivery, partition, key, value, stamp, headers)
            if self._parking.park(topic, parked):
                self._chores.start(f"topic {topic}", partial(self._look_up, topic))
            return delivery
        batch = records.add(topic, partition, key, value, stamp, headers, own_time)
        if batch is None:
            now = self._clock.monotonic_ms()
            try:
                batch = records.append(topic, partition, key, value, stamp, headers, now, own_time)
            except (RecordTooLarge, ValueError) as error:
                self._fails(error)
                raise
        index = batch.count - 1
        if records.has_news:
            records.has_news = False
            self._pump()
        if into is None:
            return Delivery(batch, index)
        into.index = index
        into.batch = batch
        return into

    async def _look_up(self, topic: str) -> None:
        try:
            await self.prepare(topic)
        except (KafkaError, ClientError) as error:
            # Who hears of the failure may send to the topic again, at once.
            self._chores.over(f"topic {topic}")
            failed = self._parking.fail(topic, error)
            if failed is not None:
                self._settled(failed)

    @property
    def buffered_bytes(self) -> int:
        """What counts against `buffer.memory`."""
        return self._records.buffered_bytes

    async def room(self) -> None:
        """Return when `try_send` would take a record."""
        while self._records.full and self._fatal is None:
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
        if not self._records.knows(topic):
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

    async def send_many(
        self,
        topic: str,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        partition: int | None = None,
        timestamps_ms: Sequence[int] | int | None = None,
        headers: Sequence[Headers] | None = None,
        into: Deliveries | None = None,
    ) -> Deliveries:
        """Take a column of records; returns when all are in the buffer, within its bound.

        Await the result for their fate. Nothing is taken when it raises `TypeError`, `ValueError`
        or `RecordTooLarge`; what made the producer stop for good is raised, too.
        """
        stamps = self._clock.wall_ms() if timestamps_ms is None else timestamps_ms
        rows = checked(values, keys, stamps, headers, self._config.max_request_size)
        deliveries = into or Deliveries()
        await self._take(topic, partition, rows, deliveries)
        return deliveries

    async def _take(
        self, topic: str, partition: int | None, rows: Rows, deliveries: Deliveries
    ) -> None:
        records = self._records
        check_partition(partition)
        if not records.knows(topic):
            await self.prepare(topic)
        for chunk in rows.chunks():
            if records.full:
                await self.room()
            if self._fatal is not None:
                raise self._fatal
            if self._transaction is not None:
                self._transaction.require(State.OPEN)
            now = self._clock.monotonic_ms()
            deliveries.pieces += records.extend(topic, partition, chunk, now)
            if records.has_news:
                records.has_news = False
                self._pump()
                await self._clock.sleep(0)  # let answers in

    async def send_columns(
        self,
        topic: str,
        values: object,
        *,
        keys: object = None,
        partition: int | None = None,
        timestamps_ms: object = None,
        into: Deliveries | None = None,
    ) -> Deliveries:
        """Like `send_many`, for Arrow and numpy columns and the like (`columns.Column`).

        They are turned to bytes a chunk at a time. Raises `TypeError`, `ValueError` before anything
        is taken, `RecordTooLarge` at the chunk that has it.
        """
        deliveries = into or Deliveries()
        now = self._clock.wall_ms()
        for part in cut(values, keys, timestamps_ms):
            stamps = now if part.timestamps is None else part.timestamps
            rows = checked(part.values, part.keys, stamps, None, self._config.max_request_size)
            await self._take(topic, partition, rows, deliveries)
        return deliveries

    async def flush(self) -> None:
        """Return when the fate of every record taken so far is known.

        Raises `DeliveryFailed` when some were not delivered and nobody has asked for their fate.
        """
        await self._quiesce()
        self._failures.tell()

    async def _quiesce(self) -> None:
        while self._parking and self._fatal is None:
            await asyncio.wait(self._chores.named("topic "))
        self._core.close_batches()
        waiting = self._core.unfinished()
        self._pump()
        for batch in waiting:
            if not batch.done:
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                batch.listeners.append(partial(told_of, future))
                await future

    # -- batches out --

    def _settled(self, batch: Batch) -> None:
        """The fate of a batch is known."""
        if self.on_batch is not None:
            self.on_batch(batch)
            batch.heard = True
        if batch.error is not None and self._transaction is None:  # else it tells
            _log.warning("%s", batch.error)
            self._failures.note(batch)
        if self._room and not self._records.full:
            waiting, self._room = self._room, []
            for future in waiting:
                wake(future)

    def _pump(self) -> None:
        """Send what may be sent, start chores that are due, set the timer for the rest."""
        if self._closed or self._pumping:
            return
        now = self._clock.monotonic_ms()
        with self._alone():
            while calls := self._core.drain(self._cluster.metadata.leader, now):
                for node, batches in calls.items():
                    self._dispatch(node, batches)
                if self._config.acks:
                    break  # an answer will ask for what is next
        if self._transaction is not None and self._transaction.asked:
            self._chores.start("transaction", self._register)
        if self._core.wants_identity:
            self._chores.start("identity", self._fetch_identity)
        if now - self._cluster.metadata.updated_ms >= self._cluster.config.metadata_max_age_ms:
            self._core.stale_topics.update(self._records.topics)
        if self._core.stale_topics:
            self._chores.start("metadata", self._refresh)
        if self._timer is not None:
            self._timer.cancel()
        wait = self._core.wait_ms(now)
        self._timer = None if wait is None else self._clock.call_later(wait, self._pump)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """What is sent in here must not call for more that would overtake the rest of it."""
        self._pumping = True
        try:
            yield
        finally:
            self._pumping = False

    def _chore_ended(self, error: BaseException | None) -> None:
        if error is not None:
            self._stop(error)
        self._pump()

    def _stop(self, error: BaseException) -> None:
        """Nothing can be sent any more: fail what waits and what comes."""
        self._fatal = error if isinstance(error, Exception) else ClientError(str(error))
        self._abandon(self._fatal)

    def _abandon(self, error: Exception) -> None:
        self._core.abandon(error)
        self._parking.fail_all(error)
        waiting, self._room = self._room, []
        for future in waiting:
            wake(future)

    async def _register(self) -> None:
        try:
            if self.transactions is not None:
                await self.transactions.register()
        except (KafkaError, ClientError) as error:  # the transaction knows
            self._drop(error)

    def _fails(self, error: Exception) -> None:
        """A record got into no batch: a transaction must not be committed without it."""
        if self._transaction is not None:
            self._transaction.failed(error)

    def _drop(self, error: Exception) -> None:
        self._parking.fail_all(error)
        self._core.drop_unsent(error)

    async def _fetch_identity(self) -> None:
        limit = self._config.delivery_timeout_ms
        try:
            self._core.identified(*await ask_identity(self._cluster, limit))
        except (ClientError, KafkaError) as error:
            if isinstance(error, KafkaError) and not error.code.retriable:
                raise
            self._core.wants_identity = False  # the next batch asks again

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
                self._learn(state)
        # Elections take time: asking more often than this would only add load.
        await self._clock.sleep(self._cluster.pause_ms(0))

    def _dispatch(self, node: int, batches: list[Batch]) -> None:
        connection = self._cluster.open_connection(node)
        if node in self._unsent:  # behind what waits for the connection
            self._unsent[node].append(batches)
        elif connection is not None:
            self._send(connection, node, batches)
        else:
            self._unsent[node] = [batches]
            self._chores.start(f"connect {node}", partial(self._connect, node))

    async def _connect(self, node: int) -> None:
        connection: Connection | ClientError
        try:
            connection = await self._cluster.connection(node)
        except ClientError as error:
            connection = error
        self._chores.over(f"connect {node}")  # who comes now needs another one
        with self._alone():
            for batches in self._unsent.pop(node):
                if isinstance(connection, ClientError):
                    self._not_sent(node, batches, connection)
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
        metadata, timeout = self._cluster.metadata, self._cluster.config.request_timeout_ms
        request = produce_request(
            batches, metadata, self._config.acks, timeout, self._config.transactional_id
        )
        version = None
        if self._transaction is not None and not self._transaction.implicit:
            version = min(connection.version(ProduceRequest), _LAST_EXPLICIT_PRODUCE)
        try:
            if self._config.acks == 0:
                connection.send(request, None, partial(self._unanswered, node, batches))
            else:
                answered = partial(self._answered, node, batches)
                connection.send(request, ProduceResponse, answered, version=version)
        except KafkaError as error:
            self._core.request_done(node)
            for batch in batches:
                self._core.failed(batch, error, self._clock.monotonic_ms())

    def _unanswered(
        self, node: int, batches: list[Batch], _none: Message | None, error: Exception | None
    ) -> None:
        self._core.request_done(node)
        for batch in batches:
            if error is None:
                self._core.acknowledged(batch, -1, -1)
            else:
                self._core.failed(batch, error, self._clock.monotonic_ms())
        self._pump()

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
        metadata = self._cluster.metadata
        for node in response.node_endpoints:
            metadata.met(node.node_id, node.host, node.port, node.rack)
        for batch, entry in outcomes(batches, response, metadata):
            if entry is None:
                self._core.failed(batch, ClientError("the answer leaves a partition out"), now)
            elif entry.error_code in (ErrorCode.NONE, ErrorCode.DUPLICATE_SEQUENCE_NUMBER):
                self._core.acknowledged(batch, entry.base_offset, entry.log_append_time_ms)
            else:
                leader = entry.current_leader
                moved = metadata.moved(
                    batch.topic, batch.partition, leader.leader_id, leader.leader_epoch
                )
                error = KafkaError(error_code(entry.error_code), entry.error_message)
                self._core.failed(batch, error, now, moved=moved)
