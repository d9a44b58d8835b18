"""How many connections there may be, and how fast they may come: the node's configs.

`max.connections` and `max.connection.creation.rate`, for the node and for one listener,
`max.connections.per.ip` and its overrides. All are dynamic: they are read at each arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import inf
from typing import Final

from barnabas.config.broker import BrokerConfig
from barnabas.config.checks import connection_overrides
from barnabas.quotas.addresses import canonical_address

MAX_CONNECTIONS: Final = "max.connections"
PER_IP: Final = "max.connections.per.ip"
OVERRIDES: Final = "max.connections.per.ip.overrides"
RATE: Final = "max.connection.creation.rate"
NO_LIMIT: Final = 2**31 - 1


class ConnectionLimits:
    """Admits connections, counted over all listeners of a node. `most` is what the limit on open
    files leaves to connections, `None` for no limit.

    Kafka stops accepting at `max.connections` and leaves the next clients in the kernel's queue;
    here they are closed at once, as both do beyond `max.connections.per.ip`. The listener by which
    brokers reach each other is free of the limits of the node, when it is not the only one.
    """

    def __init__(self, config: Callable[[], BrokerConfig], most: int | None = None) -> None:
        self._config = config
        self._most = most
        self._by_address: Counter[str] = Counter()
        self._by_listener: Counter[str] = Counter()
        self._total = 0
        self._overrides_text = ""
        self._overrides: Mapping[str, int] = {}

    def admit(self, listener: str, address: str) -> str | None:
        """Count a new connection; says why when there are too many. Pair with `leave`."""
        self._total += 1
        self._by_listener[listener] += 1
        self._by_address[address] += 1
        if self._most is not None and self._total > self._most:
            return f"of the open files that this process may have {self._most} are for connections"
        config = self._config()
        limit = config.get_int(MAX_CONNECTIONS)
        if self._total > limit and not _protected(config, listener):
            return f"{MAX_CONNECTIONS}={limit} is reached"
        limit = _of_listener(config, listener, MAX_CONNECTIONS)
        if self._by_listener[listener] > limit:
            return f"{MAX_CONNECTIONS}={limit} of listener {listener} is reached"
        limit = self._per_address(config, address)
        if self._by_address[address] > limit:
            return f"{PER_IP}={limit} is reached"
        return None

    def leave(self, listener: str, address: str) -> None:
        """A connection that was counted is gone."""
        self._total -= 1
        for counts, key in ((self._by_listener, listener), (self._by_address, address)):
            counts[key] -= 1
            if not counts[key]:
                del counts[key]

    def rates(self, listener: str) -> tuple[float, float]:
        """Connections per second that may come to the node, and to a listener."""
        config = self._config()
        node = NO_LIMIT if _protected(config, listener) else config.get_int(RATE)
        own = _of_listener(config, listener, RATE)
        return (inf if node == NO_LIMIT else node, inf if own == NO_LIMIT else own)

    def queue(self) -> int:
        """How many connections may wait for their turn."""
        return self._config().get_int("socket.listen.backlog.size")

    def _per_address(self, config: BrokerConfig, address: str) -> int:
        text = config.get_str(OVERRIDES)
        if text != self._overrides_text:
            self._overrides_text = text
            self._overrides = {
                canonical_address(host) or host: limit
                for host, limit in connection_overrides(text).items()
            }
        default = config.get_int(PER_IP)
        if not self._overrides:
            return default
        return self._overrides.get(canonical_address(address) or address, default)


def _protected(config: BrokerConfig, listener: str) -> bool:
    return len(config.broker_listeners) > 1 and listener == config.inter_broker_listener_name


def _of_listener(config: BrokerConfig, listener: str, name: str) -> int:
    own = f"listener.name.{listener.lower()}.{name}"
    return config.get_int(own if config.is_set(own) else name)
