"""confluent-kafka (librdkafka): administration, idempotent producers, consumers by assignment."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from tests.interop.conftest import WAIT_SECONDS, MakeTopic
from tests.interop.kafka import Node

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
FIRST_TIMESTAMP = 1_700_000_000_000


def producer(node: Node, **settings: object) -> Producer:
    return Producer({"bootstrap.servers": node.address, "enable.idempotence": True, **settings})


def consumer(node: Node, **settings: object) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": node.address,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            **settings,
        }
    )


def send(client: Producer, topic: str, count: int, partition: int = 0) -> list[int]:
    """Produce numbered events with headers and timestamps; the offsets in order of sending."""
    offsets: list[int] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        offsets.append(message.offset())

    for number in range(count):
        client.produce(
            topic,
            key=b"key-%d" % number,
            value=b"value-%d" % number * 20,
            partition=partition,
            headers=[("number", b"%d" % number), ("empty", b""), ("null", None)],
            timestamp=FIRST_TIMESTAMP + number,
            on_delivery=delivered,
        )
    assert client.flush(WAIT_SECONDS) == 0
    return offsets


def read_to_end(client: Consumer) -> list[Message]:
    """All messages up to the end of the one assigned partition."""
    found: list[Message] = []
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        for message in client.consume(1000, timeout=1.0):
            error = message.error()
            if error is None:
                found.append(message)
                continue
            if error.code() == KafkaError._PARTITION_EOF:
                return found
            raise KafkaException(error)
    raise TimeoutError("no end of partition")


def eventually(check: Callable[[], bool], what: str) -> None:
    """Metadata reaches clients in time, not at once."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_create_list_describe_delete(admin: AdminClient) -> None:
    name = "administered"
    new = NewTopic(name, 2, 1, config={"retention.ms": "3600000"})
    admin.create_topics([new])[name].result(WAIT_SECONDS)
    eventually(lambda: name in admin.list_topics(timeout=WAIT_SECONDS).topics, "created topic")
    assert sorted(admin.list_topics(name, timeout=WAIT_SECONDS).topics[name].partitions) == [0, 1]
    with pytest.raises(KafkaException) as again:
        admin.create_topics([new])[name].result(WAIT_SECONDS)
    assert again.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    admin.delete_topics([name])[name].result(WAIT_SECONDS)
    eventually(lambda: name not in admin.list_topics(timeout=WAIT_SECONDS).topics, "deleted topic")
    with pytest.raises(KafkaException) as gone:
        admin.delete_topics([name])[name].result(WAIT_SECONDS)
    assert gone.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (NewTopic("bad name", 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("no-partitions", 0, 1), KafkaError.INVALID_PARTITIONS),
        (NewTopic("many-replicas", 1, 3), KafkaError.INVALID_REPLICATION_FACTOR),
        (NewTopic("bad-config", 1, 1, config={"retention.ms": "x"}), KafkaError.INVALID_CONFIG),
        (NewTopic("no-config", 1, 1, config={"no.such": "x"}), KafkaError.INVALID_CONFIG),
    ],
    ids=lambda value: value.topic if isinstance(value, NewTopic) else "",
)
def test_create_is_refused(admin: AdminClient, new: NewTopic, code: int) -> None:
    with pytest.raises(KafkaException) as refused:
        admin.create_topics([new])[new.topic].result(WAIT_SECONDS)
    assert refused.value.args[0].code() == code


def test_create_validate_only(admin: AdminClient) -> None:
    admin.create_topics([NewTopic("only-checked", 1, 1)], validate_only=True)[
        "only-checked"
    ].result(WAIT_SECONDS)
    assert "only-checked" not in admin.list_topics(timeout=WAIT_SECONDS).topics


def test_more_partitions(node: Node, admin: AdminClient, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result(WAIT_SECONDS)
    eventually(
        lambda: len(admin.list_topics(topic, timeout=WAIT_SECONDS).topics[topic].partitions) == 4,
        "four partitions",
    )
    assert send(producer(node), topic, 3, partition=3) == [0, 1, 2]
    with pytest.raises(KafkaException) as fewer:
        admin.create_partitions([NewPartitions(topic, 2)])[topic].result(WAIT_SECONDS)
    assert fewer.value.args[0].code() == KafkaError.INVALID_PARTITIONS


def test_configs(admin: AdminClient, make_topic: MakeTopic) -> None:
    topic = make_topic(retention_ms="7200000")

    def described() -> dict[str, ConfigEntry]:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found: dict[str, ConfigEntry] = admin.describe_configs([resource])[resource].result(
            WAIT_SECONDS
        )
        return found

    assert described()["retention.ms"].value == "7200000"
    assert not described()["retention.ms"].is_default
    assert described()["cleanup.policy"].value == "delete"
    assert described()["cleanup.policy"].is_default

    def change(name: str, value: str, operation: AlterConfigOpType) -> None:
        entry = ConfigEntry(name, value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(WAIT_SECONDS)

    change("max.message.bytes", "2000000", AlterConfigOpType.SET)
    eventually(lambda: described()["max.message.bytes"].value == "2000000", "set")
    change("cleanup.policy", "compact", AlterConfigOpType.APPEND)
    eventually(lambda: described()["cleanup.policy"].value == "delete,compact", "append")
    change("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT)
    eventually(lambda: described()["cleanup.policy"].value == "compact", "subtract")
    change("retention.ms", "", AlterConfigOpType.DELETE)
    eventually(lambda: described()["retention.ms"].value == "604800000", "delete")
    with pytest.raises(KafkaException) as refused:
        change("max.message.bytes", "-5", AlterConfigOpType.SET)
    assert refused.value.args[0].code() == KafkaError.INVALID_CONFIG


def test_broker_configs(node: Node, admin: AdminClient) -> None:
    broker_id = next(iter(admin.list_topics(timeout=WAIT_SECONDS).brokers))
    resource = ConfigResource(ResourceType.BROKER, str(broker_id))
    found = admin.describe_configs([resource])[resource].result(WAIT_SECONDS)
    assert found["log.dirs"].value == str(node.data)
    assert found["log.dirs"].is_read_only
    assert found["num.partitions"].value == "1"


def test_cluster(node: Node, admin: AdminClient) -> None:
    cluster = admin.describe_cluster().result(WAIT_SECONDS)
    assert [f"{one.host}:{one.port}" for one in cluster.nodes] == [node.address]
    assert cluster.controller.id == cluster.nodes[0].id
    assert len(cluster.cluster_id) == 22


@pytest.mark.parametrize("codec", CODECS)
def test_idempotent_producer(node: Node, make_topic: MakeTopic, codec: str) -> None:
    topic = make_topic()
    settings = {"compression.type": codec, "linger.ms": 20}
    assert send(producer(node, **settings), topic, 700) == list(range(700))
    with_consumer = consumer(node)
    with_consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    messages = read_to_end(with_consumer)
    with_consumer.close()
    assert [message.offset() for message in messages] == list(range(700))
    for number, message in enumerate(messages):
        assert message.key() == b"key-%d" % number
        assert message.value() == b"value-%d" % number * 20
        assert message.headers() == [
            ("number", b"%d" % number),
            ("empty", b""),
            ("null", None),
        ]
        assert message.timestamp() == (TIMESTAMP_CREATE_TIME, FIRST_TIMESTAMP + number)


def test_log_append_time(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000) - 1000
    send(producer(node), topic, 10)
    client = consumer(node)
    client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    stamps = [message.timestamp() for message in read_to_end(client)]
    client.close()
    assert {kind for kind, _ in stamps} == {TIMESTAMP_LOG_APPEND_TIME}
    assert all(stamp >= before for _, stamp in stamps)


def test_topic_compression_type(node: Node, make_topic: MakeTopic) -> None:
    """The broker compresses again with the topic's codec; readers see the same events."""
    topic = make_topic(compression_type="zstd")
    send(producer(node, **{"compression.type": "gzip"}), topic, 300)
    client = consumer(node)
    client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert [message.key() for message in read_to_end(client)] == [
        b"key-%d" % number for number in range(300)
    ]
    client.close()


def test_message_too_large(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(max_message_bytes="2000")
    errors: list[KafkaError | None] = []
    client = producer(node)
    client.produce(topic, b"x" * 5000, on_delivery=lambda error, _: errors.append(error))
    client.flush(WAIT_SECONDS)
    assert [error and error.code() for error in errors] == [KafkaError.MSG_SIZE_TOO_LARGE]


def test_seek_and_watermarks(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    send(producer(node), topic, 100, partition=1)
    client = consumer(node)
    assert client.get_watermark_offsets(TopicPartition(topic, 1), timeout=WAIT_SECONDS) == (0, 100)
    assert client.get_watermark_offsets(TopicPartition(topic, 0), timeout=WAIT_SECONDS) == (0, 0)
    client.assign([TopicPartition(topic, 1, 90)])
    assert [message.offset() for message in read_to_end(client)] == list(range(90, 100))
    client.seek(TopicPartition(topic, 1, 42))
    assert [message.offset() for message in read_to_end(client)] == list(range(42, 100))
    client.seek(TopicPartition(topic, 1, OFFSET_END))
    assert read_to_end(client) == []
    client.close()


def test_offset_out_of_range(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic()
    send(producer(node), topic, 10)
    client = consumer(node, **{"auto.offset.reset": "error"})
    client.assign([TopicPartition(topic, 0, 1000)])
    with pytest.raises(KafkaException) as refused:
        read_to_end(client)
    assert refused.value.args[0].code() == KafkaError._AUTO_OFFSET_RESET
    client.close()
    again = consumer(node, **{"auto.offset.reset": "earliest"})
    again.assign([TopicPartition(topic, 0, 1000)])
    assert len(read_to_end(again)) == 10
    again.close()


def test_offsets_for_times(node: Node, admin: AdminClient, make_topic: MakeTopic) -> None:
    topic = make_topic()
    send(producer(node, **{"batch.num.messages": 7}), topic, 100)
    client = consumer(node)

    def at(timestamp: int) -> int:
        asked = TopicPartition(topic, 0, timestamp)
        found: int = client.offsets_for_times([asked], timeout=WAIT_SECONDS)[0].offset
        return found

    assert at(FIRST_TIMESTAMP - 5) == 0
    assert [at(FIRST_TIMESTAMP + number) for number in (0, 1, 50, 99)] == [0, 1, 50, 99]
    assert at(FIRST_TIMESTAMP + 100) == OFFSET_END
    client.close()
    partition = TopicPartition(topic, 0)
    for spec, offset in [
        (OffsetSpec.earliest(), 0),
        (OffsetSpec.latest(), 100),
        (OffsetSpec.max_timestamp(), 99),
        (OffsetSpec.for_timestamp(FIRST_TIMESTAMP + 33), 33),
    ]:
        answer = admin.list_offsets({partition: spec})[partition].result(WAIT_SECONDS)
        assert answer.offset == offset


def test_delete_records(node: Node, admin: AdminClient, make_topic: MakeTopic) -> None:
    topic = make_topic()
    send(producer(node), topic, 100)

    def delete(before: int) -> int:
        asked = TopicPartition(topic, 0, before)
        done = admin.delete_records([asked])[asked].result(WAIT_SECONDS)
        watermark: int = done.low_watermark
        return watermark

    assert delete(42) == 42
    client = consumer(node)
    client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert [message.offset() for message in read_to_end(client)] == list(range(42, 100))
    client.close()
    with pytest.raises(KafkaException) as refused:
        delete(101)
    assert refused.value.args[0].code() == KafkaError.OFFSET_OUT_OF_RANGE
    assert delete(OFFSET_END) == 100


def test_long_poll_sees_new_events(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic()
    client = consumer(node, **{"fetch.wait.max.ms": 5000, "enable.partition.eof": False})
    client.assign([TopicPartition(topic, 0, OFFSET_END)])
    assert client.poll(0.5) is None
    with_producer = producer(node)
    for number in range(5):
        sent = send(with_producer, topic, 1)
        message = client.poll(WAIT_SECONDS)
        assert message is not None
        assert (message.error(), message.offset(), sent) == (None, number, [number])
    client.close()


def test_auto_creation(node: Node, admin: AdminClient) -> None:
    assert send(producer(node), "made-by-a-producer", 3) == [0, 1, 2]
    assert "made-by-a-producer" in admin.list_topics(timeout=WAIT_SECONDS).topics
