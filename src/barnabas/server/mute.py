"""A connection of which nothing is read for a while: its client has used up a quota (KIP-219).

What the client was asked to wait for was answered at once. What it has sent since stays in the
socket, or where it lay when the connection was muted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.ports import Clock, Timer

if TYPE_CHECKING:
    from barnabas.server.connection import Connection


class Mute:
    """Tells the connection when it is over. Without a time, somebody else does."""

    __slots__ = ("_clock", "_connection", "_timer", "_until_ms")

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._until_ms = 0
        self._timer: Timer | None = None

    def last(self, ms: int) -> None:
        """Go on for so long, if it does not last longer anyway."""
        until_ms = self._clock.monotonic_ms() + ms
        if until_ms > self._until_ms:
            self._until_ms = until_ms
            if self._timer is None:
                self._timer = self._clock.call_later(ms, self._over)

    def _over(self) -> None:
        self._timer = None
        left_ms = self._until_ms - self._clock.monotonic_ms()
        if left_ms > 0:
            self._timer = self._clock.call_later(left_ms, self._over)
        else:
            self._connection.unmute()

    def cancel(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
