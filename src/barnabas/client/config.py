"""Settings of the client, under Kafka's names and with Kafka's defaults unless stated otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from barnabas.records.compression import Codec


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What every client needs. Times are milliseconds, sizes bytes."""

    client_id: str = "barnabas"
    request_timeout_ms: int = 30_000
    socket_connection_setup_timeout_ms: int = 10_000
    retry_backoff_ms: int = 100
    retry_backoff_max_ms: int = 1_000
    metadata_max_age_ms: int = 300_000
    rebootstrap: bool = True
    """Whether the bootstrap addresses are tried again when no known node answers (KIP-899)."""
    api_timeout_ms: int = 60_000
    """How long a call is repeated after retriable errors (Kafka: default.api.timeout.ms)."""
    max_response_bytes: int = 128 * 1024 * 1024
    """A longer response ends the connection; Kafka's clients have no such bound."""


@dataclass(frozen=True, slots=True)
class ProducerConfig:
    """How records are gathered and sent."""

    acks: int = -1
    enable_idempotence: bool = True
    batch_size: int = 16_384
    linger_ms: int = 5
    compression: Codec = Codec.NONE
    compression_level: int | None = None
    delivery_timeout_ms: int = 120_000
    max_in_flight: int = 5
    max_request_size: int = 1_048_576
    buffer_memory: int = 32 * 1024 * 1024
    retries: int = 0x7FFFFFFF
    retry_backoff_ms: int = 100
    retry_backoff_max_ms: int = 1_000
    transactional_id: str | None = None
    transaction_timeout_ms: int = 60_000
    max_block_ms: int = 60_000
    """How long a record waits for the metadata of its topic."""
    partitioner: str = "default"
    """One of `partitioner.HASHES`: Java's choice, or one of librdkafka's by its name."""
    partitioner_ignore_keys: bool = False
    partitioner_adaptive_partitioning_enable: bool = True

    def __post_init__(self) -> None:
        if self.acks not in (-1, 0, 1):
            raise ValueError("acks must be 0, 1 or -1 (all)")
        if self.enable_idempotence and self.acks != -1:
            raise ValueError("an idempotent producer needs acks=all")
        if self.transactional_id is not None and not self.enable_idempotence:
            raise ValueError("a transactional producer is idempotent")
        if not 1 <= self.max_in_flight <= 5 and self.enable_idempotence:
            raise ValueError("an idempotent producer has 1 to 5 requests in flight")


@dataclass(frozen=True, slots=True)
class FetchConfig:
    """How records are fetched."""

    fetch_min_bytes: int = 1
    fetch_max_wait_ms: int = 500
    fetch_max_bytes: int = 50 * 1024 * 1024
    max_partition_fetch_bytes: int = 1_048_576
    read_committed: bool = False
    max_inflated_batch_bytes: int = 256 * 1024 * 1024
    """Refuse a compressed batch that inflates beyond this."""
    client_rack: str = ""
    """Where this reader is: a leader may send it to a closer replica (KIP-392)."""
    replica_max_age_ms: int = 300_000
    """How long a closer replica is used before the leader is asked again."""
    reset_out_of_range: bool = False
    """Leave partitions whose position is not in the log to `FetchCore.out_of_range`."""
    sessions: bool = False
    """Name in a request only what changed since the last one (KIP-227)."""
