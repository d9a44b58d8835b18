"""What a cleaning is told and what it tells: plain values, since another process may do the work."""

from __future__ import annotations

from typing import NamedTuple


class Source(NamedTuple):
    """A segment that may be cleaned, as the log knows it."""

    base: int
    size: int
    offset_bytes: int
    time_bytes: int
    has_txns: bool


class LastRecord(NamedTuple):
    """Where an active producer left its state in the log: its last data batch or, with
    `data_offset` -1, a marker under `epoch`. Compaction keeps that batch, if only as a header."""

    data_offset: int
    epoch: int


class Plan(NamedTuple):
    """One cleaning of one log. Offsets: dirty from `first_dirty`; `first_uncleanable` is the base
    of the first segment that must not be touched. Sizes are bytes, times ms."""

    directory: str
    sources: tuple[Source, ...]
    """All segments below `first_uncleanable`."""
    later_txns: tuple[int, ...]
    """Bases of the segments behind that have a transaction index."""
    first_dirty: int
    first_uncleanable: int
    now_ms: int
    last_records: dict[int, LastRecord]
    """By producer id."""
    segment_bytes: int
    segment_index_bytes: int
    index_interval_bytes: int
    delete_retention_ms: int
    map_bytes: int
    """Memory of the map from key to offset."""
    load_factor: float
    """How full the map may get."""
    read_bytes: int
    """Of one read of the log."""


class CleanedGroup(NamedTuple):
    """The segments of `bases` became one, complete and durable under `.cleaned` names."""

    bases: tuple[int, ...]
    size: int
    offset_bytes: int
    time_bytes: int
    has_txns: bool
    max_timestamp: int
    max_timestamp_offset: int


class Summary(NamedTuple):
    """The end of a cleaning: the log is dirty from `end_offset` on."""

    end_offset: int
    bytes_read: int
    bytes_written: int
    batches_kept_broken: int
    """Batches whose records cannot be read, kept as they are."""
    map_used: float
    """How much of the memory for keys was in use."""
