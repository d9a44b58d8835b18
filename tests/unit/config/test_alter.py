"""Operations on configs, and what brokers take at run time."""

from __future__ import annotations

import pytest

from barnabas.config.alter import (
    Op,
    OpType,
    ResourceType,
    after,
    apply_ops,
    check_changes,
    replace_all,
    validate_broker_configs,
)
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.unit.config.configs import broker_config

SET, DELETE, APPEND, SUBTRACT = OpType
POLICY = "cleanup.policy"


@pytest.mark.parametrize(
    ("current", "op", "changes"),
    [
        ({}, ("retention.ms", SET, "5"), {"retention.ms": "5"}),
        ({"retention.ms": "5"}, ("retention.ms", SET, "5"), {}),
        ({"retention.ms": "5"}, ("retention.ms", DELETE, None), {"retention.ms": None}),
        ({}, ("retention.ms", DELETE, "ignored"), {}),
        ({}, (POLICY, APPEND, "compact"), {POLICY: "delete,compact"}),
        ({POLICY: "compact"}, (POLICY, APPEND, "compact,delete"), {POLICY: "compact,delete"}),
        ({POLICY: "compact,delete"}, (POLICY, SUBTRACT, "compact"), {POLICY: "delete"}),
        ({POLICY: "compact"}, (POLICY, SUBTRACT, "delete,compact"), {POLICY: ""}),
        ({POLICY: "a,,b,"}, (POLICY, APPEND, "c,,"), {POLICY: "a,b,c"}),
        ({POLICY: "a"}, (POLICY, APPEND, ","), {}),
    ],
)
def test_operations(current: dict[str, str], op: Op, changes: dict[str, str | None]) -> None:
    assert apply_ops(ResourceType.TOPIC, current, [op]) == changes


def test_a_brokers_config_is_written_even_unchanged() -> None:
    ops: list[Op] = [("message.max.bytes", SET, "5")]
    current = {"message.max.bytes": "5"}
    assert apply_ops(ResourceType.BROKER, current, ops) == current


@pytest.mark.parametrize(
    ("resource", "ops", "code"),
    [
        (ResourceType.TOPIC, [(POLICY, SET, None)], ErrorCode.INVALID_REQUEST),
        (ResourceType.TOPIC, [(POLICY, APPEND, None)], ErrorCode.INVALID_REQUEST),
        (ResourceType.TOPIC, [(POLICY, 4, "x")], ErrorCode.INVALID_REQUEST),
        (
            ResourceType.TOPIC,
            [(POLICY, SET, "a"), (POLICY, DELETE, None)],
            ErrorCode.INVALID_REQUEST,
        ),
        (ResourceType.TOPIC, [("retention.ms", APPEND, "1")], ErrorCode.INVALID_CONFIG),
        (ResourceType.TOPIC, [("unknown", SUBTRACT, "1")], ErrorCode.INVALID_CONFIG),
        (ResourceType.GROUP, [("share.isolation.level", APPEND, "1")], ErrorCode.INVALID_CONFIG),
        (ResourceType.CLIENT_METRICS, [("metrics", APPEND, "a")], ErrorCode.INVALID_CONFIG),
    ],
)
def test_operations_that_make_no_sense(
    resource: ResourceType, ops: list[Op], code: ErrorCode
) -> None:
    with pytest.raises(KafkaError) as caught:
        apply_ops(resource, {}, ops)
    assert caught.value.code is code


def test_the_older_api_replaces_everything() -> None:
    current = {"retention.ms": "5", "flush.ms": "6", POLICY: "compact"}
    changes = replace_all(ResourceType.TOPIC, current, [("retention.ms", "7"), (POLICY, "compact")])
    assert changes == {"retention.ms": "7", "flush.ms": None}
    assert after(current, changes) == {"retention.ms": "7", POLICY: "compact"}
    with pytest.raises(KafkaError):
        replace_all(ResourceType.TOPIC, {}, [("retention.ms", None)])


def test_values_have_a_longest_length() -> None:
    check_changes(ResourceType.BROKER, "1", {"x": "a" * 32767, "y": None}, elr_enabled=False)
    with pytest.raises(KafkaError, match="32767"):
        check_changes(ResourceType.BROKER, "1", {"x": "a" * 32768}, elr_enabled=False)


@pytest.mark.parametrize(
    ("resource", "name", "value", "refused"),
    [
        (ResourceType.BROKER, "1", "2", True),
        (ResourceType.BROKER, "1", None, True),
        (ResourceType.BROKER, "", "2", False),
        (ResourceType.BROKER, "", None, True),
        (ResourceType.TOPIC, "t", "2", False),
    ],
)
def test_eligible_leader_replicas_bind_min_insync_replicas(
    resource: ResourceType, name: str, value: str | None, refused: bool
) -> None:
    changes = {"min.insync.replicas": value}
    check_changes(resource, name, changes, elr_enabled=False)
    if not refused:
        check_changes(resource, name, changes, elr_enabled=True)
        return
    with pytest.raises(KafkaError) as caught:
        check_changes(resource, name, changes, elr_enabled=True)
    assert caught.value.code is ErrorCode.INVALID_CONFIG


@pytest.mark.parametrize(
    ("configs", "per_broker"),
    [
        ({"log.retention.ms": "5", "message.max.bytes": "6"}, False),
        ({"log.retention.ms": "5"}, True),
        ({"unknown.name": "x"}, False),
        ({"leader.replication.throttled.rate": "5"}, True),
        ({"num.io.threads": "16"}, False),
        ({"num.io.threads": "4"}, False),
        ({"log.local.retention.ms": "5", "log.retention.ms": "5"}, False),
    ],
)
def test_what_may_change_at_run_time(configs: dict[str, str], per_broker: bool) -> None:
    validate_broker_configs(broker_config(), configs, per_broker=per_broker)


@pytest.mark.parametrize(
    ("configs", "per_broker", "part"),
    [
        ({"num.partitions": "5"}, True, "cannot change at run time"),
        ({"barnabas.ack.mode": "page-cache"}, True, "cannot change at run time"),
        ({"ssl.keystore.location": "/k"}, True, "listener's prefix"),
        ({"cordoned.log.dirs": "/data"}, False, "one broker only"),
        ({"listener.name.plaintext.ssl.client.auth": "none"}, False, "one broker only"),
        ({"message.max.bytes": "-1"}, False, "at least 0"),
        ({"leader.replication.throttled.rate": "-1"}, False, "at least 0"),
        ({"log.roll.ms": "0"}, False, "log.roll.ms"),
        ({"num.io.threads": "17"}, False, "half and double"),
        ({"num.io.threads": "3"}, False, "half and double"),
        ({"log.local.retention.ms": "6", "log.retention.ms": "5"}, False, "log.retention.ms"),
        ({"log.local.retention.bytes": "-1", "log.retention.bytes": "5"}, False, "at most"),
        ({"group.share.assignment.interval.ms": "15001"}, False, "max.assignment.interval.ms"),
        ({"listeners": "PLAINTEXT://h:1,CONTROLLER://h:2"}, True, "on this node yet"),
        ({"listener.name.plaintext.num.network.threads": "5"}, True, "on this node yet"),
        ({"metric.reporters": "com.example.R"}, True, "Java classes"),
        ({"max.connection.creation.rate": "5"}, False, "not built yet"),
    ],
)
def test_what_may_not_change_at_run_time(
    configs: dict[str, str], per_broker: bool, part: str
) -> None:
    with pytest.raises(KafkaError, match=part) as caught:
        validate_broker_configs(broker_config(), configs, per_broker=per_broker)
    assert caught.value.code is ErrorCode.INVALID_REQUEST


def test_one_level_is_checked_under_the_other() -> None:
    config = broker_config().with_dynamic({}, {"log.retention.bytes": "5"})
    validate_broker_configs(config, {"log.local.retention.bytes": "5"}, per_broker=False)
    with pytest.raises(KafkaError):
        validate_broker_configs(config, {"log.local.retention.bytes": "6"}, per_broker=False)
