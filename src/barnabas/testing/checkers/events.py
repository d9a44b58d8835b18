"""What one client did, as typed events; as lines of JSON they come from a client in any language.

A history is a list of such events of many clients. `at` is microseconds of one clock that all of
them read, such as the machine's. Values are unique within a topic. An event is noted after what it
tells of has happened; `Produced` and `Ending`, and the `begun` of a commit, before.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any, NamedTuple


class Place(NamedTuple):
    """One partition of a topic, by name: within a history no topic is created anew."""

    topic: str
    partition: int


class Isolation(Enum):
    """What a consumer asked to see (isolation.level)."""

    UNCOMMITTED = "read_uncommitted"
    COMMITTED = "read_committed"


@dataclass(frozen=True, slots=True)
class Event:
    """What all events have."""

    client: str
    """Who did it; one that is started anew has another name."""
    at: int


@dataclass(frozen=True, slots=True)
class Produced(Event):
    """A send begins."""

    topic: str
    value: str
    transaction: str | None = None
    once: bool = True
    """Idempotent, or never repeated: it must not be in the log twice, and keeps its order."""


@dataclass(frozen=True, slots=True)
class Acked(Event):
    """A send was acknowledged."""

    topic: str
    partition: int
    offset: int
    value: str


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """A send was refused for good: nothing was appended. Without an answer: no event."""

    topic: str
    value: str


@dataclass(frozen=True, slots=True)
class Begun(Event):
    """A transaction begins; its name is unique in the history."""

    transaction: str


@dataclass(frozen=True, slots=True)
class Ending(Event):
    """A transaction is about to be committed or aborted."""

    transaction: str
    commit: bool


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """A transaction was committed or aborted for certain."""

    transaction: str
    commit: bool


@dataclass(frozen=True, slots=True)
class Consumed(Event):
    """Records of one partition were handed out."""

    topic: str
    partition: int
    records: tuple[tuple[int, str], ...]
    """(offset, value)."""
    group: str | None = None
    isolation: Isolation = Isolation.UNCOMMITTED
    transaction: str | None = None
    """The transaction that consumes, when it is a read-process-write loop."""


@dataclass(frozen=True, slots=True)
class Assigned(Event):
    """Partitions were given to a member, beside those that it has."""

    group: str
    partitions: tuple[Place, ...]
    generation: int | None = None
    """Generation or member epoch, where the client tells it."""


@dataclass(frozen=True, slots=True)
class Revoked(Event):
    """A member gives partitions back."""

    group: str
    partitions: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Lost(Event):
    """A member learns that partitions are no longer its own: it was put out before."""

    group: str
    partitions: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Committed(Event):
    """Offsets were committed, in a transaction or not."""

    group: str
    begun: int
    offsets: tuple[tuple[str, int, int], ...]
    """(topic, partition, next offset to read)."""
    transaction: str | None = None


@dataclass(frozen=True, slots=True)
class Crashed(Event):
    """The client was killed: nothing that it had open will end."""


KINDS: dict[str, type[Event]] = {
    kind.__name__.lower(): kind
    for kind in (
        Produced, Acked, Failed, Begun, Ending, Ended, Consumed, Assigned, Revoked, Lost,
        Committed, Crashed,
    )
}  # fmt: skip


def to_json(event: Event) -> str:
    """One line, without its end."""
    told = {"event": type(event).__name__.lower()}
    told |= {name: value for name, value in asdict(event).items() if value is not None}
    return json.dumps(told, default=lambda value: value.value, separators=(",", ":"))


def from_json(line: str) -> Event:
    """The event that a line tells of. Raises `ValueError` when it tells of none."""
    try:
        told = json.loads(line)
        kind = KINDS[told.pop("event")]
        wanted = _types(kind)
        return kind(**{name: _typed(wanted[name], value) for name, value in told.items()})
    except (KeyError, TypeError, AttributeError, ValueError) as wrong:
        raise ValueError(f"no event of a client: {line[:200]!r} ({wrong!r})") from wrong


def read_events(lines: Iterable[str]) -> list[Event]:
    """All events of a program's output, in the order of their time. Raises `ValueError`."""
    return sorted((from_json(line) for line in lines if line.strip()), key=lambda each: each.at)


_known: dict[type[Event], dict[str, Any]] = {}


def _types(kind: type[Event]) -> dict[str, Any]:
    if kind not in _known:
        hints = typing.get_type_hints(kind)
        _known[kind] = {field.name: hints[field.name] for field in fields(kind)}
    return _known[kind]


def _typed(wanted: Any, value: Any) -> Any:
    """The value as a field wants it: lists become tuples, names members of an enumeration."""
    if isinstance(wanted, types.UnionType):
        if value is None:
            return None
        wanted = typing.get_args(wanted)[0]
    if wanted is Isolation:
        return Isolation(value)
    if wanted is Place:
        topic, partition = value
        return Place(_typed(str, topic), _typed(int, partition))
    inner = typing.get_args(wanted)
    if inner:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        if inner[-1] is Ellipsis:
            return tuple(_typed(inner[0], each) for each in value)
        return tuple(_typed(kind, each) for kind, each in zip(inner, value, strict=True))
    if type(value) is not wanted:
        raise TypeError(f"{value!r} is no {wanted.__name__}")
    return value
