"""Buckets of durations, and what is read out of them."""

from __future__ import annotations

import pytest

from barnabas.instruments import BOUNDS_NS, BUCKETS, WINDOW_MS, Times, quantile_ns


def test_each_duration_lands_in_the_bucket_around_it() -> None:
    for index, bound in enumerate(BOUNDS_NS):
        times = Times()
        times.add(bound)
        times.add(bound + 1)
        assert times.counts[index : index + 2] == [1, 1]
        assert (times.count, times.total_ns) == (2, 2 * bound + 1)


@pytest.mark.parametrize("ns", [5_000, 123_456, 7_000_000, 1_500_000_000, 60_000_000_000])
def test_a_quantile_is_off_by_a_bucket_at_most(ns: int) -> None:
    times = Times()
    for _ in range(100):
        times.add(ns)
    for share in (0.5, 0.99, 1.0):
        assert ns / 1.2 <= quantile_ns(times.counts, share) <= ns * 1.2


def test_quantiles_keep_their_order_and_know_nothing_of_nothing() -> None:
    times = Times()
    for number in range(1, 1001):
        times.add(number * 1_000_000)
    found = [quantile_ns(times.counts, share) for share in (0.5, 0.75, 0.95, 0.99, 0.999)]
    assert found == sorted(found)
    assert 440e6 <= found[0] <= 560e6
    assert quantile_ns([0] * BUCKETS, 0.99) == 0.0


def test_what_is_longer_than_every_bucket_counts_as_the_longest() -> None:
    times = Times()
    times.add(10 * BOUNDS_NS[-1])
    assert quantile_ns(times.counts, 0.5) == BOUNDS_NS[-1]


def test_recent_forgets_what_is_two_windows_old() -> None:
    times = Times()
    times.recent(0)
    times.add(1_000_000)
    assert sum(times.recent(WINDOW_MS)) == 1
    times.add(2_000_000)
    assert sum(times.recent(WINDOW_MS + 1)) == 2
    assert sum(times.recent(2 * WINDOW_MS)) == 1
    assert sum(times.recent(3 * WINDOW_MS)) == 0
    assert times.count == 2
