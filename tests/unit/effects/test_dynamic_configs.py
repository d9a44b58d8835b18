"""Broker configs changed while a node runs: which level wins, what stays, what is refused."""

from __future__ import annotations

import pytest

from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import DescribeConfigsResponse
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from tests.unit.effects.levels import BROKER_RESOURCE, alter_node, alter_topic
from tests.unit.server.calm import Session, calm

NAME = "message.max.bytes"
TOPIC, BROKER, CLUSTER, STATIC, DEFAULT = 1, 2, 3, 4, 5


async def largest(s: Session) -> int:
    """The largest of some batches that the topic takes, in bytes of its value."""
    taken = 0
    for size in (100, 200, 300, 400, 500):
        answer = await s.produce("t", s.batch(b"x" * size))
        assert answer.error_code in (ErrorCode.NONE, ErrorCode.MESSAGE_TOO_LARGE)
        taken = size if answer.error_code == ErrorCode.NONE else taken
    return taken


async def synonyms(s: Session) -> list[tuple[int, str | None]]:
    """Source and value of everything that gives the topic its largest batch, the winner first."""
    asked = [DescribeConfigsResource(2, "t", ["max.message.bytes"])]
    answer = await s.ask(DescribeConfigsRequest(asked, True), DescribeConfigsResponse)
    (entry,) = answer.results[0].configs
    assert entry.value == entry.synonyms[0].value
    return [(each.source, each.value) for each in entry.synonyms]


def test_the_nearest_level_wins() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        steps: list[tuple[int, str | None, int]] = [
            (CLUSTER, "480", 400),
            (BROKER, "380", 300),
            (TOPIC, "280", 200),
            (TOPIC, None, 300),
            (BROKER, None, 400),
            (CLUSTER, None, 500),
        ]
        levels: dict[int, str] = {STATIC: "600", DEFAULT: "1048588"}
        for level, value, takes in steps:
            if level == TOPIC:
                await alter_topic(s, "t", {"max.message.bytes": value})
            else:
                await alter_node(s, {NAME: value}, broker="1" if level == BROKER else "")
            if value is None:
                del levels[level]
            else:
                levels[level] = value
            assert await largest(s) == takes, (level, value)
            assert await synonyms(s) == sorted(levels.items())
            await s.restart("kill")
            assert await largest(s) == takes, (level, value)

    calm(scenario, {NAME: "600"})


async def refused(s: Session, broker: str, name: str, value: str) -> ErrorCode:
    """What the node answers to one change of itself."""
    resource = AlterConfigsResource(BROKER_RESOURCE, broker, [AlterableConfig(name, 0, value)])
    request = IncrementalAlterConfigsRequest([resource])
    answer = (await s.ask(request, IncrementalAlterConfigsResponse)).responses[0]
    assert answer.error_message
    return ErrorCode(answer.error_code)


@pytest.mark.parametrize(
    ("broker", "name", "value"),
    [
        ("", NAME, "many"),
        ("1", NAME, "-1"),
        ("", "compression.type", "ZIP"),
        ("", "log.roll.ms", "0"),
        ("", "num.partitions", "3"),
        ("1", "node.id", "1"),
        ("", "barnabas.ack.mode", "page-cache"),
        ("", "listeners", "PLAINTEXT://localhost:1"),
        ("1", "listeners", ""),
        ("1", "ssl.keystore.location", "/k"),
        ("", "background.threads", "99"),
        ("1", "metric.reporters", "com.example.Reporter"),
    ],
)
def test_what_cannot_be_changes_nothing(broker: str, name: str, value: str) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert s.node.node is not None
        before = s.node.node.broker.config.originals
        assert await refused(s, broker, name, value) == ErrorCode.INVALID_REQUEST
        assert s.node.node.broker.config.originals == before
        assert (await s.produce("t", s.batch(b"a"))).error_code == ErrorCode.NONE

    calm(scenario)


@pytest.mark.effect_of("default.replication.factor")
@pytest.mark.parametrize(
    ("factor", "error"), [("1", ErrorCode.NONE), ("2", ErrorCode.INVALID_REPLICATION_FACTOR)]
)
def test_replicas_of_a_topic_that_names_none(factor: str, error: ErrorCode) -> None:
    async def scenario(s: Session) -> None:
        request = CreateTopicsRequest([CreatableTopic("t", -1, -1)], 5000)
        answer = (await s.ask(request, CreateTopicsResponse)).topics[0]
        assert answer.error_code == error

    calm(scenario, {"default.replication.factor": factor})
