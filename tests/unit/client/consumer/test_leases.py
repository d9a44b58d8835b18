"""What may be committed, and what a consumer that lost partitions is told."""

from __future__ import annotations

import pytest

from barnabas.client.consumer.leases import CommitRefused, Leases, OffsetAndMetadata

A, B = ("t", 0), ("t", 1)


def begun(*positions: int) -> Leases:
    """Leases of A and B at these positions."""
    leases = Leases()
    for lease, position in zip(leases.begin([A, B]), positions, strict=True):
        lease.move(position)
    return leases


def offsets(found: dict[tuple[str, int], OffsetAndMetadata]) -> dict[tuple[str, int], int]:
    return {name: each.offset for name, each in found.items()}


def test_what_is_in_hand_is_committed_only_when_told_to() -> None:
    leases = begun(5, 7)
    leases.held[A].handed = 9
    assert offsets(leases.to_commit(processed_only=True)) == {A: 5, B: 7}
    assert offsets(leases.to_commit(processed_only=False)) == {A: 9, B: 7}


def test_what_is_committed_is_not_committed_again_and_never_goes_back() -> None:
    leases = begun(5, 7)
    leases.held[A].handed = 9
    leases.committed(leases.to_commit(processed_only=False))
    assert leases.to_commit(processed_only=False) == {}
    # The automatic commit knows of less than was told to commit.
    assert leases.to_commit(processed_only=True) == {}


def test_what_is_done_behind_an_offset_is_committed_with_it_once() -> None:
    leases = begun(5, 7)
    leases.committed(leases.to_commit(processed_only=True))
    lease = leases.held[A]
    lease.handed = 12
    lease.progress = OffsetAndMetadata(5, "gaps")
    assert leases.to_commit(processed_only=True) == {A: lease.progress}
    leases.committed({A: lease.progress})
    assert leases.to_commit(processed_only=True) == {}
    lease.progress = OffsetAndMetadata(6, "others")
    lease.processed = 6
    assert leases.to_commit(processed_only=True) == {A: lease.progress}
    leases.committed({A: OffsetAndMetadata(9)})  # told to
    assert leases.to_commit(processed_only=True) == {}
    lease.processed = 10  # one by one again
    assert offsets(leases.to_commit(processed_only=True)) == {A: 10}


def test_a_seek_back_is_committed() -> None:
    leases = begun(5, 7)
    leases.committed(leases.to_commit(processed_only=True))
    leases.held[A].move(2)
    assert offsets(leases.to_commit(processed_only=True)) == {A: 2}


def test_a_partition_without_a_position_is_not_committed() -> None:
    leases = Leases()
    leases.begin([A])
    assert leases.to_commit(processed_only=True) == {}


def test_a_closing_partition_hands_out_nothing_and_takes_commits() -> None:
    leases = begun(5, 7)
    (lease,) = leases.close([A])
    assert lease.token is None
    assert A not in leases.held
    lease.handed = lease.processed = 6
    assert offsets(leases.to_commit(processed_only=True)) == {A: 6, B: 7}
    assert leases.checked({A: OffsetAndMetadata(6)})


def test_commits_for_what_is_gone_are_refused() -> None:
    leases = begun(5, 7)
    leases.close([A])
    leases.end([A])
    with pytest.raises(CommitRefused) as refused:
        leases.checked({A: OffsetAndMetadata(6), B: OffsetAndMetadata(8)})
    assert refused.value.partitions == (A,)
    with pytest.raises(CommitRefused):
        leases.checked({("other", 3): OffsetAndMetadata(0)})


def test_who_held_something_when_it_went_is_told_once() -> None:
    leases = begun(5, 7)
    leases.held[A].handed = 6
    leases.end([A, B])
    with pytest.raises(CommitRefused) as refused:
        leases.refuse_late()
    assert refused.value.partitions == (A,)  # nothing of the other was in hand
    leases.refuse_late()


def test_a_partition_that_comes_back_is_another_lease() -> None:
    leases = begun(5, 7)
    old = leases.held[A]
    leases.end([A])
    (new,) = leases.begin([A])
    assert new is not old
    assert old.gone
    assert new.token is not None
    old.processed = 99  # what was in hand then says nothing about now
    assert offsets(leases.to_commit(processed_only=True)) == {B: 7}
