"""Waiting times between attempts (KIP-580): doubling, bounded, spread by a fifth either way."""

from __future__ import annotations

from collections.abc import Callable

_SPREAD_PERCENT = 20


def backoff_ms(attempt: int, first_ms: int, max_ms: int, below: Callable[[int], int]) -> int:
    """How long to wait before the retry after failed attempt number `attempt` (from 0)."""
    base = min(first_ms << min(attempt, 20), max_ms)
    spread = base * _SPREAD_PERCENT // 100
    return base - spread + below(2 * spread + 1)
