"""Fixtures of the interop tests: the node under test, topics on it, the tools of other people."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.interop.kafka import (
    JAVA_CLASSES,
    KafkaProcess,
    Node,
    ToolError,
    kafka_home,
    target_class,
)

HERE = Path(__file__).parent
WAIT_SECONDS = 30.0
KEEP_OLD = {"log.initial.task.delay.ms": "3600000"}
"""Tests produce records with timestamps that are years old: retention must not come in between."""

MakeTopic = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an interop test."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)


def absent(what: str) -> None:
    """Name an absent tool: a skip on a developer's machine, a failure with CI=true."""
    message = f"absent here: {what} (tests/interop/setup.sh installs it)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def kcat() -> str:
    """The path of kcat."""
    found = shutil.which("kcat")
    if found is None:
        absent("kcat")
    return str(found)


@pytest.fixture(scope="session")
def java() -> Path:
    """The home of Apache Kafka's jars, with Java and the compiled helpers at hand."""
    if shutil.which("java") is None:
        absent("a Java runtime")
    if not (JAVA_CLASSES / ".made").exists():
        absent("the compiled Java helpers")
    try:
        return kafka_home()
    except ToolError as missing:
        absent(str(missing))
        raise


@pytest.fixture(scope="module")
def node_settings() -> Mapping[str, str]:
    """What a file's node is configured with; override it there."""
    return {}


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, node_settings: Mapping[str, str]
) -> Iterator[Node]:
    """A running node, shared by the tests of one file."""
    target = target_class()
    if target.name == "kafka" and shutil.which("java") is None:
        absent("a Java runtime")
    settings = {**KEEP_OLD, **node_settings}
    with target(tmp_path_factory.mktemp("node"), settings) as running:
        yield running
    faults = [line for line in running.log_text().splitlines() if "a bug of ours" in line]
    assert not faults, running.log_tail()


@pytest.fixture(scope="module", params=["target", pytest.param("kafka", marks=pytest.mark.soak)])
def each_node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """The node under test, and in long runs a real Kafka, which shows that the test is right."""
    if request.param == "target":
        yield request.getfixturevalue("node")
        return
    request.getfixturevalue("java")
    with KafkaProcess(tmp_path_factory.mktemp("kafka"), KEEP_OLD) as running:
        yield running


@pytest.fixture(scope="module")
def admin(node: Node) -> AdminClient:
    """librdkafka's admin client, connected to the node."""
    return AdminClient({"bootstrap.servers": node.address})


@pytest.fixture(scope="module")
def make_topic(admin: AdminClient) -> MakeTopic:
    """Create a topic with a name of its own: `make_topic(partitions, **configs)` returns the name."""
    numbers = itertools.count()

    def make(partitions: int = 1, **configs: str) -> str:
        name = f"topic-{next(numbers)}"
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        new = NewTopic(name, partitions, 1, config=settings)
        admin.create_topics([new])[name].result(WAIT_SECONDS)
        return name

    return make
