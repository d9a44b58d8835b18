"""AlterConfigs and IncrementalAlterConfigs as pure functions: operations to new values, and checks.

What to write to the metadata log is a mapping from config name to its new value, None = deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NoReturn

from barnabas.wire.errors import ErrorCode, KafkaError

from . import definitions, support, topics
from .broker import BrokerConfig
from .dynamic import listener_base, override, problem
from .keys import ConfigKey
from .topics import MAX_VALUE_LENGTH, utf16_length
from .values import ConfigError

Op = tuple[str, int, str | None]
"""Config name, operation (`OpType`), value."""


class ResourceType(IntEnum):
    """What a config belongs to, as on the wire and in metadata records."""

    UNKNOWN = 0
    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


class OpType(IntEnum):
    """Operations of IncrementalAlterConfigs (KIP-339)."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


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


def check_ops(ops: Iterable[Op]) -> None:
    """Check the form of one resource's operations.

    Raises:
        KafkaError: INVALID_REQUEST: a name is there twice, an operation is unknown, or one other
            than DELETE has no value.
    """
    seen: set[str] = set()
    for name, op, value in ops:
        if name in seen:
            _invalid_request(f"{name} is there more than once.")
        seen.add(name)
        if op not in OpType.__members__.values():
            _invalid_request(f"{op} is not an operation on configs.")
        if value is None and op != OpType.DELETE:
            _invalid_request(f"The value of {name} must not be null.")


def apply_ops(
    resource_type: int, current: Mapping[str, str], ops: Sequence[Op]
) -> dict[str, str | None]:
    """What operations change of the configs that a resource has.

    A broker's config is written even when it stays the same: writing it again makes the broker
    read its files anew (KAFKA-14136).

    Raises:
        KafkaError: INVALID_REQUEST as `check_ops`; INVALID_CONFIG: APPEND or SUBTRACT on what is
            not a list.
    """
    check_ops(ops)
    changes: dict[str, str | None] = {}
    for name, op, value in ops:
        before = current.get(name)
        after = _apply(resource_type, name, op, value, before)
        if after != before or resource_type == ResourceType.BROKER:
            changes[name] = after
    return changes


def _apply(
    resource_type: int, name: str, op: int, value: str | None, before: str | None
) -> str | None:
    if op == OpType.SET:
        return value
    if op == OpType.DELETE or value is None:
        return None
    key = key_of(resource_type, name)
    if key is None or key.type != "list":
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            f"{name} is not a list: it can be set, but not appended to or subtracted from.",
        )
    entries = [entry for entry in _java_split(before or key.default or "") if entry]
    for entry in _java_split(value):
        if op == OpType.APPEND and entry not in entries:
            entries.append(entry)
        elif op == OpType.SUBTRACT and entry in entries:
            entries.remove(entry)
    return ",".join(entries)


def _java_split(text: str) -> list[str]:
    """Split at commas as Java does: empty entries at the end do not count, but of no text."""
    return text.rstrip(",").split(",") if text.strip(",") or not text else []


def replace_all(
    resource_type: int, current: Mapping[str, str], configs: Sequence[tuple[str, str | None]]
) -> dict[str, str | None]:
    """What the older AlterConfigs changes: `configs` become the whole set of the resource.

    Raises:
        KafkaError: INVALID_REQUEST: a name is there twice or a value is null.
    """
    changes = apply_ops(
        resource_type, current, [(name, OpType.SET, value) for name, value in configs]
    )
    named = {name for name, _ in configs}
    return changes | {name: None for name in current if name not in named}


def after(current: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """The configs of a resource once `changes` are in force."""
    merged = {**current, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def check_changes(
    resource_type: int, resource_name: str, changes: Mapping[str, str | None], *, elr_enabled: bool
) -> None:
    """Check what the controller refuses whatever the values mean.

    `elr_enabled`: feature eligible.leader.replicas.version is at 1, which binds the cluster-wide
    `min.insync.replicas` (KIP-966).

    Raises:
        KafkaError: INVALID_CONFIG.
    """
    for name, value in changes.items():
        if value is not None and utf16_length(value) > MAX_VALUE_LENGTH:
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                f"The value of {name} is longer than {MAX_VALUE_LENGTH} characters.",
            )
    if not elr_enabled or resource_type != ResourceType.BROKER:
        return
    if "min.insync.replicas" not in changes:
        return
    if resource_name:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            "min.insync.replicas cannot be set for one broker while eligible leader replicas are on.",
        )
    if changes["min.insync.replicas"] is None:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            "min.insync.replicas of the cluster cannot be removed while eligible leader replicas "
            "are on.",
        )


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
