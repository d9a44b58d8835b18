"""The configuration of a node's transaction coordinator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransactionSettings:
    """Kafka's configs, by their names; times in ms.

    `max_timeout_ms`: transaction.max.timeout.ms. `id_expiration_ms`: transactional.id.expiration.ms.
    `abort_interval_ms`: transaction.abort.timed.out.transaction.cleanup.interval.ms.
    `expire_interval_ms`: transaction.remove.expired.transaction.cleanup.interval.ms.
    `two_phase_commit`: transaction.two.phase.commit.enable.
    """

    max_timeout_ms: int = 900_000
    id_expiration_ms: int = 604_800_000
    abort_interval_ms: int = 10_000
    expire_interval_ms: int = 3_600_000
    two_phase_commit: bool = False
