"""Checks of group configs and of subscriptions to clients' metrics."""

from __future__ import annotations

import pytest

from barnabas.config.groups import validate_client_metrics_configs, validate_group_configs
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.unit.config.configs import broker_config


@pytest.mark.parametrize(
    "configs",
    [
        {},
        {"consumer.session.timeout.ms": "60000", "consumer.heartbeat.interval.ms": "15000"},
        {"share.auto.offset.reset": "by_duration:P1DT2H"},
        {"streams.num.standby.replicas": "2"},
        {"share.assignment.interval.ms": "15000"},
    ],
)
def test_what_a_group_may_have(configs: dict[str, str | None]) -> None:
    validate_group_configs(broker_config(), "g", configs)


@pytest.mark.parametrize(
    ("configs", "part"),
    [
        ({"unknown": "1"}, "unknown"),
        ({"consumer.session.timeout.ms": None}, "null"),
        ({"consumer.session.timeout.ms": "44999"}, "group.consumer.min.session.timeout.ms"),
        ({"consumer.session.timeout.ms": "60001"}, "group.consumer.max.session.timeout.ms"),
        ({"share.assignment.interval.ms": "15001"}, "group.share.max.assignment.interval.ms"),
        ({"streams.num.standby.replicas": "3"}, "group.streams.max.standby.replicas"),
        ({"share.isolation.level": "none"}, "read_committed"),
    ],
)
def test_what_a_group_may_not_have(configs: dict[str, str | None], part: str) -> None:
    with pytest.raises(KafkaError, match=part) as caught:
        validate_group_configs(broker_config(), "g", configs)
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_a_group_session_must_outlast_its_heartbeat() -> None:
    config = broker_config(
        {
            "group.consumer.min.session.timeout.ms": "5000",
            "group.consumer.min.heartbeat.interval.ms": "1000",
        }
    )
    with pytest.raises(KafkaError, match=r"more than consumer\.heartbeat"):
        validate_group_configs(config, "g", {"consumer.session.timeout.ms": "5000"})


def test_a_group_needs_a_name() -> None:
    with pytest.raises(KafkaError) as caught:
        validate_group_configs(broker_config(), "", {})
    assert caught.value.code is ErrorCode.INVALID_REQUEST


def test_a_good_subscription() -> None:
    validate_client_metrics_configs(
        "s", {"interval.ms": "100", "match": "client_id=a.*, client_source_port=9", "metrics": "*"}
    )


@pytest.mark.parametrize(
    ("name", "configs", "code"),
    [
        ("", {}, ErrorCode.INVALID_REQUEST),
        ("s", {"unknown": "1"}, ErrorCode.INVALID_REQUEST),
        ("s", {"interval.ms": "99"}, ErrorCode.INVALID_REQUEST),
        ("s", {"interval.ms": "3600001"}, ErrorCode.INVALID_REQUEST),
        ("s", {"interval.ms": "x"}, ErrorCode.INVALID_CONFIG),
        ("s", {"interval.ms": None}, ErrorCode.INVALID_CONFIG),
        ("s", {"match": "client_id"}, ErrorCode.INVALID_CONFIG),
        ("s", {"match": "client_id=("}, ErrorCode.INVALID_CONFIG),
        ("s", {"match": "user=a"}, ErrorCode.INVALID_CONFIG),
        ("s", {"match": "client_id=a=b"}, ErrorCode.INVALID_CONFIG),
    ],
)
def test_a_bad_subscription(name: str, configs: dict[str, str | None], code: ErrorCode) -> None:
    with pytest.raises(KafkaError) as caught:
        validate_client_metrics_configs(name, configs)
    assert caught.value.code is code
