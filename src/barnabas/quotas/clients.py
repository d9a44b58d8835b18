"""What clients use of what they may: rates of bytes and time, and buckets of mutations."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Final, Generic, Protocol, TypeVar

from barnabas.quotas.bucket import TokenBucket
from barnabas.quotas.keys import (
    CONSUMER_BYTE_RATE,
    CONTROLLER_MUTATION_RATE,
    PRODUCER_BYTE_RATE,
    REQUEST_PERCENTAGE,
    QuotaEntity,
)
from barnabas.quotas.limits import Limits
from barnabas.quotas.rate import MAX_THROTTLE_MS, Rate

#: Gauges of one kind; with more, the one goes that was looked at the longest ago. A client that takes
#: another client id for every request gets another gauge each time.
GAUGES_MAX: Final = 10_000
#: So many are looked at in one sweep, in turn.
SWEPT: Final = 64


class Idle(Protocol):
    """What is forgotten when it is like a new one."""

    def idle(self, now_ms: int) -> bool:
        """Whether it is."""


G = TypeVar("G", bound=Idle)


class Gauges(Generic[G]):
    """Gauges by those who share them, as many as are in use, at most GAUGES_MAX."""

    __slots__ = ("by_sharers",)

    def __init__(self) -> None:
        self.by_sharers: dict[tuple[str, str], G] = {}

    def add(self, sharers: tuple[str, str], gauge: G) -> None:
        """A new one."""
        if len(self.by_sharers) >= GAUGES_MAX:
            del self.by_sharers[next(iter(self.by_sharers))]
        self.by_sharers[sharers] = gauge

    def sweep(self, now_ms: int) -> None:
        """Forget some of those that are idle."""
        gauges = self.by_sharers
        for sharers in [key for key, _ in zip(gauges, range(SWEPT), strict=False)]:
            gauge = gauges.pop(sharers)
            if not gauge.idle(now_ms):
                gauges[sharers] = gauge


class RateQuota:
    """Limits on a rate: bytes per second, or percent of the loop."""

    __slots__ = ("_longest_ms", "_rates", "_samples", "_window_ms", "limits")

    def __init__(self, samples: int, window_ms: int, longest_ms: int = MAX_THROTTLE_MS) -> None:
        self._samples = samples
        self._window_ms = window_ms
        self._longest_ms = longest_ms
        self._rates: Gauges[Rate] = Gauges()
        self.limits = Limits()

    def add(self, user: str, client_id: str, value: float, now_ms: int) -> int:
        """Count what a client used; returns for how many ms it has to be throttled."""
        limit = self.limits.of(user, client_id)
        if limit is None:
            return 0
        rate = self._rates.by_sharers.get(limit.sharers)
        if rate is None:
            rate = Rate(self._samples, self._window_ms)
            self._rates.add(limit.sharers, rate)
        rate.add(value, now_ms)
        return rate.throttle_ms(limit.value, now_ms, self._longest_ms)

    def take_back(self, user: str, client_id: str, value: float, now_ms: int) -> None:
        """What was counted a moment ago was not used after all."""
        limit = self.limits.of(user, client_id)
        rate = None if limit is None else self._rates.by_sharers.get(limit.sharers)
        if rate is not None:
            rate.add(-value, now_ms)

    def largest(self, user: str, client_id: str) -> float:
        """More than this at once is above the limit, even after a rest."""
        limit = self.limits.of(user, client_id)
        if limit is None:
            return inf
        return limit.value * (self._samples - 1) * self._window_ms / 1000

    def sweep(self, now_ms: int) -> None:
        """Forget clients that are idle."""
        self._rates.sweep(now_ms)


class MutationQuota:
    """Limits on partitions that are created and deleted per second (KIP-599)."""

    __slots__ = ("_buckets", "_burst_s", "limits")

    def __init__(self, samples: int, window_ms: int) -> None:
        self._burst_s = samples * window_ms / 1000
        self._buckets: Gauges[TokenBucket] = Gauges()
        self.limits = Limits()

    def take(self, user: str, client_id: str, partitions: int, now_ms: int, *, strict: bool) -> int:
        """Count mutations; returns for how many ms the client has to be throttled.

        `strict`: whoever is above the limit gets nothing, and nothing is counted; what brings it
        above the limit is free of throttling. Otherwise everything is counted.
        """
        limit = self.limits.of(user, client_id)
        if limit is None:
            return 0
        bucket = self._buckets.by_sharers.get(limit.sharers)
        if bucket is None:
            bucket = TokenBucket(self._burst_s, limit.value, now_ms)
            self._buckets.add(limit.sharers, bucket)
        if strict:
            throttle_ms = bucket.throttle_ms(limit.value, now_ms)
            if not throttle_ms:
                bucket.take(partitions, limit.value, now_ms)
            return throttle_ms
        bucket.take(partitions, limit.value, now_ms)
        return bucket.throttle_ms(limit.value, now_ms)

    def sweep(self, now_ms: int) -> None:
        """Forget clients that are idle."""
        self._buckets.sweep(now_ms)


class ClientQuotas:
    """All quotas of users and client ids on one node. `active`: there is a limit on something."""

    __slots__ = ("active", "fetch", "mutations", "produce", "request")

    def __init__(
        self, samples: int, window_ms: int, mutation_samples: int, mutation_window_ms: int
    ) -> None:
        self.active = False
        self.produce = RateQuota(samples, window_ms)
        self.fetch = RateQuota(samples, window_ms)
        # No request is so long that it should cost more than a window.
        self.request = RateQuota(samples, window_ms, longest_ms=window_ms)
        self.mutations = MutationQuota(mutation_samples, mutation_window_ms)

    def set(self, entities: Mapping[QuotaEntity, Mapping[str, float]]) -> None:
        """These are all quotas from now on; what was used so far still counts."""
        for key, limits in (
            (PRODUCER_BYTE_RATE, self.produce.limits),
            (CONSUMER_BYTE_RATE, self.fetch.limits),
            (REQUEST_PERCENTAGE, self.request.limits),
            (CONTROLLER_MUTATION_RATE, self.mutations.limits),
        ):
            limits.set({e: values[key] for e, values in entities.items() if key in values})
        self.active = bool(
            self.produce.limits or self.fetch.limits or self.request.limits or self.mutations.limits
        )

    def sweep(self, now_ms: int) -> None:
        """Forget clients that are idle."""
        for quota in (self.produce, self.fetch, self.request, self.mutations):
            quota.sweep(now_ms)
