"""What a benchmark's figures are made of."""

from __future__ import annotations

from collections import Counter

import pytest

from barnabas.cli.bench import Result, Values
from barnabas.host.random_ import HostRandom
from barnabas.instruments import Times


def test_figures() -> None:
    times = Times()
    for _ in range(10):
        times.add(2_000_000)
    plain = Result(10, 1, 1_000_000, 500_000_000, times, 2_000_000).plain()
    assert plain["records_per_second"] == 20.0
    assert plain["megabytes_per_second"] == 2.0
    assert (plain["failed"], plain["seconds"]) == (1, 0.5)
    assert plain["latency_ms_mean"] == plain["latency_ms_max"] == 2.0
    assert plain["latency_ms_p50"] == pytest.approx(2.0, rel=0.2)
    assert plain["latency_ms_p999"] <= 2.0


def test_without_latencies_there_are_none() -> None:
    for times in (None, Times()):
        plain = Result(0, 0, 0, 0, times).plain()
        assert not any("latency" in name for name in plain)
        assert plain["records_per_second"] == 0.0


@pytest.mark.parametrize("size", [1, 100, 3_000_000])
def test_values_are_letters_of_the_size_asked_for(size: int) -> None:
    values = Values(size, HostRandom())
    made = [values.next() for _ in range(20)]
    assert all(len(value) == size and value.isalpha() and value.isupper() for value in made)
    assert size < 100 or max(Counter(made).values()) == 1
