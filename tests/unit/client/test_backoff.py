"""Pauses between attempts double, are bounded, and spread by a fifth."""

from __future__ import annotations

from random import Random

from barnabas.client.backoff import backoff_ms


def test_pauses_double_up_to_the_most() -> None:
    middle = [backoff_ms(attempt, 100, 1000, lambda n: n // 2) for attempt in range(6)]
    assert middle == [100, 200, 400, 800, 1000, 1000]


def test_pauses_spread_by_a_fifth_either_way() -> None:
    below = Random(1).randrange
    drawn = [backoff_ms(0, 100, 1000, below) for _ in range(500)]
    assert min(drawn) == 80
    assert max(drawn) == 120


def test_an_endless_row_of_failures_is_no_endless_number() -> None:
    assert backoff_ms(10**9, 100, 1000, lambda _n: 0) == 800
