"""`--from` in words."""

from __future__ import annotations

from datetime import datetime

import pytest

from barnabas.cli.positions import Anchor, Start, clamp, parse_start


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", Start(Anchor.BEGINNING)),
        ("EARLIEST", Start(Anchor.BEGINNING)),
        ("end", Start(Anchor.END)),
        ("latest", Start(Anchor.END)),
        ("0", Start(Anchor.OFFSET, 0)),
        ("42", Start(Anchor.OFFSET, 42)),
        ("-10", Start(Anchor.LAST, 10)),
        ("-1h", Start(Anchor.AGO, 3_600_000)),
        ("-250ms", Start(Anchor.AGO, 250)),
        ("-30m", Start(Anchor.AGO, 1_800_000)),
        ("-2w", Start(Anchor.AGO, 1_209_600_000)),
        ("@1769860800000", Start(Anchor.TIME, 1_769_860_800_000)),
        ("2026-01-31T12:00:00Z", Start(Anchor.TIME, 1_769_860_800_000)),
        ("2026-01-31T13:00:00+01:00", Start(Anchor.TIME, 1_769_860_800_000)),
    ],
)
def test_where_to_begin(text: str, start: Start) -> None:
    assert parse_start(text) == start


def test_a_time_without_zone_is_local() -> None:
    local = int(datetime(2026, 1, 31, 12).timestamp() * 1000)
    assert parse_start("2026-01-31T12:00") == Start(Anchor.TIME, local)
    assert parse_start("2026-01-31").anchor is Anchor.TIME


@pytest.mark.parametrize("text", ["", "yesterday", "-1y", "1h", "--1", "@x", "2026-13-01"])
def test_anything_else_is_refused_with_what_may_be_said(text: str) -> None:
    with pytest.raises(ValueError, match="use beginning, end"):
        parse_start(text)


def test_positions_are_clamped_to_what_is_there() -> None:
    assert [clamp(wanted, 5, 9) for wanted in (-3, 5, 7, 9, 12)] == [5, 5, 7, 9, 9]
