"""Where a group is to go on: words, steps and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.resets import Change, Reset, parse_reset, read_file, targets

NAME = ("t", 0)


def new_offset(
    reset: Reset, *, committed: int | None = 4, start: int = 2, end: int = 10, found: int = -1
) -> int:
    """The new offset of one partition."""
    now = {} if committed is None else {NAME: committed}
    (change,) = targets(reset, now, {NAME: start}, {NAME: end}, {NAME: found})
    assert change[:3] == (*NAME, committed)
    return change.new_offset


@pytest.mark.parametrize(
    ("to", "expected"),
    [("beginning", 2), ("end", 10), ("7", 7), ("99", 10), ("0", 2), ("-3", 7), ("-99", 2)],
)
def test_places(to: str, expected: int) -> None:
    reset = parse_reset(to, None, None)
    assert reset.times([NAME], 0) == {}
    assert new_offset(reset) == expected


@pytest.mark.parametrize(
    ("to", "time_ms"), [("@5500", 5_500), ("1970-01-01T00:00:03Z", 3_000), ("-1h", 400_000)]
)
def test_places_in_time(to: str, time_ms: int) -> None:
    reset = parse_reset(to, None, None)
    assert reset.times([NAME], 4_000_000) == {NAME: time_ms}
    assert new_offset(reset, found=6) == 6
    assert new_offset(reset, found=-1) == 10, "nothing is so late"


def test_a_span_longer_than_time_itself_begins_with_it() -> None:
    assert parse_reset("-9w", None, None).times([NAME], 1_000) == {NAME: 0}


@pytest.mark.parametrize(("shift", "expected"), [(2, 6), (-9, 2), (99, 10), (0, 4)])
def test_steps(shift: int, expected: int) -> None:
    assert new_offset(parse_reset(None, shift, None)) == expected


def test_a_step_from_nothing_begins_at_the_start() -> None:
    assert new_offset(parse_reset(None, 3, None), committed=None) == 5


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "offsets.csv"
    file.write_text('"t",0,7\n\nt, 1, 8\n')
    offsets = read_file(str(file))
    assert offsets == {("t", 0): 7, ("t", 1): 8}
    reset = parse_reset(None, None, offsets)
    assert targets(reset, {}, {NAME: 0}, {NAME: 9}, {}) == [Change("t", 0, None, 7)]


@pytest.mark.parametrize("line", ["t,0", "t,x,1", "t,0,1,2"])
def test_lines_that_are_none(tmp_path: Path, line: str) -> None:
    file = tmp_path / "offsets.csv"
    file.write_text(f"t,0,1\n{line}\n")
    with pytest.raises(Failure, match="line 2") as raised:
        read_file(str(file))
    assert raised.value.code == Exit.USAGE


@pytest.mark.parametrize(("to", "shift"), [(None, None), ("end", 1), ("somewhere", None)])
def test_exactly_one_way_that_can_be_read(to: str | None, shift: int | None) -> None:
    with pytest.raises(Failure):
        parse_reset(to, shift, None)
