"""An event-sourced order service: a topic of events is the truth, everything else a fold over it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

SECONDS = 10.0
NEXT = {None: {"placed"}, "placed": {"paid", "cancelled"}, "paid": {"shipped", "cancelled"}}
"""What may follow what."""


class Refused(Exception):
    """The order is in no state for that."""


@dataclass
class Orders:
    """The state of all orders: what their events add up to."""

    states: dict[str, str] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)

    def apply(self, order: str, event: dict[str, Any]) -> None:
        """One event has happened."""
        self.states[order] = event["event"]
        if event["event"] == "placed":
            self.totals[order] = event["cents"]

    def check(self, order: str, event: str) -> None:
        """Raises `Refused` when it must not happen now."""
        state = self.states.get(order)
        if event not in NEXT.get(state, set()):
            raise Refused(f"order {order} is {state or 'unknown'}: not to be {event}")


class OrderService:
    """Takes orders. It may be started anew at any time, from its topic alone."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._servers, self._topic = bootstrap_servers, topic
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 0}
        )
        self.orders = Orders()
        for order, event in self._history():
            self.orders.apply(order, event)

    def place(self, order: str, cents: int) -> None:
        """A customer orders something."""
        self._append(order, {"event": "placed", "cents": cents})

    def pay(self, order: str) -> None:
        """The money has come. Raises `Refused`."""
        self._append(order, {"event": "paid"})

    def ship(self, order: str) -> None:
        """The goods have left. Raises `Refused`."""
        self._append(order, {"event": "shipped"})

    def cancel(self, order: str) -> None:
        """The customer thinks better of it. Raises `Refused`."""
        self._append(order, {"event": "cancelled"})

    def _append(self, order: str, event: dict[str, Any]) -> None:
        self.orders.check(order, event["event"])
        failures: list[Any] = []
        self._producer.produce(
            self._topic,
            json.dumps(event),
            key=order,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        if self._producer.flush(SECONDS) or failures:
            raise ConnectionError(f"the event is not in {self._topic}: {failures}")
        self.orders.apply(order, event)

    def _history(self) -> Iterator[tuple[str, dict[str, Any]]]:
        reader = Consumer({"bootstrap.servers": self._servers, "group.id": "unused"})
        place = TopicPartition(self._topic, 0, 0)
        _, end = reader.get_watermark_offsets(place, SECONDS)
        reader.assign([place])
        read = 0
        while read < end:
            for message in reader.consume(500, 0.1):
                read = (message.offset() or 0) + 1
                yield _event_of(message)
        reader.close()


def bill(bootstrap_servers: str, topic: str, send: Callable[[str, int], None], most: int) -> int:
    """Send a bill for each order that was placed, once each, with as many helpers as there are.

    Billing is a group of its own: it goes on where it was. Ends when nothing has come for a moment,
    or after `most` bills; returns how many it sent.
    """
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "billing",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    reader.subscribe([topic])
    sent = 0
    while sent < most:
        message = reader.poll(SECONDS if not reader.assignment() else 0.5)
        if message is None:
            break
        order, event = _event_of(message)
        if event["event"] == "placed":
            send(order, event["cents"])
            sent += 1
        reader.commit(message, asynchronous=False)
    reader.close()
    return sent


def _event_of(message: Any) -> tuple[str, dict[str, Any]]:
    if message.error() is not None:
        raise ConnectionError(message.error())
    return message.key().decode(), json.loads(message.value())
