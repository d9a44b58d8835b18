"""`barnabas.Producer`: the producer for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType

from barnabas.client.cluster import Cluster
from barnabas.client.deliveries import Deliveries, Delivery, refused
from barnabas.client.errors import BufferFull, RecordTooLarge
from barnabas.client.producer_transactions import Transactions
from barnabas.client.rows import as_bytes, as_headers, as_time, check_partition
from barnabas.client.sender import Sender
from barnabas.client.settings import producer_settings
from barnabas.host import HostPorts, open_ports
from barnabas.ports import Buffer
from barnabas.records.record import Headers


class Producer:
    """Sends records to a Kafka cluster.

        async with Producer(bootstrap_servers="localhost:9092") as producer:
            future = producer.send("orders", b"value", key=b"k")
            where = await future

    Settings have Kafka's names, as a dict (`{"linger.ms": 5}`) or as keyword arguments
    (`linger_ms=5`), and Kafka's defaults; see docs/python-client.md. Entering connects; leaving
    delivers what is buffered. It belongs to the event loop on which it was started.
    """

    def __init__(self, config: Mapping[str, object] | None = None, /, **options: object) -> None:
        """Raises `ValueError` for a setting that there is not, or for what it can't be."""
        self._settings = producer_settings(config, options)
        self._ports: HostPorts | None = None
        self._cluster: Cluster | None = None
        self._sender: Sender | None = None

    async def start(self) -> Producer:
        """Connect to one of the bootstrap addresses. Raises `CannotConnect`."""
        if self._sender is not None:
            raise RuntimeError("this producer runs already")
        addresses, client, config = self._settings
        ports = open_ports(asyncio.get_running_loop())
        cluster = Cluster(ports, addresses, client)
        try:
            await cluster.__aenter__()
        except BaseException:
            ports.close()
            raise
        self._ports, self._cluster = ports, cluster
        self._sender = Sender(cluster, config)
        return self

    async def close(self, *, flush: bool = True) -> None:
        """Deliver what is buffered (unless told not to), then disconnect; harmless twice.

        Raises `DeliveryFailed` as `flush` does, after everything is closed.
        """
        sender, self._sender = self._sender, None
        if sender is None or self._cluster is None or self._ports is None:
            return
        try:
            await sender.close(flush=flush)
        finally:
            await self._cluster.close()
            self._ports.close()

    async def __aenter__(self) -> Producer:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close(flush=kind is None or issubclass(kind, Exception))

    def _running(self) -> Sender:
        if self._sender is None:
            raise RuntimeError("the producer is not started: use `async with`, or start()")
        return self._sender

    def send(
        self,
        topic: str,
        value: Buffer | None,
        *,
        key: Buffer | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
    ) -> Delivery:
        """Take a record now; await the result, at once or later, for where it is.

        A plain call that never waits: the topic is looked up if need be, batches form by `batch.size`
        and `linger.ms`. Raises `BufferFull` when `buffer.memory` is used up (await `room()` first,
        or use `send_many`), `TypeError` for anything but bytes and None. What goes wrong
        with the record is raised by the result: `DeliveryFailed`, `KafkaError`, `RecordTooLarge`.
        """
        sender = self._running()
        if type(value) is not bytes:
            value = as_bytes("value", value)
        if key is not None and type(key) is not bytes:
            key = as_bytes("key", key)
        if partition is not None:
            check_partition(partition)
        if timestamp_ms is not None:
            as_time(timestamp_ms)
        kept = as_headers(headers) if headers else ()
        try:
            delivery = sender.try_send(
                topic,
                value,
                key,
                partition,
                timestamp_ms,
                kept,
            )
        except (RecordTooLarge, ValueError) as error:
            return Delivery(refused(topic, error), 0)
        if delivery is None:
            raise BufferFull(
                "buffer.memory is used up: await room() before more is sent, or use send_many"
            )
        return delivery

    async def room(self) -> None:
        """Return when `send` has room for a record."""
        await self._running().room()

    async def send_many(
        self,
        topic: str,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        partition: int | None = None,
        timestamps_ms: Sequence[int] | int | None = None,
        headers: Sequence[Headers] | None = None,
    ) -> Deliveries:
        """Take a list of records, much cheaper than one by one; returns when all are buffered.

        `keys`, `timestamps_ms` and `headers` are lists as long as `values`. Await the result for
        where the records are; or let `flush` and `close` raise `DeliveryFailed` if some were lost.
        Nothing is taken when it raises `TypeError`, `ValueError` or `RecordTooLarge`.
        """
        return await self._running().send_many(
            topic,
            values,
            keys=keys,
            partition=partition,
            timestamps_ms=timestamps_ms,
            headers=headers,
        )

    async def send_columns(
        self,
        topic: str,
        values: object,
        *,
        keys: object = None,
        partition: int | None = None,
        timestamps_ms: object = None,
    ) -> Deliveries:
        """Like `send_many`, for columns: Arrow arrays of binary or string, numpy arrays of bytes (S,
        V, or rows of uint8), `columns.Column` over any buffers. `timestamps_ms`: numbers or times.
        """
        return await self._running().send_columns(
            topic, values, keys=keys, partition=partition, timestamps_ms=timestamps_ms
        )

    async def flush(self) -> None:
        """Return when the fate of all records taken so far is known, without waiting for `linger.ms`.

        Raises `DeliveryFailed` when some were not delivered and nobody has asked for their fate.
        """
        await self._running().flush()

    # -- transactions --

    async def init_transactions(self) -> None:
        """Take over `transactional.id`, once before all else: older producers of it are fenced, and
        what they left open is aborted. Raises `KafkaError`, `ClientError`."""
        await transactions_of(self._running()).initialize()

    async def begin_transaction(self) -> None:
        """All that is sent from now on is one transaction. Raises `RuntimeError` inside of one."""
        await transactions_of(self._running()).begin()

    async def commit_transaction(self) -> None:
        """Deliver everything and commit. Raises what a record failed with: then abort."""
        await transactions_of(self._running()).commit()

    async def abort_transaction(self) -> None:
        """Nobody who reads committed records will see what was sent since `begin_transaction`."""
        await transactions_of(self._running()).abort()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A block that is one transaction: committed at its end, aborted when it raises."""
        await self.begin_transaction()
        try:
            yield
            await self.commit_transaction()
        except BaseException:
            if transactions_of(self._running()).open:
                await self.abort_transaction()
            raise

    async def send_offsets_to_transaction(
        self,
        offsets: Mapping[tuple[str, int], int],
        group_id: str,
        *,
        generation_id: int = -1,
        member_id: str = "",
        group_instance_id: str | None = None,
    ) -> None:
        """Commit offsets of a consumer group, by topic and partition, with the transaction.

        `generation_id` and `member_id` are the consumer's, so that one that lost its partitions is
        refused. Raises `KafkaError`, ILLEGAL_GENERATION or FENCED_MEMBER_EPOCH among others: abort.
        """
        await transactions_of(self._running()).send_offsets(
            offsets,
            group_id,
            generation_id=generation_id,
            member_id=member_id,
            group_instance_id=group_instance_id,
        )

    async def partitions_for(self, topic: str) -> int:
        """How many partitions a topic has; it is created if the cluster does that. Raises
        `KafkaError`."""
        return await self._running().prepare(topic)


def transactions_of(sender: Sender) -> Transactions:
    """The transactional side. Raises `RuntimeError` without `transactional.id`."""
    if sender.transactions is None:
        raise RuntimeError("transactions need the setting transactional.id")
    return sender.transactions
