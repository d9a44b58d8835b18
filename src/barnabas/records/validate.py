"""What a leader checks before it appends a produced batch, in Kafka's order, with Kafka's codes.

`check_produce` looks at the header alone (a microsecond) and says when that is not enough; `walk`
then looks at every record, off the event loop if need be. Both are pure. After either, the caller
appends `header.size` bytes (or the replacement), stamped with `set_append_time` on topics with
`message.timestamp.type=LogAppendTime`, and with `assign`ed offset and epoch.

Sources: ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords, LogValidator.
"""

from __future__ import annotations

from struct import error as StructError
from typing import NamedTuple

from barnabas.records.batch import (
    APPEND_TIME_BIT,
    ATTRIBUTES_OFFSET,
    CODEC_MASK,
    CONTROL_BIT,
    HEADER,
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAGIC,
    MAGIC_OFFSET,
    NO_TIMESTAMP,
    BatchHeader,
)
from barnabas.records.builder import rebuild_payload, recode_batch
from barnabas.records.checksum import crc32c
from barnabas.records.compression import Codec, decompress
from barnabas.records.errors import CorruptRecord, InflateLimit
from barnabas.records.legacy import MIN_MESSAGE_SIZE
from barnabas.records.record import Columns, decode_columns, record_times
from barnabas.wire.errors import ErrorCode
from barnabas.wire.primitives import Buffer

UNBOUNDED_MS = 0x7FFFFFFFFFFFFFFF
"""The default of `message.timestamp.before.max.ms`: no bound."""

KEEP_CODEC = -1
"""`compression.type=producer`: batches stay as they were sent."""

MAX_RECORD_ERRORS = 1000
"""Errors listed for one batch. Kafka lists them all, a million if it must."""

FIRST_ZSTD_PRODUCE_VERSION = 7

_INVALID_RECORD = int(ErrorCode.INVALID_RECORD)
_INVALID_TIMESTAMP = int(ErrorCode.INVALID_TIMESTAMP)
_CORRUPT = int(ErrorCode.CORRUPT_MESSAGE)
_TOO_LARGE = int(ErrorCode.MESSAGE_TOO_LARGE)
_LARGER_THAN_SEGMENT = int(ErrorCode.RECORD_LIST_TOO_LARGE)
_BAD_CODEC = int(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)

_LAST_CODEC = int(Codec.ZSTD)
_unpack_header = HEADER.unpack_from
_new = tuple.__new__


class ProduceRules:
    """What a topic's configs mean for a produced batch; made once per change of configs.

    `codec` is `compression.type` as a number or `KEEP_CODEC`, `level` that of the codec;
    `full` is the setting `validation=full`, Kafka's rule for every record of every batch.
    """

    __slots__ = (
        "after_ms",
        "append_time",
        "before_ms",
        "codec",
        "compacted",
        "level",
        "max_bytes",
        "segment_bytes",
        "size_limit",
        "walk_all",
    )

    def __init__(
        self,
        *,
        max_bytes: int,
        segment_bytes: int,
        append_time: bool = False,
        before_ms: int = UNBOUNDED_MS,
        after_ms: int = UNBOUNDED_MS,
        codec: int = KEEP_CODEC,
        level: int | None = None,
        compacted: bool = False,
        full: bool = False,
    ) -> None:
        self.max_bytes = max_bytes
        self.segment_bytes = segment_bytes
        self.size_limit = min(max_bytes, segment_bytes)
        self.append_time = append_time
        self.before_ms = before_ms
        self.after_ms = UNBOUNDED_MS if append_time else after_ms
        self.codec = codec
        self.level = level
        self.compacted = compacted
        self.walk_all = full or compacted or (not append_time and before_ms < UNBOUNDED_MS)


class WalkResult(NamedTuple):
    """What `walk` found. With `error_code` 0 append `replacement`, or the batch itself if None."""

    error_code: int
    message: str | None
    record_errors: list[tuple[int, str]]
    """(index in the batch, why), as `recordErrors` of Produce v8+ has it."""
    replacement: bytearray | None


def check_produce(
    buf: Buffer, rules: ProduceRules, now_ms: int, version: int
) -> tuple[int, BatchHeader | None, bool]:
    """(error code, header, whether `walk` must decide) of the records of one partition.

    `version` is that of the Produce request. The header is None only with an error.

    Header and records can disagree behind a good CRC; what is believed here: the count, the
    largest timestamp, and that inner offsets run from 0. For an honest `max_timestamp` the bound
    after now is Kafka's rule exactly: some record breaks it if and only if the largest does. A
    header that claims less than its records hold slips through; one that claims more is walked.
    """
    try:
        header = _unpack_header(buf)
    except StructError:
        return odd_bytes(buf), None, False
    base, length, _, magic, crc, attributes, delta, _, latest, producer, _, sequence, count = header
    size = length + LOG_OVERHEAD
    if magic != MAGIC or size != len(buf) or length < HEADER_SIZE - LOG_OVERHEAD:
        code = odd_bytes(buf)
        if code:
            return code, None, False
        buf = memoryview(buf)[:size]
    codec = attributes & CODEC_MASK
    if codec == _LAST_CODEC and version < FIRST_ZSTD_PRODUCE_VERSION:
        return _BAD_CODEC, None, False
    if base:
        return _INVALID_RECORD, None, False
    if size > rules.size_limit:
        return (_TOO_LARGE if size > rules.max_bytes else _LARGER_THAN_SEGMENT), None, False
    if crc32c(memoryview(buf)[ATTRIBUTES_OFFSET:]) != crc:
        return _CORRUPT, None, False
    if codec > _LAST_CODEC:
        return _BAD_CODEC, None, False
    if (
        count != delta + 1
        or count <= 0
        or attributes & CONTROL_BIT
        or (sequence < 0 and producer >= 0)
    ):
        return _INVALID_RECORD, None, False
    must_walk = (
        rules.walk_all
        or attributes & APPEND_TIME_BIT != 0
        or (codec != rules.codec and rules.codec >= 0)
        or latest - now_ms > rules.after_ms
    )
    return 0, _new(BatchHeader, header), must_walk


def odd_bytes(buf: Buffer) -> int:
    """Error code for bytes that are not one whole batch of magic 2; 0 when only a tail is cut off.

    Such a tail is ignored, as Kafka does: it trims what follows the last whole batch.
    """
    with memoryview(buf) as view:
        size, code = _whole_batch(view, 0)
        if code or not size:
            return code or _INVALID_RECORD
        if view[MAGIC_OFFSET] != MAGIC:
            return _INVALID_RECORD
        if size < HEADER_SIZE:
            return _CORRUPT
        another, code = _whole_batch(view, size)
        if code:
            return code
        return _INVALID_RECORD if another else 0


def _whole_batch(view: memoryview, pos: int) -> tuple[int, int]:
    """(size of the batch at `pos` or 0 when it is cut off, error code)."""
    if len(view) - pos < LOG_OVERHEAD:
        return 0, 0
    length = int.from_bytes(view[pos + 8 : pos + LOG_OVERHEAD], "big", signed=True)
    if length < MIN_MESSAGE_SIZE:
        return 0, _CORRUPT
    if len(view) - pos <= MAGIC_OFFSET:
        return 0, 0
    if view[pos + MAGIC_OFFSET] > MAGIC:
        return 0, _CORRUPT
    size = length + LOG_OVERHEAD
    return (size, 0) if size <= len(view) - pos else (0, 0)


def walk(
    buf: Buffer, header: BatchHeader, rules: ProduceRules, now_ms: int, *, limit: int
) -> WalkResult:
    """Check every record of a batch that `check_produce` let pass, and rebuild it if needed.

    It is rebuilt for another codec, for inner offsets that do not run from 0 (old clients), and
    when the header's largest timestamp or its time type is not what the topic wants. Inflating
    beyond `limit` bytes is MESSAGE_TOO_LARGE (10), damage is INVALID_RECORD (87).
    """
    try:
        with memoryview(buf) as view, view[HEADER_SIZE : header.size] as payload:
            data = decompress(header.codec, payload, limit)
        columns = decode_columns(data, header.records_count)
    except InflateLimit as error:
        return WalkResult(_TOO_LARGE, str(error), [], None)
    except CorruptRecord as error:
        return WalkResult(_INVALID_RECORD, str(error), [], None)
    times = record_times(header, columns)
    refused = _refuse(header, rules, now_ms, columns, times)
    if refused is not None:
        return refused
    return _replace(header, rules, data, columns, times)


def _refuse(
    header: BatchHeader, rules: ProduceRules, now_ms: int, columns: Columns, times: list[int]
) -> WalkResult | None:
    """The errors of the records, or None. One bad record refuses the batch."""
    keyless = rules.compacted and None in columns.keys
    # Quick test for the usual case; a record without timestamp (-1) is in no bound.
    if not keyless and not header.log_append_time:
        earliest = now_ms - rules.before_ms
        if rules.append_time or (min(times) >= earliest and max(times) <= now_ms + rules.after_ms):
            return None
    errors: list[tuple[int, str]] = []
    code = _INVALID_RECORD
    for index, time in enumerate(times):
        if keyless and columns.keys[index] is None:
            why: str | None = "a record of a compacted topic needs a key"
        else:
            why = _time_error(header, rules, now_ms, time)
            if why is not None:
                code = _INVALID_TIMESTAMP
        if why is not None and len(errors) < MAX_RECORD_ERRORS:
            errors.append((index, why))
    if not errors:
        return None
    if code == _INVALID_TIMESTAMP:
        message = "One or more records have been rejected due to invalid timestamp"
    else:
        message = f"One or more records have been rejected; the first: {errors[0][1]}"
    return WalkResult(code, message, errors, None)


def _time_error(header: BatchHeader, rules: ProduceRules, now_ms: int, time: int) -> str | None:
    if not rules.append_time and time != NO_TIMESTAMP:
        if now_ms - time > rules.before_ms or time - now_ms > rules.after_ms:
            low, high = now_ms - rules.before_ms, now_ms + rules.after_ms
            return f"timestamp {time} is not within [{low}, {high}]"
        return None
    if header.log_append_time:
        return "a producer must not set the timestamp type to LogAppendTime"
    return None


def _replace(
    header: BatchHeader, rules: ProduceRules, data: bytes, columns: Columns, times: list[int]
) -> WalkResult:
    """The verdict on a good batch, with its replacement where it may not stay as it is."""
    codec = header.codec if rules.codec == KEEP_CODEC else rules.codec
    in_order = columns.offset_deltas == list(range(header.records_count))
    latest = max(NO_TIMESTAMP, *times)
    if (
        codec == header.codec
        and in_order
        and not header.log_append_time
        and latest == header.max_timestamp
    ):
        return WalkResult(0, None, [], None)
    # Append time is for the caller to set; a producer's own claim of it is not kept.
    changed = header._replace(attributes=header.attributes & ~APPEND_TIME_BIT, max_timestamp=latest)
    if header.log_append_time and (codec != header.codec or not in_order):
        # Kafka encodes the records anew with the times that it read, all the same here.
        columns = columns._replace(timestamp_deltas=[0] * header.records_count)
        changed = changed._replace(base_timestamp=latest)
        in_order = False
    if not in_order:
        data = rebuild_payload(columns)
    replacement = recode_batch(changed, data, codec, rules.level if codec == rules.codec else None)
    if len(replacement) > rules.size_limit:
        code = _TOO_LARGE if len(replacement) > rules.max_bytes else _LARGER_THAN_SEGMENT
        return WalkResult(code, None, [], None)
    return WalkResult(0, None, [], replacement)
