"""Our client for Python against our node and against a real Apache Kafka: the same tests for both."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from random import Random

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka import Producer as Librdkafka
from confluent_kafka.admin import AdminClient, NewTopic

from barnabas import Producer, sync
from barnabas.client.blocking_engine import BlockingDelivery
from barnabas.client.partitioner import HASHES
from tests.interop.conftest import KEEP_OLD, WAIT_SECONDS
from tests.interop.kafka import BarnabasProcess, KafkaProcess, Node, java_tool

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
COUNT = 3000
PARTITIONS = 7
Seen = list[tuple[int, bytes | None, bytes | None, int, list[tuple[str, bytes | None]]]]


@pytest.fixture(scope="module", params=["barnabas", "kafka"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node of ours, then one of Apache Kafka."""
    kind: type[Node] = BarnabasProcess
    if request.param == "kafka":
        request.getfixturevalue("java")
        kind = KafkaProcess
    with kind(tmp_path_factory.mktemp(request.param), KEEP_OLD) as running:
        yield running


_numbers = itertools.count()


def new_topic(broker: Node, partitions: int = PARTITIONS) -> str:
    name = f"python-client-{next(_numbers)}"
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(WAIT_SECONDS)
    return name


def read(broker: Node, topic: str, count: int, partitions: int = PARTITIONS) -> Seen:
    """What librdkafka reads: partition, key, value, timestamp, headers; in order per partition."""
    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": "reader", "check.crcs": True}
    )
    consumer.assign([TopicPartition(topic, at, OFFSET_BEGINNING) for at in range(partitions)])
    found: Seen = []
    deadline = time.monotonic() + WAIT_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        for message in consumer.consume(1000, 1.0):
            assert message.error() is None, message.error()
            found.append(
                (
                    message.partition(),
                    message.key(),
                    message.value(),
                    message.timestamp()[1],
                    message.headers() or [],
                )
            )
    # Whatever is there beyond the count would be a duplicate.
    found += [(-1, None, None, 0, []) for _ in consumer.consume(1, 0.5)]
    consumer.close()
    return found


@pytest.mark.parametrize("codec", CODECS)
def test_librdkafka_reads_what_was_sent(broker: Node, codec: str, seed: int) -> None:
    chance = Random(f"{seed}/{codec}")
    topic = new_topic(broker)
    values = [chance.choice((None, b"v" * chance.randrange(300))) for _ in range(COUNT)]
    keys = [chance.choice((None, b"k%d" % chance.randrange(50))) for _ in range(COUNT)]
    times = [1_700_000_000_000 + chance.randrange(100_000) for _ in range(COUNT)]
    headers = [chance.choice(((), (("a", b"1"), ("ü", None), ("a", b"2")))) for _ in range(COUNT)]

    async def main() -> None:
        async with Producer(
            bootstrap_servers=broker.address, compression_type=codec, linger_ms=1
        ) as producer:
            half = COUNT // 2
            sent = await producer.send_many(
                topic,
                values[:half],
                keys=keys[:half],
                partition=3,
                timestamps_ms=times[:half],
                headers=headers[:half],
            )
            futures = [
                producer.send(topic, value, key=key, partition=3, timestamp_ms=stamp, headers=some)
                for value, key, stamp, some in zip(
                    values[half:], keys[half:], times[half:], headers[half:], strict=True
                )
            ]
            ranges = await sent
            assert sum(each.records for each in ranges) == half
            offsets = [(await future).offset for future in futures]
            assert offsets == list(range(half, COUNT))

    asyncio.run(main())
    rows = zip(keys, values, times, headers, strict=True)
    assert read(broker, topic, COUNT) == [
        (3, key, value, stamp, list(some)) for key, value, stamp, some in rows
    ]


def placed(broker: Node, topic: str, count: int) -> dict[bytes | None, int]:
    return {key: at for at, key, _, _, _ in read(broker, topic, count)}


@pytest.mark.parametrize("name", sorted(HASHES.keys() - {"default", "random"}))
def test_keys_go_where_librdkafka_puts_them(broker: Node, name: str, seed: int) -> None:
    chance = Random(f"{seed}/{name}")
    keys = list({chance.randbytes(1 + chance.randrange(40)) for _ in range(1000)})
    theirs, ours, many = new_topic(broker), new_topic(broker), new_topic(broker)
    other = Librdkafka({"bootstrap.servers": broker.address, "partitioner": name})
    for key in keys:
        other.produce(theirs, b"", key=key)
    assert other.flush(WAIT_SECONDS) == 0
    with sync.Producer(bootstrap_servers=broker.address, partitioner=name) as producer:
        for key in keys:
            producer.send(ours, b"", key=key)
        producer.send_many(many, [b""] * len(keys), keys=keys)
    expected = placed(broker, theirs, len(keys))
    assert len(set(expected.values())) == PARTITIONS
    assert placed(broker, ours, len(keys)) == expected
    assert placed(broker, many, len(keys)) == expected


def test_keys_go_where_java_puts_them(broker: Node, java: object, seed: int) -> None:
    assert java
    chance = Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-äß€"
    texts = list({"".join(chance.choices(letters, k=chance.randrange(1, 30))) for _ in range(500)})
    theirs, ours = new_topic(broker), new_topic(broker)
    java_tool(
        "org.apache.kafka.tools.ConsoleProducer",
        "--bootstrap-server",
        broker.address,
        "--topic",
        theirs,
        "--reader-property",
        "parse.key=true",
        "--reader-property",
        "key.separator=|",
        stdin="".join(f"{text}|v\n" for text in texts),
    )
    with sync.Producer(bootstrap_servers=broker.address) as producer:
        producer.send_many(ours, [b"v"] * len(texts), keys=[text.encode() for text in texts])
    expected = placed(broker, theirs, len(texts))
    assert set(expected) == {text.encode() for text in texts}
    assert placed(broker, ours, len(texts)) == expected


def test_nothing_is_lost_or_doubled_when_the_node_is_killed(broker: Node) -> None:
    topic = new_topic(broker, 2)
    total = 20_000
    killed = threading.Event()

    def kill() -> None:
        broker.kill()
        broker.start()
        killed.set()

    with sync.Producer(bootstrap_servers=broker.address, linger_ms=1) as producer:
        deliveries: list[BlockingDelivery] = []
        killer = threading.Thread(target=kill)
        for number in range(total):
            if number == total // 4:
                deliveries[100].result(WAIT_SECONDS)
                killer.start()
            deliveries.append(producer.send(topic, b"%d" % number, partition=number % 2))
        killer.join()
        producer.flush()
        offsets = [delivery.result().offset for delivery in deliveries]
    assert killed.is_set()
    assert offsets[::2] == list(range(total // 2))
    assert offsets[1::2] == list(range(total // 2))
    found = read(broker, topic, total, 2)
    for partition in range(2):
        values = [int(value or b"") for at, _, value, _, _ in found if at == partition]
        assert values == list(range(partition, total, 2))
