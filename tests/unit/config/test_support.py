"""What a node does with the file of an operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from barnabas.config import definitions, descriptions, own, properties
from barnabas.config.alter import validate_broker_configs
from barnabas.config.broker import default_properties
from barnabas.config.support import (
    check,
    dynamic_refusals,
    nearest_name,
    refusal,
    support_of,
    topic_support_of,
)
from barnabas.config.support_table import WORKS
from barnabas.wire.errors import KafkaError
from tests.unit.config.configs import broker_config

REPOSITORY = Path(__file__).resolve().parents[3]

# The settings of the server.properties that comes with Apache Kafka 4.3.1.
STOCK = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,\
SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
#log.retention.bytes=1073741824
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
"""


def test_kafkas_own_file_starts_without_a_word() -> None:
    assert check(properties.load(STOCK)) == ([], [])
    assert check(default_properties("/data")) == ([], [])


def test_every_config_has_a_status_and_a_reason() -> None:
    for name in [*definitions.BROKER, *own.BROKER]:
        status, note = support_of(name)
        assert (status == "works") == (note == ""), name
    for name in [*definitions.TOPIC, *own.TOPIC]:
        status, note = topic_support_of(name)
        assert (status == "works") == (note == ""), name
    for find in (support_of, topic_support_of):
        with pytest.raises(KeyError):
            find("no.such.config")


def test_what_works_and_nothing_else_is_described_in_a_line() -> None:
    works = {n for n in [*definitions.BROKER, *own.BROKER] if support_of(n).status == "works"}
    assert set(descriptions.BROKER) == works
    topic = [*definitions.TOPIC, *own.TOPIC]
    assert set(descriptions.TOPIC) == {n for n in topic if topic_support_of(n).status == "works"}
    for text in [*descriptions.BROKER.values(), *descriptions.TOPIC.values()]:
        assert len(text) <= 90, text
        assert text.endswith("."), text


def test_what_is_said_to_work_is_read_somewhere() -> None:
    reached_by_topics = {name for names in definitions.TOPIC_SYNONYMS.values() for name, _ in names}
    code = "".join(
        path.read_text()
        for path in sorted((REPOSITORY / "src" / "barnabas").rglob("*.py"))
        if path.name
        not in ("definitions.py", "descriptions.py", "support_table.py", "support.py", "checks.py")
        and path.parent.name not in ("messages", "records")
    )
    unread = [n for n in sorted(WORKS - reached_by_topics) if f'"{n}"' not in code]
    assert unread == []


def test_no_default_is_refused() -> None:
    for name, key in definitions.BROKER.items():
        if key.default is not None:
            assert refusal(name, key.default) is None, name


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"authorizer.class.name": "org.apache.kafka.X"}, "authorization"),
        ({"remote.log.storage.system.enable": "true"}, "tiered storage"),
        ({"controller.quorum.voters": "1@a:1,2@b:1,3@c:1"}, "several voters"),
        ({"controller.quorum.bootstrap.servers": "a:1,b:1"}, "a quorum of several"),
        ({"process.roles": "broker", "listeners": "PLAINTEXT://h:1"}, "one role alone"),
        ({"process.roles": "controller", "listeners": "CONTROLLER://h:1"}, "one role alone"),
        ({"listeners": "SSL://h:1,PLAINTEXT://h:3,CONTROLLER://h:2",
          "listener.security.protocol.map": "SSL:SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"},
         "Listener SSL uses SSL"),
        ({"listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
          "inter.broker.listener.name": "PLAINTEXT"},
         "SASL_PLAINTEXT"),
        ({"metric.reporters": "com.example.Reporter"}, "Java classes"),
        ({"create.topic.policy.class.name": "com.example.Policy"}, "policy"),
        ({"principal.builder.class": "com.example.Builder"}, "Java classes"),
        ({"listener.name.plaintext.principal.builder.class": "com.example.B"}, "Java classes"),
        ({"delegation.token.secret.key": "hunter2"}, "delegation tokens"),
        ({"max.connections.per.ip.overrides": "127.0.0.1:5,localhost:6"}, "host names are not"),
        ({"barnabas.ack.mod": "synced"}, "Did you mean barnabas.ack.mode?"),
        ({"barnabas.ack.mode": "fast"}, "synced, page-cache"),
        ({"num.partitions": "x"}, "num.partitions=x"),
    ],
)  # fmt: skip
def test_what_is_not_built_stops_the_start(changes: dict[str, str], part: str) -> None:
    report = check(default_properties("/data") | changes)
    assert any(part in sentence for sentence in report.errors), report
    assert not any("hunter2" in sentence for sentence in report.errors)


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"log.retention.hour": "1"}, "Did you mean log.retention.hours?"),
        ({"qwertz": "1"}, "qwertz is ignored: no config has this name."),
        ({"zookeeper.connect": "h:1"}, "removed in Apache Kafka 4.0"),
        ({"default.replication.factor": "2"}, "created automatically will fail"),
        ({"broker.heartbeat.interval.ms": "8000"}, "broker.session.timeout.ms"),
    ],
)
def test_what_an_operator_should_know(changes: dict[str, str], warning: str) -> None:
    report = check(default_properties("/data") | changes)
    assert report.errors == []
    assert len(report.warnings) == 1
    assert warning in report.warnings[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"super.users": "User:a"},
        {"min.insync.replicas": "2"},
        {"listener.name.plaintext.my.plugin.name": "x"},
        {"metric.reporters": ""},
        {"ssl.keystore.location": "/keys"},
        {"group.min.session.timeout.ms": "1"},
        {"log.cleaner.threads": "2", "log.cleanup.policy": "compact,delete"},
        {"replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector"},
    ],
)
def test_what_needs_no_word(changes: dict[str, str]) -> None:
    assert check(default_properties("/data") | changes) == ([], [])


def test_nearest_names() -> None:
    assert nearest_name("advertised.listener") == "advertised.listeners"
    assert nearest_name("completely.different") is None


def test_dynamic_configs_of_a_directory_are_held_to_the_same() -> None:
    config = broker_config()
    assert dynamic_refusals(config.with_dynamic({"log.retention.ms": "5"}, {})) == []
    stored = {"metric.reporters": "com.example.R"}
    (sentence,) = dynamic_refusals(config.with_dynamic({}, stored))
    assert sentence.startswith("metric.reporters=com.example.R: Java classes")


SECURE = "com.example.Class"
# A value of each config that can stop the start, and of each that is told of.
TOLD = {
    "alter.config.policy.class.name": SECURE,
    "authorizer.class.name": SECURE,
    "client.quota.callback.class": SECURE,
    "config.providers": "file",
    "controller.quorum.auto.join.enable": "true",
    "controller.quorum.bootstrap.servers": "localhost:9093,b:1",
    "controller.quorum.voters": "1@localhost:9093,2@b:1",
    "create.topic.policy.class.name": SECURE,
    "delegation.token.secret.key": "x",
    "kafka.metrics.reporters": SECURE,
    "log.preallocate": "true",
    "metric.reporters": SECURE,
    "principal.builder.class": SECURE,
    "process.roles": "controller",
    "remote.log.storage.system.enable": "true",
    "replica.selector.class": SECURE,
    "security.inter.broker.protocol": "SSL",
    "transaction.two.phase.commit.enable": "true",
    "unstable.api.versions.enable": "true",
    "unstable.feature.versions.enable": "true",
}


def test_what_is_refused_or_told_has_a_value_that_shows_it() -> None:
    by_status = {name: support_of(name).status for name in definitions.BROKER}
    assert {n for n, status in by_status.items() if status in ("refused", "warns")} == set(TOLD)
    for name, text in TOLD.items():
        report = check(default_properties("/data") | {name: text})
        where = report.errors if by_status[name] == "refused" else report.warnings
        assert any(sentence.startswith(name) for sentence in where), (name, report)


@pytest.mark.parametrize("name", sorted(TOLD))
def test_what_is_refused_in_a_file_is_refused_at_run_time(name: str) -> None:
    dynamic = definitions.BROKER[name].dynamic != "R"
    if support_of(name).status == "refused" and dynamic:
        with pytest.raises(KafkaError, match=name):
            validate_broker_configs(broker_config(), {name: TOLD[name]}, per_broker=True)
    else:
        assert (name, dynamic) == (name, name == "log.preallocate")
