"""Altering and describing configs: a running Apache Kafka beside our controller's decisions.

Every step goes to Kafka by its Admin client and to ours; the error codes must be equal, and so must
every described entry with its value, source, type and synonyms. What we refuse on purpose (it is
not built yet) is not in these steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from barnabas.config import describe, properties
from barnabas.config.broker import BrokerConfig
from barnabas.metadata.controller.configs import incremental_alter_configs
from barnabas.metadata.controller.decision import ControllerSettings
from barnabas.metadata.features import ELR_VERSION, MV_LATEST
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.cluster import BrokerRegistration
from barnabas.metadata.image.configs import BROKER, CLIENT_METRICS, GROUP, TOPIC, ConfigsImage
from barnabas.metadata.image.features import FeaturesImage
from barnabas.metadata.image.topics import Topic, TopicsImage
from barnabas.metadata.record_types import ConfigRecord, RegisterBrokerRecord
from barnabas.server.config_schema import NodeConfigSchema
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from tests.interop.kafka import KafkaProcess
from tests.interop.kafka_configs import ConfigAdmin

pytestmark = pytest.mark.usefixtures("java")

SETTINGS = {
    "log.retention.hours": "100",
    "log.roll.ms": "86400000",
    "log.cleanup.policy": "delete, compact",
    "ssl.keystore.password": "secret",
    "listener.name.plaintext.max.connections": "1000",
    "some.unknown.name": "x",
    "unstable.api.versions.enable": "false",
    "log.cleaner.io.max.bytes.per.second": "1e7",
}
SOURCES = {
    "DYNAMIC_TOPIC_CONFIG": 1,
    "DYNAMIC_BROKER_CONFIG": 2,
    "DYNAMIC_DEFAULT_BROKER_CONFIG": 3,
    "STATIC_BROKER_CONFIG": 4,
    "DEFAULT_CONFIG": 5,
    "DYNAMIC_CLIENT_METRICS_CONFIG": 7,
    "DYNAMIC_GROUP_CONFIG": 8,
}
RESOURCES = {"TOPIC": TOPIC, "BROKER": BROKER, "CLIENT_METRICS": CLIENT_METRICS, "GROUP": GROUP}
SET, DELETE, APPEND, SUBTRACT = range(4)
Op = tuple[str, int, str | None]


class Pair:
    """A running Kafka, and our picture of the same configs."""

    def __init__(self, admin: ConfigAdmin, static: BrokerConfig) -> None:
        self.admin = admin
        self.static = static
        # The feature eligible.leader.replicas.version writes this when a cluster is formatted.
        self.stored: dict[tuple[str, str], dict[str, str]] = {
            ("BROKER", ""): {"min.insync.replicas": "1"}
        }

    @property
    def config(self) -> BrokerConfig:
        stored = self.stored
        return self.static.with_dynamic(
            stored.get(("BROKER", ""), {}), stored.get(("BROKER", "1"), {})
        )

    def create(self, topic: str, configs: dict[str, str]) -> None:
        """Create on both sides; the configs in the answer must be equal."""
        answer = self.admin.ask({"create": {"topic": topic, "configs": configs}})
        assert answer["error"] == 0, answer
        self.stored["TOPIC", topic] = configs
        # The answer to CreateTopics has no types.
        ours = describe.describe_created_topic(self.config, configs)
        theirs = [_theirs(row) for row in answer["entries"]]
        assert theirs == [entry._replace(type_id=0) for entry in ours]

    def alter(self, kind: str, name: str, ops: Sequence[Op]) -> None:
        """Alter on both sides; error codes must be equal."""
        answer = self.admin.ask({"alter": {"type": kind, "name": name, "ops": ops}})
        code, stored = self._alter_ours(kind, name, ops)
        assert code == answer["error"], (kind, name, ops, code, answer)
        self.stored[kind, name] = stored
        time.sleep(0.2)  # the broker checks the next step against what it has seen of this one

    def _alter_ours(self, kind: str, name: str, ops: Sequence[Op]) -> tuple[int, dict[str, str]]:
        resource = RESOURCES[kind], name
        request = IncrementalAlterConfigsRequest(
            [AlterConfigsResource(*resource, [AlterableConfig(*op) for op in ops])]
        )
        decision = incremental_alter_configs(self._image(), self._settings(), request)
        (answer,) = decision.response.responses
        stored = dict(self.stored.get((kind, name), {}))
        for record in decision.records:
            if isinstance(record, ConfigRecord):
                if record.value is None:
                    stored.pop(record.name, None)
                else:
                    stored[record.name] = record.value
        return answer.error_code, stored

    def _settings(self) -> ControllerSettings:
        schema = NodeConfigSchema(lambda: self.config)
        return ControllerSettings(1, "cluster", schema, lambda _: 0, lambda: bytes(16))

    def _image(self) -> MetadataImage:
        """What the controller knows: one broker, the topics, the configs so far."""
        empty = MetadataImage.empty()
        broker = BrokerRegistration.from_record(RegisterBrokerRecord(broker_id=1, fenced=False))
        topics = {
            name: Topic(name, name.encode().ljust(16)[:16], {})
            for kind, name in self.stored
            if kind == "TOPIC"
        }
        configs = {(RESOURCES[kind], name): values for (kind, name), values in self.stored.items()}
        return empty._replace(
            features=FeaturesImage(MV_LATEST, {ELR_VERSION: 1}),
            cluster=empty.cluster._replace(brokers={1: broker}),
            topics=TopicsImage({topic.id: topic for topic in topics.values()}, topics, {}),
            configs=ConfigsImage(configs),
        )

    def compare(self, kind: str, name: str) -> None:
        """Describe on both sides; every entry must be equal, once Kafka has seen the last step."""
        ours = self._describe_ours(kind, name)
        deadline = time.monotonic() + 10
        while (theirs := self._describe_theirs(kind, name)) != ours and time.monotonic() < deadline:
            time.sleep(0.2)
        assert theirs == ours

    def _describe_theirs(self, kind: str, name: str) -> list[describe.Entry]:
        answer = self.admin.ask({"describe": {"type": kind, "name": name}})
        return [_theirs(row) for row in answer["entries"]]

    def _describe_ours(self, kind: str, name: str) -> list[describe.Entry]:
        stored = self.stored.get((kind, name), {})
        match kind:
            case "TOPIC":
                return describe.describe_topic(self.config, stored)
            case "GROUP":
                return describe.describe_group(self.config, stored)
            case "CLIENT_METRICS":
                return describe.describe_client_metrics(stored)
            case _:
                one = describe.describe_broker if name else describe.describe_cluster
                return one(self.config)


def _theirs(row: list[Any]) -> describe.Entry:
    name, value, source, kind, sensitive, read_only, synonyms = row
    return describe.Entry(
        name=name,
        value=value,
        source=describe.Source(SOURCES[source]),
        type_id=0 if kind == "UNKNOWN" else describe.TYPE_IDS[kind.lower()],
        sensitive=sensitive,
        read_only=read_only,
        synonyms=tuple(
            describe.Synonym(other, text, describe.Source(SOURCES[place]))
            for other, text, place in synonyms
        ),
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, java: Path) -> Iterator[Pair]:
    """A real node with some settings, and our reading of the very same file."""
    assert java.is_dir()
    node = KafkaProcess(tmp_path_factory.mktemp("configs"), SETTINGS)
    with node, ConfigAdmin(node.address) as admin:
        text = node.properties_path.read_text()
        yield Pair(admin, BrokerConfig.from_properties(properties.load(text)))


TOPIC_STEPS: tuple[list[Op], ...] = (
    [("retention.ms", SET, " 5 ")],
    [("cleanup.policy", APPEND, "delete")],
    [("cleanup.policy", SUBTRACT, "compact")],
    [("cleanup.policy", SUBTRACT, "delete")],
    [("cleanup.policy", APPEND, "delete,compact")],
    [("cleanup.policy", DELETE, None)],
    [("cleanup.policy", APPEND, "bad")],
    [("cleanup.policy", SET, "")],
    [("cleanup.policy", SET, " delete , compact ")],
    [("cleanup.policy", SET, "delete,")],
    [("cleanup.policy", SET, "delete,delete")],
    [("cleanup.policy", APPEND, ",")],
    [("cleanup.policy", APPEND, "")],
    [("unknown", SET, "1")],
    [("unknown", DELETE, None)],
    [("unknown", APPEND, "1")],
    [("retention.ms", APPEND, "1")],
    [("segment.bytes", SET, "10")],
    [("min.compaction.lag.ms", SET, "100"), ("max.compaction.lag.ms", SET, "50")],
    [("leader.replication.throttled.replicas", SET, "0:1,1:1")],
    [("leader.replication.throttled.replicas", APPEND, "x")],
    [("follower.replication.throttled.replicas", SET, "*")],
    [("remote.storage.enable", SET, "true")],
    [("compression.type", SET, "ZSTD")],
    [("compression.type", SET, " zstd ")],
    [("preallocate", SET, "TRUE")],
    [("min.cleanable.dirty.ratio", SET, "0x1p-1")],
    [("min.cleanable.dirty.ratio", SET, "1.5")],
    [("max.message.bytes", SET, "+77")],
    [("internal.segment.bytes", SET, "100000")],
    [("segment.ms", SET, None)],
    [("min.insync.replicas", SET, "0")],
    [("min.insync.replicas", SET, "3")],
)
CLUSTER_STEPS: tuple[list[Op], ...] = (
    [("log.retention.ms", SET, "7000")],
    [("log.retention.hours", SET, "7")],
    [("message.max.bytes", SET, "2000000")],
    [("log.cleanup.policy", SUBTRACT, "compact")],
    [("log.cleanup.policy", APPEND, "compact")],
    [("min.insync.replicas", DELETE, None)],
    [("min.insync.replicas", SET, "2")],
    [("num.io.threads", SET, "9")],
    [("num.io.threads", SET, "19")],
    [("num.io.threads", SET, "3")],
    [("num.io.threads", SET, "0")],
    [("listeners", SET, "PLAINTEXT://localhost:1")],
    [("unknown.name", SET, "5")],
    [("unknown.name", APPEND, "5")],
    [("leader.replication.throttled.rate", SET, "5")],
    [("leader.replication.throttled.rate", SET, "-5")],
    [("ssl.keystore.location", SET, "/x")],
    [("group.consumer.assignment.interval.ms", SET, "20000")],
    [("group.consumer.assignment.interval.ms", SET, "2000")],
    [("log.local.retention.ms", SET, "999999999999")],
    [("log.flush.interval.ms", SET, "5")],
    [("log.cleaner.threads", SET, "3")],
    [("log.cleaner.threads", SET, "2")],
    [("log.cleaner.threads", SET, "0")],
    [("log.cleaner.min.compaction.lag.ms", SET, "9")],
    [("compression.type", SET, "bad")],
    [("num.partitions", SET, "3")],
    [("log.roll.ms", SET, "0")],
    [("unclean.leader.election.enable", SET, "true")],
    [("node.id", SET, "1")],
    [("log.segment.bytes", SET, " 1048577 ")],
)
BROKER_STEPS: tuple[list[Op], ...] = (
    [("log.retention.ms", SET, "8000")],
    [("min.insync.replicas", SET, "1")],
    [("log.flush.interval.ms", SET, "6")],
    [("cordoned.log.dirs", SET, "/x")],
    [("log.index.interval.bytes", SET, "1")],
    [("log.dirs", APPEND, "x")],
    [("principal.builder.class", SET, "java.lang.String")],
    [("log.message.timestamp.type", SET, "LogAppendTime")],
    [("producer.id.expiration.ms", SET, "5")],
    [("log.cleaner.io.max.bytes.per.second", SET, "1.5")],
    [("max.connections.per.ip.overrides", SET, "a")],
    [("max.connections.per.ip", SET, "0")],
)
GROUP_STEPS: tuple[list[Op], ...] = (
    [("consumer.session.timeout.ms", SET, "50000")],
    [("consumer.session.timeout.ms", SET, "5")],
    [("consumer.session.timeout.ms", SET, "61000")],
    [("unknown", SET, "5")],
    [("share.auto.offset.reset", SET, "by_duration:PT1H")],
    [("share.auto.offset.reset", SET, "by_duration:-PT1H")],
    [("streams.num.standby.replicas", SET, "3")],
    [("consumer.assignment.interval.ms", SET, "15001")],
    [("consumer.assignment.interval.ms", SET, "14000")],
    [("share.isolation.level", SET, "read_committed")],
)
CLIENT_METRICS_STEPS: tuple[list[Op], ...] = (
    [("interval.ms", SET, "1000")],
    [("interval.ms", SET, "10")],
    [("match", SET, "client_id=a.*")],
    [("match", SET, "client_id=a(")],
    [("match", SET, "x=a")],
    [("metrics", SET, "*")],
    [("metrics", APPEND, "org.apache")],
    [("unknown", SET, "1")],
)


def test_alter_and_describe_agree_with_a_running_kafka(pair: Pair) -> None:
    pair.create("topic", {"retention.ms": "1000", "cleanup.policy": "compact"})
    everything = (
        ("TOPIC", "topic", TOPIC_STEPS),
        ("BROKER", "", CLUSTER_STEPS),
        ("BROKER", "1", BROKER_STEPS),
        ("GROUP", "group", GROUP_STEPS),
        ("CLIENT_METRICS", "subscription", CLIENT_METRICS_STEPS),
    )
    for kind, name, _ in everything[:4]:
        pair.compare(kind, name)
    for kind, name, steps in everything:
        for ops in steps:
            pair.alter(kind, name, ops)
        for other_kind, other_name, _ in everything[:4]:
            pair.compare(other_kind, other_name)
    pair.compare("CLIENT_METRICS", "subscription")
    pair.create("late", {"flush.ms": " 7 "})
