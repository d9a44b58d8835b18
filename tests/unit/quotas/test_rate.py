"""Rates and buckets beside naive models of Kafka's own (`SampledStat`, `Rate`, `TokenBucket`)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barnabas.quotas.bucket import TokenBucket
from barnabas.quotas.rate import MAX_THROTTLE_MS, Rate


@dataclass
class Sample:
    """One window."""

    start: int
    last: int
    value: float = 0.0


class ModelRate:
    """Every rule by itself, one sample at a time."""

    def __init__(self, samples: int, window: int) -> None:
        self.samples = samples
        self.window = window
        self.ring: list[Sample] = []
        self.current = 0

    def add(self, value: float, now: int) -> None:
        """Record."""
        if not self.ring:
            self.ring.append(Sample(now, now))
        sample = self.ring[self.current]
        if now - sample.start >= self.window:
            self.current = (self.current + 1) % (self.samples + 1)
            if self.current < len(self.ring):
                self.ring[self.current] = Sample(now, now)
            else:
                self.ring.append(Sample(now, now))
            sample = self.ring[self.current]
        sample.value += value
        sample.last = now

    def throttle_ms(self, limit: float, now: int) -> int:
        """Measure."""
        for at, sample in enumerate(self.ring):
            if now - sample.last >= self.samples * self.window:
                self.ring[at] = Sample(now, now)
        elapsed = now - min(sample.start for sample in self.ring)
        full = elapsed // self.window
        if full < self.samples - 1:
            elapsed += (self.samples - 1 - full) * self.window
        elapsed = max(1, elapsed)
        rate = sum(sample.value for sample in self.ring) / (elapsed / 1000)
        return 0 if rate <= limit else int((rate - limit) / limit * elapsed + 0.5)


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 250, 999, 1000, 1001, 3000, 10_999, 11_000, 30_000]),
        st.integers(-50, 5000),
        st.sampled_from([1.0, 100.0, 500.0]),
    ),
    max_size=60,
)


@given(samples=st.integers(1, 12), window=st.sampled_from([1000, 3000]), events=steps)
def test_a_rate_is_kafkas(samples: int, window: int, events: list[tuple[int, int, float]]) -> None:
    rate, model, now = Rate(samples, window), ModelRate(samples, window), 5
    for pause, value, limit in events:
        now += pause
        rate.add(value, now)
        model.add(value, now)
        assert rate.throttle_ms(limit, now) == model.throttle_ms(limit, now)


def test_a_burst_is_spread_over_all_windows() -> None:
    rate = Rate(11, 1000)
    rate.add(10_000, 0)
    assert rate.throttle_ms(1000, 0) == 0
    rate.add(1000, 0)
    assert rate.throttle_ms(1000, 0) == 1000
    rate.add(0, 9000)
    assert rate.throttle_ms(1000, 9000) == 1000
    assert rate.throttle_ms(1000, 9500) == 500
    assert rate.throttle_ms(1000, 11_000) == 0


def test_the_time_is_bounded() -> None:
    rate = Rate(11, 1000)
    rate.add(1e9, 0)
    assert rate.throttle_ms(1, 0) == MAX_THROTTLE_MS
    assert rate.throttle_ms(1, 0, longest_ms=1000) == 1000
    assert rate.throttle_ms(5e-324, 0) == MAX_THROTTLE_MS


def test_what_is_taken_back_does_not_count() -> None:
    rate = Rate(11, 1000)
    rate.add(9000, 0)
    rate.add(5000, 400)
    assert rate.throttle_ms(1000, 400) > 0
    rate.add(-5000, 400)
    assert rate.throttle_ms(1000, 400) == 0


def test_an_idle_rate_is_like_a_new_one() -> None:
    rate = Rate(3, 1000)
    rate.add(10, 500)
    assert not rate.idle(3499)
    assert rate.idle(3500)
    rate.add(7, 3500)
    new = Rate(3, 1000)
    new.add(7, 3500)
    assert rate.throttle_ms(1, 3500) == new.throttle_ms(1, 3500) == 5000


class ModelBucket:
    """Kafka's bucket: it begins empty at the epoch, which is long ago."""

    def __init__(self, burst_s: float) -> None:
        self.burst_s = burst_s
        self.tokens = 0.0
        self.updated = -(10**12)

    def refill(self, limit: float, now: int) -> None:
        """As time passes."""
        self.tokens = min(self.burst_s * limit, self.tokens + limit * (now - self.updated) / 1000)
        self.updated = now


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from([0, 1, 500, 1000, 5000, 60_000]),
            st.integers(0, 60),
            st.sampled_from([0.5, 1.0, 10.0]),
        ),
        max_size=40,
    )
)
def test_a_bucket_is_kafkas(events: list[tuple[int, int, float]]) -> None:
    now, first = 5, events[0][2] if events else 1.0
    bucket, model = TokenBucket(11, first, now), ModelBucket(11)
    model.refill(first, now)
    for pause, tokens, limit in events:
        now += pause
        bucket.take(tokens, limit, now)
        model.refill(limit, now)
        model.tokens -= tokens
        left = model.tokens
        expected = 0 if left >= 0 else max(1, int(-left / limit * 1000 + 0.5))
        assert bucket.throttle_ms(limit, now) == expected


def test_a_bucket_may_be_overdrawn_once() -> None:
    bucket = TokenBucket(11, 2.0, 0)
    assert bucket.idle(0)
    bucket.take(100, 2.0, 0)
    assert bucket.throttle_ms(2.0, 0) == 39_000
    assert bucket.throttle_ms(2.0, 38_999) == 1
    assert bucket.throttle_ms(2.0, 39_000) == 0
    assert not bucket.idle(49_999)
    assert bucket.idle(50_000)


@pytest.mark.parametrize("limit", [5e-324, 1e-9])
def test_a_tiny_limit_is_a_long_time(limit: float) -> None:
    bucket = TokenBucket(11, limit, 0)
    bucket.take(1e9, limit, 0)
    assert bucket.throttle_ms(limit, 0) == MAX_THROTTLE_MS
