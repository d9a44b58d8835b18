"""Which log is cleaned next, and up to where."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log.cleaning.choice import (
    Candidate,
    LogFacts,
    SegmentFacts,
    filthiest,
    first_dirty,
    judge,
)

NOW = 1_000_000
ANY = LogConfig(cleanup_policy=frozenset({"compact"}), min_cleanable_dirty_ratio=0.0)


def facts(
    *sizes: int,
    stable: int | None = None,
    checkpoint: int | None = None,
    start: int = 0,
    config: LogConfig = ANY,
    times: dict[int, int] | None = None,
) -> LogFacts:
    """Segments of ten offsets each; `times` are those of segments by base."""
    segments = [
        SegmentFacts(10 * at, size, (times or {}).get(10 * at, -1), (times or {}).get(10 * at, -1))
        for at, size in enumerate(sizes)
    ]
    end = 10 * len(sizes)
    return LogFacts(segments, start, end, end if stable is None else stable, checkpoint, config)


def bounds(found: Candidate | None) -> tuple[int, int] | None:
    """From where to where."""
    return None if found is None else (found.first_dirty, found.first_uncleanable)


def test_everything_but_the_active_segment() -> None:
    found = judge(facts(100, 100, 100), NOW)
    assert found == Candidate(0, 20, 1.0, 0, 200)


def test_an_active_segment_alone_is_left() -> None:
    assert judge(facts(100), NOW) is None


@pytest.mark.parametrize(
    ("stable", "uncleanable"), [(30, 30), (29, 20), (20, 20), (19, 10), (10, 10)]
)
def test_a_segment_is_cleaned_only_when_all_of_it_is_stable(stable: int, uncleanable: int) -> None:
    assert bounds(judge(facts(1, 1, 1, 1, stable=stable), NOW)) == (0, uncleanable)


def test_nothing_is_stable() -> None:
    assert judge(facts(1, 1, 1, stable=9), NOW) is None


@pytest.mark.parametrize(
    ("checkpoint", "start", "dirty"),
    [(None, 0, 0), (None, 7, 7), (10, 0, 10), (5, 7, 7), (30, 0, 30), (31, 0, 0), (31, 7, 7)],
)
def test_where_it_is_dirty(checkpoint: int | None, start: int, dirty: int) -> None:
    assert first_dirty(facts(1, 1, 1, checkpoint=checkpoint, start=start)) == dirty


def test_dirty_from_the_middle_of_a_segment() -> None:
    """Its bytes count on both sides, as in Kafka."""
    found = judge(facts(100, 100, 100, checkpoint=15), NOW)
    assert found == Candidate(15, 20, 100 / 300, 0, 100)


@pytest.mark.parametrize(("least", "chosen"), [(0.24, True), (0.25, False), (0.5, False)])
def test_enough_has_to_be_dirty(least: float, chosen: bool) -> None:
    config = replace(ANY, min_cleanable_dirty_ratio=least)
    found = judge(facts(300, 100, 100, checkpoint=10, config=config), NOW)
    assert (found is not None) == chosen
    assert found is None or found.ratio == 0.25


def test_young_records_wait_and_all_behind_them() -> None:
    config = replace(ANY, min_compaction_lag_ms=1000)
    times = {0: NOW - 5000, 10: NOW - 999, 20: NOW - 5000, 30: 0}
    found = facts(1, 1, 1, 1, config=config, times=times)
    assert bounds(judge(found, NOW)) == (0, 10)
    assert bounds(judge(found, NOW + 1)) == (0, 30)


def test_young_records_that_are_clean_already_do_not_matter() -> None:
    config = replace(ANY, min_compaction_lag_ms=1000)
    found = facts(1, 1, 1, checkpoint=10, config=config, times={0: NOW, 10: NOW - 2000})
    assert bounds(judge(found, NOW)) == (10, 20)


def test_records_that_waited_for_too_long_are_due_whatever_the_ratio() -> None:
    config = replace(ANY, min_cleanable_dirty_ratio=1.0, max_compaction_lag_ms=1000)
    found = facts(100, 1, 1, checkpoint=10, config=config, times={10: NOW - 1001, 20: 1})
    assert judge(found, NOW) == Candidate(10, 20, 1 / 101, 1, 1)
    assert judge(found, NOW - 1) is None
    without = facts(100, 1, 1, checkpoint=10, config=config, times={10: -1})
    assert judge(without, NOW) is None


def test_the_filthiest() -> None:
    one, other, equal = (Candidate(at, 20, r, 0) for at, r in ((1, 0.5), (2, 0.7), (3, 0.7)))
    assert filthiest([one, other, equal]) is other
    assert filthiest([]) is None
