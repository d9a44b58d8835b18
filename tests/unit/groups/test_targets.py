"""What a group knows of its targets is what a look at all of them would find; so is what it shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from barnabas.groups.consumer.assignors.uniform import share_evenly
from barnabas.groups.consumer.member import Partitions, in_order
from barnabas.groups.consumer.targets import Targets

TOPICS = [bytes([number]) * 16 for number in range(3)]
MEMBERS = ["a", "b", "c", "d"]

member = st.sampled_from(MEMBERS)
owners_of_all = st.dictionaries(
    st.tuples(st.sampled_from(TOPICS), st.integers(0, 9)), member, max_size=20
)


@given(
    st.lists(
        st.tuples(owners_of_all, st.permutations(MEMBERS), st.sets(member, max_size=2)), max_size=8
    )
)
def test_what_is_kept_is_what_counting_finds(
    steps: list[tuple[dict[tuple[bytes, int], str], list[str], set[str]]],
) -> None:
    """One assignment after the other, the members of each in any order; some are gone with it."""
    targets = Targets()
    for owners, order, gone in steps:
        owned = {place: who for place, who in owners.items() if who not in gone}
        for member_id in order:
            if member_id in gone:
                targets.remove(member_id)
                continue
            parts: dict[bytes, list[int]] = {}
            for (topic, number), who in owned.items():
                if who == member_id:
                    parts.setdefault(topic, []).append(number)
            targets.put(member_id, {t: in_order(each) for t, each in parts.items()})
        assert targets.of.keys() == set(MEMBERS) - gone
        assert targets.sizes == {
            m: sum(map(len, parts.values())) for m, parts in targets.of.items()
        }
        assert set(targets.topics) == {topic for topic, _ in owned}
        for topic in TOPICS:
            for count in (0, 1, 5, 10, 12):
                free = [p for p in range(count) if (topic, p) not in owned]
                assert list(targets.unassigned(topic, count)) == free


def naive(
    targets: Mapping[str, Partitions], topics: Sequence[bytes], partitions: Mapping[bytes, int]
) -> dict[str, dict[bytes, set[int]]]:
    """The uniform assignor as Kafka's text has it: a look at every partition of every member."""
    if not topics:
        return {member_id: {} for member_id in targets}
    held = {(t, p) for parts in targets.values() for t, ps in parts.items() for p in ps}
    free = [(t, p) for t in topics for p in range(partitions[t]) if (t, p) not in held]
    share, extra = divmod(sum(partitions[t] for t in topics), len(targets))
    found: dict[str, dict[bytes, set[int]]] = {}
    unfilled = []
    for at, (member_id, target) in enumerate(targets.items()):
        quota, with_extra = share + (extra > 0), extra > 0
        mine = found[member_id] = {}
        for topic in (topic for topic in target if topic in topics):
            for partition in target[topic]:
                if quota:
                    mine.setdefault(topic, set()).add(partition)
                    quota -= 1
                else:
                    free.append((topic, partition))
        if quota and with_extra and len(targets) - at > extra:
            quota, with_extra = quota - 1, False
        unfilled.append((member_id, quota))
        extra -= with_extra
    for member_id, quota in unfilled:
        for topic, partition in free[:quota]:
            found[member_id].setdefault(topic, set()).add(partition)
        free = free[quota:]
    return found


@given(
    st.lists(
        st.tuples(
            st.lists(member, min_size=1, unique=True),
            st.lists(st.sampled_from(TOPICS), unique=True),
            st.lists(st.integers(1, 13), min_size=3, max_size=3),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_shares_are_those_of_a_look_at_everything(
    steps: list[tuple[list[str], list[bytes], list[int]]],
) -> None:
    """Members come and go, topics grow and are read or not; targets of one step are kept in the next."""
    targets = Targets()
    counts = dict.fromkeys(TOPICS, 1)
    for members, topics, sizes in steps:
        counts = {t: max(counts[t], size) for t, size in zip(TOPICS, sizes, strict=True)}
        for gone in targets.of.keys() - set(members):
            targets.remove(gone)
        order = [*targets.of, *(m for m in members if m not in targets.of)]
        expected = naive({m: targets.of.get(m, {}) for m in order}, topics, counts)
        changes = share_evenly(order, targets, topics, counts)
        for member_id in order:
            before = targets.of.get(member_id)
            had = None if before is None else {t: set(p) for t, p in before.items()}
            assert (member_id in changes) == (had != expected[member_id])
        for member_id, target in changes.items():
            assert {t: set(p) for t, p in target.items()} == expected[member_id]
            assert all(in_order(parts) == parts for parts in target.values())
            targets.put(member_id, target)
