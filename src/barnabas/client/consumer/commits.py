"""Commits of a consumer, one after the other, so that none overtakes a later one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from barnabas.client.cluster import Cluster
from barnabas.client.consumer.coordinator import Coordinator
from barnabas.client.consumer.leases import CommitRefused, Lease, Leases, OffsetAndMetadata
from barnabas.client.consumer.member import Member
from barnabas.client.errors import ClientError
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.membership.events import CommitAnswered
from barnabas.wire.errors import ErrorCode, KafkaError

Offsets = Mapping[TopicPartition, OffsetAndMetadata]
_OUTSIDE = ("", -1)
_MOVED = frozenset({ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE})
_NOT_OURS = frozenset(
    {
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.FENCED_INSTANCE_ID,
        ErrorCode.FENCED_MEMBER_EPOCH,
    }
)
_SOON = frozenset({ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.STALE_MEMBER_EPOCH})
"""Accepted once the rebalance is over, if the partition is still ours then."""


class Commits:
    """What a group has committed, and commits of this consumer."""

    def __init__(
        self, cluster: Cluster, coordinator: Coordinator, leases: Leases, instance_id: str | None
    ) -> None:
        self._cluster = cluster
        self._coordinator = coordinator
        self._leases = leases
        self._instance_id = instance_id
        self._lock = asyncio.Lock()
        self.member: Member | None = None

    async def commit(self, offsets: Offsets | None) -> None:
        """Commit `offsets`, or all that was handed out. Raises `CommitRefused`, `KafkaError`."""
        async with self._lock:
            if offsets is not None:
                await self._repeat(dict(self._leases.checked(offsets)))
                return
            await self._repeat(self._leases.to_commit(processed_only=False))
        self._leases.refuse_late()

    async def commit_processed(self, only: Iterable[TopicPartition] | None) -> None:
        """Commit what the application is done with. Raises as `commit` does."""
        async with self._lock:
            wanted = self._leases.to_commit(processed_only=True)
            if only is not None:
                wanted = {name: wanted[name] for name in only if name in wanted}
            await self._repeat(wanted)

    async def _repeat(self, wanted: dict[TopicPartition, OffsetAndMetadata]) -> None:
        """Until all is committed or refused."""

        async def attempt() -> None:
            self._leases.checked(wanted)
            await self._attempt(wanted)

        if wanted:
            await self._cluster.retrying(attempt)

    async def _attempt(self, wanted: dict[TopicPartition, OffsetAndMetadata]) -> None:
        member = _OUTSIDE if self.member is None else self.member.core.commits_as
        if self.member is not None and member == _OUTSIDE:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, "not in the group right now")
        instance = None if member == _OUTSIDE else self._instance_id
        codes = await self._coordinator.commit(wanted, member, instance)
        done = {name: wanted[name] for name, code in codes.items() if code == ErrorCode.NONE}
        self._leases.committed(done)
        for name in done:
            del wanted[name]
        refused = {name: code for name, code in codes.items() if code != ErrorCode.NONE}
        for code in sorted(set(refused.values())):
            self._tell(code, member[1])
        if not refused:
            return
        if any(code in _NOT_OURS for code in refused.values()):
            raise CommitRefused(refused)
        code = next(iter(refused.values()))
        if code in _MOVED:
            self._coordinator.forget()
        if code in _SOON:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, code.name)
        raise KafkaError(code, ", ".join(f"{name[0]}-{name[1]}" for name in sorted(refused)))

    def _tell(self, code: ErrorCode, generation: int) -> None:
        if self.member is not None:
            self.member.feed(CommitAnswered(code, generation))

    async def fetch(self, leases: Sequence[Lease]) -> dict[TopicPartition, OffsetAndMetadata]:
        """Where the group stands in these partitions, for as long as one of them is ours.

        Raises `KafkaError` for what does not pass.
        """
        failures = 0
        while True:
            names = [lease.name for lease in leases if lease.token is not None]
            if not names:
                return {}
            member = _OUTSIDE if self.member is None else self.member.core.commits_as
            try:
                return await self._coordinator.fetch(names, member)
            except KafkaError as error:
                if not (error.code.retriable or error.code in _NOT_OURS or error.code in _SOON):
                    raise
            except ClientError:
                pass
            await self._cluster.ports.clock.sleep(self._cluster.pause_ms(failures))
            failures += 1

    async def committed(
        self, names: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed, for any partitions."""
        return await self._coordinator.fetch(names, _OUTSIDE)
