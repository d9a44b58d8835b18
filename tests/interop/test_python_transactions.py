"""Transactions of our client for Python, on our node and on Apache Kafka with both versions of the
protocol: explicit partitions, and transaction.version 2 (KIP-890)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from barnabas import Producer, sync
from barnabas.client.cluster import Cluster
from barnabas.client.groups import committed_offsets
from barnabas.host import open_ports
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.interop.conftest import KEEP_OLD, WAIT_SECONDS
from tests.interop.kafka import HOST, BarnabasProcess, KafkaProcess, Node, java_tool

_numbers = itertools.count()
TARGETS = ("barnabas", "kafka-2", "kafka-1")


@pytest.fixture(scope="module", params=TARGETS)
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node of ours, and Apache Kafka with transaction.version 2 and 1."""
    kind, _, level = request.param.partition("-")
    node: type[Node] = BarnabasProcess
    if kind == "kafka":
        request.getfixturevalue("java")
        node = KafkaProcess
    with node(tmp_path_factory.mktemp(request.param), KEEP_OLD) as running:
        if level == "1":
            java_tool(
                "org.apache.kafka.tools.FeatureCommand",
                "--bootstrap-server",
                running.address,
                "downgrade",
                "--feature",
                "transaction.version=1",
            )
        yield running


def new_topic(broker: Node, partitions: int = 2) -> str:
    name = f"transactions-{next(_numbers)}"
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(WAIT_SECONDS)
    return name


def committed(broker: Node, topic: str, count: int, partitions: int = 2) -> list[bytes]:
    """What librdkafka reads in read_committed."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": "reader",
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, at, OFFSET_BEGINNING) for at in range(partitions)])
    found: list[bytes] = []
    deadline = time.monotonic() + WAIT_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        found += [message.value() for message in consumer.consume(1000, 1.0)]
    found += [message.value() for message in consumer.consume(1, 0.5)]
    consumer.close()
    return sorted(found)


async def fails(producer: Producer, topic: str) -> None:
    async with producer.transaction():
        await producer.send(topic, b"dropped")
        raise ZeroDivisionError


def test_what_is_committed_is_seen_and_what_is_aborted_is_not(broker: Node) -> None:
    topic = new_topic(broker)

    async def main() -> None:
        settings = {"bootstrap.servers": broker.address, "transactional.id": topic}
        async with Producer(settings) as producer:
            with pytest.raises(RuntimeError, match="call init_transactions"):
                producer.send(topic, b"too soon")
            await producer.init_transactions()
            with pytest.raises(RuntimeError, match="call begin_transaction"):
                producer.send(topic, b"too soon")
            for number in range(6):
                await producer.begin_transaction()
                verb = b"kept" if number % 2 else b"dropped"
                futures = [
                    producer.send(topic, b"%s %d %d" % (verb, number, n), partition=n % 2)
                    for n in range(20)
                ]
                if number % 2:
                    await producer.commit_transaction()
                    assert all(future.result().offset >= 0 for future in futures)
                else:
                    if number:
                        await producer.flush()
                    await producer.abort_transaction()
            async with producer.transaction():
                await producer.send_many(topic, [b"many %d" % n for n in range(3000)])
            with pytest.raises(ZeroDivisionError):
                await fails(producer, topic)
            await producer.begin_transaction()
            await producer.commit_transaction()  # an empty one
            await producer.begin_transaction()
            await producer.send(topic, b"dropped at the end")

    asyncio.run(main())
    expected = [b"kept %d %d" % (number, n) for number in (1, 3, 5) for n in range(20)]
    expected += [b"many %d" % n for n in range(3000)]
    assert committed(broker, topic, len(expected)) == sorted(expected)


def test_offsets_are_committed_with_the_transaction(broker: Node) -> None:
    topic, source, group = new_topic(broker), new_topic(broker), f"group-{next(_numbers)}"
    settings = {"bootstrap.servers": broker.address, "transactional.id": group}
    with sync.Producer(settings) as producer:
        producer.init_transactions()
        with producer.transaction():
            producer.send(topic, b"one")
            producer.send_offsets_to_transaction({(source, 0): 5, (source, 1): 6}, group)
        producer.begin_transaction()
        producer.send_offsets_to_transaction({(source, 0): 50}, group)
        producer.abort_transaction()

    async def offsets() -> dict[tuple[str, int], int]:
        ports = open_ports(asyncio.get_running_loop())
        async with Cluster(ports, [(HOST, broker.port)]) as cluster:
            return await committed_offsets(cluster, group)

    assert asyncio.run(offsets()) == {(source, 0): 5, (source, 1): 6}
    assert committed(broker, topic, 1) == [b"one"]


def test_an_older_producer_is_fenced(broker: Node) -> None:
    topic = new_topic(broker)
    settings = {"bootstrap.servers": broker.address, "transactional.id": topic}
    with sync.Producer(settings) as old, sync.Producer(settings) as new:
        old.init_transactions()
        old.begin_transaction()
        old.send(topic, b"lost").result(WAIT_SECONDS)
        new.init_transactions()
        with new.transaction():
            new.send(topic, b"kept")
        old.send(topic, b"late")
        with pytest.raises(KafkaError) as caught:
            old.commit_transaction()
        assert caught.value.code in (
            ErrorCode.PRODUCER_FENCED,
            ErrorCode.INVALID_PRODUCER_EPOCH,
        )
        with pytest.raises(KafkaError):
            old.abort_transaction()
        with pytest.raises(KafkaError):
            old.begin_transaction()
    assert committed(broker, topic, 1) == [b"kept"]
