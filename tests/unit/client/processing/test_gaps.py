"""What is done behind a committed offset goes through a commit's metadata."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barnabas.client.processing.gaps import (
    BITS,
    BITS_SPAN,
    MAX_CHARS,
    NOTHING,
    RUNS,
    RUNS_FIT,
    Gaps,
    decode,
    encode,
)


def test_nothing_is_said_when_nothing_behind_the_position_is_done() -> None:
    assert encode(5, [5], 5) == ""
    assert encode(5, [5, 6, 7], 8) == ""
    assert encode(5, [], 5) == ""


def test_sparse_holes_are_told_as_runs() -> None:
    text = encode(10, [10, 5_000], 1_000_000)
    assert text.startswith(RUNS)
    assert decode(10, text) == Gaps(1_000_000, (10, 5_000))


def test_dense_holes_are_told_as_bits() -> None:
    missing = tuple(range(100, 900, 2))
    text = encode(100, missing, 900)
    assert text.startswith(BITS)
    assert decode(100, text) == Gaps(900, missing)


def test_a_tail_that_is_not_done_is_left_out() -> None:
    assert decode(0, encode(0, [0, 3, 4, 5], 6)) == Gaps(3, (0,))


@given(st.sets(st.integers(1, 3_000), max_size=600), st.integers(0, 1 << 40))
def test_what_is_told_is_understood(holes: set[int], position: int) -> None:
    missing = sorted({position, *(position + hole for hole in holes)})
    frontier = position + 3_001
    text = encode(position, missing, frontier)
    assert len(text) <= MAX_CHARS
    found = decode(position, text)
    assert [each for each in missing if each < found.frontier] == list(found.missing)
    assert set(range(found.frontier, frontier)) <= set(missing)


def test_the_bounds_under_which_everything_fits() -> None:
    every_other = list(range(0, BITS_SPAN, 2))
    assert decode(0, encode(0, every_other, BITS_SPAN)) == Gaps(BITS_SPAN, tuple(every_other))
    far = [0, *(number << 33 for number in range(1, RUNS_FIT))]
    frontier = RUNS_FIT << 33
    assert decode(0, encode(0, far, frontier)) == Gaps(frontier, tuple(far))


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    many = list(range(0, 4 * BITS_SPAN, 2))
    text = encode(0, many, 4 * BITS_SPAN)
    assert len(text) <= MAX_CHARS
    found = decode(0, text)
    assert 0 < found.frontier < 4 * BITS_SPAN
    assert list(found.missing) == [each for each in many if each < found.frontier]


@pytest.mark.parametrize(
    "text",
    ["", "somebody else's", RUNS, RUNS + "?", RUNS + "gA==", RUNS + "//////8PAQ==", BITS + "é"],
)
def test_what_is_not_ours_or_damaged_says_nothing(text: str) -> None:
    found = decode(7, text)
    assert found in (NOTHING, Gaps(7, ()))
