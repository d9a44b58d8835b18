"""A `Sender` on a loop in a thread of its own, fed by other threads through a queue.

Only that thread touches the sender's state, so that Ctrl-C in a caller can't leave it half-changed,
and callers need no lock but a short one that counts memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from barnabas.client.accumulator import Piece
from barnabas.client.cluster import Cluster
from barnabas.client.deliveries import (
    NOWHERE,
    Deliveries,
    Delivery,
    RecordMetadata,
    RecordRange,
    refused,
    told_of,
)
from barnabas.client.errors import BufferFull, ClientError
from barnabas.client.sender import Sender
from barnabas.client.settings import ProducerSettings
from barnabas.host import open_ports
from barnabas.host.background import Latch, Lock, LoopThread
from barnabas.records.record import Headers
from barnabas.wire.errors import KafkaError

_TURN: Final = 500
"""Records that are taken from the queue before the loop looks at its sockets again."""


class BlockingDelivery(Delivery):
    """The fate of one record. Every method may be called from any thread."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        super().__init__(NOWHERE, 0)
        self._engine = engine

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the fate is known, up to `timeout` seconds; whether it is."""
        if self.batch.done:
            return True
        self._engine.check_caller()
        latch = Latch()
        self.add_done_callback(lambda _: latch.set())
        return latch.wait(timeout)

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait, then tell why the record was not delivered; None if it was. Raises `TimeoutError`."""
        if not self.wait(timeout):
            raise TimeoutError(f"the record is still on its way after {timeout:g} s")
        return super().exception()

    def result(self, timeout: float | None = None) -> RecordMetadata:
        """Wait, then tell where the record is or raise why it is nowhere. Raises `TimeoutError`."""
        self.exception(timeout)
        return super().result()

    def add_done_callback(self, callback: Callable[[Delivery], object]) -> None:
        """Call `callback` on the producer's own thread once the fate is known: it must be short."""
        self._engine.put(_Watch(self, callback))


class BlockingDeliveries(Deliveries):
    """The fate of the records of one call."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def result(self) -> Sequence[RecordRange]:
        """Wait, then tell where they are, or raise why the first that failed did."""
        if not self.done():
            self._engine.check_caller()
            self._engine.call(self.pieces)
        return super().result()


class One(NamedTuple):
    """A record for the sender."""

    delivery: BlockingDelivery
    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None
    headers: Headers
    size: int


class Many(NamedTuple):
    """A call of `send_many` or `send_columns`."""

    columns: bool
    topic: str
    values: Any
    options: dict[str, Any]
    deliveries: BlockingDeliveries
    latch: Latch


class _Watch(NamedTuple):
    """Somebody wants to hear of a record."""

    delivery: BlockingDelivery
    callback: Callable[[Delivery], object]


class Work(NamedTuple):
    """Something that comes behind all records before it, and that somebody waits for."""

    begin: Callable[[Sender], Coroutine[Any, Any, None]]
    latch: Latch


class Room(NamedTuple):
    """Somebody waits for memory."""

    latch: Latch


Item: TypeAlias = One | Many | _Watch | Work | Room


class Engine:
    """The thread, the loop, the cluster and the sender of one blocking producer."""

    def __init__(self, settings: ProducerSettings) -> None:
        """Start, and connect to one of the bootstrap addresses. Raises `CannotConnect`."""
        self._settings = settings
        self._memory = settings.producer.buffer_memory
        self._queue: deque[Item] = deque()
        self._queued_bytes = 0
        self._lock = Lock()
        self._awake = self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.inherited = False
        """This is a copy in a forked process: the thread is not here."""
        self._thread = LoopThread("barnabas-producer")
        try:
            self._thread.call(self._start())
        except BaseException:
            self._thread.stop()
            raise

    async def _start(self) -> None:
        self._ports = open_ports(asyncio.get_running_loop())
        self._cluster = Cluster(self._ports, self._settings.addresses, self._settings.client)
        try:
            await self._cluster.__aenter__()
        except BaseException:
            self._ports.close()
            raise
        self._sender = Sender(self._cluster, self._settings.producer)
        self._news = asyncio.Event()
        self._spawn(self._feed())

    def stop(self) -> None:
        """Disconnect, and end the thread. What is not delivered yet fails."""
        if not self.inherited:
            try:
                self._thread.call(self._stop())
            finally:
                self._thread.stop()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._sender.close(flush=False)
        finally:
            self._stopped = True
            self._fail_queued()
            await self._cluster.close()
            self._ports.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- callers' threads --

    @property
    def full(self) -> bool:
        """Whether records must wait for memory."""
        return self._queued_bytes + self._sender.buffered_bytes >= self._memory

    def put(self, item: Item) -> None:
        """Queue something to do. Raises `ClientError` in a forked process.

        Once the producer is closed it fails at once.
        """
        if self.inherited:
            raise ClientError("this belongs to the process that was forked")
        self._queue.append(item)
        if self._stopped:  # looked at behind the append: whoever comes later clears the queue
            self._fail_queued()
            return
        if not self._awake:
            try:
                self._awake = True
                self._thread.soon(self._wake)
            except BaseException:  # Ctrl-C: the next one wakes the loop
                self._awake = False
                raise

    def put_record(self, item: One) -> None:
        """Queue a record; its bytes count until the sender has it."""
        with self._lock:
            self._queued_bytes += item.size
        self.put(item)

    def wait_for_room(self, timeout_ms: int) -> None:
        """Return when there is memory for a record. Raises `BufferFull` when that takes too long,
        and on the producer's own thread, which can't wait for itself."""
        latch = Latch()
        if not self._thread.is_current:
            self.put(Room(latch))
            if latch.wait(timeout_ms / 1000):
                return
        raise BufferFull(f"buffer.memory was used up for {timeout_ms / 1000:g} s")

    def check_caller(self) -> None:
        """Raises `RuntimeError` in a callback: the producer's own thread would wait for itself."""
        if self._thread.is_current:
            raise RuntimeError("a callback of the producer must not wait for the producer")

    def run(self, begin: Callable[[Sender], Coroutine[Any, Any, None]]) -> None:
        """Do something behind all that was queued before, and wait for it."""
        self.check_caller()
        latch = Latch()
        self.put(Work(begin, latch))
        latch.wait()

    def call(self, pieces: Sequence[Piece]) -> None:
        """Wait until the fate of all pieces is known."""
        self._thread.call(_settled(pieces))

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises `KafkaError`, `ClientError`."""
        return self._thread.call(self._sender.prepare(topic))

    # -- the loop's thread --

    def _wake(self) -> None:
        self._news.set()

    async def _feed(self) -> None:
        """Move what is queued to the sender, in order, as far as its memory allows."""
        queue, count = self._queue, 0
        while True:
            while queue:
                item = queue.popleft()
                try:
                    await self._handle(item)
                except asyncio.CancelledError:
                    self._fail(item, ClientError("the producer was closed before this was sent"))
                    raise
                except Exception as error:
                    self._fail(item, error)
                count += 1
                if count % _TURN == 0:
                    await self._ports.clock.sleep(0)
            self._awake = False
            if not queue:  # who puts something now wakes us
                await self._news.wait()
                self._news.clear()

    async def _handle(self, item: Item) -> None:
        if isinstance(item, One):
            while not self._move(item):
                await self._sender.room()
        elif isinstance(item, Many):
            take = self._sender.send_columns if item.columns else self._sender.send_many
            await take(item.topic, item.values, into=item.deliveries, **item.options)
            item.latch.set()
        elif isinstance(item, _Watch):
            Delivery.add_done_callback(item.delivery, item.callback)
        elif isinstance(item, Room):
            await self._sender.room()
            item.latch.set()
        else:
            self._spawn(self._work(item))
            await self._ports.clock.sleep(0)  # it begins before more is taken

    def _move(self, item: One) -> bool:
        """Hand a record to the sender; False when there is no memory."""
        delivery, topic, partition, key, value, timestamp, headers, size = item
        try:
            taken = self._sender.try_send(
                topic,
                value,
                key=key,
                partition=partition,
                timestamp_ms=timestamp,
                headers=headers,
                into=delivery,
            )
        except (ClientError, KafkaError, ValueError) as error:
            delivery.batch = refused(topic, error)
        else:
            if taken is None:
                return False
        with self._lock:
            self._queued_bytes -= size
        return True

    async def _work(self, item: Work) -> None:
        error: BaseException | None = None
        try:
            await item.begin(self._sender)
        except asyncio.CancelledError:
            error = ClientError("the producer was closed")
            raise
        except Exception as cause:
            error = cause
        finally:
            item.latch.set(error)

    def _fail_queued(self) -> None:
        """On any thread: nobody looks at the queue any more."""
        error = ClientError("the producer was closed before this was delivered")
        while True:
            try:
                item = self._queue.popleft()
            except IndexError:
                return
            self._fail(item, error)

    def _fail(self, item: Item, error: Exception) -> None:
        if isinstance(item, One):
            item.delivery.batch = refused(item.topic, error)
            with self._lock:
                self._queued_bytes -= item.size
        elif isinstance(item, _Watch):
            Delivery.add_done_callback(item.delivery, item.callback)
        else:
            item.latch.set(error)


async def _settled(pieces: Sequence[Piece]) -> None:
    for batch, _, _ in pieces:
        if not batch.done:
            told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            batch.listeners.append(partial(told_of, told))
            await told
