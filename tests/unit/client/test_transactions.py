"""Transactions of both faces against the test broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from barnabas import Producer, sync
from barnabas.client.cluster import Cluster
from barnabas.client.config import FetchConfig
from barnabas.client.errors import ClientError, RecordTooLarge
from barnabas.client.fetcher import Fetcher
from barnabas.client.offsets import LATEST, list_offsets
from barnabas.host import open_ports
from barnabas.testing import Broker
from barnabas.wire.errors import KafkaError


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


def settings(broker: Broker, name: str) -> dict[str, object]:
    return {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": name}


def committed(broker: Broker, topic: str) -> list[bytes | None]:
    """The values in partition 0 that a reader of committed records sees."""

    async def read() -> list[bytes | None]:
        ports = open_ports(asyncio.get_running_loop())
        found: list[bytes | None] = []
        async with Cluster(ports, [("127.0.0.1", broker.port)]) as cluster:
            await cluster.topic(topic)
            end = (await list_offsets(cluster, {(topic, 0): LATEST}))[topic, 0].offset
            async with Fetcher(cluster, FetchConfig(read_committed=True)) as fetcher:
                await fetcher.assign({(topic, 0): 0})
                while fetcher.positions().get((topic, 0), end) < end:
                    batch = await fetcher.poll(1000)
                    if batch is not None:
                        found += [record.value for record in batch.records]
        ports.close()
        return found

    return asyncio.run(read())


def test_an_abort_drops_what_waits_for_its_topic(broker: Broker) -> None:
    async def main() -> None:
        async with Producer(settings(broker, "parked")) as producer:
            await producer.init_transactions()
            await producer.begin_transaction()
            dropped = producer.send("parked", b"dropped")
            await producer.abort_transaction()
            with pytest.raises(ClientError, match="transaction was aborted"):
                await dropped
            async with producer.transaction():
                producer.send("parked", b"kept")

    asyncio.run(main())
    assert committed(broker, "parked") == [b"kept"]


def test_many_transactions_in_a_row(broker: Broker) -> None:
    broker.create_topic("row")
    with sync.Producer(settings(broker, "row")) as producer:
        producer.init_transactions()
        for number in range(30):
            producer.begin_transaction()
            producer.send_many("row", [b"%d" % number] * 3)
            if number % 3 == 1:
                producer.flush()
            if number % 2:
                producer.abort_transaction()
            else:
                producer.commit_transaction()
    assert committed(broker, "row") == [b"%d" % n for n in range(0, 30, 2) for _ in range(3)]


def test_transactions_go_on_over_a_restart(broker: Broker) -> None:
    broker.create_topic("restart")
    with sync.Producer(settings(broker, "restart")) as producer:
        producer.init_transactions()
        with producer.transaction():
            producer.send("restart", b"before").result(30)
            broker.restart()
            producer.send("restart", b"after")
        with producer.transaction():
            producer.send("restart", b"next")
    assert committed(broker, "restart") == [b"before", b"after", b"next"]


def test_a_record_that_fails_fails_the_commit_until_the_abort(broker: Broker) -> None:
    broker.create_topic("fails", configs={"max.message.bytes": "1000"})
    with sync.Producer(settings(broker, "fails")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send("fails", b"x" * 5000)
        for _ in range(2):
            with pytest.raises(KafkaError, match="MESSAGE_TOO_LARGE"):
                producer.commit_transaction()
        producer.abort_transaction()
        with pytest.raises(KafkaError, match="MESSAGE_TOO_LARGE"), producer.transaction():
            producer.send("fails", b"x" * 5000)
        for topic in ("fails", "fails-unknown"):
            with pytest.raises(RecordTooLarge), producer.transaction():
                producer.send(topic, b"x" * 2_000_000)
        with pytest.raises(ValueError, match="partitions 0 to 0"), producer.transaction():
            producer.send("fails", b"far", partition=7)
        with producer.transaction():
            producer.send("fails", b"good")
    assert committed(broker, "fails") == [b"good"]


def test_transactions_need_their_setting(broker: Broker) -> None:
    with (
        sync.Producer(bootstrap_servers=broker.bootstrap_servers) as producer,
        pytest.raises(RuntimeError, match=r"need the setting transactional\.id"),
    ):
        producer.init_transactions()
    with pytest.raises(ValueError, match="transactional producer is idempotent"):
        sync.Producer({**settings(broker, "x"), "acks": 1})


def test_closing_aborts(broker: Broker) -> None:
    broker.create_topic("closing")
    with sync.Producer(settings(broker, "closing")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        sent = producer.send("closing", b"dropped")
        sent.result(30)
    with sync.Producer(settings(broker, "closing-2")) as other:
        other.init_transactions()
        with other.transaction():
            other.send("closing", b"kept")
    assert committed(broker, "closing") == [b"kept"]


def test_what_is_sent_during_the_commit_is_refused(broker: Broker) -> None:
    broker.create_topic("late")

    async def main() -> None:
        async with Producer({**settings(broker, "late"), "linger.ms": 60_000}) as producer:
            await producer.init_transactions()
            await producer.begin_transaction()
            await producer.partitions_for("late")
            producer.send("late", b"kept")
            commit = asyncio.ensure_future(producer.commit_transaction())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="is ending a transaction"):
                producer.send("late", b"refused")
            await commit

    asyncio.run(main())
    assert committed(broker, "late") == [b"kept"]


def test_a_commit_that_was_cancelled_leaves_the_producer_of_use(broker: Broker) -> None:
    broker.create_topic("cancelled")

    async def main() -> None:
        async with Producer(settings(broker, "cancelled")) as producer:
            await producer.init_transactions()
            await producer.begin_transaction()
            producer.send("cancelled", b"dropped")
            commit = asyncio.ensure_future(producer.commit_transaction())
            await asyncio.sleep(0)
            commit.cancel()
            with pytest.raises(asyncio.CancelledError):
                await commit
            with pytest.raises(ClientError, match="commit was cancelled"):
                producer.send("cancelled", b"refused")
            await producer.abort_transaction()
            async with producer.transaction():
                producer.send("cancelled", b"kept")

    asyncio.run(main())
    assert committed(broker, "cancelled") == [b"kept"]
