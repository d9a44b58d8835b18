"""Which log to clean next, and up to where. Pure: facts in, a choice out (Kafka's rules)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from barnabas.config.log_config import LogConfig


class SegmentFacts(NamedTuple):
    """`largest` timestamp (the time of the file when it has none) is asked for with a
    `min.compaction.lag.ms` only, the timestamp of the `first` batch with a
    `max.compaction.lag.ms` only; -1 otherwise."""

    base: int
    size: int
    largest: int
    first: int


class LogFacts(NamedTuple):
    """One compacted log. `stable`: everything below is decided, committed and durable.

    `segments`: all of them, the active one last. `checkpoint`: what an earlier cleaning noted.
    """

    segments: Sequence[SegmentFacts]
    start: int
    end: int
    stable: int
    checkpoint: int | None
    config: LogConfig


class Candidate(NamedTuple):
    """What cleaning a log would mean."""

    first_dirty: int
    first_uncleanable: int
    ratio: float
    """Cleanable bytes of all that would be read."""
    overdue_ms: int
    """How long its oldest dirty records have waited beyond `max.compaction.lag.ms`."""
    cleanable: int = 0
    """Bytes."""


def first_dirty(facts: LogFacts) -> int:
    """Where the last cleaning ended; the log start when that lies outside of the log."""
    checkpoint = facts.start if facts.checkpoint is None else facts.checkpoint
    return checkpoint if facts.start <= checkpoint <= facts.end else facts.start


def judge(facts: LogFacts, now_ms: int) -> Candidate | None:
    """The log as a candidate, `None` when there is nothing to clean or not enough."""
    found = measure(facts, now_ms)
    return found if found is not None and is_ready(found, facts.config) else None


def is_ready(found: Candidate, config: LogConfig) -> bool:
    """Whether it is dirty enough, or has waited long enough."""
    return found.overdue_ms > 0 or found.ratio > config.min_cleanable_dirty_ratio


def measure(facts: LogFacts, now_ms: int) -> Candidate | None:
    """What there is to clean, however little; `None` when there is nothing."""
    dirty = first_dirty(facts)
    segments = facts.segments
    uncleanable = _segment_base(segments, max(dirty, _uncleanable(facts, dirty, now_ms)))
    clean = sum(one.size for one in segments if one.base < dirty)
    cleanable = sum(
        one.size
        for at, one in enumerate(segments[:-1])
        if one.base < uncleanable and segments[at + 1].base > dirty
    )
    if not cleanable:
        return None
    ratio = cleanable / (clean + cleanable)
    return Candidate(dirty, uncleanable, ratio, _waited(facts, dirty, now_ms), cleanable)


def filthiest(candidates: Iterable[Candidate]) -> Candidate | None:
    """The one with the highest share of dirty bytes, the first of equals."""
    return max(candidates, key=lambda one: one.ratio, default=None)


def _uncleanable(facts: LogFacts, dirty: int, now_ms: int) -> int:
    """The first offset that must not be cleaned."""
    bound = min(facts.stable, facts.segments[-1].base)
    lag = facts.config.min_compaction_lag_ms
    if lag > 0:
        for one in _dirty_closed(facts, dirty):
            if one.largest > now_ms - lag:
                return min(bound, one.base)
    return bound


def _waited(facts: LogFacts, dirty: int, now_ms: int) -> int:
    """How long (ms) the oldest dirty segment is beyond `max.compaction.lag.ms`."""
    until = now_ms - facts.config.max_compaction_lag_ms
    firsts = [one.first for one in _dirty_closed(facts, dirty) if one.first > 0]
    return max(0, until - min(firsts)) if firsts else 0


def _dirty_closed(facts: LogFacts, dirty: int) -> list[SegmentFacts]:
    """The dirty segments but the active one."""
    segments = facts.segments
    return [one for at, one in enumerate(segments[:-1]) if segments[at + 1].base > dirty]


def _segment_base(segments: Sequence[SegmentFacts], offset: int) -> int:
    """Base of the segment that holds `offset`: it is cleaned as a whole or not at all."""
    return max((one.base for one in segments if one.base <= offset), default=segments[0].base)
