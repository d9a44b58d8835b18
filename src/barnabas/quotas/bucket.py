"""A bucket of tokens: short bursts are free, the long run is limited (KIP-599)."""

from __future__ import annotations

from math import floor

from barnabas.quotas.rate import MAX_THROTTLE_MS


class TokenBucket:
    """Fills at the limit per second, up to `burst_s` seconds' worth; may be overdrawn by one taking.

    It begins full. `limit` may change between two calls.
    """

    __slots__ = ("_burst_s", "_limit", "_tokens", "_updated_ms")

    def __init__(self, burst_s: float, limit: float, now_ms: int) -> None:
        self._burst_s = burst_s
        self._limit = limit
        self._tokens = burst_s * limit
        self._updated_ms = now_ms

    def take(self, tokens: float, limit: float, now_ms: int) -> None:
        """Take so many, whether they are there or not."""
        self._refill(limit, now_ms)
        self._tokens -= tokens

    def throttle_ms(self, limit: float, now_ms: int) -> int:
        """How long until it is no more overdrawn; 0 when it is not. At least 1 when it is."""
        self._refill(limit, now_ms)
        if self._tokens >= 0:
            return 0
        return max(1, floor(min(-self._tokens / limit * 1000 + 0.5, MAX_THROTTLE_MS)))

    def idle(self, now_ms: int) -> bool:
        """Whether it is like a new one: full, by the limit that counted last."""
        return self._tokens + self._limit * (now_ms - self._updated_ms) / 1000 >= (
            self._burst_s * self._limit
        )

    def _refill(self, limit: float, now_ms: int) -> None:
        earned = limit * (now_ms - self._updated_ms) / 1000
        self._tokens = min(self._burst_s * limit, self._tokens + earned)
        self._updated_ms = now_ms
        self._limit = limit
