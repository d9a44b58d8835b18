"""What the connections of a node may hold together: frames on their way in, answers on their way out.

Frames: one connection costs what has arrived (`connection.py`), all of them together a budget. A
frame that would go beyond it waits: its connection is not read until others have finished. One
waiting frame at a time may pass nevertheless, the one that lacks least and the one that waits
longest in turn, so that every honest frame gets through soon; and while somebody waits, who holds
memory without making progress is closed.

What throttled clients (`mute.py`) have sent before they were throttled counts apart, so that nobody
else waits for them, up to a limit of its own.

Produce requests that are whole keep their frames until they are answered: while the disk does not
keep up, or their records are checked off the loop. Beyond a limit of their own (`crowded`) no frame
grows at all; that they end does not depend on any client.

Answers: a client that does not read keeps its answer in memory. The more of that there is, the less
the next Fetch is given.
"""

from __future__ import annotations

from typing import Protocol

from barnabas.server.limits import (
    FETCH_LEAST_BYTES,
    FETCH_RESPONSE_BYTES,
    MUTED_BYTES,
    PARKED_BYTES,
    UNSENT_BYTES,
)


class Reader(Protocol):
    """A connection whose frame wants memory."""

    @property
    def wanted(self) -> int:
        """Bytes that it needs to go on."""

    @property
    def lacking(self) -> int:
        """Bytes that have not arrived yet."""

    def granted(self) -> None:
        """Take them and go on."""


class MemoryBudget:
    """Counts the bytes of unfinished and waiting frames, and of answers that clients do not take."""

    __slots__ = (
        "_muted",
        "_oldest_next",
        "_overdrawn",
        "_own_limit",
        "_waiting",
        "crowded",
        "limit",
        "muted_too_much",
        "parked",
        "unsent",
        "used",
    )

    def __init__(self, limit: int) -> None:
        self.limit = self._own_limit = limit
        #: Throttled connections hold more than counts apart, and others wait.
        self.muted_too_much = False
        #: Bytes of frames that are incomplete or wait for their turn.
        self.used = 0
        #: Bytes of Produce requests that wait for their answer, and whether those are too many.
        self.parked = 0
        self.crowded = False
        #: Bytes of answers queued at clients that do not read.
        self.unsent = 0
        self._muted = 0
        self._waiting: dict[Reader, None] = {}
        self._overdrawn: Reader | None = None
        self._oldest_next = True

    @property
    def tight(self) -> bool:
        """Whether the budget for frames is spent."""
        return self.used > self.limit

    @property
    def frames_wait(self) -> bool:
        """Whether some frame waits for memory."""
        return bool(self._waiting)

    @property
    def answers_wait(self) -> bool:
        """Whether clients that do not read hold so much that Fetch gets the least."""
        return self.unsent > UNSENT_BYTES - FETCH_LEAST_BYTES

    def may_grow(self, reader: Reader, more: int) -> bool:
        """Whether `reader` may allocate `more` bytes now; if not, it is told when it may."""
        if reader is self._overdrawn or self.used + more <= self.limit:
            return True
        if self._overdrawn is None and not self.crowded:
            self._overdrawn = reader
            return True
        self._waiting[reader] = None
        return False

    def give_up(self, reader: Reader) -> None:
        """The reader's frame is complete or its connection gone: it waits for nothing."""
        self._waiting.pop(reader, None)
        if self._overdrawn is reader:
            self._overdrawn = None
        self._grant()

    def set_apart(self, muted: int) -> None:
        """So many bytes of frames are those of throttled connections."""
        self._muted = min(muted, MUTED_BYTES)
        if not self.crowded:
            self.limit = self._own_limit + self._muted
            self._grant()
        self.muted_too_much = muted > MUTED_BYTES and self.frames_wait

    def park(self, size: int) -> None:
        """A Produce waits, and its frame with it."""
        self.parked += size
        if self.parked > PARKED_BYTES:
            self.crowded = True
            self.limit = -1

    def unpark(self, size: int) -> None:
        """It is answered."""
        self.parked -= size
        if self.crowded and self.parked <= PARKED_BYTES:
            self.crowded = False
            self.limit = self._own_limit + self._muted
            self._grant()

    def _grant(self) -> None:
        while self._waiting and not self.crowded:
            reader = min(self._waiting, key=lambda each: each.lacking)
            if self.used + reader.wanted > self.limit:
                if self._overdrawn is not None:
                    return
                self._oldest_next = not self._oldest_next
                if self._oldest_next:
                    reader = next(iter(self._waiting))
                self._overdrawn = reader
            del self._waiting[reader]
            reader.granted()

    @property
    def answers_full(self) -> bool:
        """Whether there is no room for records, not even for the one batch that Kafka always returns:
        what is larger than `FETCH_CROWDED_BYTES` waits, as over a quota."""
        return self.unsent > 2 * UNSENT_BYTES

    def fetch_bytes(self) -> int:
        """The most that the next Fetch response may hold."""
        return min(FETCH_RESPONSE_BYTES, max(FETCH_LEAST_BYTES, UNSENT_BYTES - self.unsent))
