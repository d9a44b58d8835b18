"""What is written into a directory before it changes hands: by Kafka, and then by our node."""

from __future__ import annotations

import random
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from barnabas.wire.messages.alter_client_quotas_request import (
    AlterClientQuotasRequest,
    EntityData,
    EntryData,
    OpData,
)
from barnabas.wire.messages.alter_client_quotas_response import AlterClientQuotasResponse
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from tests.hostile.target import Client
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import HOST, Node, java_tool
from tests.interop.seen import BROKER, TOPIC, ask

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
SMALL_SEGMENTS = {"segment.bytes": "1048576", "retention.ms": "-1"}
LOADING = {KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR}
FIRST_TIMESTAMP = 1_700_000_000_000

TOPICS: dict[str, tuple[int, dict[str, str]]] = {
    "plain": (3, {}),
    "a.name_with-7-dashes-0": (2, {}),
    "empty": (1, {}),
    "segments": (1, SMALL_SEGMENTS),
    "stamped": (1, {"message.timestamp.type": "LogAppendTime"}),
    "dense": (
        1,
        {
            **SMALL_SEGMENTS,
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.01",
            "delete.retention.ms": "86400000",
        },
    ),
    "shortened": (1, SMALL_SEGMENTS),
    "ledger": (1, SMALL_SEGMENTS),
    "configured": (
        1,
        {
            "compression.type": "zstd",
            "retention.ms": "-1",
            "max.message.bytes": "2000000",
            "flush.messages": "7",
            "segment.index.bytes": "1024",
        },
    ),
    "doomed": (2, SMALL_SEGMENTS),
}


def write_as_kafka(node: Node, home: Path) -> None:
    """Every kind of topic, record, transaction and setting; a topic deleted as the last deed."""
    admin = AdminClient({"bootstrap.servers": node.address})
    create(admin, TOPICS)
    for number, codec in enumerate(CODECS):
        produce(node, codec, number)
    change_configs(node)
    change_security(node, admin)
    shorten(admin)
    java_tool("SwapTransactions", node.address, "ledger", "25", "2000")
    transactions_by_librdkafka(node)
    commit_group_offsets(node)
    read_as_group(node)
    wait_for_cleaner(home)
    admin.delete_topics(["doomed"])["doomed"].result(WAIT_SECONDS)


def write_more_as_kafka(node: Node, trip: int) -> None:
    """Kafka's turn later on: records, transactions, offsets and changes beside ours."""
    produce(node, CODECS[trip % len(CODECS)], 100 + trip, skip=frozenset({"shortened"}))
    java_tool("SwapTransactions", node.address, "ledger", "3", "2000")
    transactions_by_librdkafka(node)
    commit_group_offsets(node)
    admin = AdminClient({"bootstrap.servers": node.address})
    admin.delete_topics(["doomed"])["doomed"].result(WAIT_SECONDS)


def leave_half_deleted(node: Node, home: Path) -> None:
    """A topic of which only a directory is left that is to be removed a moment later."""
    topic = "halfway"
    admin = AdminClient({"bootstrap.servers": node.address})
    create(admin, {topic: (1, {})})
    producer = Producer({"bootstrap.servers": node.address})
    producer.produce(topic, b"soon gone", partition=0)
    assert producer.flush(WAIT_SECONDS) == 0
    admin.delete_topics([topic])[topic].result(WAIT_SECONDS)
    deadline = time.monotonic() + WAIT_SECONDS
    while not list(home.glob(f"data*/{topic}-0.*-delete")):
        assert time.monotonic() < deadline, f"{topic} is not deleted"
        time.sleep(0.02)


def create_all(node: Node, *, leave_out: str) -> None:
    """Every topic of the list but one."""
    wanted = {name: about for name, about in TOPICS.items() if name != leave_out}
    create(AdminClient({"bootstrap.servers": node.address}), wanted)


def create_topic(node: Node, name: str) -> None:
    """A topic with one partition and no configs."""
    create(AdminClient({"bootstrap.servers": node.address}), {name: (1, {})})


def create(admin: AdminClient, topics: dict[str, tuple[int, dict[str, str]]]) -> None:
    """Create topics with partitions and configs."""
    new = [NewTopic(name, count, 1, config=own) for name, (count, own) in topics.items()]
    for done in admin.create_topics(new).values():
        done.result(WAIT_SECONDS)


def produce(node: Node, codec: str, seed: int, *, skip: frozenset[str] = frozenset()) -> None:
    """A round of records of every shape into all topics with one codec."""
    chance = random.Random(seed)
    key: bytes | None
    value: bytes | None
    producer = Producer(
        {
            "bootstrap.servers": node.address,
            "enable.idempotence": seed % 2 == 0,
            "compression.type": codec,
            "batch.num.messages": 60,
            "linger.ms": 2,
        }
    )
    stamp = FIRST_TIMESTAMP + seed * 1_000_000
    for number in range(900):
        for topic in ("segments", "dense", "shortened", "doomed"):
            if topic not in skip:
                key = b"key-%d" % (number % 100 if topic == "dense" else number)
                value = None if number % 97 == 96 else chance.randbytes(chance.randrange(600))
                # Out of order here and there: the time index holds the greatest so far.
                at = stamp + number * 10 - (5_000 if number % 50 == 7 else 0)
                producer.produce(topic, key=key, value=value, partition=0, timestamp=at)
        producer.poll(0)
    for number in range(120):
        headers = [("h", b"%d" % number), ("none", None), ("h", b"")] if number % 3 else None
        for topic in ("plain", "a.name_with-7-dashes-0", "stamped", "configured"):
            key = None if number % 5 == 0 else b"%s-%d" % (codec.encode(), number)
            producer.produce(topic, key=key, value=b"v" * number, headers=headers)
    assert producer.flush(WAIT_SECONDS) == 0


def change_configs(node: Node) -> None:
    """Configs by alteration: of a topic, of this broker, of all brokers."""
    wanted: list[tuple[int, str, str, str | None]] = [
        (TOPIC, "plain", "max.message.bytes", "1500000"),
        (BROKER, "1", "log.retention.ms", "777600000"),
        (BROKER, "", "compression.gzip.level", "4"),
    ]
    alter(node, wanted)


def alter(node: Node, wanted: list[tuple[int, str, str, str | None]]) -> None:
    """Set configs by kind, name, key and value, or take them away."""
    resources = [
        AlterConfigsResource(kind, name, [AlterableConfig(key, int(value is None), value)])
        for kind, name, key, value in wanted
    ]
    with Client((HOST, node.port)) as client:
        request = IncrementalAlterConfigsRequest(resources)
        answer = ask(client, request, 1, IncrementalAlterConfigsResponse)
        assert [each.error_code for each in answer.responses] == [0] * len(wanted), answer


def change_security(node: Node, admin: AdminClient) -> None:
    """Metadata that our node keeps without serving it yet: a quota, a SCRAM credential."""
    entry = EntryData([EntityData("user", "alice")], [OpData("producer_byte_rate", 123456.0)])
    with Client((HOST, node.port)) as client:
        answer = ask(client, AlterClientQuotasRequest([entry]), 1, AlterClientQuotasResponse)
        assert [each.error_code for each in answer.entries] == [0]
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    user = UserScramCredentialUpsertion("alice", info, b"secret", b"salt")
    for done in admin.alter_user_scram_credentials([user]).values():
        done.result(WAIT_SECONDS)


def shorten(admin: AdminClient) -> None:
    """Delete records: the log starts in the middle of a batch of a later segment."""
    for done in admin.delete_records([TopicPartition("shortened", 0, 2_345)]).values():
        done.result(WAIT_SECONDS)


def transactions_by_librdkafka(node: Node) -> None:
    """One committed, one aborted, by the protocol of clients without epoch bumps."""
    for name, commit in (("one", True), ("two", False)):
        producer = Producer({"bootstrap.servers": node.address, "transactional.id": name})
        producer.init_transactions(WAIT_SECONDS)
        producer.begin_transaction()
        for number in range(10):
            producer.produce("ledger", key=b"%s-%d" % (name.encode(), number), partition=0)
            producer.produce("plain", key=b"%s-%d" % (name.encode(), number), partition=1)
        if commit:
            producer.commit_transaction(WAIT_SECONDS)
        else:
            producer.flush(WAIT_SECONDS)
            producer.abort_transaction(WAIT_SECONDS)


def commit_group_offsets(node: Node) -> None:
    """A group's offsets, by a plain commit."""
    consumer = Consumer({"bootstrap.servers": node.address, "group.id": "readers"})
    offsets = [TopicPartition("plain", 0, 7), TopicPartition("segments", 0, 1234)]
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
            break
        except KafkaException as error:
            # The coordinator of a group that was never used is still loading.
            if error.args[0].code() not in LOADING or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    consumer.close()


def read_as_group(node: Node) -> None:
    """A member that joins, is assigned partitions, reads, commits what it read, and leaves."""
    settings = {"bootstrap.servers": node.address, "group.id": "members"}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe(["plain"])
    message = consumer.poll(WAIT_SECONDS)
    assert message is not None
    assert message.error() is None, message.error()
    consumer.commit(message, asynchronous=False)
    consumer.close()


def wait_for_cleaner(home: Path) -> None:
    """Until the compacted topic was compacted once, and the log start is checkpointed."""
    deadline = time.monotonic() + WAIT_SECONDS
    wanted = (
        ("cleaner-offset-checkpoint", "dense 0 "),
        ("log-start-offset-checkpoint", "shortened 0 2345"),
    )
    for name, text in wanted:
        while not any(text in path.read_text() for path in home.glob(f"data*/{name}")):
            assert time.monotonic() < deadline, f"{text!r} does not get into {name}"
            time.sleep(0.05)


def write_as_ours(node: Node, seed: int) -> None:
    """Our node's turn: records into every topic, topics made, grown, altered and deleted."""
    admin = AdminClient({"bootstrap.servers": node.address})
    mine = {
        f"ours-{seed}": (3, SMALL_SEGMENTS),
        "doomed": (1, SMALL_SEGMENTS),
        f"brief-{seed}": (1, {}),
    }
    create(admin, mine)
    produce(node, CODECS[seed % len(CODECS)], seed, skip=frozenset({"shortened"}))
    producer = Producer({"bootstrap.servers": node.address, "enable.idempotence": True})
    for number in range(2_000):
        producer.produce(f"ours-{seed}", key=b"%d" % number, value=b"w" * 900)
        producer.produce("ledger", key=b"ours-%d" % number, value=b"w" * 900, partition=0)
        producer.produce(f"brief-{seed}", key=b"%d" % number)
        producer.poll(0)
    assert producer.flush(WAIT_SECONDS) == 0
    count = len(admin.list_topics("plain", timeout=WAIT_SECONDS).topics["plain"].partitions)
    admin.create_partitions([NewPartitions("plain", count + 1)])["plain"].result(WAIT_SECONDS)
    change = ConfigEntry(
        "segment.ms", f"{seed}000000000", incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, "segments", incremental_configs=[change])
    admin.incremental_alter_configs([resource])[resource].result(WAIT_SECONDS)
    admin.delete_topics([f"brief-{seed}"])[f"brief-{seed}"].result(WAIT_SECONDS)
