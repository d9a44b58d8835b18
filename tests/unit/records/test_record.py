"""Single records: what decoding accepts and refuses."""

from __future__ import annotations

import random

import pytest

from barnabas.records.batch import APPEND_TIME_BIT, HEADER_SIZE, read_header
from barnabas.records.builder import NewRecord, build_batch
from barnabas.records.errors import CorruptRecord, InflateLimit
from barnabas.records.record import Record, decode_columns, iter_columns, read_records

PLAIN = bytes.fromhex("0c 00 00 00 01 01 00")  # null key and value, no headers


def test_records_of_a_batch() -> None:
    rows: list[NewRecord] = [
        (b"k", b"v", 100, (("a", b"1"), ("a", None), ("", b""))),
        (None, None, 90, ()),
        (b"", b"", 5000, ()),
        (b"k" * 200, b"v" * 20_000, 100, ()),
    ]
    batch = build_batch(rows, base_offset=1000)
    assert read_records(batch, limit=1 << 20) == [
        Record(1000 + at, time, key, value, headers)
        for at, (key, value, time, headers) in enumerate(rows)
    ]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_and_position(kind: type) -> None:
    batch = build_batch([(b"k", b"v", 1, ())])
    records = read_records(kind(b"before" + batch + b"behind"), 6, limit=100)
    assert records == [Record(0, 1, b"k", b"v", ())]
    assert type(records[0].value) is bytes


def test_the_limit_is_on_the_inflated_bytes() -> None:
    batch = build_batch([(None, bytes(1000), 1, ())])
    payload = len(batch) - 61
    assert len(read_records(batch, limit=payload)) == 1
    with pytest.raises(InflateLimit):
        read_records(batch, limit=payload - 1)


def test_lengths_below_minus_one_are_null_too() -> None:
    assert decode_columns(bytes.fromhex("0c 00 00 00 03 05 00"), 1).keys == [None]
    assert decode_columns(bytes.fromhex("0c 00 00 00 01 7f 00"), 1).values == [None]


def test_varints_need_not_be_shortest() -> None:
    columns = decode_columns(bytes.fromhex("16 00 8000 8200 8100 8200 61 00"), 1)
    assert columns == ([1], [0], [None], [b"a"], [()])


def test_headers_with_broken_utf8_are_replaced() -> None:
    data = bytes.fromhex("14 00 00 00 01 01 02 02 ff 02 61")
    assert decode_columns(data, 1).headers == [(("\N{REPLACEMENT CHARACTER}", b"a"),)]


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (PLAIN, 0),
        (PLAIN, 2),
        (PLAIN, -1),
        (PLAIN, 2**31 - 1),
        (PLAIN + b"\0", 1),
        (PLAIN + PLAIN, 1),
        (PLAIN[:-1], 1),
        (b"", 1),
        (b"\x0e" + PLAIN[1:], 1),
        (b"\x0a" + PLAIN[1:], 1),
        (b"\x0d" + PLAIN[1:], 1),
        (bytes.fromhex("0c 00 00 00 10 01 00"), 1),
        (bytes.fromhex("0c 00 00 00 01 10 00"), 1),
        (bytes.fromhex("0c 00 00 00 01 01 01"), 1),
        (bytes.fromhex("0c 00 00 00 01 01 02"), 1),
        (bytes.fromhex("10 00 00 00 01 01 02 01 00"), 1),
        (bytes.fromhex("10 00 00 00 01 01 02 7e 00"), 1),
        (bytes.fromhex("10 00 00 00 01 01 02 00 7e"), 1),
        (b"\xff" * 20, 1),
        (b"\x0c\x00" + b"\xff" * 20, 1),
        (b"\x0c\x00\x00" + b"\xff" * 20, 1),
    ],
)
def test_damage_is_refused(data: bytes, count: int) -> None:
    with pytest.raises(CorruptRecord):
        decode_columns(data, count)


def test_nothing_in_nothing() -> None:
    assert decode_columns(b"", 0).keys == []


def test_times_wrap_in_64_bits() -> None:
    batch = build_batch([(None, b"", 2**63 - 1, ()), (None, b"", 2**63 - 1, ())])
    batch[-5:-3] = b"\x02\x02"  # the second record's deltas: one millisecond, one offset
    assert [record.timestamp for record in read_records(batch, limit=100)] == [
        2**63 - 1,
        -(2**63),
    ]


def test_a_batch_that_is_not_all_there() -> None:
    batch = build_batch([(None, b"value", 1, ())])
    for end in range(len(batch)):
        with pytest.raises(CorruptRecord):
            read_records(batch[:end], limit=100)
    for magic in (0, 1, 3):
        batch[16] = magic
        with pytest.raises(CorruptRecord):
            read_records(batch, limit=100)


def test_append_time_is_that_of_the_header() -> None:
    batch = build_batch([(None, b"a", 10, ()), (None, b"b", 30, ())], log_append_time=77)
    assert read_header(batch).attributes == APPEND_TIME_BIT
    assert [record.timestamp for record in read_records(batch, limit=100)] == [77, 77]


def test_records_in_pieces_are_those_of_the_whole(seed: int) -> None:
    draw = random.Random(seed)
    rows: list[NewRecord] = [
        (draw.randbytes(draw.randrange(80)), None, 100 - at, (("h", b"v"),) * (at % 2))
        for at in range(300)
    ]
    data = bytes(build_batch(rows)[HEADER_SIZE:])
    whole = decode_columns(data, 300)
    for at_once in (1, 7, 100, 299, 300, 1000):
        pieces = list(iter_columns(data, 300, at_once))
        assert all(len(piece.keys) <= at_once for piece in pieces)
        joined = [[each for piece in pieces for each in piece[at]] for at in range(len(whole))]
        assert joined == list(whole)


@pytest.mark.parametrize("count", [-1, 2, 4, 1_000])
def test_pieces_are_as_strict_as_the_whole(count: int) -> None:
    data = PLAIN + bytes.fromhex("0c 00 00 02 01 01 00") + bytes.fromhex("0c 00 00 04 01 01 00")
    assert len(list(iter_columns(data, 3, 2))) == 2
    with pytest.raises(CorruptRecord):
        list(iter_columns(data, count, 2))
    with pytest.raises(CorruptRecord):
        list(iter_columns(data[:-1], 3, 2))
    with pytest.raises(CorruptRecord):
        list(iter_columns(data + b"\0", 3, 2))
