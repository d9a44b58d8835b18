"""Recovery of one segment: check its batches, mend its indexes."""

from __future__ import annotations

from barnabas.log import names, offset_index, time_index
from barnabas.log.checkpoints import read_file
from barnabas.log.lookup import pread_blocking
from barnabas.log.scan import Scan, batch_is_valid
from barnabas.log.segment import Segment, walk
from barnabas.ports import Disk, File

MAX_INDEX_BYTES = 1 << 30


class Recovered:
    """What the check of a segment found, and what of the old indexes is kept."""

    def __init__(
        self, segment: Segment, scan: Scan, offset_bytes: int, time_bytes: int, file_size: int
    ) -> None:
        self.segment = segment
        self.file_size = file_size
        self.end = scan.end
        self.next_offset = scan.next_offset
        self.epochs = scan.epochs
        self.first_timestamp = scan.first_timestamp
        self._scan = scan
        self._offset_bytes = offset_bytes
        self._time_bytes = time_bytes

    def write(self, disk: Disk) -> None:
        """Cut the log behind its last valid batch, and write the indexes anew from where they
        were not trusted. Not synced yet; repeated after a crash it does the same again."""
        segment, scan = self.segment, self._scan
        scan.add_time_entry()  # as at a roll or close
        if self.end < self.file_size:
            _replace_tail(disk, segment.path + names.LOG, self.end, b"")
        segment.size = self.end
        segment.offset_bytes = self._offset_bytes + len(scan.offset_entries)
        segment.time_bytes = self._time_bytes + len(scan.time_entries)
        segment.max_timestamp = scan.max_timestamp
        segment.max_timestamp_offset = scan.max_timestamp_offset
        path = segment.path
        _replace_tail(disk, path + names.OFFSET_INDEX, self._offset_bytes, scan.offset_entries)
        _replace_tail(disk, path + names.TIME_INDEX, self._time_bytes, scan.time_entries)

    def start_arguments(self) -> tuple[int, int, int, int]:
        """For `Log.start`, when this is the last segment."""
        first = self.first_timestamp
        return (
            self.end,
            self._scan.index_position,
            self._scan.time_last,
            -1 if first is None else first,
        )

    def paths(self, disk: Disk) -> list[str]:
        """The files that have to be synced."""
        paths = [self.segment.path + s for s in (names.LOG, names.OFFSET_INDEX, names.TIME_INDEX)]
        txns = self.segment.path + names.TXN_INDEX
        return [*paths, txns] if disk.exists(txns) else paths


def recover_segment(disk: Disk, segment: Segment, interval: int, *, trusted: int) -> Recovered:
    """Check the batches of `segment`; index entries for offsets below `trusted` are believed
    when they are sound and the last of them points to a valid batch that ends where it says."""
    base = segment.base_offset
    file = disk.open(segment.path + names.LOG)
    try:
        size = file.size()
        offset_bytes = time_bytes = position = 0
        stamp, stamp_offset = -1, base
        entries = _sound_entries(disk, segment, trusted, file, size)
        if entries:
            offset_bytes = len(entries)
            relative, position = offset_index.ENTRY.unpack(entries[-offset_index.WIDTH :])
            times = read_file(disk, segment.path + names.TIME_INDEX, MAX_INDEX_BYTES) or b""
            time_bytes = time_index.valid_prefix(times, relative)
            if time_bytes:
                last = times[time_bytes - time_index.WIDTH : time_bytes]
                stamp, at = time_index.ENTRY.unpack(last)
                stamp_offset = base + at
        scan = Scan(
            file,
            base,
            interval,
            position=position,
            max_timestamp=stamp,
            max_timestamp_offset=stamp_offset,
            time_last=stamp,
        )
        if position:
            scan.first_timestamp = first_timestamp(file, size)
        return Recovered(segment, scan, offset_bytes, time_bytes, size)
    finally:
        file.close()


def _sound_entries(disk: Disk, segment: Segment, trusted: int, log: File, size: int) -> bytes:
    """The index entries below `trusted` that can be believed, empty when none can."""
    limit = trusted - 1 - segment.base_offset
    if limit < 0 or not disk.exists(segment.path + names.TIME_INDEX):
        return b""
    data = read_file(disk, segment.path + names.OFFSET_INDEX, MAX_INDEX_BYTES) or b""
    data = data[: offset_index.valid_prefix(data, limit, size)]
    if not data:
        return b""
    relative, position = offset_index.ENTRY.unpack(data[-offset_index.WIDTH :])
    head = log.pread(27, position)
    last = int.from_bytes(head[:8], "big") + (
        int.from_bytes(head[23:27], "big") if head[16:17] == b"\x02" else 0
    )
    if last != segment.base_offset + relative or not batch_is_valid(log, position, size):
        return b""
    return data


def first_timestamp(file: File, size: int) -> int:
    """Largest timestamp of a segment's first batch, -1 for none."""
    for place in walk(file, 0, size, pread_blocking):
        return place[4]
    return -1


def _replace_tail(disk: Disk, path: str, keep: int, data: bytes | bytearray) -> None:
    """Leave `keep` bytes of a file, then `data`. Writes nothing when that is what is there."""
    file = disk.open(path, create=True)
    try:
        if file.size() == keep + len(data) and file.pread(len(data), keep) == data:
            return
        file.truncate(keep)
        if data:
            file.pwritev([data], keep)
    finally:
        file.close()
