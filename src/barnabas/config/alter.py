"""Which configs a resource has, and what brokers take at run time (IncrementalAlterConfigs)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NoReturn

from barnabas.wire.errors import ErrorCode, KafkaError

from . import definitions, support, topics
from .broker import BrokerConfig
from .dynamic import override, problem
from .keys import ConfigKey
from .values import ConfigError


class ResourceType(IntEnum):
    """What a config belongs to, as on the wire and in metadata records."""

    UNKNOWN = 0
    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


def key_of(resource_type: int, name: str) -> ConfigKey | None:
    """The definition of a config of one type of resource; None for an unknown name.

    Kafka's controller knows no definitions of client metrics: their lists cannot be appended to.
    """
    match resource_type:
        case ResourceType.TOPIC:
            return topics.key_of(name)
        case ResourceType.BROKER:
            return definitions.BROKER.get(name)
        case ResourceType.GROUP:
            return definitions.GROUP.get(name)
        case _:
            return None


def validate_broker_configs(
    config: BrokerConfig, configs: Mapping[str, str], *, per_broker: bool
) -> None:
    """Check the whole set of dynamic configs that a broker (or all brokers) would have.

    Raises:
        KafkaError: INVALID_REQUEST (so Kafka answers, KAFKA-13609), with a sentence.
    """
    for name, value in configs.items():
        sentence = problem(name, value, per_broker=per_broker)
        if sentence is not None:
            _invalid_request(sentence)
    merged = dict(config.static)
    cluster, broker = (config.cluster, configs) if per_broker else (configs, config.broker)
    override(merged, cluster)
    override(merged, broker)
    try:
        changed = BrokerConfig(merged, {}, {})
    except ConfigError as error:
        _invalid_request(error.errors[0])
    _check_steps(config, changed)
    _check_listeners(config, changed)
    for sentence in support.secure_listeners(changed):
        _invalid_request(sentence)
    for name, value in configs.items():
        if config.originals.get(name) != value:
            refusal = support.refusal(name, value)
            if refusal is not None:
                _invalid_request(refusal)


# A change of these takes new threads or buffers, so Kafka allows halving and doubling at most.
_STEPPED = (
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
)


def _check_steps(before: BrokerConfig, after_change: BrokerConfig) -> None:
    for name in _STEPPED:
        old, new = before.get_int(name), after_change.get_int(name)
        if new != old and not old // 2 <= new <= old * 2:
            _invalid_request(f"{name}={new} must be between half and double of {old}, its value.")
    _check_local_retention(after_change)


def _check_local_retention(config: BrokerConfig) -> None:
    pairs = (
        ("log.local.retention.ms", "log.retention.ms", config.log_retention_ms),
        ("log.local.retention.bytes", "log.retention.bytes", config.get_int("log.retention.bytes")),
    )
    for local_name, total_name, total in pairs:
        local = config.get_int(local_name)
        if total > -1 and local != -2 and not 0 <= local <= total:
            _invalid_request(f"{local_name}={local} must be at most {total_name}={total}, or -2.")


_LISTENERS = ("listeners", "listener.security.protocol.map")


def _check_listeners(before: BrokerConfig, after_change: BrokerConfig) -> None:
    """What clients are told must go on listening; what listens stays what it is."""
    if all(before.originals.get(n) == after_change.originals.get(n) for n in _LISTENERS):
        return
    old = {endpoint.name: endpoint.protocol for endpoint in before.listeners}
    new = {endpoint.name: endpoint.protocol for endpoint in after_change.listeners}
    for endpoint in before.advertised_broker_listeners:
        if endpoint.name not in new:
            _invalid_request(f"listeners must keep {endpoint.name}, which clients are told.")
    for name in old.keys() & new.keys():
        if old[name] != new[name]:
            _invalid_request(f"Listener {name} is open and keeps its protocol {old[name]}.")
        if _fixed_configs(before, name) != _fixed_configs(after_change, name):
            _invalid_request(f"Listener {name} is open and keeps its configs.")


def _fixed_configs(config: BrokerConfig, listener: str) -> dict[str, str]:
    """The configs of one listener that cannot change while it is open."""
    prefix = f"listener.name.{listener.lower()}."
    return {
        base: value
        for name, value in config.originals.items()
        if (base := name.removeprefix(prefix)) != name
        and base not in definitions.CLUSTER_LEVEL_LISTENER
        and getattr(definitions.BROKER.get(base), "dynamic", "R") != "L"
    }


def _invalid_request(sentence: str) -> NoReturn:
    raise KafkaError(ErrorCode.INVALID_REQUEST, sentence)
