"""The names of the timers of consumer groups."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from barnabas.coordinator.effects import Effects


class Wait(Enum):
    """What a member has to do before a timer runs out; then it is fenced."""

    SESSION = "session"
    REVOKE = "revoke"
    JOIN = "join"
    """A classic member was told to join again."""
    SYNC = "sync"
    """A classic member has joined, and has to ask for its assignment."""


class ConsumerTimer(NamedTuple):
    """A timer of one member."""

    group_id: str
    member_id: str
    wait: Wait


def cancel_timers(effects: Effects, group_id: str, member_id: str) -> None:
    """A member is gone."""
    for wait in (Wait.SESSION, Wait.REVOKE, Wait.JOIN, Wait.SYNC):
        effects.cancel_timer(ConsumerTimer(group_id, member_id, wait))
