"""Quotas at work: what requests cost is counted, and who is above a limit is not read for a while.

Every answer goes out at once and says how long the client is throttled; the connection is muted for
as long (KIP-219). While no quota is set `active` is false, and nobody asks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from barnabas.config.broker import BrokerConfig
from barnabas.ports import Clock
from barnabas.quotas.clients import ClientQuotas
from barnabas.quotas.connections import ConnectionRates
from barnabas.server.meter import Meter
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.metadata.delta import MetadataDelta
    from barnabas.metadata.image import MetadataImage
    from barnabas.server.connection import Connection
    from barnabas.server.listener import ListenerContext
    from barnabas.server.request import Request


log = logging.getLogger("barnabas.server")

MS: Final = 1_000_000


class Quotas:
    """The quotas of one node, as the metadata has them."""

    def __init__(self, config: BrokerConfig, clock: Clock) -> None:
        samples = config.get_int("quota.window.num")
        window_ms = config.get_int("quota.window.size.seconds") * 1000
        self.connections = ConnectionRates(samples, window_ms)
        self.clients = ClientQuotas(
            samples,
            window_ms,
            config.get_int("controller.quota.window.num"),
            config.get_int("controller.quota.window.size.seconds") * 1000,
        )
        self.active = False
        #: Whose connections have meters while somebody has a quota on time.
        self.listeners: Sequence[ListenerContext] = ()
        self._now_ns = clock.monotonic_ns

    def publish(self, old: MetadataImage, new: MetadataImage, delta: MetadataDelta) -> None:
        """A new image is committed: its quotas hold from now on."""
        del old
        if delta.client_quotas is not None:
            for name in self.connections.set(new.client_quotas.entities):
                log.warning("the quota of ip %s has no effect: it is not an address", name)
            self.clients.set(new.client_quotas.entities)
            self.active = self.clients.active
            for listener in self.listeners:
                self._meter_all(listener.connections)

    def new_meter(self) -> Meter | None:
        """For a new connection, when somebody has a quota on time."""
        return Meter(self._now_ns) if self.clients.request.limits else None

    def _meter_all(self, connections: Iterable[Connection]) -> None:
        """Give or take meters after a change of quotas."""
        wanted = bool(self.clients.request.limits)
        for connection in connections:
            outbox = connection.outbox
            if wanted != (outbox.meter is not None):
                outbox.meter = self.new_meter()

    def sweep(self) -> None:
        """Forget clients that are idle."""
        now_ms = self._now_ns() // MS
        self.clients.sweep(now_ms)
        self.connections.sweep(now_ms)

    # -- requests --------------------------------------------------------------------------------

    def produced(self, request: Request, *, answered: bool) -> int:
        """A Produce is appended (its answer may have to wait for the disk, which nothing behind it
        does); for how many ms its client is throttled.

        Without an answer (acks=0) the time of the loop does not count, as with Kafka.
        """
        connection, now_ms = request.connection, self._now_ns() // MS
        throttle_ms = self.clients.produce.add(
            connection.principal.name, connection.client_id, request.size - 4, now_ms
        )
        meter = connection.outbox.meter
        if meter is not None:
            throttle_ms = max(throttle_ms, self._spend(connection, meter, exempt=not answered))
        if throttle_ms:
            connection.mute(throttle_ms)
        return throttle_ms

    def fetched(self, request: Request, size: int) -> int:
        """A Fetch would be answered with `size` bytes; for how many ms its client is throttled. If
        it is, the answer has to be empty, and does not count."""
        connection, now_ms = request.connection, self._now_ns() // MS
        user, client_id = connection.principal.name, connection.client_id
        throttle_ms = self.clients.fetch.add(user, client_id, size, now_ms)
        meter = connection.outbox.meter
        if meter is not None:
            throttle_ms = max(throttle_ms, self._spend(connection, meter, exempt=False))
        if throttle_ms:
            self.clients.fetch.take_back(user, client_id, size, now_ms)
            connection.mute(throttle_ms)
        return throttle_ms

    def answered(self, request: Request, throttle_ms: int, *, exempt: bool) -> int:
        """Any other request is answered, which for reasons of its own takes `throttle_ms`; for how
        many ms its client is throttled. `exempt`: a call between nodes."""
        connection = request.connection
        meter = connection.outbox.meter
        if meter is not None:
            throttle_ms = max(throttle_ms, self._spend(connection, meter, exempt=exempt))
        if throttle_ms:
            connection.mute(throttle_ms)
        return throttle_ms

    def fetch_bytes(self, request: Request, most: int) -> int:
        """A Fetch that asks for `most` bytes gets at most this: more would be above its quota even
        after a rest, for ever."""
        connection = request.connection
        return int(
            min(most, self.clients.fetch.largest(connection.principal.name, connection.client_id))
        )

    def _spend(self, connection: Connection, meter: Meter, *, exempt: bool) -> int:
        percent = meter.take()
        if exempt:
            return 0
        return self.clients.request.add(
            connection.principal.name, connection.client_id, percent, self._now_ns() // MS
        )


class Mutations:
    """What one request may create and delete (KIP-599).

    From some version on, clients know the error of a request that is above the limit; an older one
    gets what it asks for and is throttled afterwards.
    """

    __slots__ = ("_now_ms", "_quotas", "_request", "_strict", "_throttle_ms", "_throttled_at")

    def __init__(self, quotas: Quotas, clock: Clock, request: Request, *, strict_from: int) -> None:
        self._quotas = quotas
        self._now_ms = clock.monotonic_ms
        self._request = request
        self._strict = request.api_version >= strict_from
        self._throttle_ms = 0
        self._throttled_at = 0

    def take(self, partitions: int) -> None:
        """Count `partitions` that are created or deleted. Raises KafkaError
        THROTTLING_QUOTA_EXCEEDED."""
        if not self._quotas.active:
            return
        connection, now_ms = self._request.connection, self._now_ms()
        throttle_ms = self._quotas.clients.mutations.take(
            connection.principal.name,
            connection.client_id,
            partitions,
            now_ms,
            strict=self._strict,
        )
        if throttle_ms:
            self._throttle_ms, self._throttled_at = throttle_ms, now_ms
            if self._strict:
                raise KafkaError(ErrorCode.THROTTLING_QUOTA_EXCEEDED)

    @property
    def throttle_ms(self) -> int:
        """For how long the client is throttled from now on."""
        return max(0, self._throttle_ms - (self._now_ms() - self._throttled_at))
