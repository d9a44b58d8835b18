"""What of a log is on its way to the disk."""

from __future__ import annotations

from collections.abc import Callable

from barnabas.log.errors import StorageError
from barnabas.log.segment import Segment
from barnabas.ports import Buffer, Timer


class Pending:
    """Bytes of one segment that are not in its files yet, and the index entries for them."""

    __slots__ = (
        "buffers",
        "end_offset",
        "end_position",
        "last",
        "new",
        "next_base",
        "offset_entries",
        "position",
        "segment",
        "snapshot",
        "time_entries",
        "txn_entries",
    )

    def __init__(self, segment: Segment, position: int, *, new: bool) -> None:
        self.segment = segment
        self.position = position
        self.new = new
        """The segment's files have to be made first."""
        self.last = False
        """The segment was rolled: nothing follows this piece."""
        self.next_base = -1
        """Base offset of the segment after a rolled one."""
        self.buffers: list[Buffer] = []
        self.offset_entries = bytearray()
        self.time_entries = bytearray()
        self.txn_entries = bytearray()
        self.end_offset = segment.base_offset
        self.end_position = position
        self.snapshot = b""
        """Producer state at the end of a rolled segment, as a `.snapshot` file."""


class SyncState:
    """What of a log the writer still has to make durable."""

    __slots__ = (
        "busy",
        "flushes",
        "held",
        "new_names",
        "queued",
        "released",
        "rolled",
        "syncing",
        "timer",
        "unsynced",
    )

    def __init__(self) -> None:
        self.busy = False
        """A write round that includes the log is on the executor."""
        self.syncing = False
        """The sync round on the executor includes the log."""
        self.held = 0
        """Other jobs on the executor that work on the log's files."""
        self.released: list[Callable[[], None]] = []
        """Called once none of the three is so (see `LogWriter.release`)."""
        self.queued = False
        """The log waits for the next sync round."""
        self.unsynced: list[Segment] = []
        """Segments with written bytes that are not durable, oldest first."""
        self.rolled: list[Pending] = []
        """Last pieces of segments that were rolled: indexes and producer snapshot to be synced."""
        self.new_names = False
        """Files were made since the directory was synced."""
        self.timer: Timer | None = None
        """Runs out `flush.ms` after the first write that is not durable."""
        self.flushes: list[tuple[int, Callable[[StorageError | None], None]]] = []
        """(offset, callback) of those who wait for it to be durable."""
