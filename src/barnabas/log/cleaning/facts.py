"""What the choice and the work have to know of a log."""

from __future__ import annotations

from barnabas.config.log_config import MAX_LONG
from barnabas.log import names
from barnabas.log.cleaning.choice import Candidate, LogFacts, SegmentFacts, first_dirty
from barnabas.log.cleaning.plan import LastRecord, Plan, Source
from barnabas.log.log import Log
from barnabas.log.lookup import pread_blocking
from barnabas.log.segment import Segment, load_first_timestamp, load_max_timestamp


def facts_of(log: Log, checkpoint: int | None) -> LogFacts:
    """The log as the choice wants it. Reads a few bytes of a segment at most; raises `OSError`."""
    bare = LogFacts(
        [SegmentFacts(segment.base_offset, 0, -1, -1) for segment in log.segments],
        log.log_start_offset,
        log.end_offset,
        _stable(log),
        checkpoint,
        log.config,
    )
    dirty = first_dirty(bare)
    return bare._replace(segments=[_facts(log, at, dirty) for at in range(len(log.segments))])


def plan_of(log: Log, candidate: Candidate, now_ms: int) -> Plan:
    """The plan of a cleaning, but for what the settings of the cleaner say."""
    bound = candidate.first_uncleanable
    config = log.config
    last_records = {
        producer_id: LastRecord(entry.batches[-1].last_offset if entry.batches else -1, entry.epoch)
        for producer_id, entry in log.producers.producers.items()
    }
    return Plan(
        log.path,
        tuple(_source(segment) for segment in log.segments if segment.base_offset < bound),
        tuple(
            segment.base_offset
            for segment in log.segments
            if segment.base_offset >= bound and segment.has_txns
        ),
        candidate.first_dirty,
        bound,
        now_ms,
        last_records,
        config.segment_bytes,
        config.segment_index_bytes,
        config.index_interval_bytes,
        config.delete_retention_ms,
        map_bytes=0,
        load_factor=0.0,
        read_bytes=0,
    )


def _source(segment: Segment) -> Source:
    return Source(
        segment.base_offset,
        segment.size,
        segment.offset_bytes,
        segment.time_bytes,
        segment.has_txns,
    )


def _stable(log: Log) -> int:
    """Everything below is decided, committed, and in files that nobody writes any more."""
    stable = min(log.producers.last_stable_offset(log.high_watermark), log.durable_offset)
    return min(stable, log.settled_base)


def _facts(log: Log, at: int, dirty: int) -> SegmentFacts:
    segment, config = log.segments[at], log.config
    segment.load_sizes(log.pool)
    largest = first = -1
    if at + 1 < len(log.bases) and log.bases[at + 1] > dirty:
        if config.min_compaction_lag_ms > 0:
            largest = load_max_timestamp(segment, log.pool, pread_blocking)
            if largest < 0:
                largest = log.disk.modified_ms(segment.file(names.LOG))
        if config.max_compaction_lag_ms < MAX_LONG:
            first = load_first_timestamp(segment, log.pool, pread_blocking)
    return SegmentFacts(segment.base_offset, segment.size, largest, first)
