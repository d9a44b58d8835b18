"""Whose limit counts, who shares it, and what is forgotten."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barnabas.quotas.clients import GAUGES_MAX, ClientQuotas, MutationQuota, RateQuota
from barnabas.quotas.keys import QuotaEntity
from barnabas.quotas.limits import LONG, REMEMBERED, Limits

USER, CLIENT = "user", "client-id"


def entity(**names: str | None) -> QuotaEntity:
    """The entity of `user=..., client=...`."""
    pairs = {CLIENT if k == "client" else k: v for k, v in names.items()}
    return tuple(sorted(pairs.items(), key=lambda pair: pair[0]))


#: Kafka's order; each level with whom its clients share a limit.
LEVELS: list[tuple[QuotaEntity, tuple[str, str]]] = [
    (entity(user="u", client="c"), ("u", "c")),
    (entity(user="u", client=None), ("u", "c")),
    (entity(user="u"), ("u", "")),
    (entity(user=None, client="c"), ("u", "c")),
    (entity(user=None, client=None), ("u", "c")),
    (entity(user=None), ("u", "")),
    (entity(client="c"), ("", "c")),
    (entity(client=None), ("", "c")),
]
OTHERS = [entity(user="v"), entity(client="d"), entity(user="u", client="d"), entity(ip="u")]


@given(levels=st.sets(st.integers(0, 7)), others=st.sets(st.integers(0, 3)))
def test_the_most_specific_limit_counts(levels: set[int], others: set[int]) -> None:
    limits = Limits()
    limits.set({LEVELS[n][0]: float(n + 1) for n in levels} | {OTHERS[n]: 0.5 for n in others})
    found = limits.of("u", "c")
    if not levels:
        assert found is None
    else:
        assert found == (min(levels) + 1, LEVELS[min(levels)][1])


@given(levels=st.sets(st.integers(0, 7)))
def test_without_a_client_id_only_users_have_limits(levels: set[int]) -> None:
    limits = Limits()
    limits.set({LEVELS[n][0]: float(n + 1) for n in levels})
    found = limits.of("u", "")
    users = levels & {2, 5}
    assert found == ((min(users) + 1, ("u", "")) if users else None)


@pytest.mark.parametrize("value", [inf, nan, 0.0, -1.0])
def test_a_limit_that_limits_nothing_hides_the_default(value: float) -> None:
    limits = Limits()
    limits.set({entity(user="u"): value, entity(user=None): 5.0})
    assert limits.of("u", "c") is None
    assert limits.of("v", "c") == (5.0, ("v", ""))


def test_what_is_remembered_is_bounded_and_changes_at_once() -> None:
    limits = Limits()
    limits.set({entity(client=None): 5.0})
    for n in range(2 * REMEMBERED + 1):
        assert limits.of("u", str(n)) == (5.0, ("", str(n)))
        assert len(limits._found) <= REMEMBERED
    long = "x" * (LONG + 100)
    assert limits.of("u", long) == (5.0, ("", "x" * LONG))
    assert ("u", long) not in limits._found
    limits.set({entity(client="7"): 1.0})
    assert (limits.of("u", "7"), limits.of("u", "8")) == ((1.0, ("", "7")), None)


def rates(**limits: float) -> RateQuota:
    """A quota on users and client ids, by name; `default` is that of client ids."""
    quota = RateQuota(11, 1000)
    quota.limits.set(
        {
            entity(user=k[5:]) if k.startswith("user_") else entity(client=None): v
            for k, v in limits.items()
        }
    )
    return quota


def test_clients_of_a_user_share_its_limit_and_others_do_not() -> None:
    quota = rates(user_u=100, default=100)
    assert quota.add("u", "a", 1000, 0) == 0
    assert quota.add("u", "b", 100, 0) == 1000
    assert quota.add("v", "a", 1000, 0) == 0
    assert quota.add("v", "b", 1000, 0) == 0
    assert quota.add("w", "b", 100, 0) == 1000


def test_without_a_limit_nothing_is_kept() -> None:
    quota = rates(user_u=100)
    assert quota.add("v", "a", 1e12, 0) == 0
    quota.take_back("v", "a", 1e12, 0)
    assert quota.largest("v", "a") == inf
    assert quota._rates.by_sharers == {}


def test_a_new_limit_counts_at_once_and_with_what_was_used() -> None:
    quota = rates(user_u=1000)
    assert quota.add("u", "a", 5000, 0) == 0
    quota.limits.set({entity(user="u"): 100.0})
    assert quota.add("u", "a", 0, 0) == 40_000
    quota.limits.set({})
    assert quota.add("u", "a", 1e9, 0) == 0
    quota.limits.set({entity(user="u"): 1000.0})
    assert quota.add("u", "a", 0, 0) == 0


def test_the_largest_answer() -> None:
    assert rates(user_u=100).largest("u", "a") == 1000
    assert RateQuota(1, 1000).largest("u", "a") == inf


def test_idle_clients_are_forgotten() -> None:
    quotas = ClientQuotas(11, 1000, 11, 1000)
    everybody: dict[str, float] = {
        "producer_byte_rate": 1,
        "consumer_byte_rate": 1,
        "request_percentage": 1,
        "controller_mutation_rate": 1,
    }
    quotas.set({entity(client=None): everybody})
    for n in range(1000):
        quotas.produce.add("u", str(n), 5, n)
        quotas.fetch.add("u", str(n), 5, n)
        quotas.request.add("u", str(n), 5, n)
        quotas.mutations.take("u", str(n), 20, n, strict=True)
    kept = [quotas.produce._rates, quotas.fetch._rates, quotas.request._rates]
    assert [len(each.by_sharers) for each in kept] == [1000] * 3
    for _ in range(50):
        quotas.sweep(11_000)
    assert [len(each.by_sharers) for each in kept] == [999] * 3
    assert len(quotas.mutations._buckets.by_sharers) == 1000
    for _ in range(50):
        quotas.sweep(21_000)
    assert [len(each.by_sharers) for each in kept] == [0] * 3
    assert quotas.mutations._buckets.by_sharers == {}


def test_the_number_of_clients_is_bounded() -> None:
    quota = rates(default=1)
    for n in range(GAUGES_MAX + 500):
        quota.add("u", str(n), 1, 0)
    assert len(quota._rates.by_sharers) == GAUGES_MAX
    assert ("", "499") not in quota._rates.by_sharers


def test_a_strict_mutation_is_refused_and_not_counted() -> None:
    quota = MutationQuota(11, 1000)
    quota.limits.set({entity(user="u"): 1.0})
    assert quota.take("u", "a", 15, 0, strict=True) == 0
    for _ in range(3):
        assert quota.take("u", "a", 1, 0, strict=True) == 4000
    assert quota.take("u", "a", 1, 4000, strict=True) == 0
    assert quota.take("u", "a", 2, 4000, strict=False) == 3000
    assert quota.take("u", "a", 2, 4000, strict=False) == 5000
    assert quota.take("v", "a", 10**6, 4000, strict=True) == 0


def test_the_time_of_a_request_is_never_throttled_beyond_a_window() -> None:
    quotas = ClientQuotas(11, 2000, 11, 1000)
    quotas.set({entity(user=None): {"request_percentage": 0.001}})
    assert quotas.active
    assert quotas.request.add("u", "a", 1000, 0) == 2000
    quotas.set({entity(ip=None): {"connection_creation_rate": 1}})
    assert not quotas.active
