"""Topic configs: what may be set, and what is in force once the node's own configs are under it.

An effective value is the topic's, else the node's (dynamic for the broker, dynamic for the
cluster, static, default) through the broker config of the same meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from barnabas.wire.errors import ErrorCode, KafkaError

from . import definitions, own
from .broker import BrokerConfig
from .keys import ConfigKey
from .log_config import LogConfig
from .values import ConfigError, Value, default, read

MAX_VALUE_LENGTH: Final = 32767
"""Longest text of a value in the metadata log, in characters (KIP-866's record limits)."""

# Topic configs whose node-wide value follows a rule between several broker configs.
_MERGED: Final = {
    "segment.ms": "log_roll_ms",
    "segment.jitter.ms": "log_roll_jitter_ms",
    "retention.ms": "log_retention_ms",
    "flush.ms": "log_flush_interval_ms",
}


def key_of(name: str) -> ConfigKey | None:
    """The definition of a topic config, Kafka's or ours; None for an unknown name."""
    return definitions.TOPIC.get(name) or own.TOPIC.get(name)


def node_value(config: BrokerConfig, name: str) -> Value:
    """The value of a topic config for topics that do not set it.

    Raises:
        KeyError: no such topic config.
    """
    if name == own.ACK_MODE:
        return config.ack_mode
    if name in _MERGED:
        return cast(Value, getattr(config, _MERGED[name]))
    synonyms = definitions.TOPIC_SYNONYMS.get(name)
    if synonyms is None:
        return default(definitions.TOPIC[name])
    return config.value(synonyms[0][0])


def effective(config: BrokerConfig, overrides: Mapping[str, str], name: str) -> Value:
    """The value of one topic config in force.

    Raises:
        KeyError: no such topic config.
        ConfigError: the override is not valid (never so for what passed validation).
    """
    key = key_of(name)
    if key is None:
        raise KeyError(name)
    return read(key, overrides[name]) if name in overrides else node_value(config, name)


def validate_topic_configs(
    config: BrokerConfig,
    configs: Mapping[str, str | None],
    existing: Mapping[str, str] | None = None,
) -> None:
    """Check the whole set of configs that a topic would have.

    `configs` is the set after the change (a null value is an error), `existing` the one before.

    Raises:
        KafkaError: INVALID_CONFIG, with a sentence.
    """
    nulls = sorted(name for name, value in configs.items() if value is None)
    if nulls:
        raise _refused(f"{', '.join(nulls)}: a topic config must not be null.")
    overrides = cast("Mapping[str, str]", configs)
    for name, text in overrides.items():
        _check_one(name, text)
    lowest = cast(int, effective(config, overrides, "min.compaction.lag.ms"))
    highest = cast(int, effective(config, overrides, "max.compaction.lag.ms"))
    if lowest > highest:
        raise _refused(
            f"min.compaction.lag.ms ({lowest}) must not be more than "
            f"max.compaction.lag.ms ({highest})."
        )
    _check_remote(config, overrides, existing or {})


def _check_one(name: str, text: str) -> None:
    key = key_of(name)
    if key is None:
        raise _refused(f"{name} is not a topic config.")
    if utf16_length(text) > MAX_VALUE_LENGTH:
        raise _refused(f"The value of {name} is longer than {MAX_VALUE_LENGTH} characters.")
    try:
        read(key, text)
    except ConfigError as error:
        raise _refused(str(error)) from None


def _check_remote(
    config: BrokerConfig, overrides: Mapping[str, str], existing: Mapping[str, str]
) -> None:
    """Tiered storage needs the node's part, which no node of ours has yet."""
    if effective(config, overrides, "remote.storage.enable"):
        raise _refused("remote.storage.enable=true: this node has no tiered storage.")
    was_on = existing.get("remote.storage.enable", "").lower() == "true"
    if was_on and not effective(config, overrides, "remote.log.delete.on.disable"):
        raise _refused(
            "remote.storage.enable can become false only with remote.log.delete.on.disable=true."
        )


def _refused(sentence: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_CONFIG, sentence)


def utf16_length(text: str) -> int:
    """The length of `text` as Java counts it."""
    return len(text) + sum(1 for char in text if char > "\uffff")


def log_config(config: BrokerConfig, overrides: Mapping[str, str]) -> LogConfig:
    """What the logs of a topic work by.

    Overrides that are unknown or not valid (a metadata log of another release may hold such) count
    as not set.
    """
    valid = {name: text for name, text in overrides.items() if _is_valid(name, text)}

    def number(name: str) -> int:
        return cast(int, effective(config, valid, name))

    def text(name: str) -> str:
        return cast(str, effective(config, valid, name))

    policies = cast("tuple[str, ...]", effective(config, valid, "cleanup.policy"))
    internal_segment_bytes = effective(config, valid, "internal.segment.bytes")
    return LogConfig(
        segment_bytes=cast(int, internal_segment_bytes or number("segment.bytes")),
        segment_ms=number("segment.ms"),
        segment_jitter_ms=number("segment.jitter.ms"),
        index_interval_bytes=number("index.interval.bytes"),
        segment_index_bytes=number("segment.index.bytes"),
        retention_ms=number("retention.ms"),
        retention_bytes=number("retention.bytes"),
        cleanup_policy=frozenset(policy.lower() for policy in policies),
        file_delete_delay_ms=number("file.delete.delay.ms"),
        max_message_bytes=number("max.message.bytes"),
        timestamp_type=text("message.timestamp.type"),
        timestamp_before_max_ms=number("message.timestamp.before.max.ms"),
        timestamp_after_max_ms=number("message.timestamp.after.max.ms"),
        compression_type=text("compression.type"),
        compression_gzip_level=number("compression.gzip.level"),
        compression_lz4_level=number("compression.lz4.level"),
        compression_zstd_level=number("compression.zstd.level"),
        flush_messages=number("flush.messages"),
        flush_ms=number("flush.ms"),
        min_cleanable_dirty_ratio=cast(
            float, effective(config, valid, "min.cleanable.dirty.ratio")
        ),
        min_compaction_lag_ms=number("min.compaction.lag.ms"),
        max_compaction_lag_ms=number("max.compaction.lag.ms"),
        min_insync_replicas=number("min.insync.replicas"),
        delete_retention_ms=number("delete.retention.ms"),
        ack_mode=ack_mode(config, valid),
    )


def _is_valid(name: str, text: str) -> bool:
    key = key_of(name)
    if key is None:
        return False
    try:
        read(key, text)
    except ConfigError:
        return False
    return True


def ack_mode(config: BrokerConfig, overrides: Mapping[str, str]) -> str:
    """What an acknowledgement of this topic promises: "synced" or "page-cache".

    A flush after every message (`flush.messages=1`, or `log.flush.interval.messages=1` on the
    node) is the way to ask any Kafka for synced acknowledgements, so it is never weakened. Then
    the topic's `barnabas.ack.mode` counts, then the node's.
    """
    if effective(config, overrides, "flush.messages") == 1:
        return own.SYNCED
    return cast(str, effective(config, overrides, own.ACK_MODE))
