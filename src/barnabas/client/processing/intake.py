"""What was fetched, in a queue for each partition, so that a full one does not hold up the others.

Runs in the application's thread, instead of the consumer's `Hand`, under the same rule: `handed` is
moved first and the lease looked at then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Container, Iterator
from typing import NamedTuple

from barnabas.client.consumer.engine import Delivery, Engine
from barnabas.client.consumer.leases import Lease
from barnabas.client.consumer.records import Batch, Event, decoded
from barnabas.client.fetch_core import TopicPartition


class Taken(NamedTuple):
    """Records that are in the application's hands now."""

    lease: Lease
    start: int
    """The position before them."""
    events: list[Event]
    reached: int
    """The position behind them."""


class _Open(NamedTuple):
    lease: Lease
    token: object
    batch: Batch
    end: int


class Intake:
    """The queues of all partitions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limit = engine.config.max_inflated_batch_bytes
        self._queues: dict[TopicPartition, deque[Delivery]] = {}
        self._open: dict[TopicPartition, _Open] = {}
        self._told_bytes = 0
        self._moved: list[Lease] = []
        self._nbytes: dict[TopicPartition, int] = {}

    def sort(self) -> bool:
        """Take over what has been fetched. True when the fetcher should hear of the room made."""
        engine = self._engine
        while engine.ready:
            delivery = engine.ready.popleft()
            name, size = delivery.lease.name, delivery.batch.header.size
            engine.taken_bytes += size
            self._nbytes[name] = self._nbytes.get(name, 0) + size
            self._queues.setdefault(name, deque()).append(delivery)
        if engine.taken_bytes == self._told_bytes:
            return False
        self._told_bytes = engine.taken_bytes
        return True

    def nbytes_waiting(self, held: Container[TopicPartition]) -> int:
        """Bytes that wait, as they were fetched; without those of partitions that are held up."""
        return sum(n for name, n in self._nbytes.items() if name not in held)

    def take_moved(self) -> list[Lease]:
        """Leases to be fetched again from where they stand."""
        moved, self._moved = self._moved, []
        return moved

    def names(self) -> list[TopicPartition]:
        """Partitions of which something waits."""
        return list({**self._queues, **self._open})

    def take(self, name: TopicPartition, limit: int) -> Iterator[Taken]:
        """Up to `limit` records of a partition. Raises `ClientError` for damaged data, each time."""
        while limit > 0:
            piece = self._open.pop(name, None) or self._next(name)
            if piece is None:
                return
            lease, token, batch, end = piece
            start = lease.handed
            first = bisect_left(batch.offsets, start)
            part = batch.cut(first, first + limit)
            whole = first + limit >= len(batch.offsets)
            reached = end if whole else part.offsets[-1] + 1
            lease.handed = reached
            if lease.token is not token:
                if lease.handed == reached:  # else it was sought
                    lease.handed = start
                    if (
                        lease.token is not None
                    ):  # it was paused: the fetcher may have seen `reached`
                        self._moved.append(lease)
                continue
            if not whole:
                self._open[name] = piece
            limit -= len(part)
            yield Taken(lease, start, part.events() if len(part) else [], reached)

    def _next(self, name: TopicPartition) -> _Open | None:
        queue = self._queues.get(name)
        while queue:
            lease, token, fetched = queue[0]
            if lease.token is not token:
                self._drop(name, queue)
                continue
            if fetched.visible:
                batch = decoded(fetched, self._limit)
                lease.leader_epoch = fetched.header.leader_epoch
            else:
                batch = Batch(name[0], name[1], [], [], [], [], [], "")
            self._drop(name, queue)
            return _Open(lease, token, batch, fetched.header.next_offset)
        self._queues.pop(name, None)
        self._nbytes.pop(name, None)
        return None

    def _drop(self, name: TopicPartition, queue: deque[Delivery]) -> None:
        self._nbytes[name] -= queue.popleft().batch.header.size
