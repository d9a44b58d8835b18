"""KAFKA_* variables, as Kafka's container image takes them."""

from __future__ import annotations

import pytest

from barnabas.cli.environment import config_name, from_environment
from barnabas.cli.node_config import StartOptions, everywhere, node_properties
from barnabas.config import support
from barnabas.config.broker import BrokerConfig

#: The example of Kafka's documentation of its image, one node.
COMPOSE = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
    "PLAINTEXT_HOST:PLAINTEXT",
    "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT_HOST://localhost:9092,PLAINTEXT://broker:19092",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@broker:29093",
    "KAFKA_LISTENERS": "CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_LOG_DIRS": "/tmp/kraft-combined-logs",
    "KAFKA_HEAP_OPTS": "-Xmx1G",
    "PATH": "/bin",
}


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("KAFKA_NODE_ID", "node.id"),
        ("KAFKA_LOG_RETENTION_MS", "log.retention.ms"),
        ("KAFKA_BARNABAS_ACK_MODE", "barnabas.ack.mode"),
        ("KAFKA_ABC__DEF", "abc_def"),
        ("KAFKA_ABC___DEF", "abc-def"),
        ("KAFKA_LISTENER_NAME_MY__LISTENER_SSL_KEYSTORE_TYPE", "listener.name.my_listener.ssl."
         "keystore.type"),
    ],
)  # fmt: skip
def test_names(variable: str, name: str) -> None:
    assert config_name(variable) == name


def test_the_documented_example_starts_without_a_word() -> None:
    found = from_environment(COMPOSE)
    assert found.cluster_id == "4L6g3nShT-eMCtK--X86sw"
    assert found.ignored == ["KAFKA_HEAP_OPTS"]
    report = support.check(found.properties)
    assert (report.errors, report.warnings) == ([], [])
    config = BrokerConfig.from_properties(found.properties)
    assert [str(each) for each in config.advertised_broker_listeners] == [
        "PLAINTEXT_HOST://localhost:9092",
        "PLAINTEXT://broker:19092",
    ]


def test_nothing_is_read_from_other_variables() -> None:
    found = from_environment({"PATH": "/bin", "KAFKA": "x", "KAFKA_": "x", "CLUSTER_ID": " "})
    assert found == ({}, None, [])


def test_without_a_word_a_container_listens_everywhere_and_is_reached_on_localhost() -> None:
    nothing = StartOptions(None, None, None, None, None, {})
    config = BrokerConfig.from_properties(node_properties(None, everywhere(nothing), "/d"))
    assert [str(each) for each in config.broker_listeners] == ["PLAINTEXT://:9092"]
    assert [str(each) for each in config.advertised_broker_listeners] == [
        "PLAINTEXT://localhost:9092"
    ]
    said = nothing._replace(host="10.0.0.1", port=19092, advertise="b:1")
    assert everywhere(said) == said
