"""What a leader accepts of a producer: codes in Kafka's order, the fast path and the walk."""

from __future__ import annotations

from typing import Any

import pytest

from barnabas.records.batch import (
    BatchHeader,
    crc_valid,
    read_header,
    set_append_time,
    write_crc,
)
from barnabas.records.builder import NewRecord, build_batch, encode_record, recode_batch
from barnabas.records.record import read_records
from barnabas.records.validate import (
    MAX_RECORD_ERRORS,
    ProduceRules,
    WalkResult,
    check_produce,
    walk,
)
from barnabas.wire.errors import ErrorCode

NOW = 1_700_000_000_000
HOUR = 3_600_000
ROWS: list[NewRecord] = [(b"k", b"v", NOW, ()), (b"l", b"w", NOW + 5, ())]
PLAIN = ProduceRules(max_bytes=1000, segment_bytes=1 << 30, after_ms=HOUR)


def rules(**changes: Any) -> ProduceRules:
    """Rules of a topic with defaults but for `changes`."""
    settings: dict[str, Any] = {"max_bytes": 1 << 20, "segment_bytes": 1 << 30, "after_ms": HOUR}
    return ProduceRules(**settings | changes)


def code(buf: bytes | bytearray, wanted: ProduceRules = PLAIN, version: int = 13) -> int:
    """Only the error code."""
    return check_produce(buf, wanted, NOW, version)[0]


def changed(at: int, value: int, size: int = 4) -> bytearray:
    """A batch of two records with a header field overwritten, behind a good CRC."""
    batch = build_batch(ROWS)
    batch[at : at + size] = value.to_bytes(size, "big", signed=True)
    write_crc(batch, 0, len(batch))
    return batch


def header_of(batch: bytes | bytearray, wanted: ProduceRules) -> BatchHeader:
    """The header of a batch that passes the quick check and must be walked."""
    error, header, must_walk = check_produce(batch, wanted, NOW, 13)
    assert error == 0
    assert must_walk
    assert header is not None
    return header


def walked(batch: bytes | bytearray, wanted: ProduceRules, limit: int = 1 << 20) -> WalkResult:
    """The walk's verdict."""
    return walk(batch, header_of(batch, wanted), wanted, NOW, limit=limit)


@pytest.mark.parametrize("codec", range(5))
def test_a_good_batch_passes_by_its_header(codec: int) -> None:
    batch = build_batch(ROWS, codec=codec, producer_id=5, producer_epoch=0, base_sequence=0)
    for buf in (batch, bytes(batch), memoryview(batch)):
        assert check_produce(buf, PLAIN, NOW, 13) == (0, read_header(batch), False)


def test_not_one_whole_batch_of_magic_2() -> None:
    batch = build_batch(ROWS)
    assert code(b"") == ErrorCode.INVALID_RECORD
    assert code(batch + batch) == ErrorCode.INVALID_RECORD
    for end in range(len(batch)):
        assert code(batch[:end]) == ErrorCode.INVALID_RECORD
    for magic in (0, 1):
        assert code(changed(16, magic, 1)) == ErrorCode.INVALID_RECORD
    for magic in (3, 127, -1):
        assert code(changed(16, magic, 1)) == ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 13, 14, 48])
def test_lengths_that_cannot_be(length: int) -> None:
    batch = bytearray(build_batch(ROWS))
    batch[8:12] = length.to_bytes(4, "big", signed=True)
    assert code(batch) == ErrorCode.CORRUPT_MESSAGE


def test_a_length_beyond_the_end_is_no_batch() -> None:
    batch = bytearray(build_batch(ROWS))
    batch[8:12] = (2**31 - 1).to_bytes(4, "big")
    assert code(batch) == ErrorCode.INVALID_RECORD


def test_what_is_cut_off_behind_the_batch_is_ignored() -> None:
    batch = build_batch(ROWS)
    for tail in (b"\0" * 11, batch[:-1], b"\0" * 8 + b"\0\0\0\x0e"):
        assert check_produce(batch + tail, PLAIN, NOW, 13) == (0, read_header(batch), False)
    assert code(batch + b"\0" * 12) == ErrorCode.CORRUPT_MESSAGE
    assert code(batch + batch[:16] + b"\5") == ErrorCode.CORRUPT_MESSAGE


def test_zstd_needs_produce_version_7() -> None:
    batch = build_batch(ROWS, codec=4)
    assert code(batch, version=6) == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert code(batch, version=7) == 0


def test_offsets_are_the_leaders_to_give() -> None:
    assert code(build_batch(ROWS, base_offset=1)) == ErrorCode.INVALID_RECORD


def test_sizes() -> None:
    batch = build_batch(ROWS)
    size = len(batch)
    assert code(batch, rules(max_bytes=size)) == 0
    assert code(batch, rules(max_bytes=size - 1)) == ErrorCode.MESSAGE_TOO_LARGE
    assert code(batch, rules(segment_bytes=size - 1)) == ErrorCode.RECORD_LIST_TOO_LARGE


def test_every_bit_behind_the_crc_counts() -> None:
    batch = build_batch(ROWS)
    for at in range(17, len(batch)):
        broken = bytearray(batch)
        broken[at] ^= 0x80
        assert code(broken) == ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_codecs_that_do_not_exist(codec: int) -> None:
    assert code(changed(21, codec, 2)) == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (23, -1),
        (23, 0),
        (23, 2),
        (23, 2**31 - 1),
        (23, -(2**31)),
        (57, 0),
        (57, -1),
        (57, 3),
        (57, 2**31 - 1),
    ],
)
def test_counts_must_agree(at: int, value: int) -> None:
    assert code(changed(at, value)) == ErrorCode.INVALID_RECORD


def test_no_control_batches_from_clients() -> None:
    assert code(build_batch(ROWS, control=True)) == ErrorCode.INVALID_RECORD


def test_a_producer_id_comes_with_sequences() -> None:
    assert code(build_batch(ROWS, producer_id=0, producer_epoch=0)) == ErrorCode.INVALID_RECORD
    assert code(build_batch(ROWS, base_sequence=-1)) == 0


def test_when_the_header_is_not_enough() -> None:
    batch = build_batch(ROWS, codec=1)

    def must_walk(buf: bytes | bytearray, wanted: ProduceRules) -> bool:
        error, _, walk_it = check_produce(buf, wanted, NOW, 13)
        assert error == 0
        return walk_it

    assert must_walk(batch, rules(full=True))
    assert must_walk(batch, rules(compacted=True))
    assert must_walk(batch, rules(before_ms=HOUR))
    assert must_walk(batch, rules(codec=0))
    assert must_walk(batch, rules(codec=4))
    assert not must_walk(batch, rules(codec=1))
    assert not must_walk(batch, rules(append_time=True, before_ms=HOUR))
    assert must_walk(build_batch(ROWS, log_append_time=NOW), PLAIN)
    assert not must_walk(build_batch([(None, b"", NOW + HOUR, ())]), PLAIN)
    assert must_walk(build_batch([(None, b"", NOW + HOUR + 1, ())]), PLAIN)
    late = build_batch([(None, b"", NOW + HOUR + 1, ())])
    assert not must_walk(late, rules(append_time=True))
    assert not must_walk(build_batch([(None, b"", -1, ())]), PLAIN)


def test_a_walk_that_finds_nothing() -> None:
    for codec in range(5):
        result = walked(build_batch(ROWS, codec=codec), rules(full=True))
        assert result == (0, None, [], None)


def test_compacted_topics_need_keys() -> None:
    batch = build_batch([(b"", b"v", NOW, ()), (None, b"v", NOW, ()), (b"k", None, NOW, ())])
    result = walked(batch, rules(compacted=True))
    assert result.error_code == ErrorCode.INVALID_RECORD
    assert [index for index, _ in result.record_errors] == [1]
    assert result.message is not None
    assert result.replacement is None


def test_times_out_of_bounds() -> None:
    times = (NOW - 60_001, NOW - 60_000, -1, NOW + HOUR, NOW + HOUR + 1)
    batch = build_batch([(b"k", b"v", time, ()) for time in times])
    result = walked(batch, rules(before_ms=60_000))
    assert result.error_code == ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in result.record_errors] == [0, 4]
    assert result.message == "One or more records have been rejected due to invalid timestamp"
    result = walked(batch, PLAIN)
    assert [index for index, _ in result.record_errors] == [4]


def test_a_bad_time_outweighs_a_missing_key() -> None:
    batch = build_batch([(None, b"v", NOW, ()), (b"k", b"v", NOW + 2 * HOUR, ())])
    result = walked(batch, rules(compacted=True))
    assert result.error_code == ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in result.record_errors] == [0, 1]


def test_the_list_of_errors_is_bounded() -> None:
    batch = build_batch([(None, b"", NOW, ())] * (MAX_RECORD_ERRORS + 9))
    result = walked(batch, rules(compacted=True))
    assert len(result.record_errors) == MAX_RECORD_ERRORS


def test_append_time_is_not_for_producers() -> None:
    batch = build_batch(ROWS, log_append_time=NOW)
    result = walked(batch, rules(append_time=True))
    assert result.error_code == ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in result.record_errors] == [0, 1]
    # Where records keep their own times, the claim is taken back.
    result = walked(batch, PLAIN)
    assert result.error_code == 0
    assert result.replacement is not None
    assert not read_header(result.replacement).log_append_time
    assert crc_valid(result.replacement, 0, len(result.replacement))


def test_a_header_that_claims_too_late_a_time_is_set_right() -> None:
    batch = changed(35, NOW + 9 * HOUR, 8)
    result = walked(batch, PLAIN)
    assert result.error_code == 0
    assert result.replacement == build_batch(ROWS)


@pytest.mark.parametrize("source", range(5))
@pytest.mark.parametrize("target", range(5))
def test_recompression(source: int, target: int) -> None:
    rows: list[NewRecord] = [(b"k%d" % at, b"v" * 50, NOW, (("h", b"x"),)) for at in range(40)]
    batch = build_batch(
        rows,
        codec=source,
        producer_id=3,
        producer_epoch=1,
        base_sequence=8,
        transactional=True,
    )
    result = walked(batch, rules(codec=target, level=3 if target != 2 else 0, full=True))
    assert result.error_code == 0
    if source == target:
        assert result.replacement is None
        return
    assert result.replacement is not None
    header = read_header(result.replacement)
    assert crc_valid(result.replacement, 0, header.size)
    assert header.size == len(result.replacement)
    assert header.codec == target
    assert header[6:] == read_header(batch)[6:]
    assert header.is_transactional
    assert read_records(result.replacement, limit=1 << 20) == read_records(batch, limit=1 << 20)


def test_what_recompression_makes_too_large() -> None:
    batch = build_batch([(b"k", bytes(5000), NOW, ())], codec=4)
    result = walked(batch, rules(codec=0, max_bytes=1000))
    assert result == (ErrorCode.MESSAGE_TOO_LARGE, None, [], None)
    result = walked(batch, rules(codec=0, segment_bytes=1000))
    assert result.error_code == ErrorCode.RECORD_LIST_TOO_LARGE


@pytest.mark.parametrize("codec", [0, 3])
def test_inner_offsets_are_set_right(codec: int) -> None:
    payload = encode_record(5, 0, b"k", b"v", ()) + encode_record(-2, 5, b"l", b"w", ())
    batch = recode_batch(read_header(build_batch(ROWS)), payload, codec, None)
    result = walked(batch, rules(full=True))
    assert result.replacement is not None
    assert result.replacement == build_batch(ROWS, codec=codec)


def test_damage_and_bombs_behind_a_good_crc() -> None:
    batch = build_batch([(b"k", bytes(100_000), NOW, ())], codec=1)
    assert walked(batch, rules(full=True), limit=1000).error_code == ErrorCode.MESSAGE_TOO_LARGE
    broken = build_batch(ROWS, codec=1)
    broken[75] ^= 0xFF
    write_crc(broken, 0, len(broken))
    assert walked(broken, rules(full=True)).error_code == ErrorCode.INVALID_RECORD
    broken = build_batch(ROWS)
    broken[-1] = 9
    write_crc(broken, 0, len(broken))
    assert walked(broken, rules(full=True)).error_code == ErrorCode.INVALID_RECORD


def test_the_walk_looks_at_the_batch_and_not_at_what_follows() -> None:
    batch = build_batch(ROWS)
    assert walked(batch + b"\0" * 11, rules(full=True)) == (0, None, [], None)


def test_stamping_after_the_check() -> None:
    batch = build_batch(ROWS, codec=2)
    assert code(batch, rules(append_time=True)) == 0
    set_append_time(batch, 0, NOW + 7)
    assert [record.timestamp for record in read_records(batch, limit=1000)] == [NOW + 7] * 2
