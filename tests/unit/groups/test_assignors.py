"""The assignors by their rules (facts/coordinators.md, section 3); Kafka's own are asked in
tests/interop/test_consumer_group_truth.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from barnabas.groups.consumer.assignors import ASSIGNORS
from barnabas.groups.consumer.assignors.range_ import assign_range
from barnabas.groups.consumer.assignors.spec import Assignment, GroupSpec, MemberSpec
from barnabas.groups.consumer.assignors.uniform import assign_uniform
from barnabas.groups.consumer.member import in_order

Sets: TypeAlias = dict[str, dict[bytes, set[int]]]

TOPICS = [bytes([number]) * 16 for number in range(4)]


def group(
    subscriptions: Mapping[str, Sequence[int]],
    partitions: Sequence[int],
    target: Mapping[str, Mapping[bytes, Iterable[int]]] | None = None,
    static: Mapping[str, str] | None = None,
) -> GroupSpec:
    members = {}
    for member, topics in subscriptions.items():
        parts = {t: in_order(p) for t, p in (target or {}).get(member, {}).items()}
        instance = (static or {}).get(member)
        members[member] = MemberSpec([TOPICS[each] for each in topics], parts, instance)
    alike = len({tuple(each) for each in subscriptions.values()}) <= 1
    return GroupSpec(members, dict(zip(TOPICS, partitions, strict=False)), alike)


def sets(assignment: Assignment) -> Sets:
    return {m: {t: set(p) for t, p in parts.items()} for m, parts in assignment.items()}


def loads(assignment: Assignment) -> list[int]:
    return [sum(map(len, topics.values())) for topics in assignment.values()]


def test_range_gives_contiguous_pieces_the_same_in_every_topic() -> None:
    found = sets(assign_range(group({"b": [0, 1], "a": [0, 1]}, [5, 5])))
    assert found == {
        "a": {TOPICS[0]: {0, 1, 2}, TOPICS[1]: {0, 1, 2}},
        "b": {TOPICS[0]: {3, 4}, TOPICS[1]: {3, 4}},
    }


def test_range_puts_static_members_first_by_their_instances() -> None:
    spec = group({"a": [0], "b": [0], "c": [0]}, [3], static={"b": "z", "c": "y"})
    found = sets(assign_range(spec))
    assert [found[each][TOPICS[0]] for each in "cba"] == [{0}, {1}, {2}]


def test_uniform_keeps_what_a_member_has_up_to_its_share() -> None:
    target: Sets = {"a": {TOPICS[0]: {0, 1, 2, 3, 4, 5}}}
    found = sets(assign_uniform(group({"a": [0], "b": [0]}, [6], target)))
    assert found == {"a": {TOPICS[0]: {0, 1, 2}}, "b": {TOPICS[0]: {3, 4, 5}}}


def test_uniform_levels_members_with_different_topics() -> None:
    """The highest partition of a topic moves from the most to the least loaded reader."""
    target: Sets = {"a": {TOPICS[0]: {0, 1, 2, 3}}}
    found = sets(assign_uniform(group({"a": [0, 1], "b": [0]}, [4, 2], target)))
    assert found == {"a": {TOPICS[0]: {0}, TOPICS[1]: {0, 1}}, "b": {TOPICS[0]: {1, 2, 3}}}


def test_nobody_and_nothing() -> None:
    for assign in ASSIGNORS.values():
        assert not any(assign(group({}, [])).values())
        assert not any(assign(group({"a": []}, [3])).values())


@given(
    st.lists(st.lists(st.integers(0, 3), unique=True).map(sorted), min_size=1, max_size=6),
    st.lists(st.integers(1, 9), min_size=4, max_size=4),
    st.lists(st.lists(st.integers(0, 3), unique=True).map(sorted), min_size=1, max_size=6),
)
def test_every_partition_of_a_topic_with_readers_has_one_of_them(
    before: list[list[int]], partitions: list[int], after: list[list[int]]
) -> None:
    for assign in ASSIGNORS.values():
        target: Assignment = {}
        for subscriptions in (before, after):
            members = {f"m{n}": topics for n, topics in enumerate(subscriptions)}
            kept = {member: parts for member, parts in target.items() if member in members}
            target = assign(group(members, partitions, kept))
            given_out = [
                (topic, number)
                for member, parts in target.items()
                for topic, numbers in parts.items()
                for number in numbers
                if TOPICS.index(topic) in members[member]
            ]
            read = {each for topics in members.values() for each in topics}
            wanted = [(TOPICS[t], n) for t in sorted(read) for n in range(partitions[t])]
            assert sorted(given_out) == wanted


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 40))
def test_uniform_is_even_and_moves_no_more_than_it_must(old: int, new: int, count: int) -> None:
    first = assign_uniform(group({f"m{n}": [0] for n in range(old)}, [count]))
    kept = {m: parts for m, parts in first.items() if int(m[1:]) < new}
    second = assign_uniform(group({f"m{n}": [0] for n in range(new)}, [count], kept))
    assert max(loads(second)) - min(loads(second)) <= 1
    share = count // new
    for member, parts in kept.items():
        had, has = set(parts.get(TOPICS[0], ())), set(second[member].get(TOPICS[0], ()))
        assert len(had & has) >= min(len(had), share)
