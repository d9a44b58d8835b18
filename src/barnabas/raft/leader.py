"""What a leader knows of the other replicas, and the high watermark that follows from it."""

from __future__ import annotations

from barnabas.raft.types import ReplicaKey, VoterSet

OBSERVER_EXPIRY_MS = 300_000
"""An observer that does not fetch for so long is dropped from DescribeQuorum (Kafka's value)."""

MAX_OBSERVERS = 1_000
"""More are served but not listed; without a bound, made-up replica ids would fill the memory."""

UNKNOWN = -1


class ReplicaProgress:
    """How far a replica is. Times are wall ms, -1 for never."""

    __slots__ = (
        "acknowledged",
        "end_offset",
        "key",
        "last_caught_up_ms",
        "last_fetch_ms",
        "leader_end_at_fetch",
    )

    def __init__(self, key: ReplicaKey) -> None:
        self.key = key
        self.end_offset = UNKNOWN
        self.last_fetch_ms = UNKNOWN
        self.last_caught_up_ms = UNKNOWN
        self.leader_end_at_fetch = UNKNOWN
        self.acknowledged = False

    def fetched(self, offset: int, leader_end: int, now_ms: int) -> None:
        """A fetch at `offset` says that everything below is safe there."""
        if leader_end >= 0:
            if offset >= leader_end:
                self.last_caught_up_ms = max(self.last_caught_up_ms, now_ms)
            elif 0 < self.leader_end_at_fetch <= offset:
                # It has what was the end when it last fetched.
                self.last_caught_up_ms = max(self.last_caught_up_ms, self.last_fetch_ms)
            self.leader_end_at_fetch = leader_end
        self.last_fetch_ms = max(self.last_fetch_ms, now_ms)
        self.end_offset = offset
        self.acknowledged = True


class LeaderState:
    """A leader's volatile state. `epoch_start_offset` is where its LeaderChange batch stands."""

    __slots__ = (
        "_recent_fetchers",
        "epoch_start_offset",
        "high_watermark",
        "observers",
        "own",
        "voters",
    )

    def __init__(self, own: ReplicaKey, voters: VoterSet, epoch_start_offset: int) -> None:
        self.own = own
        self.epoch_start_offset = epoch_start_offset
        self.high_watermark = UNKNOWN
        self.voters = {v.key.id: ReplicaProgress(v.key) for v in voters.voters.values()}
        self.observers: dict[ReplicaKey, ReplicaProgress] = {}
        self._recent_fetchers: set[int] = set()

    def name_voters(self, voters: VoterSet) -> None:
        """The same voters, with what is known of them now."""
        for voter_id, voter in voters.voters.items():
            self.voters[voter_id].key = voter.key

    @property
    def own_end_offset(self) -> int:
        """This leader's durable end; -1 when it does not vote or has not synced yet."""
        own = self.voters.get(self.own.id)
        return UNKNOWN if own is None else own.end_offset

    def own_durable(self, end_offset: int, now_ms: int) -> bool:
        """The leader's log is durable to `end_offset`; whether the high watermark moved."""
        own = self.voters.get(self.own.id)
        if own is None:
            return False
        own.fetched(end_offset, end_offset, now_ms)
        return self._advance()

    def fetched(self, replica: ReplicaKey, offset: int, leader_end: int, now_ms: int) -> bool:
        """A valid fetch came; whether the high watermark moved."""
        progress = self.voters.get(replica.id)
        if progress is None:
            progress = self.observers.get(replica)
            if progress is None:
                self.expire_observers(now_ms)
                progress = ReplicaProgress(replica)
                if len(self.observers) < MAX_OBSERVERS:
                    self.observers[replica] = progress
            progress.fetched(offset, leader_end, now_ms)
            return False
        progress.fetched(offset, leader_end, now_ms)
        return self._advance()

    def majority_fetched(self, replica_id: int) -> bool:
        """Note that a voter lives; whether a majority (the leader counts) has now shown so.

        Then the count starts anew, and with it the time for check-quorum.
        """
        if replica_id not in self.voters or replica_id == self.own.id:
            return False
        self._recent_fetchers.add(replica_id)
        needed = len(self.voters) // 2 + 1 - (1 if self.own.id in self.voters else 0)
        if len(self._recent_fetchers) < needed:
            return False
        self._recent_fetchers.clear()
        return True

    def expire_observers(self, now_ms: int) -> None:
        """Forget observers that have not fetched for long."""
        for key in [
            k for k, o in self.observers.items() if now_ms - o.last_fetch_ms >= OBSERVER_EXPIRY_MS
        ]:
            del self.observers[key]

    def silent_voters(self, now_ms: int, period_ms: int) -> list[int]:
        """Other voters that have not fetched for `period_ms`."""
        return [
            voter_id
            for voter_id, progress in self.voters.items()
            if voter_id != self.own.id
            and (progress.last_fetch_ms < 0 or now_ms - progress.last_fetch_ms >= period_ms)
        ]

    def successors(self) -> tuple[ReplicaKey, ...]:
        """Other voters, the one with the longest log first."""
        others = [p for voter_id, p in self.voters.items() if voter_id != self.own.id]
        others.sort(key=lambda p: -p.end_offset)
        return tuple(p.key for p in others)

    def _advance(self) -> bool:
        ends = sorted((p.end_offset for p in self.voters.values()), reverse=True)
        candidate = ends[len(ends) // 2]
        # The leader must commit a record of its own epoch before older ones count as committed.
        if candidate <= self.epoch_start_offset or candidate <= self.high_watermark:
            return False
        self.high_watermark = candidate
        return True
