"""What a partition's log needs to know of its topic's effective configuration."""

from __future__ import annotations

from dataclasses import dataclass

MAX_LONG = 2**63 - 1


@dataclass(slots=True)
class LogConfig:
    """Effective topic configuration of one log, with Apache Kafka 4.3.1's defaults.

    Field names are the topic config names with dots as underscores. Sizes are bytes, times are
    milliseconds, -1 means without limit for both retentions. `ack_mode` is ours: "synced" feeds
    the high watermark with what is durable, "page-cache" with what is written (Kafka's way).
    """

    segment_bytes: int = 1073741824
    segment_ms: int = 604800000
    segment_jitter_ms: int = 0
    index_interval_bytes: int = 4096
    segment_index_bytes: int = 10485760
    retention_ms: int = 604800000
    retention_bytes: int = -1
    cleanup_policy: frozenset[str] = frozenset({"delete"})
    file_delete_delay_ms: int = 60000
    max_message_bytes: int = 1048588
    timestamp_type: str = "CreateTime"
    timestamp_before_max_ms: int = MAX_LONG
    timestamp_after_max_ms: int = 3600000
    compression_type: str = "producer"
    compression_gzip_level: int = -1
    compression_lz4_level: int = 9
    compression_zstd_level: int = 3
    flush_messages: int = MAX_LONG
    flush_ms: int = MAX_LONG
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    max_compaction_lag_ms: int = MAX_LONG
    min_insync_replicas: int = 1
    delete_retention_ms: int = 86400000
    ack_mode: str = "synced"
