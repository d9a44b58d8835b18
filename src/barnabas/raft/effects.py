"""Everything a quorum node can ask its shell to do, in order.

Contract: carry the effects of one step out in their order. `Persist` must be durable before any
effect behind it is carried out: a vote or an epoch that is forgotten can elect two leaders.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from barnabas.raft.election import ElectionState
from barnabas.raft.events import Timer
from barnabas.raft.types import NO_NODE, Endpoint, OffsetAndEpoch
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message


class Persist(NamedTuple):
    """Write quorum-state: to a temporary file, fsync, rename."""

    election: ElectionState


class StartTimer(NamedTuple):
    """(Re)start a timer: fire after a random delay in [min_ms, max_ms], uniformly."""

    timer: Timer
    min_ms: int
    max_ms: int


class StopTimer(NamedTuple):
    """Forget a timer; harmless when it does not run."""

    timer: Timer


class Send(NamedTuple):
    """Send a request to a voter; its answer comes back as the matching event."""

    node_id: int
    request: Message


class Respond(NamedTuple):
    """Answer the request that came with `token`."""

    token: int
    response: Message


class BecameLeader(NamedTuple):
    """Note `epoch` in the log's epoch cache at its end, then append the LeaderChange batch there.

    The batch is the first of the epoch, so nothing of older epochs is committed without it.
    """

    epoch: int
    voters: tuple[int, ...]
    granting: tuple[int, ...]


class LeaderChanged(NamedTuple):
    """Who leads now; `leader_id` is -1 when nobody is known to."""

    leader_id: int
    epoch: int
    endpoints: tuple[Endpoint, ...]


class HighWatermark(NamedTuple):
    """Everything below `offset` is committed."""

    offset: int


class FetchVerdict(NamedTuple):
    """How to answer a Fetch: an error, a diverging epoch, a snapshot id, or (none) with records.

    `high_watermark` is -1 until the leader knows one; `token` is that of `FetchAsked`.
    """

    error: ErrorCode = ErrorCode.NONE
    diverging: OffsetAndEpoch | None = None
    snapshot: OffsetAndEpoch | None = None
    high_watermark: int = -1
    leader_id: int = NO_NODE
    leader_epoch: int = 0
    leader_endpoints: tuple[Endpoint, ...] = ()
    token: int = 0

    @property
    def readable(self) -> bool:
        """Whether records from the fetch offset on may be sent."""
        return self.error is ErrorCode.NONE and self.diverging is None and self.snapshot is None


Effect: TypeAlias = (
    Persist
    | StartTimer
    | StopTimer
    | Send
    | Respond
    | BecameLeader
    | LeaderChanged
    | HighWatermark
    | FetchVerdict
)
