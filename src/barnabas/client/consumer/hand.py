"""What the application has in its hands, and the next things for them.

All methods run in the application's thread, one caller at a time. They never wait; faces do that.
An event counts as processed when the application asks for the next one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import chain

from barnabas.client.consumer.engine import Engine
from barnabas.client.consumer.leases import Lease
from barnabas.client.consumer.records import Batch, Event, decoded


class Piece:
    """A decoded batch under a lease; the lease says how much of it was handed out."""

    __slots__ = ("batch", "end", "lease", "token")

    def __init__(self, lease: Lease, token: object, batch: Batch, end: int) -> None:
        self.lease = lease
        self.token = token
        self.batch = batch
        self.end = end
        """Behind the whole batch, also where its last offsets are compacted away."""


class Hand:
    """Takes batches from the core. `soon` calls something on the core's loop."""

    def __init__(self, engine: Engine, soon: Callable[[Callable[[], object]], None]) -> None:
        self._engine = engine
        self._soon = soon
        self._limit = engine.config.max_inflated_batch_bytes
        self._share = engine.config.prefetch_bytes // 4
        self._told_bytes = 0
        self._piece: Piece | None = None
        self._touched: list[Lease] = []

    def finish(self) -> None:
        """The application is done with all that it was given."""
        for lease in self._touched:
            lease.processed = lease.handed  # also after a pause or a seek, which take the token
            if lease.token is None:
                self._soon(self._engine.moved)
        self._touched.clear()

    def idle(self) -> None:
        """Nothing is ready: what was passed over is processed, and the core may go on."""
        self.finish()
        self._soon(self._engine.fill)

    def _give(self, lease: Lease, token: object, end: int) -> bool:
        """Hand out up to `end`; False when the lease is over, which counts."""
        before, lease.handed = lease.handed, end
        self._touched.append(lease)
        if lease.token is token:
            return True
        if lease.token is None:
            lease.handed = before
            self._soon(self._engine.moved)
        return False

    def _next(self) -> Piece | None:
        """What is handed out next, None when nothing is ready. Raises `ClientError`."""
        piece = self._piece
        if piece is not None:
            if piece.lease.token is piece.token and piece.lease.handed < piece.end:
                return piece
            self._piece = None
        ready = self._engine.ready
        while ready:
            lease, token, batch = ready[0]
            end = batch.header.next_offset
            if lease.token is not token:
                self._pop()
            elif not batch.visible:
                self._pop()
                self._give(lease, token, end)
            else:
                made = decoded(batch, self._limit)
                self._pop()
                lease.leader_epoch = batch.header.leader_epoch
                if len(made):
                    self._piece = Piece(lease, token, made, end)
                    return self._piece
                self._give(lease, token, end)
        return None

    def _pop(self) -> None:
        engine = self._engine
        engine.taken_bytes += engine.ready.popleft().batch.header.size
        if engine.taken_bytes - self._told_bytes >= self._share:
            self._told_bytes = engine.taken_bytes
            self._soon(engine.fill)

    def take_batch(self, limit: int | None = None) -> Batch | None:
        """At most `limit` records of one partition; None when nothing is ready.

        Raises `ClientError` for damaged data, each time until the partition is sought or gone.
        """
        while (piece := self._next()) is not None:
            lease, batch = piece.lease, piece.batch
            start = bisect_left(batch.offsets, lease.handed)
            part = batch.cut(start, None if limit is None else start + limit)
            whole = limit is None or start + limit >= len(batch.offsets)
            if self._give(lease, piece.token, piece.end if whole else part.offsets[-1] + 1):
                return part
        return None

    def take(self, limit: int) -> list[Event]:
        """At most `limit` events. Raises `ClientError` when damaged data comes first."""
        events: list[Event] = []
        while len(events) < limit:
            try:
                part = self.take_batch(limit - len(events))
            except Exception:
                if events:
                    break  # the next call raises it
                raise
            if part is None:
                break
            events += part.events()
        return events

    def has_next(self) -> bool:
        """Whether something is ready. Raises `ClientError` for damaged data."""
        return self._next() is not None

    def one_by_one(self) -> Iterator[Event]:
        """The events of the next batch. Asking for the next says that one is processed.

        The iterator may be dropped: another one goes on behind the last event that it gave.
        """
        piece = self._next()
        if piece is None:
            return
        lease, token, batch = piece.lease, piece.token, piece.batch
        rest = batch.cut(bisect_left(batch.offsets, lease.handed))
        behind = chain((offset for offset in rest.offsets[1:]), (piece.end,))
        self._touched.append(lease)
        for event, end in zip(rest.events(), behind, strict=True):
            before, lease.handed = lease.handed, end
            if lease.token is not token:
                if lease.token is None:
                    lease.handed = before
                break
            yield event
            if lease.handed == end:  # it was not sought meanwhile
                lease.processed = end
            if lease.token is not token:
                break
        if lease.token is None:
            self._soon(self._engine.moved)
