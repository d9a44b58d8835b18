"""A node of ours and one of Apache Kafka with the same settings, asked the same over the wire.

Each step is answered with the same error code by both, and leaves the same descriptions behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from barnabas.client.config import ClientConfig
from barnabas.client.connection import Connection
from barnabas.config import definitions
from barnabas.config.support import support_of, topic_support_of
from barnabas.host import open_ports
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages import alter_configs_request as old
from barnabas.wire.messages.alter_configs_response import AlterConfigsResponse
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import (
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
)
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from tests.interop.kafka import HOST, REPOSITORY, BarnabasProcess, KafkaProcess, answers, free_port

Response = TypeVar("Response", bound=Message)

pytestmark = pytest.mark.usefixtures("java")

SETTINGS = {
    "log.retention.hours": "100",
    "log.cleanup.policy": "delete",
    "num.partitions": "2",
    "some.unknown.name": "x",
    "log.roll.ms": "86400000",
    "group.consumer.session.timeout.ms": "46000",
    "ssl.keystore.password": "secret",
    "listener.name.plaintext.sasl.jaas.config": "secret",
    "internal.metadata.log.segment.bytes": "10000000",
    "unstable.api.versions.enable": "false",
    "log.flush.scheduler.interval.ms": "1000000",
}
# They differ by nature: where a node listens and keeps its files.
PLACES = frozenset(
    {
        "advertised.listeners",
        "controller.quorum.bootstrap.servers",
        "listeners",
        "log.dirs",
        "offsets.topic.replication.factor",
        "share.coordinator.state.topic.min.isr",
        "share.coordinator.state.topic.replication.factor",
        "transaction.state.log.min.isr",
        "transaction.state.log.replication.factor",
    }
)
SET, DELETE, APPEND, SUBTRACT = range(4)
Step = tuple[int, str, str, int, str | None]
TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
WAIT_SECONDS = 10.0


class Asked:
    """Our client on one connection to a node of either kind; it sends whatever it is told to."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._ports = open_ports(self._loop)
        self._connection = self._loop.run_until_complete(
            Connection.open(self._ports, ClientConfig(), HOST, port)
        )

    def ask(self, request: Message, response: type[Response]) -> Response:
        """Send and wait."""
        return self._loop.run_until_complete(self._connection.request(request, response))

    def create(self, topic: str, configs: dict[str, str]) -> list[tuple[Any, ...]]:
        """Create a topic; the configs that the answer names."""
        given = [CreatableTopicConfig(name, value) for name, value in configs.items()]
        request = CreateTopicsRequest([CreatableTopic(topic, -1, -1, [], given)], 5000)
        (answer,) = self.ask(request, CreateTopicsResponse).topics
        assert answer.error_code == 0, answer
        found = [
            (c.name, c.value, c.read_only, c.config_source, c.is_sensitive)
            for c in answer.configs or []
        ]
        return sorted(found)

    def replace(self, kind: int, name: str, configs: dict[str, str | None]) -> int:
        """All dynamic configs of a resource anew (AlterConfigs); the error code."""
        given = [old.AlterableConfig(config, value) for config, value in configs.items()]
        request = old.AlterConfigsRequest([old.AlterConfigsResource(kind, name, given)])
        return self.ask(request, AlterConfigsResponse).responses[0].error_code

    def alter(
        self,
        kind: int,
        name: str,
        config: str,
        operation: int,
        value: str | None,
        *,
        validate_only: bool = False,
    ) -> int:
        """One change; the error code."""
        resource = AlterConfigsResource(kind, name, [AlterableConfig(config, operation, value)])
        request = IncrementalAlterConfigsRequest([resource], validate_only)
        return self.ask(request, IncrementalAlterConfigsResponse).responses[0].error_code

    def describe(
        self, kind: int, name: str, keys: list[str] | None = None, *, documentation: bool = False
    ) -> tuple[int, list[DescribeConfigsResourceResult]]:
        """The error code, and the entries by name."""
        resource = DescribeConfigsResource(kind, name, keys)
        request = DescribeConfigsRequest([resource], True, documentation)
        (answer,) = self.ask(request, DescribeConfigsResponse).results
        return answer.error_code, sorted(answer.configs, key=lambda entry: entry.name)

    def close(self) -> None:
        """End the connection and the loop."""
        self._connection.close()
        self._loop.run_until_complete(asyncio.sleep(0))  # the transport tells its protocol
        self._ports.close()
        self._loop.close()


class Both:
    """Both nodes, asked the same."""

    def __init__(self, ours: Asked, kafkas: Asked) -> None:
        self.ours = ours
        self.kafkas = kafkas

    def alter(self, kind: int, name: str, config: str, operation: int, value: str | None) -> None:
        """Both accept it, or both refuse it with the same code."""
        change = kind, name, config, operation, value
        ours, kafkas = self.ours.alter(*change), self.kafkas.alter(*change)
        assert (change, ErrorCode(ours)) == (change, ErrorCode(kafkas))

    def same(self, kind: int, name: str, keys: list[str] | None = None) -> ErrorCode:
        """Both describe a resource alike, once Kafka's broker has seen the last step."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            mine, theirs = (node.describe(kind, name, keys) for node in (self.ours, self.kafkas))
            if comparable(mine) == comparable(theirs) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert comparable(mine) == comparable(theirs), (kind, name)
        return ErrorCode(mine[0])


def comparable(
    described: tuple[int, list[DescribeConfigsResourceResult]],
) -> tuple[int, list[DescribeConfigsResourceResult]]:
    """Without the entries that differ by nature."""
    code, entries = described
    return code, [entry for entry in entries if entry.name not in PLACES]


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory, java: Path
) -> Iterator[tuple[BarnabasProcess, KafkaProcess]]:
    """Two running nodes with the same settings."""
    assert java.is_dir()
    ours = BarnabasProcess(tmp_path_factory.mktemp("ours"), SETTINGS)
    ours.port = free_port()
    ours.settings["advertised.listeners"] = f"PLAINTEXT://{ours.address}"  # as Kafka's file has it
    kafka = KafkaProcess(tmp_path_factory.mktemp("kafka"), SETTINGS)
    with ours, kafka:
        yield ours, kafka


def asked(stack: ExitStack, ours: int, kafkas: int) -> Both:
    """Both nodes, each at one of its ports, until `stack` ends."""
    return Both(*(stack.enter_context(closing(Asked(port))) for port in (ours, kafkas)))


@pytest.fixture
def both(nodes: tuple[BarnabasProcess, KafkaProcess]) -> Iterator[Both]:
    """Both at their listeners for clients."""
    with ExitStack() as stack:
        yield asked(stack, nodes[0].port, nodes[1].port)


@pytest.fixture
def controllers(nodes: tuple[BarnabasProcess, KafkaProcess]) -> Iterator[Both]:
    """Both at their listeners of the controller."""
    with ExitStack() as stack:
        yield asked(stack, nodes[0].port + 1, nodes[1].controller_port)


def test_a_created_topic_names_its_configs(both: Both) -> None:
    configs = {"flush.ms": " 7 ", "cleanup.policy": "compact"}
    assert both.ours.create("created", configs) == both.kafkas.create("created", configs)
    both.same(TOPIC, "created")


def test_descriptions_are_equal_from_the_start(both: Both) -> None:
    for node in (both.ours, both.kafkas):
        node.create("fresh", {"retention.ms": "1000"})
    for kind, name in ((TOPIC, "fresh"), (BROKER, "1"), (GROUP, "new"), (METRICS, "new")):
        assert both.same(kind, name) == ErrorCode.NONE
    both.same(BROKER, "1", ["log.retention.hours", "no.such.name", "message.max.bytes"])
    both.same(BROKER, "1", [])


STEPS: tuple[Step, ...] = (
    # Levels: for all brokers, for one, away again.
    (BROKER, "", "log.retention.ms", SET, "7000"),
    (BROKER, "1", "log.retention.ms", SET, "8000"),
    (BROKER, "", "log.retention.ms", DELETE, None),
    (BROKER, "1", "log.retention.ms", DELETE, None),
    (BROKER, "", "message.max.bytes", SET, "2000000"),
    (BROKER, "", "message.max.bytes", SET, "x"),
    (BROKER, "", "compression.type", SET, "bad"),
    (BROKER, "", "num.partitions", SET, "3"),
    (BROKER, "1", "node.id", SET, "1"),
    (BROKER, "", "listeners", SET, "PLAINTEXT://localhost:1"),
    (BROKER, "", "unknown.name", SET, "5"),
    (BROKER, "", "unknown.name", APPEND, "5"),
    (BROKER, "", "log.cleanup.policy", APPEND, "compact"),
    (BROKER, "", "message.max.bytes", APPEND, "1"),
    (BROKER, "", "ssl.keystore.location", SET, "/x"),
    (BROKER, "1", "log.roll.ms", SET, "0"),
    (BROKER, "1", "producer.id.expiration.ms", SET, "5000"),
    (BROKER, "1", "max.connections", SET, "500"),
    (BROKER, "1", "background.threads", SET, "11"),
    (BROKER, "1", "background.threads", SET, "99"),
    # Names of resources.
    (BROKER, "2", "message.max.bytes", SET, "5"),
    (BROKER, "x", "message.max.bytes", SET, "5"),
    (TOPIC, "no", "retention.ms", SET, "5"),
    (GROUP, "", "consumer.session.timeout.ms", SET, "50000"),
    (METRICS, "", "interval.ms", SET, "1000"),
    # Topics, groups, subscriptions.
    (TOPIC, "t", "cleanup.policy", APPEND, "compact"),
    (TOPIC, "t", "cleanup.policy", SUBTRACT, "delete"),
    (TOPIC, "t", "retention.ms", APPEND, "5"),
    (TOPIC, "t", "unknown", SET, "5"),
    (TOPIC, "t", "segment.bytes", SET, "5"),
    (GROUP, "g", "consumer.session.timeout.ms", SET, "50000"),
    (GROUP, "g", "consumer.session.timeout.ms", SET, "5"),
    (METRICS, "m", "interval.ms", SET, "1000"),
    (METRICS, "m", "interval.ms", SET, "5"),
    # Levels of loggers.
    (LOGGER, "1", "root", SET, "INFO"),
    (LOGGER, "1", "root", SET, "info"),
    (LOGGER, "1", "root", SET, "LOUD"),
    (LOGGER, "1", "root", SET, "OFF"),
    (LOGGER, "1", "root", SET, None),
    (LOGGER, "1", "root", DELETE, None),
    (LOGGER, "1", "root", APPEND, "INFO"),
    (LOGGER, "1", "no.such.logger", SET, "INFO"),
    (LOGGER, "1", "no.such.logger", DELETE, None),
    (LOGGER, "2", "root", SET, "INFO"),
    (LOGGER, "", "root", SET, "INFO"),
    (LOGGER, "x", "root", SET, "INFO"),
    (LOGGER, "1", "root", SET, "WARN"),
)
DESCRIBED = (
    (TOPIC, "t"),
    (BROKER, "1"),
    (BROKER, ""),
    (GROUP, "g"),
    (METRICS, "m"),
)


def test_every_step_is_taken_alike(both: Both) -> None:
    for node in (both.ours, both.kafkas):
        node.create("t", {"retention.ms": "1000"})
    for step in STEPS:
        both.alter(*step)
        time.sleep(0.1)  # Kafka's broker checks the next step against what it has seen of this one
    for kind, name in DESCRIBED:
        assert both.same(kind, name) == ErrorCode.NONE


REPLACEMENTS: tuple[tuple[int, str, dict[str, str | None]], ...] = (
    (TOPIC, "r", {"retention.ms": "5000", "flush.ms": "7"}),
    (TOPIC, "r", {"flush.ms": "8"}),
    (TOPIC, "r", {"flush.ms": "x"}),
    (TOPIC, "r", {"flush.ms": None}),
    (TOPIC, "no", {"flush.ms": "8"}),
    (BROKER, "", {"message.max.bytes": "3000000"}),
    (BROKER, "", {"num.partitions": "3"}),
    (BROKER, "2", {"message.max.bytes": "3000000"}),
    (LOGGER, "1", {"root": "INFO"}),
    (GROUP, "r", {"share.isolation.level": "read_committed"}),
    (METRICS, "r", {"interval.ms": "1000"}),
    (METRICS, "r", {"interval.ms": "1"}),
)


def test_configs_are_replaced_alike(both: Both) -> None:
    for node in (both.ours, both.kafkas):
        node.create("r", {"segment.ms": "1000"})
    for kind, name, configs in REPLACEMENTS:
        codes = [ErrorCode(n.replace(kind, name, configs)) for n in (both.ours, both.kafkas)]
        assert codes[0] == codes[1], (kind, name, configs)
    for kind, name in ((TOPIC, "r"), (BROKER, "1"), (BROKER, ""), (GROUP, "r"), (METRICS, "r")):
        both.same(kind, name)


def test_what_is_only_checked_changes_nothing(both: Both) -> None:
    for kind, name, config, value in (
        (BROKER, "", "message.max.bytes", "4000000"),
        (BROKER, "1", "message.max.bytes", "x"),
        (GROUP, "checked", "share.isolation.level", "read_committed"),
        (LOGGER, "1", "root", "FATAL"),
        (LOGGER, "1", "root", "LOUD"),
    ):
        change = kind, name, config, SET, value
        codes = [n.alter(*change, validate_only=True) for n in (both.ours, both.kafkas)]
        assert codes[0] == codes[1], change
    for kind, name in ((BROKER, "1"), (BROKER, ""), (GROUP, "checked")):
        both.same(kind, name)


@pytest.mark.parametrize(
    "step",
    [
        (BROKER, "2", "message.max.bytes", SET, "5"),
        (BROKER, "x", "message.max.bytes", SET, "5"),
        (TOPIC, "no", "retention.ms", SET, "5"),
        (LOGGER, "2", "root", SET, "INFO"),
        (LOGGER, "1", "root", SET, "WARN"),
        (3, "x", "y", SET, "z"),
        # With what else is not valid Kafka's controller breaks: UNKNOWN_SERVER_ERROR, and no
        # controller for a moment.
    ],
)
def test_a_controller_answers_alike(controllers: Both, step: Step) -> None:
    controllers.alter(*step)
    for kind, name in ((BROKER, "1"), (BROKER, "2"), (BROKER, ""), (GROUP, "new"), (METRICS, "")):
        controllers.same(kind, name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (BROKER, "2"),
        (BROKER, "x"),
        (TOPIC, "no"),
        (TOPIC, "bad/name"),
        (GROUP, ""),
        (METRICS, ""),
        (LOGGER, ""),
        (LOGGER, "2"),
    ],
)
def test_what_cannot_be_described(both: Both, kind: int, name: str) -> None:
    assert both.same(kind, name) != ErrorCode.NONE


def test_loggers_have_the_same_form(both: Both) -> None:
    forms = []
    for node in (both.ours, both.kafkas):
        code, entries = node.describe(LOGGER, "1", documentation=True)
        assert code == 0
        assert {entry.value for entry in entries} <= {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"}
        (root,) = node.describe(LOGGER, "1", ["root"])[1]
        assert root in entries
        forms.append(
            {
                (e.config_source, e.config_type, e.read_only, e.is_sensitive, e.documentation)
                for e in entries
            }
        )
        assert not any(entry.synonyms for entry in entries)
    assert forms[0] == forms[1]


def test_the_page_on_configurations_has_whatever_kafka_describes(both: Both) -> None:
    both.kafkas.create("page", {})
    sections = (REPOSITORY / "docs/configuration.md").read_text().split("\n## ")
    pages = {section.partition("\n")[0]: section for section in sections}
    for kind, name, title in (
        (BROKER, "1", "The node"),
        (TOPIC, "page", "Topics"),
        (GROUP, "page", "Groups"),
        (METRICS, "page", "Subscriptions to clients' metrics"),
    ):
        known = [
            entry.name
            for entry in both.kafkas.describe(kind, name)[1]
            if entry.config_type != 0 and not entry.name.startswith("listener.name.")
        ]
        assert known
        assert [each for each in known if f"\n| `{each}` |" not in pages[title]] == []


LISTENERS = "listeners"
PROTOCOLS = "listener.security.protocol.map"


def listener_steps(own: str, port: int) -> list[tuple[str, str, int, str | None]]:
    """Changes of a node's listeners: resource, config, operation, value."""
    more = f"{own},OTHER://{HOST}:{port}"
    protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    return [
        ("1", LISTENERS, SET, more),
        ("", PROTOCOLS, SET, f"{protocols},OTHER:PLAINTEXT"),
        ("1", PROTOCOLS, SET, f"{protocols},OTHER:PLAINTEXT"),
        ("1", PROTOCOLS, SET, "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT,OTHER:PLAINTEXT"),
        ("1", LISTENERS, SET, f"OTHER://{HOST}:{port}"),
        ("1", LISTENERS, SET, own.replace("PLAINTEXT", "OTHER", 1)),
        ("1", LISTENERS, SET, own.partition(",")[0]),
        ("1", LISTENERS, SET, ""),
        ("1", LISTENERS, SET, more),
        ("1", "listener.name.other.max.connections", SET, "x"),
        ("1", "listener.name.other.ssl.keystore.type", SET, "PEM"),
        ("", "listener.name.other.ssl.keystore.type", SET, "PEM"),
        ("1", "listener.name.other.num.network.threads", SET, "4"),
        ("1", "listener.name.other.no.such", SET, "4"),
    ]


def test_listeners_come_and_go_alike(both: Both) -> None:
    codes: list[list[tuple[str, ErrorCode]]] = []
    for node in (both.ours, both.kafkas):
        (own,) = node.describe(BROKER, "1", [LISTENERS])[1]
        port = free_port()
        codes.append([])
        for step in listener_steps(str(own.value), port):
            codes[-1].append((step[1], ErrorCode(node.alter(BROKER, *step))))
            time.sleep(0.2)
        assert answers(port)
        assert node.alter(BROKER, "1", LISTENERS, DELETE, None) == ErrorCode.NONE
        deadline = time.monotonic() + WAIT_SECONDS
        while answers(port):
            assert time.monotonic() < deadline
    assert codes[0] == codes[1]


def test_documentation_is_ours_for_what_works_and_only_when_asked_for(both: Both) -> None:
    for kind, name in ((TOPIC, "d"), (BROKER, "1"), (GROUP, "d"), (METRICS, "d")):
        if kind == TOPIC:
            both.ours.create(name, {})
            both.kafkas.create(name, {})
        ours, kafkas = (
            {
                entry.name: entry.documentation
                for entry in node.describe(kind, name, documentation=True)[1]
            }
            for node in (both.ours, both.kafkas)
        )
        for config, text in ours.items():
            assert (text is not None) == _works(kind, config), config
            assert text is None or (kafkas[config] and text != kafkas[config])


def _works(kind: int, name: str) -> bool:
    if kind == TOPIC:
        return topic_support_of(name).status == "works"
    return kind == BROKER and name in definitions.BROKER and support_of(name).status == "works"
