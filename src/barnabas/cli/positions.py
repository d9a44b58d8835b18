"""`--from`: where to begin reading, in words."""

from __future__ import annotations

import re
from datetime import datetime
from enum import Enum
from typing import NamedTuple

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_AGO = re.compile(r"-(\d{1,12})(ms|s|m|h|d|w)")
_HELP = (
    "use beginning, end, an offset (42), the last N (-10), a span ago (-1h), "
    "a time (2026-01-31T12:00:00Z) or milliseconds (@1769860800000)"
)


class Anchor(Enum):
    """What a number in `Start` counts from."""

    BEGINNING = "beginning"
    END = "end"
    OFFSET = "offset"
    LAST = "last"
    TIME = "time"
    AGO = "ago"


class Start(NamedTuple):
    """Where to begin: `number` is an offset, a count of records, a time or a span in ms."""

    anchor: Anchor
    number: int = 0


def parse_start(text: str) -> Start:
    """What a `--from` says. Raises `ValueError` with what may be said instead."""
    word = text.strip()
    if word.lower() in ("beginning", "earliest", "start"):
        return Start(Anchor.BEGINNING)
    if word.lower() in ("end", "latest"):
        return Start(Anchor.END)
    if ago := _AGO.fullmatch(word):
        return Start(Anchor.AGO, int(ago[1]) * _UNITS_MS[ago[2]])
    if re.fullmatch(r"\d{1,19}", word):
        return Start(Anchor.OFFSET, int(word))
    if re.fullmatch(r"-\d{1,18}", word):
        return Start(Anchor.LAST, int(word[1:]))
    if re.fullmatch(r"@\d{1,18}", word):
        return Start(Anchor.TIME, int(word[1:]))
    return Start(Anchor.TIME, _time_ms(word))


def _time_ms(word: str) -> int:
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(f"{word!r} says nothing about where to begin: {_HELP}") from None
    # A time without a zone is the local time of whoever typed it.
    return int(moment.timestamp() * 1000)


def clamp(wanted: int, start: int, end: int) -> int:
    """The nearest offset that can be read."""
    return max(start, min(wanted, end))
