"""Connections of one listener that come faster than they may (KIP-612).

Kafka stops accepting for a while, and what connects meanwhile waits in the kernel's queue. Here the
connection is accepted, and nothing of it is read until its turn comes: its client sees the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.ports import Clock, Timer

if TYPE_CHECKING:
    from barnabas.server.connection import Connection
    from barnabas.server.connection_limits import ConnectionLimits
    from barnabas.server.quotas import Quotas


class Acceptance:
    """Lets connections begin one after the other, at the rates of the node and of the listener; an
    address that has too many gets them closed, after a while."""

    __slots__ = ("_clock", "_head", "_limits", "_name", "_quotas", "_timer", "_waiting")

    def __init__(self, name: str, limits: ConnectionLimits, quotas: Quotas, clock: Clock) -> None:
        self._name = name
        self._limits = limits
        self._quotas = quotas
        self._clock = clock
        self._waiting: dict[Connection, None] = {}
        #: The one that counts already, and begins next.
        self._head: Connection | None = None
        self._timer: Timer | None = None

    def arrived(self, connection: Connection) -> str | None:
        """A new connection: begins now or waits; says why it may do neither."""
        if self._timer is not None:
            if len(self._waiting) >= self._limits.queue():
                return "too many connections wait for their turn (max.connection.creation.rate)"
            self._waiting[connection] = None
            connection.mute(None)
            return None
        wait_ms = self._count()
        if wait_ms:
            connection.mute(None)
            self._wait(connection, wait_ms)
        else:
            self._begin(connection)
        return None

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        self._waiting.pop(connection, None)
        if self._head is connection:
            self._head = None

    def _count(self) -> int:
        node_limit, listener_limit = self._limits.rates(self._name)
        now_ms = self._clock.monotonic_ms()
        return self._quotas.connections.wait_ms(self._name, node_limit, listener_limit, now_ms)

    def _wait(self, connection: Connection, wait_ms: int) -> None:
        self._head = connection
        self._timer = self._clock.call_later(wait_ms, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        if self._head is not None:
            head, self._head = self._head, None
            self._begin(head)
        while self._waiting:
            connection = next(iter(self._waiting))
            del self._waiting[connection]
            wait_ms = self._count()
            if wait_ms:
                self._wait(connection, wait_ms)
                return
            self._begin(connection)

    def _begin(self, connection: Connection) -> None:
        refused_ms = self._quotas.connections.refuse_ms(
            self._name, connection.peer[0], self._clock.monotonic_ms()
        )
        if refused_ms:
            # Later, so that a client that tries again at once does not get far with it.
            connection.mute(None)
            self._clock.call_later(refused_ms, connection.close)
        else:
            connection.unmute()
