"""Which configs a resource has, and what brokers take at run time (IncrementalAlterConfigs)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NoReturn

from barnabas.wire.errors import ErrorCode, KafkaError

from . import definitions, support, topics
from .broker import BrokerConfig
from .dynamic import listener_base, override, problem
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
    for name, value in configs.items():
        if config.originals.get(name) != value:
            refusal = support.refusal(name, value) or _not_built_dynamically(name)
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


def _not_built_dynamically(name: str) -> str | None:
    """Listeners change at a start only, for now."""
    if name in ("listeners", "listener.security.protocol.map") or listener_base(name) is not None:
        return f"{name} cannot change at run time on this node yet; set it in the file."
    return None


def _invalid_request(sentence: str) -> NoReturn:
    raise KafkaError(ErrorCode.INVALID_REQUEST, sentence)
