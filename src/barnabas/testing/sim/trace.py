"""The record of a run: a hash that tells two runs apart, and the last events for the reader."""

from __future__ import annotations

from collections import deque
from hashlib import blake2b

RECENT_EVENTS = 200
"""How many events a failure report can show."""
_FLUSH_EVENTS = 1024


class Trace:
    """Hash over (time, lane, label) of every event of a world."""

    __slots__ = ("_hash", "_waiting", "count", "full", "recent")

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self._waiting: list[str] = []
        self.count = 0
        self.recent: deque[str] = deque(maxlen=RECENT_EVENTS)
        self.full: list[str] | None = None
        """Set to a list to keep every event: two such lists show where two runs part."""

    def event(self, time_us: int, lane: str, label: str) -> None:
        """Add one event."""
        line = f"{time_us} {lane} {label}\n"
        self.count += 1
        self.recent.append(line)
        if self.full is not None:
            self.full.append(line)
        waiting = self._waiting
        waiting.append(line)
        if len(waiting) >= _FLUSH_EVENTS:
            self._hash.update("".join(waiting).encode())
            waiting.clear()

    def digest(self) -> str:
        """The hash of everything so far, as hex."""
        if self._waiting:
            self._hash.update("".join(self._waiting).encode())
            self._waiting.clear()
        return self._hash.hexdigest()
