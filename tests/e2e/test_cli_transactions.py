"""`barnabas transactions` against a node whose transactions are librdkafka's."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException, Producer

from barnabas.cli.exits import Exit
from barnabas.records.builder import build_batch
from barnabas.testing import Broker
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.e2e.node import Shell
from tests.hostile.target import Client
from tests.interop.seen import ask

WAIT = 30.0


@pytest.fixture
def sh(kafka: Broker) -> Shell:
    """Commands against the broker of the run."""
    return Shell(kafka.bootstrap_servers)


def producer(kafka: Broker, name: str) -> Producer:
    """A transactional producer that may begin."""
    made = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": name})
    made.init_transactions(WAIT)
    return made


def begin(made: Producer, topic: str) -> None:
    """Open a transaction with one record in it."""
    made.begin_transaction()
    made.produce(topic, b"1", partition=0)
    assert made.flush(WAIT) == 0


def test_a_transaction_from_its_begin_to_its_end(
    kafka: Broker, kafka_topic: str, sh: Shell
) -> None:
    name = f"x-{kafka_topic}"
    made = producer(kafka, name)
    begin(made, kafka_topic)
    pattern = ("--pattern", f"x-{kafka_topic}")
    (listed,) = sh.json("transactions", "list", *pattern, "--state", "Ongoing")
    assert (listed["transactional_id"], listed["state"]) == (name, "Ongoing")
    assert sh.json("transactions", "list", *pattern, "--longer-than", "600000") == []
    assert name in sh("transactions", "list", "--producer-id", str(listed["producer_id"])).decode()
    facts = sh.json("transactions", "describe", name)
    assert facts["partitions"] == [f"{kafka_topic}-0"]
    assert (facts["state"], facts["producer_id"]) == ("Ongoing", listed["producer_id"])
    assert 0 <= facts["duration_ms"] < 60_000
    (writer,) = sh.json("transactions", "describe-producers", kafka_topic)
    assert (writer["producer_id"], writer["transaction_start"]) == (listed["producer_id"], 0)
    assert sh.json("transactions", "find-hanging", "--topic", kafka_topic) == []
    made.commit_transaction(WAIT)
    told = sh("transactions", "describe", name).decode().split()
    assert told[:2] == ["transactional_id", name]
    assert sh.json("transactions", "describe", name)["state"].endswith("Commit")


def test_the_transaction_of_an_id_is_aborted_and_its_producer_fenced(
    kafka: Broker, kafka_topic: str, sh: Shell
) -> None:
    name = f"y-{kafka_topic}"
    made = producer(kafka, name)
    begin(made, kafka_topic)
    sh("transactions", "abort", name)
    facts = sh.json("transactions", "describe", name)
    assert (facts["state"], facts["partitions"]) == ("Empty", [])
    with pytest.raises(KafkaException, match=r"(?i)fenced"):
        made.commit_transaction(WAIT)


def test_what_hangs_is_found_and_ended(kafka: Broker, kafka_topic: str, sh: Shell) -> None:
    name = f"z-{kafka_topic}"
    made = producer(kafka, name)
    begin(made, kafka_topic)
    place = ("--topic", kafka_topic, "--partition", "0")
    # The coordinator knows the transaction: nothing hangs, however old it is said to be.
    young = ("--max-transaction-timeout", "-1")
    assert sh.json("transactions", "find-hanging", *place, *young) == []
    sh("transactions", "abort", *place, "--start-offset", "0")
    code, told = sh.fail("transactions", "abort", *place, "--start-offset", "0")
    assert code == Exit.FAILED
    assert "no open transaction" in told
    (writer,) = sh.json("transactions", "describe-producers", kafka_topic)
    assert writer["transaction_start"] is None


def test_a_hanging_transaction_is_found_among_all_partitions() -> None:
    """Records that no transactional id stands behind, of a time before verification."""
    config = {"transaction.partition.verification.enable": "false"}
    with Broker(config) as broker:
        sh = Shell(broker.bootstrap_servers)
        sh("topics", "create", "t", "--partitions", "3")
        begin(producer(broker, "honest"), "t")
        host, _, port = broker.bootstrap_servers.partition(":")
        with Client((host, int(port))) as client:
            answer = ask(client, InitProducerIdRequest(None, 1_000), 5, InitProducerIdResponse)
            batch = build_batch(
                [(None, b"1", 1_000, ())],
                producer_id=answer.producer_id,
                producer_epoch=0,
                base_sequence=0,
                transactional=True,
            )
            data = TopicProduceData("t", partition_data=[PartitionProduceData(2, bytes(batch))])
            request = ProduceRequest("ghost", -1, 5_000, [data])
            produced = ask(client, request, 11, ProduceResponse)
            assert produced.responses[0].partition_responses[0].error_code == 0
        (hanging,) = sh.json("transactions", "find-hanging")
        place = (hanging["topic"], hanging["partition"], hanging["start_offset"])
        assert place == ("t", 2, 0)
        assert hanging["producer_id"] == answer.producer_id
        assert sh("transactions", "find-hanging").decode().split()[8:11] == ["t", "2", "1"]
        options = ("--topic", "t", "--partition", "2", "--start-offset", "0")
        sh("transactions", "abort", *options)
        assert sh.json("transactions", "find-hanging") == []


def test_questions_without_an_answer(sh: Shell) -> None:
    code, told = sh.fail("transactions", "describe", "nobody")
    assert code == Exit.NOT_FOUND
    assert "transactions list" in told
    assert sh.fail("transactions", "abort")[0] == Exit.USAGE
    assert sh.fail("transactions", "abort", "x", "--topic", "t")[0] == Exit.USAGE
    assert sh.fail("transactions", "find-hanging", "--partition", "0")[0] == Exit.USAGE
    assert sh.fail("transactions", "list", "--pattern", "(")[0] == Exit.FAILED
