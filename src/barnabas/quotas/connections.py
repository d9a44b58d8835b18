"""How fast clients may connect: to the node, to a listener, from an address (KIP-612)."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Final

from barnabas.quotas.addresses import canonical_address
from barnabas.quotas.keys import CONNECTION_CREATION_RATE, IP, QuotaEntity
from barnabas.quotas.rate import Rate

#: Addresses whose rate is known; with more, the one goes that connected first. An attacker has more
#: addresses, but each of them only costs a connection at the usual rate.
ADDRESSES_MAX: Final = 10_000
SWEPT: Final = 64


class ConnectionRates:
    """Rates of connections; a wait or a refusal never takes longer than one window."""

    __slots__ = (
        "_addresses",
        "_default",
        "_limits",
        "_listeners",
        "_node",
        "_samples",
        "_window_ms",
    )

    def __init__(self, samples: int, window_ms: int) -> None:
        self._samples = samples
        self._window_ms = window_ms
        self._node = Rate(samples, window_ms)
        self._listeners: dict[str, Rate] = {}
        self._addresses: dict[str, Rate] = {}
        self._limits: dict[str, float] = {}
        self._default = inf

    def set(self, entities: Mapping[QuotaEntity, Mapping[str, float]]) -> list[str]:
        """These are all quotas of addresses from now on; returns names that are no addresses."""
        self._limits = {}
        self._default = inf
        unknown: list[str] = []
        for entity, values in entities.items():
            limit = values.get(CONNECTION_CREATION_RATE)
            if limit is None or len(entity) != 1 or entity[0][0] != IP or not limit > 0:
                continue
            name = entity[0][1]
            address = None if name is None else canonical_address(name)
            if name is None:
                self._default = limit
            elif address is None:
                unknown.append(name)
            else:
                self._limits[address] = limit
        return unknown

    def wait_ms(self, listener: str, node_limit: float, listener_limit: float, now_ms: int) -> int:
        """Count a connection; for how many ms it has to wait before it is served."""
        rate = self._listeners.get(listener)
        if rate is None:
            rate = self._listeners[listener] = Rate(self._samples, self._window_ms)
        self._node.add(1, now_ms)
        rate.add(1, now_ms)
        return max(
            self._node.throttle_ms(node_limit, now_ms, self._window_ms),
            rate.throttle_ms(listener_limit, now_ms, self._window_ms),
        )

    def refuse_ms(self, listener: str, address: str, now_ms: int) -> int:
        """Count a connection that `wait_ms` has counted for its address, too. When the address has
        too many, it does not count at all and has to be closed, after so many ms; 0: it may stay."""
        if not self._limits and self._default == inf:
            return 0
        address = canonical_address(address) or address
        limit = self._limits.get(address, self._default)
        if limit == inf:
            return 0
        rate = self._addresses.get(address)
        if rate is None:
            if len(self._addresses) >= ADDRESSES_MAX:
                del self._addresses[next(iter(self._addresses))]
            rate = self._addresses[address] = Rate(self._samples, self._window_ms)
        rate.add(1, now_ms)
        refused_ms = rate.throttle_ms(limit, now_ms, self._window_ms)
        if refused_ms:
            rate.add(-1, now_ms)
            self._node.add(-1, now_ms)
            self._listeners[listener].add(-1, now_ms)
        return refused_ms

    def sweep(self, now_ms: int) -> None:
        """Forget some of the addresses that are idle."""
        addresses = self._addresses
        for address in [key for key, _ in zip(addresses, range(SWEPT), strict=False)]:
            rate = addresses.pop(address)
            if not rate.idle(now_ms):
                addresses[address] = rate
