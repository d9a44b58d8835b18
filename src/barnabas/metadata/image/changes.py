"""A batch of changes to one immutable dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class MapDelta(Generic[K, V]):
    """Collects puts and removals over `base` and applies them with at most one copy.

    `changes` maps a key to its new value, or to None when the key goes.
    """

    __slots__ = ("base", "changes")

    def __init__(self, base: Mapping[K, V]) -> None:
        self.base = base
        self.changes: dict[K, V | None] = {}

    def get(self, key: K) -> V | None:
        """The value as of the changes so far."""
        if key in self.changes:
            return self.changes[key]
        return self.base.get(key)

    def put(self, key: K, value: V) -> None:
        """Set `key`."""
        self.changes[key] = value

    def remove(self, key: K) -> None:
        """Drop `key`; harmless when absent."""
        if key in self.base:
            self.changes[key] = None
        else:
            self.changes.pop(key, None)

    def apply(self) -> Mapping[K, V]:
        """The changed map; `base` itself when nothing changed."""
        if not self.changes:
            return self.base
        result = dict(self.base)
        for key, value in self.changes.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = value
        return result
