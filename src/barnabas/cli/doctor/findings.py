"""What the doctor found: a level, a sentence, and what to do about it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Level(IntEnum):
    """How bad it is."""

    OK = 0
    NOTE = 1
    """Worth knowing; nothing to be done."""
    WARNING = 2
    """Works, and will hurt some day or somebody."""
    ERROR = 3
    """Does not work, or does not keep what it promises."""


class Finding(NamedTuple):
    """One result; `fix` is empty where there is nothing to do."""

    level: Level
    area: str
    text: str
    fix: str = ""


def ok(area: str, text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, area, text)


def note(area: str, text: str) -> Finding:
    """Worth knowing."""
    return Finding(Level.NOTE, area, text)


def warning(area: str, text: str, fix: str) -> Finding:
    """Should be changed."""
    return Finding(Level.WARNING, area, text, fix)


def error(area: str, text: str, fix: str) -> Finding:
    """Must be changed."""
    return Finding(Level.ERROR, area, text, fix)
