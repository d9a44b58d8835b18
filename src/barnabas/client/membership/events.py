"""What a member hears, and what it wants done. Both protocols share these.

Whoever carries out the effects answers every `Send` once (`Answered` or `Failed`, with its token),
every `Revoke` once (`Released`), `FindCoordinator` with `CoordinatorFound` or `CoordinatorRefused`,
and `Describe` with `Topics`. Times are monotonic milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from barnabas.client.fetch_core import TopicPartition
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message

Partitions: TypeAlias = frozenset[TopicPartition]


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The application wants these topics from now on."""

    topics: frozenset[str]


@dataclass(frozen=True, slots=True)
class CoordinatorFound:
    """There is a connection to the group's coordinator."""


@dataclass(frozen=True, slots=True)
class CoordinatorRefused:
    """The coordinator cannot be had, for good."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Answered:
    """The response to a request."""

    token: int
    response: Message


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that got no response: its connection is gone."""

    token: int


@dataclass(frozen=True, slots=True)
class CommitAnswered:
    """What the coordinator said to a commit that was sent in `generation`."""

    code: ErrorCode
    generation: int


@dataclass(frozen=True, slots=True)
class Topics:
    """How many partitions the topics have; a topic that does not exist is absent."""

    partitions: Mapping[str, int]
    ids: Mapping[bytes, str]
    """Topic ids and names."""


@dataclass(frozen=True, slots=True)
class Released:
    """The partitions of the last `Revoke` are given up."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The application is done; `stay` keeps a static member in the group."""

    stay: bool


Event: TypeAlias = (
    Subscribed
    | CoordinatorFound
    | CoordinatorRefused
    | Answered
    | Failed
    | CommitAnswered
    | Topics
    | Released
    | Tick
    | Leave
)


@dataclass(frozen=True, slots=True)
class FindCoordinator:
    """Find and connect to the coordinator; `after_ms` from now at the earliest."""

    after_ms: int


@dataclass(frozen=True, slots=True)
class Send:
    """A request to the coordinator. `waits`: the coordinator may hold the answer back, so that
    nothing else may go over the same connection."""

    token: int
    request: Message
    response: type[Message]
    timeout_ms: int
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Describe:
    """Look up topics by name, and those with these ids: again and again until these are found."""

    topics: frozenset[str]
    ids: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Assign:
    """These partitions are the member's, beside those that it has. May be empty."""

    partitions: Partitions


@dataclass(frozen=True, slots=True)
class Revoke:
    """Stop working on these partitions; they are the member's until `Released`."""

    partitions: Partitions


@dataclass(frozen=True, slots=True)
class Lose:
    """These partitions are somebody else's already."""

    partitions: Partitions


@dataclass(frozen=True, slots=True)
class Fail:
    """Membership has ended; the application is told why."""

    error: Exception


Effect: TypeAlias = FindCoordinator | Send | Describe | Assign | Revoke | Lose | Fail


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """A member's settings, under Kafka's names and with Kafka's defaults. Times are ms."""

    group_id: str
    group_instance_id: str | None = None
    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 3_000
    max_poll_interval_ms: int = 300_000
    """How long a rebalance waits for this member to give partitions up (the rebalance timeout)."""
    partition_assignment_strategy: tuple[str, ...] = ("range", "cooperative-sticky")
    group_remote_assignor: str | None = None
    client_rack: str | None = None
    request_timeout_ms: int = 30_000
    retry_backoff_ms: int = 100
    retry_backoff_max_ms: int = 1_000
