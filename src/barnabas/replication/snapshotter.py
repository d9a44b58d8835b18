"""When to write metadata snapshots, and which old ones to drop (facts: log-format section 9)."""

from __future__ import annotations

from dataclasses import dataclass

from barnabas.raft.types import OffsetAndEpoch
from barnabas.replication.metadata_files import BOOTSTRAP_SNAPSHOT, SnapshotFile


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """Kafka's defaults. Sizes in bytes, times in ms.

    metadata.log.max.record.bytes.between.snapshots, metadata.log.max.snapshot.interval.ms,
    metadata.max.retention.bytes, metadata.max.retention.ms.
    """

    max_bytes_between: int = 20 << 20
    max_interval_ms: int = 3_600_000
    retention_bytes: int = 100 << 20
    retention_ms: int = 604_800_000


class SnapshotSchedule:
    """Counts what was committed since the newest snapshot."""

    __slots__ = ("bytes_since", "last_ms", "settings")

    def __init__(self, settings: SnapshotSettings, bytes_since: int, now_ms: int) -> None:
        self.settings = settings
        self.bytes_since = bytes_since
        self.last_ms = now_ms

    def committed(self, nbytes: int) -> None:
        """`nbytes` of batches were committed."""
        self.bytes_since += nbytes

    def due(self, now_ms: int) -> bool:
        """Whether a snapshot should be written: never without anything new in it."""
        if self.bytes_since == 0:
            return False
        if self.bytes_since >= self.settings.max_bytes_between:
            return True
        interval = self.settings.max_interval_ms
        return interval > 0 and now_ms - self.last_ms >= interval

    def taken(self, now_ms: int) -> None:
        """A snapshot of everything so far is being written."""
        self.bytes_since = 0
        self.last_ms = now_ms


def expendable(
    snapshots: list[SnapshotFile],
    timestamps: dict[OffsetAndEpoch, int],
    log_bytes: int,
    settings: SnapshotSettings,
    now_ms: int,
) -> list[OffsetAndEpoch]:
    """The oldest snapshots that retention lets go; at least one always stays.

    `timestamps`: ms of the last record in each, where known.
    """
    real = [s for s in snapshots if s.id != BOOTSTRAP_SNAPSHOT]
    total = log_bytes + sum(s.size for s in real)
    gone: list[OffsetAndEpoch] = []
    while len(real) - len(gone) >= 2:
        oldest = real[len(gone)]
        stamp = timestamps.get(oldest.id)
        expired = (
            stamp is not None
            and settings.retention_ms >= 0
            and (now_ms - stamp > settings.retention_ms)
        )
        oversized = settings.retention_bytes >= 0 and total > settings.retention_bytes
        if not expired and not oversized:
            break
        gone.append(oldest.id)
        total -= oldest.size
    return gone
