"""A value that one client at a time changes, such as a topic's existence or a config."""

from __future__ import annotations

from typing import Generic, TypeVar

from barnabas.testing.checkers.history import Violation

T = TypeVar("T")


class Register(Generic[T]):
    """Keeps the values that are possible after acknowledged and unanswered changes."""

    __slots__ = ("_possible", "name")

    def __init__(self, name: str, value: T) -> None:
        self.name = name
        self._possible = {value}

    def attempt(self, value: T) -> None:
        """A change to `value` was asked for; how it ends is not known (yet)."""
        self._possible.add(value)

    def acknowledged(self, value: T) -> None:
        """The change to `value` was acknowledged."""
        self._possible = {value}

    def refused(self, before: set[T]) -> None:
        """The change was refused: only what was possible `before` it still is."""
        self._possible = before

    @property
    def possible(self) -> set[T]:
        """A copy of what the value may be."""
        return set(self._possible)

    def observe(self, value: T) -> list[Violation]:
        """The value was read, with no change under way; from now on it is the only one."""
        possible, self._possible = self._possible, {value}
        if value in possible:
            return []
        return [Violation("metadata", f"{self.name} is {value!r}, possible: {possible!r}")]
