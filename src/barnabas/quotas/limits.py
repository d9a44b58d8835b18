"""Whose limit counts: the most specific entity that fits a client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Final, NamedTuple

from barnabas.quotas.keys import CLIENT_ID, USER, QuotaEntity

#: Clients whose limit is remembered; beyond it, all are looked up anew.
REMEMBERED: Final = 10_000
#: Client ids are kept up to this length: those that are the same so far share a limit.
LONG: Final = 256


class Limit(NamedTuple):
    """The limit of a client, and with whom it shares it: all that have the same `sharers`."""

    value: float
    sharers: tuple[str, str]


class Limits:
    """The limits of one key, such as `producer_byte_rate`."""

    __slots__ = ("_found", "_values")

    def __init__(self) -> None:
        self._values: Mapping[QuotaEntity, float] = {}
        self._found: dict[tuple[str, str], Limit | None] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def set(self, values: Mapping[QuotaEntity, float]) -> None:
        """These are all limits from now on."""
        self._values = values
        self._found = {}

    def of(self, user: str, client_id: str) -> Limit | None:
        """The limit of a client; None: it has none."""
        client = (user, client_id)
        try:
            return self._found[client]
        except KeyError:
            pass
        if len(client_id) > LONG:
            return self._look(user, client_id)
        if len(self._found) >= REMEMBERED:
            self._found = {}
        found = self._found[client] = self._look(user, client_id)
        return found

    def _look(self, user: str, client_id: str) -> Limit | None:
        found = next(self._candidates(user, client_id), None)
        if found is not None and not 0 < found.value < inf:
            return None  # such as the way out of a default, or a log of somebody else
        return found

    def _candidates(self, user: str, client_id: str) -> Iterator[Limit]:
        """Limits that fit, the one that counts first.

        A client shares the limit of a user with all clients of that user, any other with those
        alone that have its user and client id, or its client id. Who gives no client id has no
        limits of client ids.
        """
        shown = client_id[:LONG]
        both, alone = (user, shown), (user, "")
        order: list[tuple[QuotaEntity, tuple[str, str]]] = []
        for name in (user, None):
            if client_id:
                order.append((((CLIENT_ID, client_id), (USER, name)), both))
                order.append((((CLIENT_ID, None), (USER, name)), both))
            order.append((((USER, name),), alone))
        if client_id:
            order.append((((CLIENT_ID, client_id),), ("", shown)))
            order.append((((CLIENT_ID, None),), ("", shown)))
        for entity, sharers in order:
            value = self._values.get(entity)
            if value is not None:
                yield Limit(value, sharers)
