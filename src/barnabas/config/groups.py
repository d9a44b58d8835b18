"""Checks of the configs of groups and of subscriptions to clients' metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NoReturn, cast

from barnabas.wire.errors import ErrorCode, KafkaError

from . import definitions
from .broker import BrokerConfig
from .values import ConfigError, Value, default, read

_MATCH_KEYS: Final = frozenset(
    {
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    }
)
_MIN_INTERVAL_MS: Final = 100
_MAX_INTERVAL_MS: Final = 3_600_000

# Group configs with a limit in a broker config on one or both sides.
_BOUNDED: Final = (
    *(
        (f"{kind}.{what}", f"group.{kind}.min.{what}", f"group.{kind}.max.{what}")
        for kind in ("consumer", "share", "streams")
        for what in ("heartbeat.interval.ms", "session.timeout.ms")
    ),
    *(
        (f"share.{what}", f"group.share.min.{what}", f"group.share.max.{what}")
        for what in (
            "record.lock.duration.ms",
            "delivery.count.limit",
            "partition.max.record.locks",
        )
    ),
    ("streams.num.standby.replicas", None, "group.streams.max.standby.replicas"),
)
# Checked only where the group sets them: the broker's own value changes at run time.
_BOUNDED_IF_SET: Final = tuple(
    (f"{kind}.{what}", f"group.{kind}.min.{what}", f"group.{kind}.max.{what}")
    for kind in ("consumer", "share", "streams")
    for what in ("assignment.interval.ms",)
)


def validate_group_configs(
    config: BrokerConfig, group: str, configs: Mapping[str, str | None]
) -> None:
    """Check the whole set of configs that a group would have.

    What the group does not set counts with the built-in default, as with Kafka.

    Raises:
        KafkaError: INVALID_REQUEST without a group name; INVALID_CONFIG with a sentence.
    """
    if not group:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "A group needs a name.")
    values: dict[str, Value] = {name: default(key) for name, key in definitions.GROUP.items()}
    for name, text in configs.items():
        key = definitions.GROUP.get(name)
        if key is None:
            _invalid_config(f"{name} is not a group config.")
        if text is None:
            _invalid_config(f"{name}: a group config must not be null.")
        try:
            values[name] = read(key, text)
        except ConfigError as error:
            _invalid_config(str(error))
    set_here = [rule for rule in _BOUNDED_IF_SET if rule[0] in configs]
    for name, lowest, highest in (*_BOUNDED, *set_here):
        value = cast(int, values[name])
        if lowest is not None and value < config.get_int(lowest):
            _invalid_config(f"{name} must be at least {lowest}.")
        if value > config.get_int(highest):
            _invalid_config(f"{name} must be at most {highest}.")
    for kind in ("consumer", "share", "streams"):
        session, heartbeat = f"{kind}.session.timeout.ms", f"{kind}.heartbeat.interval.ms"
        if cast(int, values[session]) <= cast(int, values[heartbeat]):
            _invalid_config(f"{session} must be more than {heartbeat}.")


def validate_client_metrics_configs(name: str, configs: Mapping[str, str | None]) -> None:
    """Check the whole set of configs that a subscription to clients' metrics would have (KIP-714).

    Raises:
        KafkaError: INVALID_REQUEST: no name, an unknown config, an interval out of its limits;
            INVALID_CONFIG: anything else.
    """
    if not name:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "A metrics subscription needs a name.")
    for config, text in configs.items():
        if text is None:
            _invalid_config(f"{config}: a client metrics config must not be null.")
    for config in configs:
        if config not in definitions.CLIENT_METRICS:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{config} is not a client metrics config.")
    for config, text in configs.items():
        try:
            value = read(definitions.CLIENT_METRICS[config], cast(str, text))
        except ConfigError as error:
            _invalid_config(str(error))
        if config == "interval.ms":
            _check_interval(cast(int, value))
        if config == "match":
            _check_match(cast("tuple[str, ...]", value))


def _check_interval(interval_ms: int) -> None:
    if not _MIN_INTERVAL_MS <= interval_ms <= _MAX_INTERVAL_MS:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"interval.ms must be {_MIN_INTERVAL_MS} to {_MAX_INTERVAL_MS}.",
        )


def _check_match(patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        key, equals, expression = pattern.partition("=")
        try:
            re.compile(expression.strip())
            good = bool(equals) and "=" not in expression and expression != ""
        except (re.error, RecursionError, OverflowError):
            good = False
        if not good or key.strip() not in _MATCH_KEYS:
            _invalid_config(f"match: {pattern} is not one of the known keys = a pattern.")


def _invalid_config(sentence: str) -> NoReturn:
    raise KafkaError(ErrorCode.INVALID_CONFIG, sentence)
