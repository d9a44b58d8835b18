"""What a consumer may work on, how far it has come, and what it may commit.

A lease is one partition for as long as it is this consumer's. The core's thread gives and takes
leases; the application's thread moves `handed` and `processed`. Each field has one writer, and the
application looks at `token` *after* it has moved `handed`: either it sees that the lease is over,
or the core sees that something is in its hands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from barnabas.client.fetch_core import TopicPartition
from barnabas.wire.errors import ErrorCode, KafkaError

UNKNOWN = -1
"""No position yet."""


class CommitRefused(KafkaError):
    """A commit for partitions that are no longer this consumer's: somebody else continues there, at
    the last offset that was committed in time."""

    def __init__(self, partitions: Iterable[TopicPartition]) -> None:
        self.partitions = tuple(sorted(partitions))
        names = ", ".join(f"{topic}-{number}" for topic, number in self.partitions)
        super().__init__(ErrorCode.ILLEGAL_GENERATION, f"no longer assigned: {names}")


class OffsetAndMetadata(NamedTuple):
    """A position to commit, or one that was committed."""

    offset: int
    metadata: str = ""
    leader_epoch: int = -1


class Lease:
    """One partition. Offsets are those of the next record."""

    __slots__ = (
        "committed",
        "gone",
        "handed",
        "leader_epoch",
        "name",
        "paused",
        "processed",
        "progress",
        "saved",
        "token",
    )

    def __init__(self, name: TopicPartition) -> None:
        self.name = name
        self.token: object | None = object()
        """What was fetched under another token is not handed out; None: nothing is any more."""
        self.gone = False
        """Commits are refused."""
        self.handed = UNKNOWN
        """Behind what the application was given."""
        self.processed = UNKNOWN
        """Behind what it is done with."""
        self.progress: OffsetAndMetadata | None = None
        """What to commit, where records are worked on side by side (`processing`): written before
        `processed`, and never behind it."""
        self.committed = UNKNOWN
        self.saved: OffsetAndMetadata | None = None
        """The last commit, as a whole."""
        self.leader_epoch = -1
        self.paused = False

    @property
    def busy(self) -> bool:
        """Whether the application has something of it in its hands."""
        return self.handed != self.processed

    def move(self, offset: int) -> None:
        """Go on from `offset`; what was fetched before is forgotten."""
        self.token = object()
        self.progress = self.saved = None
        self.handed = self.processed = offset
        self.committed = UNKNOWN

    def to_commit(self, *, processed_only: bool) -> OffsetAndMetadata | None:
        """What is new since the last commit."""
        offset = self.processed if processed_only else self.handed
        progress = self.progress
        if progress is not None and progress.offset >= offset:
            stale = progress == self.saved or progress.offset < self.committed
            return None if stale else progress
        if offset > self.committed:
            return OffsetAndMetadata(offset, "", self.leader_epoch)
        return None


class Leases:
    """All partitions of one consumer."""

    def __init__(self) -> None:
        self.held: dict[TopicPartition, Lease] = {}
        """Handed out from, or paused."""
        self.closing: dict[TopicPartition, Lease] = {}
        """Nothing more is handed out; what is in hand may still be committed."""
        self._late: dict[TopicPartition, Lease] = {}
        """Gone with something in the application's hands, which it was not told of yet."""

    def begin(self, names: Iterable[TopicPartition]) -> list[Lease]:
        """New leases."""
        made = [Lease(name) for name in sorted(names)]
        self.held.update({lease.name: lease for lease in made})
        return made

    def close(self, names: Iterable[TopicPartition]) -> list[Lease]:
        """Hand out nothing more of these partitions."""
        found = []
        for name in sorted(names):
            lease = self.held.pop(name, None)
            if lease is not None:
                lease.token = None
                self.closing[name] = lease
                found.append(lease)
        return found

    def end(self, names: Iterable[TopicPartition]) -> None:
        """These partitions are gone: commits for them are refused."""
        for name in sorted(names):
            lease = self.held.pop(name, None) or self.closing.pop(name, None)
            if lease is None:
                continue
            lease.token = None
            lease.gone = True
            if lease.busy:
                self._late[name] = lease

    def find(self, name: TopicPartition) -> Lease | None:
        """The lease of a partition for which commits are accepted."""
        return self.held.get(name) or self.closing.get(name)

    def to_commit(self, *, processed_only: bool) -> dict[TopicPartition, OffsetAndMetadata]:
        """What is new since the last commit. `processed_only`: without what is in the
        application's hands."""
        found = {}
        for lease in [*self.held.values(), *self.closing.values()]:
            wanted = lease.to_commit(processed_only=processed_only)
            if wanted is not None:
                found[lease.name] = wanted
        return found

    def checked(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """`offsets`, if all of them may be committed. Raises `CommitRefused`."""
        missing = [name for name in offsets if self.find(name) is None]
        if missing:
            raise CommitRefused(missing)
        return offsets

    def refuse_late(self) -> None:
        """Raise `CommitRefused`, once, for what was in the application's hands when it went."""
        late, self._late = self._late, {}
        if late:
            raise CommitRefused(late)

    def committed(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """The coordinator has these."""
        for name, position in offsets.items():
            lease = self.find(name)
            if lease is not None:
                lease.committed = position.offset
                lease.saved = position
