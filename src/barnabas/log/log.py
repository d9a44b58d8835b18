"""`Log`: one replica's records as segments, with three ends.

* `end_offset`: next offset to assign. Moves with `append`, which only touches memory.
* `written_offset`: everything below is in the files and survives the process.
* `durable_offset`: everything below survives a power cut.

`append` decides everything that can be decided without a file: rolls, index entries, producer
state, epochs. The bytes wait in `Pending` pieces, one per segment, until the `LogWriter` takes
them. Reads (`read.py`) see written bytes only. All methods run on the event loop unless they say
otherwise.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable

from barnabas.config.log_config import LogConfig
from barnabas.log import offset_index, time_index
from barnabas.log.errors import StorageError
from barnabas.log.files import FilePool
from barnabas.log.pending import Pending, SyncState
from barnabas.log.producer_log import track_batch
from barnabas.log.segment import Segment
from barnabas.partition.epochs import LeaderEpochs
from barnabas.partition.producer_entry import encode_snapshot
from barnabas.partition.producers import ProducerStates
from barnabas.ports import Buffer, Disk
from barnabas.records.batch import CONTROL_BIT, BatchHeader
from barnabas.wire.errors import ErrorCode, KafkaError

OVERHEAD = 12
NEVER = -1
"""As a threshold: every append takes the slow path of `_prepare`."""
MAX_MARKS = 8

Mark = tuple[int, int]
"""(segment base offset, position): where the first batch at or above an offset begins."""


def _nothing(_: Log) -> None:
    return


class Log:
    """The log of one partition; see the module. Made by `recovery.open_log`."""

    __slots__ = (
        "_active",
        "_buffers",
        "_dirty",
        "_first_timestamp",
        "_index_count",
        "_index_due",
        "_index_interval",
        "_position",
        "_roll_offset",
        "_roll_position",
        "_roll_timestamp",
        "_rolled",
        "_rolled_bytes",
        "_tail",
        "_time_count",
        "_time_last",
        "bases",
        "blocked",
        "config",
        "directory",
        "disk",
        "disk_base",
        "durable_offset",
        "end_offset",
        "epochs",
        "epochs_written",
        "high_watermark",
        "latest_epoch",
        "log_start_offset",
        "mark_dirty",
        "marks",
        "now_ms",
        "offline",
        "on_progress",
        "partition",
        "path",
        "pick_jitter",
        "pool",
        "producers",
        "recovery_point",
        "replaced",
        "segments",
        "settled_base",
        "snapshot_position",
        "snapshots",
        "sync",
        "topic",
        "topic_id",
        "written_offset",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        path: str,
        config: LogConfig,
        *,
        pool: FilePool,
        now_ms: Callable[[], int],
        pick_jitter: Callable[[int], int],
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.path = path
        #: The log directory (an entry of `log.dirs`) that holds it.
        self.directory = sys.intern(path.rpartition("/")[0])
        self.config = config
        self.pool = pool
        self.disk: Disk = pool.disk
        self.now_ms = now_ms
        self.pick_jitter = pick_jitter
        self.topic_id: bytes | None = None
        self.segments: list[Segment] = []
        self.bases: list[int] = []
        self.log_start_offset = 0
        self.disk_base = 0
        """Base of the oldest segment on disk: below `bases[0]` while a deletion is under way."""
        self.end_offset = 0
        self.written_offset = 0
        self.durable_offset = 0
        self.recovery_point = 0
        self.high_watermark = 0
        self.producers = ProducerStates()
        self.epochs = LeaderEpochs()
        self.epochs_written = self.epochs.encode()
        """What `leader-epoch-checkpoint` holds (or would, when there is none)."""
        self.latest_epoch = -1
        self.snapshot_position = (-1, 0)
        """(segment base, position) of the newest snapshot that a checkpoint took."""
        self.snapshots: list[int] = []
        """Offsets of the `.snapshot` files, ascending."""
        self.marks: dict[int, Mark] = {}
        self.replaced = 0
        """Grows whenever files that a reader may have looked at make room for others, or change
        their names: by compaction, or a cut."""
        self.offline: OSError | None = None
        self.blocked = False
        """A truncation is under way: nothing may be appended."""
        self.on_progress: Callable[[], None] | None = None
        self.mark_dirty: Callable[[Log], None] = _nothing
        self.sync: SyncState = SyncState()
        self._rolled: list[Pending] = []
        self._rolled_bytes = 0
        self._dirty = False
        self._first_timestamp = -1

    def start(self, position: int, index_position: int, time_last: int, first: int) -> None:
        """Begin to append to the last segment, whose file ends at `position`.

        `index_position` is the position in its last offset index entry (0 without), `time_last`
        the timestamp of its last time index entry (-1 without), `first` the largest timestamp of
        its first batch. The counts of entries come from the segment's sizes.
        """
        segment = self.segments[-1]
        self.disk_base = self.bases[0]
        self.settled_base = segment.base_offset
        """The writer is done with all files of segments below this base offset."""
        self._active = segment
        self._tail = Pending(segment, position, new=False)
        self._buffers = self._tail.buffers
        self._position = position
        self._index_interval = self.config.index_interval_bytes
        self._index_due = index_position + self._index_interval
        self._index_count = segment.offset_bytes // offset_index.WIDTH
        self._time_count = segment.time_bytes // time_index.WIDTH
        self._time_last = time_last
        self._set_thresholds(first if position else None)

    def append(
        self,
        batch: Buffer,
        header: BatchHeader,
        base_offset: int | None = None,
        leader_epoch: int | None = None,
    ) -> None:
        """Append one validated batch whose bytes already hold its base offset and leader epoch.

        `base_offset` and `leader_epoch`, where given, stand for the header's own: a leader that
        read the header before it assigned them need not build another. The buffer must not change
        afterwards. Offsets must not go back (a gap is fine: compacted leaders have them).

        Raises `StorageError` when the directory failed, `KafkaError` RECORD_LIST_TOO_LARGE when
        the batch is larger than a segment.
        """
        base, length, epoch, _, _, _, delta, _, timestamp, producer_id, _, _, _ = header
        if base_offset is not None:
            base = base_offset
        if leader_epoch is not None:
            epoch = leader_epoch
        last = base + delta
        position = self._position
        size = length + OVERHEAD
        if (
            position + size > self._roll_position
            or timestamp > self._roll_timestamp
            or last > self._roll_offset
            or base < self.end_offset
        ):
            position = self._prepare(base, last, size, timestamp)
        segment = self._active
        if timestamp > segment.max_timestamp:
            segment.max_timestamp = timestamp
            segment.max_timestamp_offset = last
        if position > self._index_due:
            self._add_index_entry(last, position)
        self._buffers.append(batch)
        self._position = position + size
        self.end_offset = last + 1
        if epoch > self.latest_epoch:
            self.begin_epoch(epoch, base)
        if producer_id >= 0:
            self._track_producer(batch, header, base)
        if not self._dirty:
            self._dirty = True
            self.mark_dirty(self)

    def begin_epoch(self, epoch: int, start_offset: int) -> None:
        """A leader epoch begins at `start_offset` (a new leader calls this before it appends)."""
        if epoch > self.latest_epoch:
            self.latest_epoch = epoch
            self.epochs.assign(epoch, start_offset)

    @property
    def first_unstable_offset(self) -> int | None:
        """First offset of the oldest transaction that is open, or ended at or above the HW."""
        return self.producers.first_unstable_offset(self.high_watermark)

    @property
    def active_base_offset(self) -> int:
        """Base offset of the segment that is appended to."""
        return self._active.base_offset

    @property
    def has_pending(self) -> bool:
        """Whether there are bytes that the writer has not taken."""
        return self._dirty

    @property
    def makes_files(self) -> bool:
        """Whether to write what is pending means to make files, or to sync one before another."""
        return self._tail.new or bool(self._rolled)

    @property
    def pending_bytes(self) -> int:
        """Bytes of batches that the writer has not taken."""
        return self._rolled_bytes + self._position - self._tail.position

    def update_config(self, config: LogConfig) -> None:
        """Adopt changed topic configs; they hold from the next append on."""
        self.config = config
        self._index_interval = config.index_interval_bytes
        # The slow path sets what follows from the new values, at the next append.
        self._roll_position = NEVER

    def size(self) -> int:
        """Bytes of all segments, pending ones included. Raises `OSError`."""
        total = self._position - self._active.size
        for segment in self.segments:
            segment.load_sizes(self.pool)
            total += segment.size
        for piece in self._rolled:
            total += piece.end_position - piece.segment.size
        return total

    def segment_index(self, offset: int) -> int:
        """Index of the segment that holds `offset`, -1 when it is below all."""
        return bisect_right(self.bases, offset) - 1

    def take(self) -> list[Pending]:
        """Hand the pending pieces to the writer, oldest first; it reports with `wrote`."""
        tail = self._tail
        tail.end_offset = self.end_offset
        tail.end_position = self._position
        pieces = [*self._rolled, tail] if self._rolled else [tail]
        self._rolled = []
        self._rolled_bytes = 0
        self._tail = Pending(self._active, self._position, new=False)
        self._buffers = self._tail.buffers
        self._dirty = False
        return pieces

    def plain_tail(self) -> Pending | None:
        """All that is pending, when it is bytes for a file that is there, without index entries: to
        be written on the spot and then told by `wrote_tail`. None: `take` the pieces."""
        tail = self._tail
        if tail.new or self._rolled or tail.offset_entries or tail.time_entries or tail.txn_entries:
            return None
        tail.end_position = self._position
        return tail

    def wrote_tail(self) -> None:
        """The bytes of `plain_tail` are in the file; nothing was appended since."""
        tail = self._tail
        tail.position = self._active.size = self._position
        tail.buffers = self._buffers = []
        self._dirty = False
        offset = self.written_offset = self.end_offset
        marks = self.marks
        if len(marks) >= MAX_MARKS and offset not in marks:
            del marks[next(iter(marks))]
        marks[offset] = (self._active.base_offset, self._position)  # as `mark`, without a call

    def wrote(self, pieces: list[Pending]) -> None:
        """The pieces are in the files."""
        for piece in pieces:
            segment = piece.segment
            segment.size = piece.end_position
            segment.offset_bytes += len(piece.offset_entries)
            segment.time_bytes += len(piece.time_entries)
            if piece.txn_entries:
                segment.has_txns = True
        self.written_offset = piece.end_offset
        self.mark(piece.end_offset, segment.base_offset, segment.size)

    def mark(self, offset: int, base: int, position: int) -> None:
        """Remember that the first batch at or above `offset` begins at `position`."""
        marks = self.marks
        if len(marks) >= MAX_MARKS and offset not in marks:
            del marks[next(iter(marks))]
        marks[offset] = (base, position)

    def fail(self, error: OSError) -> None:
        """The directory failed: refuse everything from now on, keep nothing in memory."""
        self.offline = error
        self._roll_position = NEVER
        self._rolled = []
        self._rolled_bytes = 0
        self._tail = Pending(self._active, self._position, new=False)
        self._buffers = self._tail.buffers
        if self.sync.timer is not None:
            self.sync.timer.cancel()
            self.sync.timer = None
        flushes, self.sync.flushes = self.sync.flushes, []
        for _, done in flushes:
            done(StorageError(f"{self.path} is offline"))
        if self.on_progress is not None:
            self.on_progress()

    def block(self) -> None:
        """Nothing may be appended until `start` is called again (see `blocked`)."""
        self.blocked = True
        self._roll_position = NEVER

    def check_online(self) -> None:
        """Raise `StorageError` when the directory failed."""
        if self.offline is not None:
            raise StorageError(f"log directory of {self.topic}-{self.partition} is offline")

    def roll(self, base_offset: int | None = None) -> None:
        """Begin a new segment, at the log end unless `base_offset` says more."""
        tail = self._tail
        tail.time_entries += self.closing_time_entry()
        tail.end_offset = self.end_offset
        tail.end_position = self._position
        tail.last = True
        base = self.end_offset if base_offset is None else base_offset
        tail.next_base = base
        tail.snapshot = encode_snapshot(self.producers.producers.values())
        self._rolled.append(tail)
        self._rolled_bytes += tail.end_position - tail.position
        segment = Segment(self.path, base)
        self.segments.append(segment)
        self.bases.append(base)
        self._active = segment
        self._tail = Pending(segment, 0, new=True)
        self._buffers = self._tail.buffers
        self._position = 0
        self._index_due = self._index_interval
        self._index_count = self._time_count = 0
        self._time_last = -1
        self._set_thresholds(None)
        if not self._dirty:
            self._dirty = True
            self.mark_dirty(self)

    def closing_time_entry(self) -> bytes:
        """The time index entry that ends a segment, empty when it is there already."""
        segment = self._active
        if segment.max_timestamp <= self._time_last:
            return b""
        self._time_last = segment.max_timestamp
        relative = segment.max_timestamp_offset - segment.base_offset
        return time_index.ENTRY.pack(segment.max_timestamp, relative)

    def _prepare(self, base: int, last: int, size: int, timestamp: int) -> int:
        """The seldom part of `append`: checks, a roll when one is due; the position to write at."""
        self.check_online()
        if self.blocked:
            raise RuntimeError(f"append to {self.path} while it is truncated")
        if base < self.end_offset:
            raise ValueError(f"offset {base} appended to {self.path} behind {self.end_offset}")
        if size > self.config.segment_bytes:
            text = f"batch of {size} bytes, segment.bytes is {self.config.segment_bytes}"
            raise KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE, text)
        if self._roll_due(last, size, timestamp):
            self.roll(base)
        if self._position == 0:
            self._set_thresholds(timestamp)
        elif self._roll_position == NEVER:
            self._set_thresholds(self._first_timestamp)
        return self._position

    def _roll_due(self, last: int, size: int, timestamp: int) -> bool:
        """Kafka's conditions (facts: log-format section 11)."""
        segment, config = self._active, self.config
        if last - segment.base_offset > offset_index.MAX_RELATIVE:
            return True
        if self._position == 0:
            return False
        first = self._first_timestamp
        waited = timestamp - first if first >= 0 else self.now_ms() - segment.created_ms
        return (
            self._position + size > config.segment_bytes
            or waited > self._segment_ms() - segment.jitter_ms
            or self._index_count >= offset_index.max_entries(config.segment_index_bytes)
            or self._time_count >= time_index.max_entries(config.segment_index_bytes)
        )

    def _segment_ms(self) -> int:
        if "compact" in self.config.cleanup_policy:
            return min(self.config.segment_ms, self.config.max_compaction_lag_ms)
        return self.config.segment_ms

    def _set_thresholds(self, first: int | None) -> None:
        """What the next append compares with; `first` is the largest timestamp of the segment's
        first batch, `None` as long as it has none: then the append that brings it comes here."""
        segment, limit = self._active, self._segment_ms()
        if first is None:
            self._roll_position = self._roll_timestamp = self._roll_offset = NEVER
            segment.created_ms = self.now_ms()
            bound = min(self.config.segment_jitter_ms, limit)
            segment.jitter_ms = self.pick_jitter(bound) if bound > 0 else 0
            return
        self._first_timestamp = first
        config = self.config
        full = self._index_count >= offset_index.max_entries(
            config.segment_index_bytes
        ) or self._time_count >= time_index.max_entries(config.segment_index_bytes)
        self._roll_position = NEVER if full else config.segment_bytes
        # Without a timestamp the age counts, which only the slow path can tell.
        self._roll_timestamp = first + limit - segment.jitter_ms if first >= 0 else -2
        self._roll_offset = segment.base_offset + offset_index.MAX_RELATIVE

    def _add_index_entry(self, last: int, position: int) -> None:
        segment = self._active
        base = segment.base_offset
        tail = self._tail
        tail.offset_entries += offset_index.ENTRY.pack(last - base, position)
        self._index_count += 1
        if segment.max_timestamp > self._time_last:
            entry = (segment.max_timestamp, segment.max_timestamp_offset - base)
            tail.time_entries += time_index.ENTRY.pack(*entry)
            self._time_last = segment.max_timestamp
            self._time_count += 1
        self._index_due = position + self._index_interval
        limit = self.config.segment_index_bytes
        if self._index_count >= offset_index.max_entries(
            limit
        ) or self._time_count >= time_index.max_entries(limit):
            self._roll_position = NEVER

    def _track_producer(self, batch: Buffer, header: BatchHeader, base: int) -> None:
        """Producer state, and the transaction index when a marker aborts a transaction."""
        aborted = track_batch(self.producers, header, batch, base)
        if header.attributes & CONTROL_BIT:
            # Also where nobody reads, decided transactions have to be forgotten.
            self.producers.first_unstable_offset(self.high_watermark)
        if aborted is not None:
            self._tail.txn_entries += aborted.encode()
