"""Apache Kafka's own tools, unchanged, on transactions."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.interop.conftest import WAIT_SECONDS, MakeTopic
from tests.interop.kafka import Node, java_tool
from tests.interop.test_kafka_tools import TOOLS, tool

pytestmark = pytest.mark.usefixtures("java")

RECORDS = 20_000


@pytest.fixture
def ongoing(node: Node, make_topic: MakeTopic) -> tuple[str, str, Producer]:
    """A topic, a transactional id, and its producer, who has a transaction open on partition 1."""
    topic = make_topic(2)
    name = f"open-{topic}"
    producer = Producer({"bootstrap.servers": node.address, "transactional.id": name})
    producer.init_transactions(WAIT_SECONDS)
    producer.begin_transaction()
    producer.produce(topic, "open", partition=1)
    assert producer.flush(WAIT_SECONDS) == 0
    return topic, name, producer


def transactions(node: Node, *arguments: str) -> list[dict[str, str]]:
    """The table that TransactionsCommand prints."""
    heads, *lines = [
        [cell.strip() for cell in line.split("\t")]
        for line in tool("TransactionsCommand", node, *arguments).stdout.splitlines()
        if line.strip()
    ]
    return [dict(zip(heads, line, strict=True)) for line in lines]


def committed(node: Node, topic: str, partition: int, count: int) -> list[str]:
    """The first so many committed values of a partition."""
    reader = Consumer({"bootstrap.servers": node.address, "group.id": "unused"})
    reader.assign([TopicPartition(topic, partition, 0)])
    found: list[str] = []
    while len(found) < count:
        for message in reader.consume(1000, 0.1):
            value = message.value()
            assert value is not None
            found.append(value.decode())
    reader.close()
    return found


def test_transactions_command_shows_what_is_open(
    node: Node, ongoing: tuple[str, str, Producer]
) -> None:
    topic, name, producer = ongoing
    listed = {row["TransactionalId"]: row for row in transactions(node, "list")}
    assert listed[name]["TransactionState"] == "Ongoing"
    (about,) = transactions(node, "describe", "--transactional-id", name)
    assert about["TransactionState"] == "Ongoing"
    assert about["TopicPartitions"] == f"{topic}-1"
    assert about["ProducerId"] == listed[name]["ProducerId"]
    where = ("--topic", topic, "--partition", "1")
    (seen,) = transactions(node, "describe-producers", *where)
    assert seen["CurrentTransactionStartOffset"] == "0"
    assert seen["ProducerId"] == about["ProducerId"]
    assert transactions(node, "find-hanging", *where) == []
    producer.commit_transaction(WAIT_SECONDS)
    (about,) = transactions(node, "describe", "--transactional-id", name)
    assert about["TransactionState"] == "CompleteCommit"
    (seen,) = transactions(node, "describe-producers", *where)
    assert seen["CurrentTransactionStartOffset"] == "None"
    assert committed(node, topic, 1, 1) == ["open"]


def test_transactions_command_aborts(node: Node, ongoing: tuple[str, str, Producer]) -> None:
    topic, _, _ = ongoing
    plain = Producer({"bootstrap.servers": node.address})
    plain.produce(topic, "behind", partition=1)
    assert plain.flush(WAIT_SECONDS) == 0
    where = ("--topic", topic, "--partition", "1")
    tool("TransactionsCommand", node, "abort", *where, "--start-offset", "0")
    (seen,) = transactions(node, "describe-producers", *where)
    assert seen["CurrentTransactionStartOffset"] == "None"
    assert committed(node, topic, 1, 1) == ["behind"]


def test_transactions_command_terminates(node: Node, ongoing: tuple[str, str, Producer]) -> None:
    _, name, _ = ongoing
    tool("TransactionsCommand", node, "forceTerminateTransaction", "--transactionalId", name)
    (about,) = transactions(node, "describe", "--transactional-id", name)
    # As when a producer of that name begins anew: aborted, and nothing since.
    assert about["TransactionState"] == "Empty"


def test_producer_performance_in_transactions(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    printed = java_tool(
        f"{TOOLS}.ProducerPerformance", "--topic", topic, "--num-records", str(RECORDS),
        "--record-size", "100", "--throughput", "-1", "--bootstrap-server", node.address,
        "--transactional-id", "performance", "--transaction-duration-ms", "50",
    ).stdout  # fmt: skip
    assert f"{RECORDS} records sent" in printed
    assert len(committed(node, topic, 0, RECORDS)) == RECORDS
    (about,) = transactions(node, "describe", "--transactional-id", "performance")
    assert about["TransactionState"] == "CompleteCommit"
