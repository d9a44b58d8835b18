"""`max.connections` and `max.connections.per.ip`, counted over all listeners of a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from barnabas.config.broker import BrokerConfig


class ConnectionLimits:
    """Admits connections. Both configs are dynamic: they are read at each arrival.

    Kafka stops accepting at `max.connections` and leaves the next clients in the kernel's queue;
    here they are closed at once, as both do beyond `max.connections.per.ip`.
    """

    def __init__(self, config: Callable[[], BrokerConfig]) -> None:
        self._config = config
        self._by_address: Counter[str] = Counter()
        self._total = 0

    def admit(self, address: str) -> str | None:
        """Count a new connection; says why when there are too many. Pair with `leave`."""
        self._total += 1
        self._by_address[address] += 1
        config = self._config()
        limit = config.get_int("max.connections")
        if self._total > limit:
            return f"max.connections={limit} is reached"
        limit = config.get_int("max.connections.per.ip")
        if self._by_address[address] > limit:
            return f"max.connections.per.ip={limit} is reached"
        return None

    def leave(self, address: str) -> None:
        """A connection that was counted is gone."""
        self._total -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
