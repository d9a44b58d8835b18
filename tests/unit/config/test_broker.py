"""A node's configuration as a whole: precedence, listeners, rules between configs."""

from __future__ import annotations

import pytest

from barnabas.config.broker import BrokerConfig, default_properties
from barnabas.config.endpoints import Endpoint
from barnabas.config.values import ConfigError
from tests.unit.config.configs import broker_config

MAX_LONG = 2**63 - 1


def errors(changes: dict[str, str | None]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        broker_config(changes)
    return caught.value.errors


def test_a_node_without_a_file() -> None:
    config = broker_config()
    assert config.node_id == 1
    assert config.process_roles == {"broker", "controller"}
    assert config.broker_listeners == (Endpoint("PLAINTEXT", "PLAINTEXT", "localhost", 9092),)
    assert config.controller_listeners == (Endpoint("CONTROLLER", "PLAINTEXT", "localhost", 9093),)
    assert config.advertised_listeners is None
    assert config.advertised_broker_listeners == config.broker_listeners
    assert config.inter_broker_listener_name == "PLAINTEXT"
    assert config.log_dirs == ("/data",)
    assert config.metadata_log_dir == "/data"
    assert config.quorum_voters == {}
    assert (config.ack_mode, config.validation) == ("synced", "header")
    assert config.get_str_or_none("broker.rack") is None


def test_an_ipv6_host_goes_into_brackets() -> None:
    config = BrokerConfig.from_properties(default_properties("/d", host="::1", port=0))
    assert config.listeners[0] == Endpoint("PLAINTEXT", "PLAINTEXT", "::1", 0)
    assert str(config.listeners[0]) == "PLAINTEXT://[::1]:0"


def test_values_are_typed() -> None:
    config = broker_config({"num.partitions": " 3 ", "broker.rack": "r"})
    assert config.get_int("num.partitions") == 3
    assert config.get_bool("auto.create.topics.enable") is True
    assert config.get_float("log.cleaner.min.cleanable.ratio") == 0.5
    assert config.get_list("log.cleanup.policy") == ("delete",)
    assert config.get_int_or_none("log.retention.ms") is None
    assert config.get_str("broker.rack") == "r"
    with pytest.raises(KeyError):
        config.get_int("no.such.config")
    with pytest.raises(TypeError):
        config.get_int("broker.rack")
    with pytest.raises(TypeError):
        config.get_int("auto.create.topics.enable")


def test_node_id_and_broker_id_stand_for_each_other() -> None:
    assert broker_config({"node.id": None, "broker.id": "4"}).node_id == 4
    assert broker_config({"node.id": "4"}).get_int("broker.id") == 4
    assert errors({"broker.id": "4"}) == ("node.id and broker.id must be the same number.",)


@pytest.mark.parametrize(
    ("changes", "attribute", "value"),
    [
        ({}, "log_retention_ms", 604_800_000),
        ({"log.retention.hours": "2"}, "log_retention_ms", 7_200_000),
        (
            {"log.retention.hours": "2", "log.retention.minutes": "3"},
            "log_retention_ms",
            180_000,
        ),
        ({"log.retention.minutes": "3", "log.retention.ms": "4"}, "log_retention_ms", 4),
        ({"log.retention.hours": "-5"}, "log_retention_ms", -1),
        ({"log.roll.hours": "1"}, "log_roll_ms", 3_600_000),
        ({"log.roll.hours": "1", "log.roll.ms": "5"}, "log_roll_ms", 5),
        ({"log.roll.jitter.hours": "1"}, "log_roll_jitter_ms", 3_600_000),
        ({"log.roll.jitter.ms": "0", "log.roll.jitter.hours": "1"}, "log_roll_jitter_ms", 0),
        ({}, "log_flush_interval_ms", MAX_LONG),
        ({"log.flush.scheduler.interval.ms": "5"}, "log_flush_interval_ms", 5),
        (
            {"log.flush.scheduler.interval.ms": "5", "log.flush.interval.ms": "6"},
            "log_flush_interval_ms",
            6,
        ),
        ({"log.dir": "/a"}, "log_dirs", ("/data",)),
        ({"log.dirs": None, "log.dir": "/a"}, "log_dirs", ("/a",)),
        ({"log.dirs": None}, "log_dirs", ("/tmp/kafka-logs",)),
        ({"log.dirs": "/a, /b", "metadata.log.dir": "/m"}, "metadata_log_dir", "/m"),
    ],
)
def test_the_first_of_several_that_is_set_wins(
    changes: dict[str, str | None], attribute: str, value: object
) -> None:
    assert getattr(broker_config(changes), attribute) == value


def test_all_that_is_wrong_is_told_at_once() -> None:
    told = errors({"num.partitions": "0", "log.dirs": "", "process.roles": None})
    assert len(told) == 3
    assert any("process.roles is missing" in sentence for sentence in told)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"listeners": "PLAINTEXT:localhost:9092"}, "NAME://host:port"),
        ({"listeners": "OTHER://h:1,CONTROLLER://h:2"}, None),
        ({"listeners": "A://h:1,A://h:2,CONTROLLER://h:3"}, "no security protocol"),
        ({"listeners": "PLAINTEXT://h:1,PLAINTEXT://h:2,CONTROLLER://h:3"}, "name of its own"),
        ({"listeners": "PLAINTEXT://h:1,CONTROLLER://h:1"}, "more than once"),
        ({"listeners": "PLAINTEXT://h:1"}, "controller.listener.names"),
        ({"listeners": "CONTROLLER://h:1"}, "for clients"),
        ({"listener.security.protocol.map": "PLAINTEXT:NONE"}, "NAME:PROTOCOL"),
        ({"advertised.listeners": "PLAINTEXT://0.0.0.0:1"}, "0.0.0.0"),
        ({"advertised.listeners": "SSL://h:1"}, "not in listeners"),
        ({"inter.broker.listener.name": "X"}, "not in listener.security.protocol.map"),
        ({"controller.quorum.bootstrap.servers": None}, "controller.quorum.bootstrap.servers"),
        ({"controller.quorum.voters": "2@h:1"}, "must contain node 1"),
        ({"process.roles": "broker"}, "controller.listener.names must not"),
        ({"process.roles": "controller"}, "only contain controller listeners"),
        ({"cordoned.log.dirs": "/other"}, "cordoned.log.dirs"),
        ({"log.retention.ms": "0"}, "log.retention.ms"),
        ({"queued.max.request.bytes": "1"}, "socket.request.max.bytes"),
        ({"max.connections.per.ip": "0"}, "max.connections.per.ip.overrides"),
        ({"max.connections.per.ip.overrides": "a:b"}, "host:count"),
        ({"group.consumer.session.timeout.ms": "1"}, "group.consumer.min.session.timeout.ms"),
        ({"group.coordinator.rebalance.protocols": "consumer"}, "classic"),
        (
            {"log.cleaner.min.compaction.lag.ms": "9", "log.cleaner.max.compaction.lag.ms": "8"},
            "lag",
        ),
    ],
)
def test_rules_between_configs(changes: dict[str, str | None], part: str | None) -> None:
    told = errors(changes)
    assert part is None or any(part in sentence for sentence in told), told


def test_a_port_may_be_shared_by_ipv4_and_ipv6() -> None:
    config = broker_config({"listeners": "PLAINTEXT://127.0.0.1:9092,CONTROLLER://[::1]:9092"})
    assert [endpoint.host for endpoint in config.listeners] == ["127.0.0.1", "::1"]


def test_every_address_of_the_machine_is_no_host() -> None:
    config = broker_config({"listeners": "PLAINTEXT://:9092,CONTROLLER://:9093"})
    assert config.advertised_broker_listeners[0].host is None


def test_unknown_names_are_kept_or_refused() -> None:
    assert broker_config({"some.name": "x"}).originals["some.name"] == "x"
    with pytest.raises(ConfigError, match=r"some\.name"):
        BrokerConfig.from_properties(default_properties("/d") | {"some.name": "x"}, known_only=True)


def test_dynamic_configs_lie_over_the_file() -> None:
    static = broker_config({"log.roll.ms": "5", "log.retention.hours": "1"})
    config = static.with_dynamic(
        {"log.roll.ms": "6", "log.retention.ms": "7"}, {"log.roll.ms": "8"}
    )
    assert config.log_roll_ms == 8
    assert config.log_retention_ms == 7
    assert "log.retention.hours" not in config.originals  # its synonym of a higher level won
    assert config.static == static.static
    assert config.with_dynamic({}, {}).log_roll_ms == 5


def test_dynamic_configs_that_may_not_be_set_are_left_out() -> None:
    config = broker_config().with_dynamic(
        {"num.partitions": "9", "log.segment.bytes": "x", "cordoned.log.dirs": "/data"},
        {"message.max.bytes": "-1", "ssl.keystore.location": "/k"},
    )
    assert config.cluster == {}
    assert config.broker == {}
    assert config.get_int("num.partitions") == 1


def test_an_assignment_interval_is_clamped_when_its_limits_have_moved() -> None:
    static = broker_config({"group.consumer.max.assignment.interval.ms": "2000"})
    config = static.with_dynamic({"group.consumer.assignment.interval.ms": "9000"}, {})
    assert config.get_int("group.consumer.assignment.interval.ms") == 2000
