"""Principals: who a connection speaks for (KIP-11)."""

from __future__ import annotations

from typing import Final, NamedTuple


class Principal(NamedTuple):
    """A type and a name, written `User:alice`."""

    type: str
    name: str

    def __str__(self) -> str:
        return f"{self.type}:{self.name}"


ANONYMOUS: Final = Principal("User", "ANONYMOUS")
"""Whoever connects without authentication (PLAINTEXT listeners)."""
