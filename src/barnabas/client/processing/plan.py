"""What a caller of `process` asks for."""

from __future__ import annotations

from dataclasses import dataclass, field

from barnabas.client.processing.failures import Retry
from barnabas.client.processing.lanes import ORDERS, Limits, Order
from barnabas.client.processing.runners import Handler

LEAST_HELD = 1_000
HELD_FACTOR = 10
"""So that enough keys are seen to keep all handlers at work."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The arguments of `Consumer.process`, checked."""

    handler: Handler
    concurrency: int = 16
    order: Order = "key"
    processes: int = 0
    retry: Retry = field(default_factory=Retry)
    dead_letter: str | None = None
    max_in_flight: int | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError`, `TypeError`."""
        if not callable(self.handler):
            raise TypeError("the handler is not callable")
        if self.order not in ORDERS:
            raise ValueError(f"order: {self.order!r} is none of {', '.join(ORDERS)}")
        if self.concurrency < 1 or self.processes < 0:
            raise ValueError("concurrency must be 1 or more, processes 0 or more")
        if self.max_in_flight is not None and self.max_in_flight < 1:
            raise ValueError("max_in_flight must be 1 or more")

    def limits(self, held_bytes: int) -> Limits:
        """The bounds that follow; without `max_in_flight` it is `concurrency`."""
        in_flight = self.concurrency if self.max_in_flight is None else self.max_in_flight
        held = max(LEAST_HELD, HELD_FACTOR * max(in_flight, self.concurrency))
        return Limits(self.concurrency, in_flight, held, held_bytes)
