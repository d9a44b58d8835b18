"""Records whose topic is not known yet. They count against `buffer.memory` like all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from barnabas.client.accumulator import Accumulator
from barnabas.client.batches import Batch
from barnabas.client.deliveries import Delivery, refused
from barnabas.client.errors import RecordTooLarge
from barnabas.client.rows import OWN_TIME, record_size
from barnabas.records.record import Headers


class Parked(NamedTuple):
    """A record, and who asks for it."""

    delivery: Delivery
    partition: int | None
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers


class Parking:
    """Keeps records per topic, in order, until the topic is known or asking for it failed.

    Meanwhile their batch is a place that stands for all of the topic: who waits for it hears when
    they have got a batch of their own, or of the error.
    """

    def __init__(self, records: Accumulator, failed: Callable[[Exception], None]) -> None:
        """`failed` hears of each error that records meet here."""
        self._records = records
        self._failed = failed
        self._places: dict[str, tuple[Batch, list[Parked]]] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    def park(self, topic: str, record: Parked) -> bool:
        """Keep a record; whether it is the first of its topic."""
        found = self._places.get(topic)
        first = found is None
        if found is None:
            found = self._places[topic] = (Batch(topic, -1, 0, 0), [])
        self._records.buffered_bytes += _size(record)
        record.delivery.batch = found[0]
        found[1].append(record)
        return first

    def release(self, topic: str, now: int) -> bool:
        """The topic is known: its records go where they belong. Whether there were any."""
        place, parked = self._places.pop(topic, (None, []))
        for record in parked:
            delivery, partition, key, value, stamp, headers = record
            self._records.buffered_bytes -= _size(record)
            try:
                batch = self._records.append(
                    topic, partition, key, value, stamp, headers, now, True
                )
                delivery.index, delivery.batch = batch.count - 1, batch
            except (RecordTooLarge, ValueError) as error:
                delivery.batch = refused(topic, error)
                self._failed(error)
        if place is not None:
            place.finish(None)
        return place is not None

    def fail(self, topic: str, error: Exception) -> Batch | None:
        """Nothing can be said of the topic: its records fail. The batch that stands for them."""
        place, parked = self._places.pop(topic, (None, []))
        self._records.buffered_bytes -= sum(map(_size, parked))
        if place is not None:
            self._failed(error)
            place.count = len(parked)
            place.finish(error)
        return place

    def fail_all(self, error: Exception) -> None:
        """Nothing can be sent any more."""
        for topic in list(self._places):
            self.fail(topic, error)


def _size(record: Parked) -> int:
    return record_size(record.key, record.value, record.headers) + OWN_TIME
