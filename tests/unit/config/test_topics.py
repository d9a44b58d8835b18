"""Topic configs: validation, effective values, the mode of acknowledgement."""

from __future__ import annotations

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.config.topics import (
    ack_mode,
    effective,
    log_config,
    node_value,
    validate_topic_configs,
)
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.unit.config.configs import broker_config


def test_without_any_config_kafkas_defaults_hold() -> None:
    assert log_config(broker_config(), {}) == LogConfig()


def test_the_order_of_levels() -> None:
    static = broker_config({"message.max.bytes": "1", "log.retention.hours": "1"})
    assert log_config(static, {}).max_message_bytes == 1
    cluster = static.with_dynamic({"message.max.bytes": "2"}, {})
    assert log_config(cluster, {}).max_message_bytes == 2
    broker = static.with_dynamic({"message.max.bytes": "2"}, {"message.max.bytes": "3"})
    assert log_config(broker, {}).max_message_bytes == 3
    assert log_config(broker, {"max.message.bytes": "4"}).max_message_bytes == 4
    assert log_config(static, {}).retention_ms == 3_600_000


def test_every_field_follows_its_config() -> None:
    overrides = {
        "segment.bytes": "1048577", "segment.ms": "11", "segment.jitter.ms": "12",
        "index.interval.bytes": "13", "segment.index.bytes": "14", "retention.ms": "15",
        "retention.bytes": "16", "cleanup.policy": "compact", "file.delete.delay.ms": "17",
        "max.message.bytes": "18", "message.timestamp.type": "LogAppendTime",
        "message.timestamp.before.max.ms": "19", "message.timestamp.after.max.ms": "20",
        "compression.type": "zstd", "compression.gzip.level": "2", "compression.lz4.level": "3",
        "compression.zstd.level": "4", "flush.messages": "21", "flush.ms": "22",
        "max.compaction.lag.ms": "23", "min.insync.replicas": "24", "delete.retention.ms": "25",
        "barnabas.ack.mode": "page-cache", "min.cleanable.dirty.ratio": "0.26",
        "min.compaction.lag.ms": "22",
    }  # fmt: skip
    config = broker_config()
    validate_topic_configs(config, overrides)
    assert log_config(config, overrides) == LogConfig(
        segment_bytes=1048577, segment_ms=11, segment_jitter_ms=12, index_interval_bytes=13,
        segment_index_bytes=14, retention_ms=15, retention_bytes=16,
        cleanup_policy=frozenset({"compact"}), file_delete_delay_ms=17, max_message_bytes=18,
        timestamp_type="LogAppendTime", timestamp_before_max_ms=19, timestamp_after_max_ms=20,
        compression_type="zstd", compression_gzip_level=2, compression_lz4_level=3,
        compression_zstd_level=4, flush_messages=21, flush_ms=22, max_compaction_lag_ms=23,
        min_insync_replicas=24, delete_retention_ms=25, ack_mode="page-cache",
        min_cleanable_dirty_ratio=0.26, min_compaction_lag_ms=22,
    )  # fmt: skip


def test_small_segments_for_tests_go_by_another_name() -> None:
    assert log_config(broker_config(), {"internal.segment.bytes": "100"}).segment_bytes == 100


def test_overrides_of_another_release_count_as_not_set() -> None:
    overrides = {"message.format.version": "2.8", "retention.ms": "soon", "flush.ms": "5"}
    assert log_config(broker_config(), overrides) == LogConfig(flush_ms=5)


@pytest.mark.parametrize(
    ("node", "topic", "mode"),
    [
        ({}, {}, "synced"),
        ({"barnabas.ack.mode": "page-cache"}, {}, "page-cache"),
        ({"barnabas.ack.mode": "page-cache"}, {"flush.messages": "1"}, "synced"),
        ({"barnabas.ack.mode": "page-cache"}, {"flush.messages": "2"}, "page-cache"),
        (
            {"barnabas.ack.mode": "page-cache", "log.flush.interval.messages": "1"},
            {},
            "synced",
        ),
        ({"barnabas.ack.mode": "page-cache"}, {"barnabas.ack.mode": "synced"}, "synced"),
        ({}, {"barnabas.ack.mode": "page-cache"}, "page-cache"),
        ({}, {"barnabas.ack.mode": "page-cache", "flush.messages": "1"}, "synced"),
    ],
)
def test_the_mode_of_acknowledgement(
    node: dict[str, str | None], topic: dict[str, str], mode: str
) -> None:
    config = broker_config(node)
    validate_topic_configs(config, topic)
    assert ack_mode(config, topic) == mode


@pytest.mark.parametrize(
    ("configs", "existing", "part"),
    [
        ({"unknown": "1"}, {}, "unknown"),
        ({"retention.ms": None}, {}, "null"),
        ({"retention.ms": "-2"}, {}, "at least -1"),
        ({"segment.bytes": "1048575"}, {}, "1048576"),
        ({"cleanup.policy": "keep"}, {}, "compact, delete"),
        ({"min.compaction.lag.ms": "2", "max.compaction.lag.ms": "1"}, {}, "max.compaction.lag.ms"),
        ({"remote.storage.enable": "true"}, {}, "tiered storage"),
        ({}, {"remote.storage.enable": "true"}, "remote.log.delete.on.disable"),
        ({"leader.replication.throttled.replicas": "0:1," * 9000}, {}, "32767"),
        ({"leader.replication.throttled.replicas": "😀" * 16384}, {}, "32767"),
        ({"barnabas.ack.mode": "none"}, {}, "synced, page-cache"),
    ],
)
def test_what_a_topic_may_not_have(
    configs: dict[str, str | None], existing: dict[str, str], part: str
) -> None:
    with pytest.raises(KafkaError, match=part) as caught:
        validate_topic_configs(broker_config(), configs, existing)
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_the_node_counts_in_rules_between_configs() -> None:
    config = broker_config({"log.cleaner.max.compaction.lag.ms": "10"})
    validate_topic_configs(config, {"min.compaction.lag.ms": "10"})
    with pytest.raises(KafkaError):
        validate_topic_configs(config, {"min.compaction.lag.ms": "11"})


def test_names_without_a_broker_config_have_their_own_default() -> None:
    assert node_value(broker_config(), "remote.log.copy.disable") is False
    with pytest.raises(KeyError):
        effective(broker_config(), {}, "unknown")
