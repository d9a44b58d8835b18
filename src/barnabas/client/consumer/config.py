"""A consumer's settings, under Kafka's names and with Kafka's defaults unless stated otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from barnabas.client.config import FetchConfig
from barnabas.client.membership.assignors import ASSIGNORS
from barnabas.client.membership.events import GroupConfig


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """How records are fetched, and how a group is joined. Times are ms, sizes bytes."""

    group_id: str | None = None
    group_instance_id: str | None = None
    group_protocol: str = "classic"
    group_remote_assignor: str | None = None
    partition_assignment_strategy: tuple[str, ...] = ("range", "cooperative-sticky")
    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 3_000
    max_poll_interval_ms: int = 300_000
    """What other members wait at most in a rebalance for this one. Unlike with Kafka's client a
    long pause between polls alone ends nothing."""
    revoke_timeout_ms: int = 30_000
    """How long a revocation waits for what is being processed, and for the listener. Ours."""
    enable_auto_commit: bool = True
    auto_commit_interval_ms: int = 5_000
    auto_offset_reset: str = "latest"
    isolation_level: str = "read_uncommitted"
    client_rack: str = ""
    fetch_min_bytes: int = 1
    fetch_max_wait_ms: int = 500
    fetch_max_bytes: int = 50 * 1024 * 1024
    max_partition_fetch_bytes: int = 1_048_576
    max_poll_records: int = 500
    prefetch_bytes: int = 16 * 1024 * 1024
    """What waits for the application at most, beside one response of each node. Ours."""
    metadata_max_age_ms: int = 300_000
    request_timeout_ms: int = 30_000
    retry_backoff_ms: int = 100
    max_inflated_batch_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.group_protocol not in ("classic", "consumer"):
            raise ValueError(
                f"group.protocol: {self.group_protocol!r} is neither classic nor consumer"
            )
        if self.auto_offset_reset not in ("earliest", "latest", "none"):
            raise ValueError(f"auto.offset.reset: {self.auto_offset_reset!r}")
        if self.isolation_level not in ("read_uncommitted", "read_committed"):
            raise ValueError(f"isolation.level: {self.isolation_level!r}")
        for name in self.partition_assignment_strategy:
            if name not in ASSIGNORS:
                known = ", ".join(ASSIGNORS)
                raise ValueError(f"partition.assignment.strategy: {name!r} is none of {known}")
        if self.heartbeat_interval_ms >= self.session_timeout_ms:
            raise ValueError("heartbeat.interval.ms must be below session.timeout.ms")

    @property
    def read_committed(self) -> bool:
        """Whether only committed records are handed out."""
        return self.isolation_level == "read_committed"

    def fetching(self) -> FetchConfig:
        """What the fetcher needs of it."""
        return FetchConfig(
            fetch_min_bytes=self.fetch_min_bytes,
            fetch_max_wait_ms=self.fetch_max_wait_ms,
            fetch_max_bytes=self.fetch_max_bytes,
            max_partition_fetch_bytes=self.max_partition_fetch_bytes,
            read_committed=self.read_committed,
            max_inflated_batch_bytes=self.max_inflated_batch_bytes,
            client_rack=self.client_rack,
            replica_max_age_ms=self.metadata_max_age_ms,
            reset_out_of_range=True,
            sessions=True,
        )

    def membership(self, group_id: str) -> GroupConfig:
        """What a member needs of it."""
        return GroupConfig(
            group_id=group_id,
            group_instance_id=self.group_instance_id,
            session_timeout_ms=self.session_timeout_ms,
            heartbeat_interval_ms=self.heartbeat_interval_ms,
            max_poll_interval_ms=self.max_poll_interval_ms,
            partition_assignment_strategy=self.partition_assignment_strategy,
            group_remote_assignor=self.group_remote_assignor,
            client_rack=self.client_rack or None,
            request_timeout_ms=self.request_timeout_ms,
            retry_backoff_ms=self.retry_backoff_ms,
        )
