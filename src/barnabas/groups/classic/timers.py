"""The names of the timers of classic groups."""

from __future__ import annotations

from typing import NamedTuple


class JoinTimer(NamedTuple):
    """Ends the join phase of a group."""

    group_id: str
    kind: str = "join"


class SyncTimer(NamedTuple):
    """Ends the wait for members that have to ask for their assignment."""

    group_id: str
    kind: str = "sync"


class SessionTimer(NamedTuple):
    """Ends the session of a member, or the life of an id that was given out."""

    group_id: str
    member_id: str
    kind: str = "session"
