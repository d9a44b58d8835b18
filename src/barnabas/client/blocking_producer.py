"""`barnabas.sync.Producer`: the producer for threads that block, over the same `Sender`."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType

from barnabas.client.blocking_engine import (
    BlockingDeliveries,
    BlockingDelivery,
    Engine,
    Many,
    One,
)
from barnabas.client.errors import ClientError
from barnabas.client.producer import transactions_of
from barnabas.client.rows import as_bytes, as_headers, as_time, check_partition, record_size
from barnabas.client.sender import Sender
from barnabas.client.settings import producer_settings
from barnabas.host.background import Latch, at_fork
from barnabas.ports import Buffer
from barnabas.records.record import Headers

_log = logging.getLogger("barnabas.client.producer")
_producers: set[Producer] = set()
"""Those that run: also one that nobody refers to any more delivers what it was given."""
_inherited: list[Engine] = []
"""What a forked process must leave alone: even to free it would touch what the parent uses."""


class Producer:
    """Sends records to a Kafka cluster; for programs without asyncio, and for many threads at once.

        with Producer(bootstrap_servers="localhost:9092") as producer:
            where = producer.send("orders", b"value", key=b"k").result()

    Settings are those of `barnabas.Producer`. It connects when it is made, and delivers what is
    buffered when it is closed, at the latest when the interpreter ends. In a forked process it
    connects anew at its first use; what the parent has buffered, the parent delivers.
    """

    def __init__(self, config: Mapping[str, object] | None = None, /, **options: object) -> None:
        """Raises `ValueError` for a setting that there is not, `CannotConnect`."""
        self._settings = producer_settings(config, options)
        self._closed = False
        self._engine: Engine | None = Engine(self._settings)
        _producers.add(self)

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, *, flush: bool = True) -> None:
        """Deliver what is buffered (unless told not to), then disconnect; harmless twice.

        Raises `DeliveryFailed` as `flush` does, after everything is closed. Ctrl-C ends the wait;
        what is not delivered by then fails.
        """
        engine, self._engine, self._closed = self._engine, None, True
        _producers.discard(self)
        if engine is None:
            return
        try:
            if flush:
                engine.run(Sender.flush)
        finally:
            engine.stop()

    def _running(self) -> Engine:
        if self._closed:
            raise RuntimeError("the producer is closed")
        if self._engine is None:
            self._engine = Engine(self._settings)
        return self._engine

    def send(
        self,
        topic: str,
        value: Buffer | None,
        *,
        key: Buffer | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
    ) -> BlockingDelivery:
        """Take a record; `result()` of what is returned waits for where it is.

        Waits only when `buffer.memory` is used up, and raises `BufferFull` when that takes longer
        than `max.block.ms`. Raises `TypeError` for anything but bytes and None. What goes wrong with
        the record is raised by the result: `DeliveryFailed`, `KafkaError`, `RecordTooLarge`.
        """
        engine = self._engine or self._running()
        if type(value) is not bytes:
            value = as_bytes("value", value)
        if key is not None and type(key) is not bytes:
            key = as_bytes("key", key)
        if partition is not None:
            check_partition(partition)
        if timestamp_ms is not None:
            as_time(timestamp_ms)
        kept = as_headers(headers) if headers else ()
        if engine.full:
            engine.wait_for_room(self._settings.producer.max_block_ms)
        delivery = BlockingDelivery(engine)
        size = record_size(key, value, kept)
        engine.put_record(One(delivery, topic, partition, key, value, timestamp_ms, kept, size))
        return delivery

    def send_many(
        self,
        topic: str,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        partition: int | None = None,
        timestamps_ms: Sequence[int] | int | None = None,
        headers: Sequence[Headers] | None = None,
    ) -> BlockingDeliveries:
        """Take a list of records, much cheaper than one by one; returns when all are buffered.

        As `barnabas.Producer.send_many`. Ctrl-C ends the wait, not the sending.
        """
        options: dict[str, object] = {
            "keys": keys,
            "partition": partition,
            "timestamps_ms": timestamps_ms,
            "headers": headers,
        }
        return self._many(False, topic, values, options)

    def send_columns(
        self,
        topic: str,
        values: object,
        *,
        keys: object = None,
        partition: int | None = None,
        timestamps_ms: object = None,
    ) -> BlockingDeliveries:
        """Like `send_many`, for columns of Arrow or numpy; as `barnabas.Producer.send_columns`."""
        options: dict[str, object] = {
            "keys": keys,
            "partition": partition,
            "timestamps_ms": timestamps_ms,
        }
        return self._many(True, topic, values, options)

    def _many(
        self, columns: bool, topic: str, values: object, options: dict[str, object]
    ) -> BlockingDeliveries:
        engine = self._running()
        engine.check_caller()
        many = Many(columns, topic, values, options, BlockingDeliveries(engine), Latch())
        engine.put(many)
        many.latch.wait()
        return many.deliveries

    def flush(self) -> None:
        """Return when the fate of all records taken so far is known, without waiting for `linger.ms`.

        Raises `DeliveryFailed` when some were not delivered and nobody has asked for their fate.
        """
        self._running().run(Sender.flush)

    # -- transactions --

    def init_transactions(self) -> None:
        """As `barnabas.Producer.init_transactions`."""
        self._running().run(lambda sender: transactions_of(sender).initialize())

    def begin_transaction(self) -> None:
        """As `barnabas.Producer.begin_transaction`."""
        self._running().run(lambda sender: transactions_of(sender).begin())

    def commit_transaction(self) -> None:
        """As `barnabas.Producer.commit_transaction`."""
        self._running().run(lambda sender: transactions_of(sender).commit())

    def abort_transaction(self) -> None:
        """As `barnabas.Producer.abort_transaction`."""
        self._running().run(lambda sender: transactions_of(sender).abort())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A block that is one transaction: committed at its end, aborted when it raises."""
        self.begin_transaction()
        try:
            yield
            self.commit_transaction()
        except BaseException:
            self._running().run(_abort_if_open)
            raise

    def send_offsets_to_transaction(
        self,
        offsets: Mapping[tuple[str, int], int],
        group_id: str,
        *,
        generation_id: int = -1,
        member_id: str = "",
        group_instance_id: str | None = None,
    ) -> None:
        """As `barnabas.Producer.send_offsets_to_transaction`."""
        self._running().run(
            lambda sender: transactions_of(sender).send_offsets(
                offsets,
                group_id,
                generation_id=generation_id,
                member_id=member_id,
                group_instance_id=group_instance_id,
            )
        )

    def partitions_for(self, topic: str) -> int:
        """How many partitions a topic has; it is created if the cluster does that. Raises
        `KafkaError`."""
        return self._running().partitions(topic)

    def _forked(self) -> None:
        """This is a copy in a child process: the thread and the sockets are the parent's."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.inherited = True
            _inherited.append(engine)


async def _abort_if_open(sender: Sender) -> None:
    transactions = transactions_of(sender)
    if transactions.open:
        await transactions.abort()


def _forked() -> None:
    for producer in list(_producers):
        producer._forked()


def _close_all() -> None:
    for producer in list(_producers):
        try:
            producer.close()
        except ClientError as error:
            _log.error("at the end of the program: %s", error)


at_fork(_forked)
atexit.register(_close_all)
