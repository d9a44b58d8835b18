"""How much of the loop's time a connection takes, for `request_percentage`. 100 % is the whole loop.

Connections have a meter only while somebody has such a quota.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

T = TypeVar("T")

NS_PER_PERCENT_SECOND: Final = 10_000_000


class Meter:
    """Adds up the time between `begin` and `end`; pairs may lie within each other."""

    __slots__ = ("_depth", "_now", "_since", "_spent")

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now = now_ns
        self._depth = 0
        self._since = 0
        self._spent = 0

    def begin(self) -> None:
        """The loop works for the connection from now on."""
        if not self._depth:
            self._since = self._now()
        self._depth += 1

    def end(self) -> None:
        """It works for somebody else again."""
        self._depth -= 1
        if not self._depth:
            self._spent += self._now() - self._since

    def take(self) -> float:
        """What was added since the last call, in percent of a second."""
        spent = self._spent
        if self._depth:
            now = self._now()
            spent += now - self._since
            self._since = now
        self._spent = 0
        return spent / NS_PER_PERCENT_SECOND

    def run(self, work: Callable[[], None]) -> None:
        """Do and time a callback."""
        self.begin()
        try:
            work()
        finally:
            self.end()


class Metered(Coroutine[Any, Any, T]):
    """A coroutine whose steps are timed."""

    def __init__(self, inner: Coroutine[Any, Any, T], meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def send(self, value: Any) -> Any:
        """One step."""
        self._meter.begin()
        try:
            return self._inner.send(value)
        finally:
            self._meter.end()

    def throw(self, *error: Any) -> Any:
        """One step, into which an error is thrown."""
        self._meter.begin()
        try:
            return self._inner.throw(*error)
        finally:
            self._meter.end()

    def close(self) -> None:
        """End it."""
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._inner.__await__()
