"""The configuration of a node's groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

UNLIMITED: Final = (1 << 31) - 1

#: Members of one group that were given an id and have not come back with it. Kafka has no limit;
#: each costs a timer and a few hundred bytes until its session ends.
PENDING_MEMBERS_MAX: Final = 10_000
#: What their ids may take together: an id begins with the client's name, of up to 32,767 bytes.
PENDING_ID_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ConsumerGroupSettings:
    """Kafka's configs of consumer groups (KIP-848), by their names; times in ms.

    `assignors`: group.consumer.assignors, by their short names; the first is the default.
    `upgrade`, `downgrade`, `mixed`: what group.consumer.migration.policy allows: classic groups
    become consumer groups, the other way round, classic members join consumer groups at all.
    `session_ms`, `heartbeat_ms`, `assignment_ms`: group.consumer.session.timeout.ms,
    heartbeat.interval.ms, assignment.interval.ms, where the group has no config of its own.
    `regex_refresh_ms`: group.consumer.regex.refresh.interval.ms. `served`: whether
    group.coordinator.rebalance.protocols names them.
    """

    assignors: tuple[str, ...] = ("uniform", "range")
    max_size: int = UNLIMITED
    upgrade: bool = True
    downgrade: bool = True
    mixed: bool = True
    session_ms: int = 45_000
    heartbeat_ms: int = 5_000
    assignment_ms: int = 1_000
    regex_refresh_ms: int = 600_000
    served: bool = True


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """Kafka's configs, by their names; times in ms.

    `min_session_ms`, `max_session_ms`: group.min/max.session.timeout.ms. `max_size`:
    group.max.size. `initial_rebalance_delay_ms`: group.initial.rebalance.delay.ms.
    `new_member_join_ms`: how long a new member may wait for its first rebalance (fixed in Kafka).
    `offset_metadata_max_bytes`: offset.metadata.max.bytes. `offsets_retention_ms`:
    offsets.retention.minutes. `offsets_check_ms`: offsets.retention.check.interval.ms.
    """

    min_session_ms: int = 6_000
    max_session_ms: int = 1_800_000
    max_size: int = UNLIMITED
    initial_rebalance_delay_ms: int = 3_000
    new_member_join_ms: int = 300_000
    offset_metadata_max_bytes: int = 4_096
    offsets_retention_ms: int = 604_800_000
    offsets_check_ms: int = 600_000
    consumer: ConsumerGroupSettings = field(default_factory=ConsumerGroupSettings)
