"""What brokers take at run time."""

from __future__ import annotations

import pytest

from barnabas.config.alter import validate_broker_configs
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.unit.config.configs import broker_config

OPEN = "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"
MAP = "listener.security.protocol.map"
PLAIN = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"


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
        ({"listeners": f"{OPEN},OTHER://h:3", MAP: f"{PLAIN},OTHER:PLAINTEXT"}, True),
        ({"listeners": OPEN.replace("9092", "1")}, True),
        ({"listener.name.plaintext.num.network.threads": "5"}, False),
        ({"listener.name.plaintext.ssl.keystore.location": "/k"}, True),
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
        ({"listeners": "OTHER://h:1,CONTROLLER://h:2"}, True, "OTHER"),
        ({"listeners": f"{OPEN},OTHER://h:3"}, True, "OTHER"),
        ({"listeners": f"{OPEN},OTHER://h:3", MAP: f"{PLAIN},OTHER:SSL"}, True, "OTHER uses SSL"),
        ({MAP: "PLAINTEXT:SSL,CONTROLLER:PLAINTEXT"}, True, "keeps its protocol PLAINTEXT"),
        (
            {
                "listeners": f"{OPEN},OTHER://h:3",
                MAP: f"{PLAIN},OTHER:PLAINTEXT",
                "listener.name.plaintext.connections.max.reauth.ms": "5",
            },
            True,
            "keeps its configs",
        ),
        ({"metric.reporters": "com.example.R"}, True, "Java classes"),
        ({"max.connections.per.ip.overrides": "localhost:5"}, False, "not looked up"),
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
