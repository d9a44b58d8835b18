"""Batches of one record with a fixed key, made again and again: what stays the same is kept as bytes.

A coordinator writes such a batch for each commit. The bytes are those of `build_batch`.
"""

from __future__ import annotations

from struct import Struct

from barnabas.records.batch import (
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAGIC,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    BatchHeader,
)
from barnabas.records.builder import encode_varint
from barnabas.records.checksum import crc32c

_FRONT = Struct(">qiibI")
_COVERED = Struct(">hiqqqhii")
_NO_PRODUCER = (NO_PRODUCER_ID, NO_PRODUCER_EPOCH, NO_SEQUENCE)
_new = tuple.__new__


class OneRecord:
    """Makes the batches of one key whose values have `value_size` bytes; no codec, no producer."""

    __slots__ = ("_before", "_length", "size")

    def __init__(self, key: bytes, value_size: int) -> None:
        # Attributes, timestamp delta and offset delta are 0; behind the value stand no headers.
        body = b"\0\0\0" + encode_varint(len(key)) + key + encode_varint(value_size)
        self._before = encode_varint(len(body) + value_size + 1) + body
        self.size = HEADER_SIZE + len(self._before) + value_size + 1
        """Bytes of a batch."""
        self._length = self.size - LOG_OVERHEAD

    def batch(
        self, value: bytes, now_ms: int, base_offset: int, leader_epoch: int
    ) -> tuple[bytes, BatchHeader]:
        """The batch that holds `value`, of this time (wall ms), at its place in the log."""
        covered = (
            _COVERED.pack(0, 0, now_ms, now_ms, *_NO_PRODUCER, 1) + self._before + value + b"\0"
        )
        crc = crc32c(covered)
        front = (base_offset, self._length, leader_epoch, MAGIC, crc)
        header = (*front, 0, 0, now_ms, now_ms, *_NO_PRODUCER, 1)
        return _FRONT.pack(*front) + covered, _new(BatchHeader, header)
