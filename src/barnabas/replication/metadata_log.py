"""`MetadataLog`: the log of `__cluster_metadata-0`, the quorum over it, and the published image.

Two images: the *pending* one contains everything appended and is what decisions are made on, so
that commands queue without waiting for each other; the *committed* one (`image`) ends below the
high watermark and is what the rest of the node sees. Both are folds over the very bytes that are
in the log. All methods run on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from barnabas.config.log_config import LogConfig
from barnabas.log.errors import StorageError
from barnabas.log.files import FilePool
from barnabas.log.settle import Settling
from barnabas.log.writer import LogWriter
from barnabas.metadata.bootstrap import activation_records, bootstrap_records
from barnabas.metadata.controller.decision import MAX_RECORDS_PER_BATCH, Decision
from barnabas.metadata.delta import MetadataDelta
from barnabas.metadata.features import METADATA_VERSION, MV_LATEST
from barnabas.metadata.framing import decode_record, encode_records
from barnabas.metadata.image import MetadataImage, Provenance
from barnabas.metadata.record_types import FeatureLevelRecord
from barnabas.metadata.snapshot import BATCH_LIMIT
from barnabas.ports import Clock, Executor, Random
from barnabas.raft.effects import BecameLeader, LeaderChanged, Send
from barnabas.raft.events import LogDurable, ResignAsked, Started
from barnabas.raft.node import QuorumNode, QuorumSettings
from barnabas.raft.types import NO_NODE, ReplicaKey, Voter, VoterSet
from barnabas.records.batch import read_header
from barnabas.records.builder import build_batch
from barnabas.records.control import ControlType, build_control
from barnabas.replication.membership import Membership
from barnabas.replication.metadata_files import write_quorum_state
from barnabas.replication.metadata_load import LoadedLog, load_metadata
from barnabas.replication.metadata_reads import MetadataReads, QuorumLogView
from barnabas.replication.quorum_driver import QuorumDriver
from barnabas.replication.snapshot_writer import SnapshotWriter
from barnabas.replication.snapshotter import SnapshotSettings
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.kraft_version_record import KRaftVersionRecord
from barnabas.wire.messages.leader_change_message import LeaderChangeMessage
from barnabas.wire.messages.leader_change_message import Voter as ChangeVoter

T = TypeVar("T")
ControlMessages = Sequence[tuple[ControlType, Message]]
Publisher = Callable[[MetadataImage, MetadataImage, MetadataDelta], None]

SEGMENT_BYTES = 1 << 30
SEGMENT_MS = 604_800_000
BATCH_OVERHEAD = 64
RECORD_OVERHEAD = 24


@dataclass(frozen=True, slots=True)
class MetadataLogSettings:
    """`directory` is the path of `__cluster_metadata-0`.

    `voters`: controller.quorum.voters, in force as long as the log names none itself. `bootstrap`:
    the records of bootstrap.checkpoint. `default_min_isr`: static min.insync.replicas. `clean`:
    the log directory was stopped cleanly.
    """

    directory: str
    quorum: QuorumSettings
    voters: VoterSet
    bootstrap: Sequence[Message] = field(default_factory=bootstrap_records)
    default_min_isr: int = 1
    clean: bool = False
    segment_bytes: int = SEGMENT_BYTES
    segment_ms: int = SEGMENT_MS
    snapshots: SnapshotSettings = field(default_factory=SnapshotSettings)

    @classmethod
    def single(
        cls, directory: str, node_id: int, directory_id: bytes, cluster_id: str
    ) -> MetadataLogSettings:
        """A quorum of one: this node."""
        own = ReplicaKey(node_id, directory_id)
        return cls(
            directory,
            QuorumSettings(own, cluster_id),
            VoterSet({node_id: Voter(ReplicaKey(node_id))}),
        )

    def log_config(self) -> LogConfig:
        """Always synced, never deleted but by snapshots."""
        return LogConfig(
            segment_bytes=self.segment_bytes,
            segment_ms=self.segment_ms,
            retention_ms=-1,
            retention_bytes=-1,
            max_message_bytes=BATCH_LIMIT,
            ack_mode="synced",
        )


class _Commit:
    """A batch that waits for the high watermark to reach `end_offset`."""

    __slots__ = ("control", "delta", "done", "end_offset", "image", "nbytes", "whole")

    def __init__(
        self,
        end_offset: int,
        image: MetadataImage,
        delta: MetadataDelta | None,
        nbytes: int,
        *,
        whole: bool,
        control: ControlMessages = (),
    ) -> None:
        self.control = control
        self.end_offset = end_offset
        self.image = image
        self.delta = delta
        self.nbytes = nbytes
        self.whole = whole
        """Whether no metadata transaction is open at its end, so that it may become a snapshot."""
        self.done: asyncio.Future[None] | None = None

    def wait(self) -> asyncio.Future[None]:
        """Done when it is committed and published."""
        if self.done is None:
            self.done = asyncio.get_running_loop().create_future()
        return self.done


class MetadataLog:
    """See the module. `writer` and `pool` are the node's; a failed directory must be reported
    with `fail`. `on_failed(error)` hears once when the metadata log cannot go on.
    """

    def __init__(
        self,
        settings: MetadataLogSettings,
        *,
        clock: Clock,
        random: Random,
        executor: Executor,
        pool: FilePool,
        writer: LogWriter,
        on_failed: Callable[[BaseException], None],
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._random = random
        self._executor = executor
        self._pool = pool
        self._writer = writer
        self._on_failed = on_failed
        self._publishers: list[Publisher] = []
        self._progress: list[Callable[[], None]] = []
        self._pending_image = self._image = MetadataImage.empty()
        self._waiting: deque[_Commit] = deque()
        self._error: BaseException | None = None
        self._leader_id = NO_NODE
        self._activated: asyncio.Future[None] | None = None
        self._stopping = False
        self._opened = False

    # State

    @property
    def image(self) -> MetadataImage:
        """The committed image, as published."""
        return self._image

    @property
    def high_watermark(self) -> int:
        """End of what is committed; 0 before anything is."""
        return self._log.high_watermark

    @property
    def end_offset(self) -> int:
        """End of what is appended."""
        return self._log.end_offset

    @property
    def leader_id(self) -> int:
        """The active controller, -1 when not known."""
        return self._leader_id

    @property
    def leader_epoch(self) -> int:
        """The quorum's epoch."""
        return self._driver.node.epoch

    @property
    def kraft_version(self) -> int:
        """Finalised kraft.version: 1 when the log names the voters, else 0."""
        return self._membership.kraft_version

    @property
    def appended_kraft_version(self) -> int:
        """kraft.version once everything appended is committed: what decisions go by."""
        for commit in reversed(self._waiting):
            for _, message in commit.control:
                if isinstance(message, KRaftVersionRecord):
                    return message.kraft_version
        return self._membership.kraft_version

    def subscribe(self, publisher: Publisher) -> None:
        """Call `publisher(old, new, delta)` for each committed change, in order, before the
        request that caused it is answered. Subscribe before `start`; a publisher must not raise.
        """
        self._publishers.append(publisher)

    def on_progress(self, callback: Callable[[], None]) -> None:
        """Call `callback` when a parked fetch may have more to get: records or high watermark."""
        self._progress.append(callback)

    # Life

    async def start(self) -> None:
        """Open the log, lead (as the sole voter), write the first records of a new cluster.

        Returns when the first image is published. Raises MetadataError, QuorumError, LogDamaged,
        StorageError, OSError.
        """
        config = self.settings.log_config()
        loaded = await self._executor.run(
            lambda: load_metadata(
                self.settings.directory,
                config,
                pool=self._pool,
                now_ms=self._clock.wall_ms,
                pick_jitter=self._random.below,
                clean=self.settings.clean,
            )
        )
        self._take_over(loaded)
        self._activated = asyncio.get_running_loop().create_future()
        self._driver.feed(Started(loaded.election, self._clock.wall_ms()))
        await self._activated

    async def stop(self) -> None:
        """Resign, make everything durable and leave the directory as after a clean stop."""
        self._stopping = True
        self._driver.feed(ResignAsked())
        self._driver.stop()
        await self._snapshot_writer.stop()
        if self._error is None:
            await self._flushed()
            settling = Settling(self._log, closing=True)
            if settling.needed:
                await self._executor.run(lambda: settling.run(self._pool.disk))
                settling.done()
        self._fail_waiting(StorageError("the metadata log was stopped"))

    def fail(self, error: BaseException) -> None:
        """The log's directory failed, or its rules are broken: nothing is accepted any more."""
        if self._error is not None:
            return
        self._error = error
        if self._opened:
            if isinstance(error, OSError):
                self._log.fail(error)
            self._driver.stop()
            self._fail_waiting(error)
        self._on_failed(error)

    # Commands

    async def submit(self, decide: Callable[[MetadataImage], Decision[T]]) -> T:
        """Decide on everything appended so far, append, and reply when that is committed and
        published.

        A decision without records waits only for what it was decided on. Raises what `decide`
        raises (KafkaError), KafkaError NOT_CONTROLLER, POLICY_VIOLATION for a batch over 8 MiB,
        StorageError when the directory fails before the commit.
        """
        self._check_leading()
        decision = decide(self._pending_image)
        records = decision.records
        step = len(records) if decision.atomic else MAX_RECORDS_PER_BATCH
        if decision.control:
            self._append_control(decision.control)
        for start in range(0, len(records), step or 1):
            self._append(records[start : start + step])
        if self._waiting:
            # Without records, too: what it was decided on is not committed yet, and who is told
            # must not see it undone. Shielded: others may wait for the same batch.
            await asyncio.shield(self._waiting[-1].wait())
        return decision.response

    def _check_leading(self) -> None:
        if self._error is not None:
            raise StorageError(f"the metadata log failed: {self._error}")
        if self._stopping or self._leader_id != self.settings.quorum.own.id:
            raise KafkaError(ErrorCode.NOT_CONTROLLER, "This node is not the active controller.")

    def _append(self, records: Sequence[Message]) -> None:
        version = self._pending_image.features.metadata_version
        values = encode_records(records, _first_level(records) if version is None else version)
        if sum(map(len, values)) + RECORD_OVERHEAD * len(values) + BATCH_OVERHEAD > BATCH_LIMIT:
            raise KafkaError(
                ErrorCode.POLICY_VIOLATION, "The change is larger than a metadata batch may be."
            )
        now = self._clock.wall_ms()
        offset = self._log.end_offset
        # What is applied is what was encoded, so that memory cannot differ from a replay.
        replayed = self._transaction.feed(map(decode_record, values), offset)
        delta = MetadataDelta(self._pending_image)
        delta.replay_all(replayed)
        image = delta.apply(Provenance(offset + len(values) - 1, self.leader_epoch, now))
        batch = build_batch(
            [(None, value, now, ()) for value in values],
            base_offset=offset,
            leader_epoch=self.leader_epoch,
        )
        self._append_batch(batch, image, delta)

    def _append_control(self, messages: ControlMessages) -> None:
        now, offset = self._clock.wall_ms(), self._log.end_offset
        batch = build_control(messages, now, base_offset=offset, leader_epoch=self.leader_epoch)
        last = Provenance(offset + len(messages) - 1, self.leader_epoch, now)
        self._append_batch(batch, self._pending_image._replace(provenance=last), None, messages)

    def _append_batch(
        self,
        batch: bytearray,
        image: MetadataImage,
        delta: MetadataDelta | None,
        control: ControlMessages = (),
    ) -> None:
        header = read_header(batch)
        self._log.append(batch, header)
        self._pending_image = image
        whole = not self._transaction.open
        self._waiting.append(
            _Commit(header.next_offset, image, delta, len(batch), whole=whole, control=control)
        )

    # Quorum

    def became_leader(self, effect: BecameLeader) -> None:
        """Open the epoch in the log; then the records of an activation."""
        log = self._log
        log.begin_epoch(effect.epoch, log.end_offset)
        change = LeaderChangeMessage(
            leader_id=self.settings.quorum.own.id,
            voters=[ChangeVoter(voter_id=v) for v in effect.voters],
            granting_voters=[ChangeVoter(voter_id=v) for v in effect.granting],
        )
        messages: list[tuple[ControlType, Message]] = [(ControlType.LEADER_CHANGE, change)]
        membership = self._membership
        if membership.record is not None and membership.offset < 0:
            # So far only the bootstrap snapshot of this one node knows the voters.
            version = KRaftVersionRecord(kraft_version=membership.kraft_version)
            messages.append((ControlType.KRAFT_VERSION, version))
            messages.append((ControlType.KRAFT_VOTERS, membership.record))
        self._append_control(messages)
        batches = activation_records(
            self._pending_image,
            self.settings.bootstrap,
            default_min_isr=self.settings.default_min_isr,
            open_transaction=self._transaction.open,
        )
        for records in batches:
            self._append(records)

    def leader_changed(self, effect: LeaderChanged) -> None:
        """Another leader, or none known."""
        self._leader_id = effect.leader_id

    def high_watermark_moved(self, offset: int) -> None:
        """Publish what is committed now, oldest first, and answer who waited for it."""
        self._log.high_watermark = offset
        whole = False
        while self._waiting and self._waiting[0].end_offset <= offset:
            commit = self._waiting.popleft()
            whole = commit.whole
            if commit.control:
                self._membership.take(commit.control, commit.end_offset - len(commit.control))
                self._driver.node.name_voters(self._membership.voters(self.settings.voters))
            old, self._image = self._image, commit.image
            if commit.delta is not None:
                for publish in self._publishers:
                    publish(old, commit.image, commit.delta)
            self._snapshot_writer.committed(commit.nbytes)
            if commit.done is not None and not commit.done.done():
                commit.done.set_result(None)
        if whole:
            self._snapshot_writer.maybe_start(self._image)
        if not self._waiting and self._activated is not None and not self._activated.done():
            self._activated.set_result(None)
        self._tell_progress()

    def send(self, effect: Send) -> None:
        """A quorum of one has nobody to send to."""
        raise AssertionError(f"request to voter {effect.node_id} in a quorum of one")

    def quorum_failed(self, error: BaseException) -> None:
        """quorum-state cannot be written, or the rules are broken."""
        self.fail(error)

    # Internals

    def _take_over(self, loaded: LoadedLog) -> None:
        settings = self.settings
        log = self._log = loaded.log
        self._membership: Membership = loaded.membership
        self._transaction = loaded.transaction
        voters = loaded.membership.voters(settings.voters)
        if not voters.is_only(settings.quorum.own):
            raise KafkaError(
                ErrorCode.UNSUPPORTED_VERSION,
                f"The metadata quorum has the voters {sorted(voters.voters)}; a quorum of more "
                "than this one node is not supported.",
            )
        self._snapshot_writer = SnapshotWriter(
            log,
            settings.snapshots,
            loaded,
            clock=self._clock,
            random=self._random,
            executor=self._executor,
            disk=self._pool.disk,
            writer=self._writer,
            on_error=self.fail,
        )
        node = QuorumNode(
            settings.quorum, voters, QuorumLogView(log, self._snapshot_writer.snapshots)
        )
        membership = loaded.membership
        disk, directory = self._pool.disk, settings.directory
        self._driver = QuorumDriver(
            node,
            self,
            lambda election: write_quorum_state(
                disk, directory, election, membership.kraft_version, voters.voters
            ),
            clock=self._clock,
            random=self._random,
            executor=self._executor,
        )
        self.reads = MetadataReads(
            self._driver, log, self._snapshot_writer.snapshots, self._clock, self._executor, disk
        )
        log.mark_dirty = self._writer.dirty
        log.on_progress = self._log_progress
        self._opened = True
        self._pending_image = loaded.image
        if loaded.image.provenance.offset >= 0:
            whole = not loaded.transaction.open
            self._waiting.append(
                _Commit(log.end_offset, loaded.image, loaded.delta, 0, whole=whole)
            )

    def _log_progress(self) -> None:
        if self._log.offline is not None:
            self.fail(self._log.offline)
            return
        self._driver.feed(LogDurable(self._log.durable_offset, self._clock.wall_ms()))
        self._tell_progress()

    def _tell_progress(self) -> None:
        for callback in self._progress:
            callback()

    def _flushed(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: StorageError | None) -> None:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(None)

        self._writer.flush(self._log, done)
        return future

    def _fail_waiting(self, error: BaseException) -> None:
        failure = error
        if not isinstance(error, KafkaError):
            failure = StorageError(f"the metadata log failed: {error}")
            failure.__cause__ = error
        waiting: list[asyncio.Future[Any] | None] = [commit.done for commit in self._waiting]
        self._waiting.clear()
        for future in (*waiting, self._activated):
            if future is not None and not future.done():
                future.set_exception(failure)
                future.exception()  # who waited may be gone: then nobody has to hear it


def _first_level(records: Sequence[Message]) -> int:
    for record in records:
        if isinstance(record, FeatureLevelRecord) and record.name == METADATA_VERSION:
            return record.feature_level
    return MV_LATEST
