"""Configs by the kind of their resource: names, permissions, the levels of loggers."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from barnabas.security.operations import Operation, ResourceType
from barnabas.security.principal import Principal
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.alter_configs_request import AlterConfigsRequest
from barnabas.wire.messages.alter_configs_request import AlterConfigsResource as Replaced
from barnabas.wire.messages.alter_configs_response import AlterConfigsResponse
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
from tests.unit.server.calm import CONTROLLER_PORT, Session, calm

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND = 0, 1, 2
PORT = 9092
REQUESTS = "barnabas.request"


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """The process' loggers get their levels back."""
    loggers = [logging.getLogger(name) for name in (None, "barnabas", "barnabas.server", REQUESTS)]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


async def alter(
    s: Session,
    *resources: AlterConfigsResource,
    port: int = PORT,
    version: int | None = None,
    validate_only: bool = False,
) -> list[ErrorCode]:
    """Alter; the error of each resource, in the order of the request."""
    request = IncrementalAlterConfigsRequest(list(resources), validate_only)
    answer = await s.ask(request, IncrementalAlterConfigsResponse, version, port=port)
    assert [(r.resource_type, r.resource_name) for r in answer.responses] == [
        (r.resource_type, r.resource_name) for r in resources
    ]
    return [ErrorCode(each.error_code) for each in answer.responses]


def one(
    kind: int, name: str, config: str, value: str | None, operation: int = SET
) -> AlterConfigsResource:
    """One change of one resource."""
    return AlterConfigsResource(kind, name, [AlterableConfig(config, operation, value)])


async def describe(
    s: Session, *resources: tuple[int, str], port: int = PORT, version: int | None = None
) -> tuple[list[ErrorCode], dict[str, str | None]]:
    """Errors of each resource, and the values of the last one."""
    asked = [DescribeConfigsResource(kind, name, None) for kind, name in resources]
    answer = await s.ask(DescribeConfigsRequest(asked), DescribeConfigsResponse, version, port=port)
    errors = [ErrorCode(each.error_code) for each in answer.results]
    return errors, {entry.name: entry.value for entry in answer.results[-1].configs}


def test_levels_of_loggers_change_at_once_and_are_not_kept() -> None:
    async def scenario(s: Session) -> None:
        logging.getLogger().setLevel(logging.WARNING)
        server = logging.getLogger("barnabas.server")
        assert not server.isEnabledFor(logging.DEBUG)
        for version in range(1, 5):
            errors, found = await describe(s, (LOGGER, "1"), version=version)
            assert errors == [ErrorCode.NONE]
            assert (found["root"], found["barnabas.server"]) == ("WARN", "WARN"), version
        tried = one(LOGGER, "1", "barnabas.server", "DEBUG")
        assert await alter(s, tried, validate_only=True) == [ErrorCode.NONE]
        assert not server.isEnabledFor(logging.DEBUG)
        for version, level in ((0, "FATAL"), (1, "TRACE")):
            change = one(LOGGER, "1", "barnabas.server", level)
            assert await alter(s, change, version=version) == [ErrorCode.NONE]
            assert (await describe(s, (LOGGER, "1")))[1]["barnabas.server"] == level
        assert server.isEnabledFor(logging.DEBUG)
        assert (await describe(s, (LOGGER, "1")))[1]["root"] == "WARN"
        gone = one(LOGGER, "1", "barnabas.server", None, DELETE)
        assert await alter(s, gone, port=CONTROLLER_PORT) == [ErrorCode.NONE]
        assert (await describe(s, (LOGGER, "1")))[1]["barnabas.server"] == "WARN"
        assert await alter(s, one(LOGGER, "1", "root", "ERROR")) == [ErrorCode.NONE]
        assert (await describe(s, (LOGGER, "1")))[1]["barnabas.server"] == "ERROR"
        assert s.node.node is not None
        assert not any(kind == LOGGER for kind, _ in s.node.node.broker.image.configs.resources)

    calm(scenario)


def test_every_request_is_told_while_its_logger_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def told() -> list[str]:
        lines = [getattr(r, "api", "") for r in caplog.records if r.name == REQUESTS]
        caplog.clear()
        return lines

    async def scenario(s: Session) -> None:
        await describe(s, (BROKER, "1"))
        assert told() == []
        await alter(s, one(LOGGER, "1", REQUESTS, "DEBUG"))
        await describe(s, (BROKER, "1"))
        assert "DescribeConfigs" in told()
        await alter(s, one(LOGGER, "1", REQUESTS, None, DELETE))
        told()
        await describe(s, (BROKER, "1"))
        assert told() == []

    logging.getLogger().setLevel(logging.WARNING)
    calm(scenario)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (one(LOGGER, "1", "no.such.logger", "INFO"), ErrorCode.INVALID_CONFIG),
        (one(LOGGER, "1", "barnabas", "info"), ErrorCode.INVALID_CONFIG),
        (one(LOGGER, "1", "barnabas", "LOUD"), ErrorCode.INVALID_CONFIG),
        (one(LOGGER, "1", "barnabas", None), ErrorCode.INVALID_REQUEST),
        (one(LOGGER, "1", "barnabas", "INFO", APPEND), ErrorCode.INVALID_REQUEST),
        (one(LOGGER, "1", "root", None, DELETE), ErrorCode.INVALID_REQUEST),
        (one(LOGGER, "1", "no.such.logger", None, DELETE), ErrorCode.INVALID_CONFIG),
        (one(LOGGER, "2", "barnabas", "INFO"), ErrorCode.INVALID_REQUEST),
        (one(LOGGER, "", "barnabas", "INFO"), ErrorCode.INVALID_REQUEST),
        (one(BROKER, "2", "message.max.bytes", "5"), ErrorCode.INVALID_REQUEST),
        (one(BROKER, "x", "message.max.bytes", "5"), ErrorCode.INVALID_REQUEST),
        (one(TOPIC, "t", "retention.ms", "5", 9), ErrorCode.INVALID_REQUEST),
        (one(GROUP, "", "share.isolation.level", "read_committed"), ErrorCode.INVALID_REQUEST),
        (one(3, "x", "y", "z"), ErrorCode.INVALID_REQUEST),
    ],
)
def test_changes_that_cannot_be(change: AlterConfigsResource, error: ErrorCode) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        before = (await describe(s, (LOGGER, "1")))[1]
        both = AlterConfigsResource(
            change.resource_type,
            change.resource_name,
            [AlterableConfig("barnabas.server", SET, "FATAL"), *change.configs],
        )
        assert await alter(s, change) == [error]
        if change.resource_type == LOGGER:  # all or nothing
            assert await alter(s, both) == [error]
        assert (await describe(s, (LOGGER, "1")))[1] == before

    calm(scenario)


def test_what_a_controller_answers_otherwise() -> None:
    async def scenario(s: Session) -> None:
        for change, error in (
            (one(3, "x", "y", "z"), ErrorCode.UNSUPPORTED_VERSION),
            (one(BROKER, "2", "message.max.bytes", "5"), ErrorCode.BROKER_ID_NOT_REGISTERED),
            (one(LOGGER, "2", "barnabas", "INFO"), ErrorCode.INVALID_REQUEST),
        ):
            assert await alter(s, change, port=CONTROLLER_PORT) == [error]

    calm(scenario)


def test_each_resource_of_a_request_has_its_own_answer() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        assert await alter(
            s,
            one(TOPIC, "no", "retention.ms", "5"),
            one(LOGGER, "1", "barnabas", "ERROR"),
            one(TOPIC, "t", "retention.ms", "5"),
            one(LOGGER, "2", "barnabas", "ERROR"),
        ) == [
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.NONE,
            ErrorCode.NONE,
            ErrorCode.INVALID_REQUEST,
        ]
        assert (await describe(s, (TOPIC, "t")))[1]["retention.ms"] == "5"
        twice = one(LOGGER, "1", "barnabas", "INFO")
        assert await alter(s, twice, twice) == [ErrorCode.INVALID_REQUEST] * 2
        old = AlterConfigsRequest([Replaced(LOGGER, "1", [])])
        answer = await s.ask(old, AlterConfigsResponse)
        assert answer.responses[0].error_code == ErrorCode.INVALID_REQUEST

    calm(scenario)


def test_descriptions_that_cannot_be() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        invalid = ErrorCode.INVALID_REQUEST
        for resource in (
            *((LOGGER, name) for name in ("", "2", "x")),
            *((BROKER, name) for name in ("2", "x")),
            (GROUP, ""),
            (METRICS, ""),
        ):
            assert (await describe(s, resource))[0] == [invalid], resource
            assert (await describe(s, (TOPIC, "t"), resource))[0] == [ErrorCode.NONE, invalid]
        assert (await describe(s, (TOPIC, "t"), (3, "x")))[0] == [invalid, invalid]
        assert (await describe(s, (TOPIC, "no")))[0] == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]

    calm(scenario)


class Denies:
    """An authorizer that says no to one operation on one type of resource, and notes questions."""

    def __init__(self, operation: Operation, kind: ResourceType) -> None:
        self.denied = operation, kind

    def authorize(
        self,
        _principal: Principal,
        _host: str,
        operation: Operation,
        kind: ResourceType,
        _name: str,
    ) -> bool:
        """Everything else."""
        return (operation, kind) != self.denied


@pytest.mark.parametrize(
    ("operation", "kind", "resource", "port", "error"),
    [
        (Operation.ALTER_CONFIGS, ResourceType.CLUSTER, LOGGER, PORT, "CLUSTER"),
        (Operation.CLUSTER_ACTION, ResourceType.CLUSTER, LOGGER, CONTROLLER_PORT, "CLUSTER"),
        (Operation.ALTER_CONFIGS, ResourceType.CLUSTER, METRICS, PORT, "CLUSTER"),
        (Operation.ALTER_CONFIGS, ResourceType.GROUP, GROUP, PORT, "GROUP"),
    ],
)
def test_who_may_alter(
    operation: Operation, kind: ResourceType, resource: int, port: int, error: str
) -> None:
    changes = {
        LOGGER: one(LOGGER, "1", "barnabas", "ERROR"),
        METRICS: one(METRICS, "m", "interval.ms", "1000"),
        GROUP: one(GROUP, "g", "share.isolation.level", "read_committed"),
    }

    async def scenario(s: Session) -> None:
        expected = ErrorCode[f"{error}_AUTHORIZATION_FAILED"]
        assert await alter(s, changes[resource], port=port) == [expected]

    calm(scenario, authorizer=Denies(operation, kind))


def test_who_may_describe_groups_and_loggers() -> None:
    async def scenario(s: Session) -> None:
        errors, _ = await describe(s, (GROUP, "g"), (LOGGER, "1"))
        assert errors == [ErrorCode.GROUP_AUTHORIZATION_FAILED, ErrorCode.NONE]

    calm(scenario, authorizer=Denies(Operation.DESCRIBE_CONFIGS, ResourceType.GROUP))

    async def of_the_cluster(s: Session) -> None:
        errors, _ = await describe(s, (GROUP, "g"), (LOGGER, "1"))
        assert errors == [ErrorCode.NONE, ErrorCode.CLUSTER_AUTHORIZATION_FAILED]

    calm(of_the_cluster, authorizer=Denies(Operation.DESCRIBE_CONFIGS, ResourceType.CLUSTER))
