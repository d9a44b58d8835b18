"""What the tables of denials are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from barnabas.wire.message import Message


class World(NamedTuple):
    """What is there: topic `t` with one record. `new` is not there, and must not come to be."""

    topic_id: bytes
    now_ms: int
    node_id: int = 1


class Denial(NamedTuple):
    """A request in one version, and all error codes of its answer, in their order.

    `sent` says what it is, for whoever reads a failure.
    """

    request: Message
    codes: tuple[int, ...]
    sent: str = ""


Build: TypeAlias = Callable[[World, int, str], Iterator[Denial]]
"""(world, version, listener) -> what to send."""
