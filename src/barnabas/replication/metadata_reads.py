"""What the controller listener reads of the metadata log: Fetch, FetchSnapshot, DescribeQuorum."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from barnabas.log.log import Log
from barnabas.log.read import ColdRead, read
from barnabas.ports import Clock, Disk, Executor
from barnabas.raft.effects import FetchVerdict
from barnabas.raft.events import Event, FetchAsked, SnapshotFetched
from barnabas.raft.fetching import BOOTSTRAP_SNAPSHOT, leader_error
from barnabas.raft.leader import ReplicaProgress
from barnabas.raft.roles import Leader
from barnabas.raft.types import (
    METADATA_PARTITION,
    METADATA_TOPIC,
    Endpoint,
    OffsetAndEpoch,
    ReplicaKey,
)
from barnabas.replication.metadata_files import SnapshotFile, read_snapshot_slice
from barnabas.replication.quorum_driver import QuorumDriver
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages import (
    describe_quorum_response,
    fetch_request,
    fetch_response,
    fetch_snapshot_request,
    fetch_snapshot_response,
)

MAX_READ_BYTES = 8 << 20


class QuorumLogView:
    """The metadata log as the quorum's `LogView`."""

    def __init__(self, log: Log, snapshots: list[SnapshotFile]) -> None:
        self._log = log
        self._snapshots = snapshots

    @property
    def start_offset(self) -> int:
        """First offset that is still there."""
        return self._log.log_start_offset

    @property
    def end_offset(self) -> int:
        """Next offset to be written."""
        return self._log.end_offset

    @property
    def last_epoch(self) -> int:
        """Epoch of the last record, or of the snapshot below an empty log."""
        if self._log.latest_epoch >= 0:
            return self._log.latest_epoch
        latest = self.latest_snapshot
        return 0 if latest is None else latest.epoch

    @property
    def earliest_snapshot(self) -> OffsetAndEpoch | None:
        """Oldest snapshot."""
        return self._snapshots[0].id if self._snapshots else None

    @property
    def latest_snapshot(self) -> OffsetAndEpoch | None:
        """Newest snapshot."""
        return self._snapshots[-1].id if self._snapshots else None

    def end_offset_for_epoch(self, epoch: int) -> OffsetAndEpoch:
        """Where the largest epoch <= `epoch` ends, and that epoch."""
        earliest = self.earliest_snapshot
        found, end = self._log.epochs.end_offset_for(epoch, self._log.end_offset)
        if found < 0:
            return OffsetAndEpoch(self._log.end_offset, self.last_epoch)
        if earliest is not None and end == earliest.offset and found == epoch:
            return earliest
        return OffsetAndEpoch(end, found)


class FetchAnswer(NamedTuple):
    """The answer for the metadata partition; the verdict tells leader and endpoints.

    `parkable`: nothing to send yet. Wait for `MetadataLog.on_progress` or max.wait, then ask
    again; the answer at hand is right if nothing comes.
    """

    partition: fetch_response.PartitionData
    verdict: FetchVerdict
    parkable: bool


class MetadataReads:
    """Answers from the leader's log. Made by `MetadataLog`."""

    def __init__(
        self,
        driver: QuorumDriver,
        log: Log,
        snapshots: list[SnapshotFile],
        clock: Clock,
        executor: Executor,
        disk: Disk,
    ) -> None:
        self._driver = driver
        self._log = log
        self._snapshots = snapshots
        self._clock = clock
        self._executor = executor
        self._disk = disk

    async def fetch(
        self, replica: ReplicaKey, request: fetch_request.FetchPartition, max_bytes: int
    ) -> FetchAnswer:
        """Answer one Fetch of the metadata partition (KIP-595).

        `max_bytes` bounds the records, but a first batch comes whole; negative means -1. Raises
        StorageError, OSError.
        """
        verdict = await self._ask(
            lambda token: FetchAsked(
                token,
                replica,
                request.current_leader_epoch,
                request.fetch_offset,
                request.last_fetched_epoch,
                self._clock.wall_ms(),
            )
        )
        partition = fetch_response.PartitionData(
            partition_index=METADATA_PARTITION,
            error_code=verdict.error,
            high_watermark=verdict.high_watermark,
            log_start_offset=self._log.log_start_offset,
            aborted_transactions=None,
            records=b"",
        )
        partition.current_leader.leader_id = verdict.leader_id
        partition.current_leader.leader_epoch = verdict.leader_epoch
        if verdict.error is not ErrorCode.NONE:
            partition.log_start_offset = -1
        elif verdict.diverging is not None:
            partition.diverging_epoch.epoch = verdict.diverging.epoch
            partition.diverging_epoch.end_offset = verdict.diverging.offset
        elif verdict.snapshot is not None:
            partition.snapshot_id.end_offset = verdict.snapshot.offset
            partition.snapshot_id.epoch = verdict.snapshot.epoch
        else:
            partition.records = await self._read(request.fetch_offset, max_bytes)
        parkable = (
            verdict.readable
            and not partition.records
            # From version 18 a replica says what high watermark it knows (KIP-1166).
            and request.high_watermark >= verdict.high_watermark
        )
        return FetchAnswer(partition, verdict, parkable)

    async def fetch_snapshot(
        self,
        replica_id: int,
        request: fetch_snapshot_request.PartitionSnapshot,
        max_bytes: int,
    ) -> fetch_snapshot_response.PartitionSnapshot:
        """A part of a snapshot (KIP-630). Raises OSError."""
        node = self._driver.node
        view = node.leader_view()
        answer = fetch_snapshot_response.PartitionSnapshot(index=METADATA_PARTITION)
        answer.current_leader.leader_id = view.leader_id
        answer.current_leader.leader_epoch = view.epoch
        snapshot = OffsetAndEpoch(request.snapshot_id.end_offset, request.snapshot_id.epoch)
        found = next((s for s in self._snapshots if s.id == snapshot), None)
        error = leader_error(node, request.current_leader_epoch)
        if error is ErrorCode.NONE and (found is None or snapshot == BOOTSTRAP_SNAPSHOT):
            error = ErrorCode.SNAPSHOT_NOT_FOUND
        if found is None or error is not ErrorCode.NONE:
            answer.error_code = error
            return answer
        if not 0 <= request.position < found.size:
            answer.error_code = ErrorCode.POSITION_OUT_OF_RANGE
            return answer
        limit = min(max(max_bytes, 0), MAX_READ_BYTES)
        directory, position = self._log.path, request.position
        answer.unaligned_records = await self._executor.run(
            lambda: read_snapshot_slice(self._disk, directory, snapshot, position, limit)
        )
        answer.snapshot_id.end_offset = snapshot.offset
        answer.snapshot_id.epoch = snapshot.epoch
        answer.size = found.size
        answer.position = position
        replica = ReplicaKey(replica_id, request.replica_directory_id)
        self._driver.feed(SnapshotFetched(replica, self._clock.wall_ms()))
        return answer

    async def answer(self, make_event: Callable[[int], Event]) -> Message:
        """Let the quorum answer a Vote, BeginQuorumEpoch or EndQuorumEpoch request."""
        response = await self._asked(make_event)
        assert isinstance(response, Message)
        return response

    def describe_quorum(
        self, own_endpoints: Sequence[Endpoint]
    ) -> describe_quorum_response.DescribeQuorumResponse:
        """The answer to DescribeQuorum for the metadata partition, for all versions.

        `own_endpoints`: where other voters reach this node.
        """
        node = self._driver.node
        role = node.role
        partition = describe_quorum_response.PartitionData(partition_index=METADATA_PARTITION)
        response = describe_quorum_response.DescribeQuorumResponse()
        response.topics = [
            describe_quorum_response.TopicData(topic_name=METADATA_TOPIC, partitions=[partition])
        ]
        if not isinstance(role, Leader):
            partition.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
            return response
        now = self._clock.wall_ms()
        state = role.state
        state.expire_observers(now)
        partition.leader_id = node.own.id
        partition.leader_epoch = role.epoch
        partition.high_watermark = state.high_watermark
        partition.current_voters = [
            _replica_state(p, now, p.key.id == node.own.id) for p in state.voters.values()
        ]
        partition.observers = [_replica_state(p, now, False) for p in state.observers.values()]
        response.nodes = [
            describe_quorum_response.Node(
                node_id=voter_id,
                listeners=[
                    describe_quorum_response.Listener(name=e.listener, host=e.host, port=e.port)
                    for e in (
                        own_endpoints
                        if voter_id == node.own.id
                        else node.voters.endpoints(voter_id)
                    )
                ],
            )
            for voter_id in state.voters
        ]
        return response

    async def _read(self, offset: int, max_bytes: int) -> bytes:
        upper = self._log.written_offset
        if offset >= upper:
            return b""
        limit = min(max_bytes, MAX_READ_BYTES)
        result = read(self._log, offset, limit, upper, at_least_one=True)
        if isinstance(result, ColdRead):
            result = await result.run(self._executor)
        return result.data

    async def _ask(self, make_event: Callable[[int], Event]) -> FetchVerdict:
        verdict = await self._asked(make_event)
        assert isinstance(verdict, FetchVerdict)
        return verdict

    def _asked(self, make_event: Callable[[int], Event]) -> asyncio.Future[Message | FetchVerdict]:
        future: asyncio.Future[Message | FetchVerdict] = asyncio.get_running_loop().create_future()

        def answered(answer: Message | FetchVerdict) -> None:
            if not future.done():
                future.set_result(answer)

        self._driver.ask(make_event, answered)
        return future


def _replica_state(
    progress: ReplicaProgress, now_ms: int, leader: bool
) -> describe_quorum_response.ReplicaState:
    return describe_quorum_response.ReplicaState(
        replica_id=progress.key.id,
        replica_directory_id=progress.key.directory_id,
        log_end_offset=progress.end_offset,
        last_fetch_timestamp=now_ms if leader else progress.last_fetch_ms,
        last_caught_up_timestamp=now_ms if leader else progress.last_caught_up_ms,
    )
