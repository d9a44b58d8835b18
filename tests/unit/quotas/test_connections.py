"""How fast clients may connect."""

from __future__ import annotations

from math import inf

from barnabas.quotas.connections import ADDRESSES_MAX, ConnectionRates
from barnabas.quotas.keys import QuotaEntity

KEY = "connection_creation_rate"


def of(**limits: float) -> dict[QuotaEntity, dict[str, float]]:
    """Quotas of addresses, written with underscores; `default` is that of all."""
    return {
        (("ip", None if name == "default" else name.replace("_", ".")),): {KEY: value}
        for name, value in limits.items()
    }


def test_more_than_the_rate_waits_for_at_most_a_window() -> None:
    rates = ConnectionRates(11, 1000)
    for _ in range(20):
        assert rates.wait_ms("A", 2, inf, 0) == 0
    assert rates.wait_ms("A", 2, inf, 0) == 500
    assert rates.wait_ms("A", 2, inf, 0) == 1000
    for _ in range(100):
        assert rates.wait_ms("B", inf, 10, 0) == 0
    # What came while nothing was limited counts.
    assert rates.wait_ms("B", inf, 10, 0) == 100
    assert rates.wait_ms("B", 2, 10, 0) == 1000
    assert rates.wait_ms("B", 0, 10, 0) == 1000
    assert rates.wait_ms("B", 2, 10, 30_000) == 0


def test_an_address_above_its_rate_is_refused_and_not_counted() -> None:
    rates = ConnectionRates(11, 1000)
    assert rates.set(of(default=2, **{"10_0_0_1": 5})) == []

    def come(address: str, now: int = 0) -> int:
        assert rates.wait_ms("A", inf, inf, now) == 0
        return rates.refuse_ms("A", address, now)

    assert [come("10.0.0.1") for _ in range(51)] == [0] * 50 + [200]
    assert [come("10.0.0.1") for _ in range(3)] == [200] * 3
    assert [come("10.0.0.2") for _ in range(21)] == [0] * 20 + [500]
    # 70 of 75 are left over; the listener may have seven per second.
    assert rates.wait_ms("A", 7.1, 7.1, 0) == 0
    assert rates.wait_ms("A", 7.1, 7.1, 0) > 0
    rates.set(of(**{"10_0_0_1": 10}))
    assert (come("10.0.0.1"), come("10.0.0.2")) == (0, 0)
    rates.set({})
    assert [come("10.0.0.1") for _ in range(200)] == [0] * 200


def test_addresses_are_the_same_however_they_are_written() -> None:
    rates = ConnectionRates(11, 1000)
    entities: dict[QuotaEntity, dict[str, float]] = {
        (("ip", "0:0:0:0:0:0:0:1"),): {KEY: 0.1},
        (("ip", "::ffff:10.0.0.1"),): {KEY: 0.1},
        (("ip", "host"),): {KEY: 0.1},
        (("ip", "10.0.0.9"),): {"another": 0.1},
        (("user", "u"),): {KEY: 0.1},
    }
    assert rates.set(entities) == ["host"]
    for address in ("::1", "10.0.0.1"):
        rates.wait_ms("A", inf, inf, 0)
        assert rates.refuse_ms("A", address, 0) == 0
        rates.wait_ms("A", inf, inf, 0)
        assert rates.refuse_ms("A", address, 0) == 1000
    assert rates.refuse_ms("A", "host", 0) == rates.refuse_ms("A", "10.0.0.9", 0) == 0


def test_addresses_are_forgotten() -> None:
    rates = ConnectionRates(11, 1000)
    rates.set(of(default=1))
    rates.wait_ms("A", inf, inf, 0)
    for n in range(ADDRESSES_MAX + 7):
        rates.refuse_ms("A", f"10.0.{n // 256}.{n % 256}", 0)
    assert len(rates._addresses) == ADDRESSES_MAX
    for _ in range(ADDRESSES_MAX):
        rates.sweep(10_999)
    assert len(rates._addresses) == ADDRESSES_MAX
    for _ in range(ADDRESSES_MAX // 64 + 1):
        rates.sweep(11_000)
    assert rates._addresses == {}
