"""A tiny store over `ports.Disk` with bugs that can be planted: the harness must find each."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from barnabas.ports import Disk, File

BUGS = ("ack before sync", "no sync", "no directory sync", "no checksum", "sync retried")
_FRAME = struct.Struct("<II")


class ToyStore:
    """Appends records to `/store/log`; a record is acknowledged when it is durable.

    Frame: length, CRC, bytes. The lengths are never 0, so zeros are not a record.
    """

    def __init__(self, disk: Disk, acknowledge: Callable[[bytes], None], bug: str = "") -> None:
        self._disk = disk
        self._acknowledge = acknowledge
        self._bug = bug
        disk.make_dirs("/store")
        disk.sync_dir("/")
        self._file: File = disk.open("/store/log", create=True)
        if bug != "no directory sync":
            disk.sync_dir("/store")
        self.records, self._end = self._recover()
        self._file.truncate(self._end)
        self._file.sync()

    def append(self, record: bytes) -> None:
        """Write, sync, acknowledge."""
        frame = _FRAME.pack(len(record), zlib.crc32(record)) + record
        self._file.pwritev([frame], self._end)
        self._end += len(frame)
        self.records.append(record)
        if self._bug == "ack before sync":
            self._acknowledge(record)
            self._file.sync()
            return
        try:
            if self._bug != "no sync":
                self._file.sync()
        except OSError:
            if self._bug != "sync retried":
                raise
            self._file = self._disk.open("/store/log")
            self._file.sync()
        self._acknowledge(record)

    def _recover(self) -> tuple[list[bytes], int]:
        data = self._file.pread(self._file.size(), 0)
        records, position = [], 0
        while position + _FRAME.size <= len(data):
            size, crc = _FRAME.unpack_from(data, position)
            start, end = position + _FRAME.size, position + _FRAME.size + size
            if size == 0 or end > len(data):
                break
            if self._bug != "no checksum" and zlib.crc32(data[start:end]) != crc:
                break
            records.append(data[start:end])
            position = end
        return records, position
