"""The assignors' rules."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barnabas.client.membership.assignors import ASSIGNORS, Assignment
from barnabas.client.membership.protocol import Subscription, encode_sticky

T = ("t",)


def parts(topic: str, *numbers: int) -> list[tuple[str, int]]:
    return [(topic, number) for number in numbers]


def shares(name: str, counts: Mapping[str, int], members: Mapping[str, Subscription]) -> Assignment:
    found = ASSIGNORS[name].assign(counts, members)
    return {member: sorted(share) for member, share in found.items()}


def test_range_gives_each_topic_in_ranges() -> None:
    both = {"b": Subscription(("t", "u")), "a": Subscription(("t", "u"))}
    assert shares("range", {"t": 3, "u": 2}, both) == {
        "a": parts("t", 0, 1) + parts("u", 0),
        "b": parts("t", 2) + parts("u", 1),
    }


def test_range_asks_only_subscribers_and_skips_what_is_not_there() -> None:
    members = {"a": Subscription(("t",)), "b": Subscription(("u", "gone"))}
    assert shares("range", {"t": 2, "u": 1, "nobody": 4}, members) == {
        "a": parts("t", 0, 1),
        "b": parts("u", 0),
    }


def test_static_members_come_first_by_instance_id() -> None:
    members = {
        "a": Subscription(T),
        "b": Subscription(T, instance_id="2"),
        "c": Subscription(T, instance_id="1"),
    }
    assert shares("range", {"t": 3}, members) == {
        "c": parts("t", 0),
        "b": parts("t", 1),
        "a": parts("t", 2),
    }


def test_round_robin_deals_out_over_all_topics() -> None:
    both = {"a": Subscription(("t", "u")), "b": Subscription(("t", "u"))}
    assert shares("roundrobin", {"t": 3, "u": 3}, both) == {
        "a": parts("t", 0, 2) + parts("u", 1),
        "b": parts("t", 1) + parts("u", 0, 2),
    }


def test_round_robin_passes_over_who_did_not_subscribe() -> None:
    members = {"a": Subscription(("t",)), "b": Subscription(("t", "u"))}
    assert shares("roundrobin", {"t": 1, "u": 2}, members) == {
        "a": parts("t", 0),
        "b": parts("u", 0, 1),
    }


def sticky(owned: list[tuple[str, int]], generation: int = 1) -> Subscription:
    return Subscription(T, encode_sticky(owned, generation))


def test_sticky_leaves_what_is_even_where_it_is() -> None:
    members = {"a": sticky(parts("t", 1, 3)), "b": sticky(parts("t", 0, 2))}
    assert shares("sticky", {"t": 4}, members) == {"a": parts("t", 1, 3), "b": parts("t", 0, 2)}


def test_sticky_moves_no_more_than_it_must() -> None:
    members = {
        "a": sticky(parts("t", 0, 1, 2)),
        "b": sticky(parts("t", 3, 4, 5)),
        "c": Subscription(T),
    }
    found = shares("sticky", {"t": 6}, members)
    assert [len(share) for share in found.values()] == [2, 2, 2]
    assert set(found["a"]) < set(parts("t", 0, 1, 2))
    assert set(found["b"]) < set(parts("t", 3, 4, 5))


def test_of_two_claims_the_newer_counts() -> None:
    members = {"a": sticky(parts("t", 0), 3), "b": sticky(parts("t", 0, 1), 4)}
    assert shares("sticky", {"t": 2}, members) == {"a": parts("t", 1), "b": parts("t", 0)}


def coop(owned: list[tuple[str, int]], generation: int = 1) -> Subscription:
    return Subscription(T, None, tuple(owned), generation)


def test_cooperative_sticky_withholds_what_somebody_still_has() -> None:
    first = {"a": coop(parts("t", 0, 1, 2, 3)), "b": coop([], -1)}
    found = shares("cooperative-sticky", {"t": 4}, first)
    assert len(found["a"]) == 2
    assert found["b"] == []
    second = {"a": coop(found["a"], 2), "b": coop([], 2)}
    found = shares("cooperative-sticky", {"t": 4}, second)
    assert sorted(found["a"] + found["b"]) == parts("t", 0, 1, 2, 3)
    assert len(found["b"]) == 2


SIZES = st.dictionaries(st.sampled_from("tuv"), st.integers(0, 7), max_size=3)
TOPICS = st.lists(st.sampled_from("tuv"), unique=True, max_size=3).map(tuple)
OWNED = st.lists(st.tuples(st.sampled_from("tuv"), st.integers(0, 8)), unique=True, max_size=9)


@st.composite
def groups(draw: st.DrawFn) -> dict[str, Subscription]:
    same = draw(st.one_of(st.none(), TOPICS))
    members = {}
    for name in draw(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)):
        owned, generation = draw(OWNED), draw(st.integers(-1, 3))
        members[name] = Subscription(
            draw(TOPICS) if same is None else same,
            encode_sticky(owned, generation),
            tuple(owned),
            generation,
        )
    return members


@pytest.mark.parametrize("name", sorted(ASSIGNORS))
@given(counts=SIZES, members=groups())
def test_everything_is_owned_once_by_a_subscriber(
    name: str, counts: dict[str, int], members: dict[str, Subscription]
) -> None:
    found = shares(name, counts, members)
    assert set(found) == set(members)
    given_out = [each for share in found.values() for each in share]
    assert len(given_out) == len(set(given_out))
    wanted = {t for each in members.values() for t in each.topics}
    everything = {(t, n) for t, count in counts.items() if t in wanted for n in range(count)}
    held = {each for member in members.values() for each in member.owned}
    missing = everything - set(given_out)
    assert set(given_out) <= everything
    assert missing <= (held if name == "cooperative-sticky" else set())
    for member, share in found.items():
        assert all(topic in members[member].topics for topic, _ in share)


@pytest.mark.parametrize("name", ["sticky", "roundrobin"])
@given(counts=SIZES, members=groups(), topics=TOPICS)
def test_equal_subscriptions_are_divided_evenly(
    name: str, counts: dict[str, int], members: dict[str, Subscription], topics: tuple[str, ...]
) -> None:
    alike = {
        member: Subscription(topics, each.user_data, each.owned, each.generation)
        for member, each in members.items()
    }
    sizes = [len(share) for share in shares(name, counts, alike).values()]
    assert max(sizes) - min(sizes) <= 1


@given(counts=SIZES, members=groups())
def test_unequal_subscriptions_leave_no_single_move_that_evens(
    counts: dict[str, int], members: dict[str, Subscription]
) -> None:
    found = shares("sticky", counts, members)
    for share in found.values():
        for topic, _ in share:
            for other, theirs in found.items():
                if topic in members[other].topics:
                    assert len(theirs) + 2 > len(share)


@given(counts=SIZES, members=groups())
def test_cooperative_members_settle_in_two_rounds(
    counts: dict[str, int], members: dict[str, Subscription]
) -> None:
    for generation in (10, 11, 12):
        found = shares("cooperative-sticky", counts, members)
        members = {
            m: Subscription(each.topics, None, tuple(found[m]), generation)
            for m, each in members.items()
        }
        if generation == 11:
            settled = found
    assert found == settled
    wanted = {t for each in members.values() for t in each.topics}
    everything = {(t, n) for t, count in counts.items() if t in wanted for n in range(count)}
    assert {each for share in found.values() for each in share} == everything
