"""Incremental fetch sessions (KIP-227): what a client fetches, remembered between its requests.

A session keeps its partitions in the order in which they are served, and the set of those that may
have something to say (`dirty`). Partitions tell the session when they change, so an empty poll costs
the same whether the session holds one partition or a thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from barnabas.server.limits import SESSION_PARTITIONS
from barnabas.wire.errors import ErrorCode

if TYPE_CHECKING:
    from barnabas.server.partitions import HostedPartition

#: A session idle for this long may be evicted for any newcomer; one younger than this is safe from
#: newcomers of its own kind (KIP-227, `FetchSession` of Kafka 4.3).
MIN_EVICTION_MS: Final = 120_000

NO_SESSION: Final = 0
FINAL_EPOCH: Final = -1
INITIAL_EPOCH: Final = 0
MAX_EPOCH: Final = 2147483647

PartitionKey = tuple[bytes | str, int]


def next_epoch(epoch: int) -> int:
    """The epoch that follows: 0, 1, 2 … 2147483647, 1."""
    return 1 if epoch == MAX_EPOCH else epoch + 1


class FetchPartition:
    """One partition of a fetch: what the client asked, and what it was last told."""

    __slots__ = (
        "high_watermark",
        "hosted",
        "index",
        "last_fetched_epoch",
        "leader_epoch",
        "log_start_offset",
        "max_bytes",
        "offset",
        "topic",
        "topic_id",
    )

    def __init__(self, topic: str | None, topic_id: bytes, index: int) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.offset = 0
        self.max_bytes = 0
        self.leader_epoch = -1
        self.last_fetched_epoch = -1
        self.high_watermark = -1
        self.log_start_offset = -1
        self.hosted: HostedPartition | None = None


class FetchSession:
    """The partitions of one client; told by partitions of their changes (`notify`)."""

    __slots__ = (
        "created_ms",
        "dirty",
        "epoch",
        "id",
        "partitions",
        "used_ms",
        "uses_ids",
        "waiter",
    )

    def __init__(self, session_id: int, uses_ids: bool, now_ms: int) -> None:
        self.id = session_id
        self.uses_ids = uses_ids
        self.created_ms = now_ms
        self.used_ms = now_ms
        self.epoch = 1
        self.partitions: dict[PartitionKey, FetchPartition] = {}
        self.dirty: dict[PartitionKey, None] = {}
        #: Called when something changed while a fetch of this session is parked.
        self.waiter: Callable[[], None] | None = None

    def notify(self, key: PartitionKey) -> None:
        """The partition has news: more readable data, another start, another leader, gone."""
        self.dirty[key] = None
        if self.waiter is not None:
            self.waiter()

    def put(self, key: PartitionKey, partition: FetchPartition) -> None:
        """Add or replace a partition; it will be looked at by the next response."""
        old = self.partitions.get(key)
        if old is not None:
            partition.high_watermark = old.high_watermark
            partition.log_start_offset = old.log_start_offset
            if old.hosted is not None and old.hosted is not partition.hosted:
                old.hosted.unwatch(self, key)
        self.partitions[key] = partition
        if partition.hosted is not None:
            partition.hosted.watch(self, key)
        self.dirty[key] = None

    def bind(self, key: PartitionKey, hosted: HostedPartition | None) -> None:
        """Point a partition at what now serves it (created, deleted or created anew)."""
        partition = self.partitions[key]
        if partition.hosted is not hosted:
            if partition.hosted is not None:
                partition.hosted.unwatch(self, key)
            partition.hosted = hosted
            if hosted is not None:
                hosted.watch(self, key)

    def forget(self, key: PartitionKey) -> None:
        """Drop a partition; harmless when it is not there."""
        partition = self.partitions.pop(key, None)
        self.dirty.pop(key, None)
        if partition is not None and partition.hosted is not None:
            partition.hosted.unwatch(self, key)

    def served(self, key: PartitionKey, *, told: bool, unread: bool) -> None:
        """After a look: a partition that gave records (or an error) goes to the end, one that had
        no room in the response keeps its place, a quiet one goes out of sight."""
        if unread and not told:
            return
        self.dirty.pop(key, None)
        if told and key in self.partitions:
            self.dirty[key] = None

    def close(self) -> None:
        """Leave all partitions."""
        for key, partition in self.partitions.items():
            if partition.hosted is not None:
                partition.hosted.unwatch(self, key)
        self.partitions.clear()
        self.dirty.clear()
        self.waiter = None


class FetchSessionCache:
    """All sessions of a node, at most `max.incremental.fetch.session.cache.slots`."""

    def __init__(self, slots: int, random_below: Callable[[int], int]) -> None:
        self._slots = slots
        self._random_below = random_below
        self._sessions: dict[int, FetchSession] = {}  # least recently used first
        self._passing = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[FetchSession]:
        return iter(self._sessions.values())

    @property
    def partitions(self) -> int:
        """How many partitions all sessions remember together."""
        return sum(len(session.partitions) for session in self._sessions.values())

    def park(self, session: FetchSession) -> bool:
        """A fetch waits without a session that outlives it; whether there is room for that."""
        if self._passing + len(session.partitions) > SESSION_PARTITIONS:
            return False
        self._passing += len(session.partitions)
        return True

    def unpark(self, session: FetchSession) -> None:
        """It waits no longer."""
        self._passing -= len(session.partitions)

    def create(self, size: int, uses_ids: bool, now_ms: int) -> FetchSession | None:
        """A new session for `size` partitions, or `None` when the cache has no room for it."""
        if self._slots <= 0 or self.partitions + size > SESSION_PARTITIONS:
            return None
        if len(self._sessions) >= self._slots and not self._evict_for(size, now_ms):
            return None
        session_id = 0
        while session_id == 0 or session_id in self._sessions:
            session_id = 1 + self._random_below(MAX_EPOCH)
        session = FetchSession(session_id, uses_ids, now_ms)
        self._sessions[session_id] = session
        return session

    def _evict_for(self, size: int, now_ms: int) -> bool:
        oldest = next(iter(self._sessions.values()))
        if now_ms - oldest.used_ms > MIN_EVICTION_MS:
            self.remove(oldest.id)
            return True
        evictable = [s for s in self._sessions.values() if now_ms - s.created_ms > MIN_EVICTION_MS]
        if not evictable:
            return False
        lowest = min(evictable, key=lambda s: (len(s.partitions), s.id))
        if len(lowest.partitions) > size:
            return False
        self.remove(lowest.id)
        return True

    def remove(self, session_id: int) -> None:
        """End a session; harmless when unknown."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.close()

    def use(
        self, session_id: int, epoch: int, uses_ids: bool, now_ms: int
    ) -> FetchSession | ErrorCode:
        """The session of an incremental request, its epoch checked and advanced."""
        session = self._sessions.get(session_id)
        if session is None:
            return ErrorCode.FETCH_SESSION_ID_NOT_FOUND
        if session.epoch != epoch:
            return ErrorCode.INVALID_FETCH_SESSION_EPOCH
        if session.uses_ids != uses_ids:
            return ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
        session.epoch = next_epoch(epoch)
        session.used_ms = now_ms
        self._sessions[session_id] = self._sessions.pop(session_id)
        return session
