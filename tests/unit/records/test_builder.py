"""Building batches: sizes, headers, rebuilding for compaction, the producer's builder."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from barnabas.records.batch import HEADER_SIZE, crc_valid, read_header
from barnabas.records.builder import (
    BatchBuilder,
    build_batch,
    cuts,
    encode_record,
    rebuild_batch,
    record_size_bound,
)
from barnabas.records.compression import Codec
from barnabas.records.record import read_records
from tests.records_samples import random_records


def test_a_batch_needs_a_record() -> None:
    with pytest.raises(ValueError, match="needs a record"):
        build_batch([])


def test_header_of_a_new_batch() -> None:
    header = read_header(build_batch([(None, b"a", 30, ()), (None, b"b", 10, ())]))
    assert header._replace(batch_length=0, crc=0) == (
        *(0, 0, -1, 2, 0, 0, 1, 30, 30, -1, -1, -1, 2),
    )


def test_plain_records_over_every_width_of_offset_delta(seed: int) -> None:
    random = Random(seed)
    values = [random.randbytes(random.choice((1, 1, 60, 61, 62, 63, 64))) for _ in range(8300)]
    batch = build_batch([(None, value, 5, ()) for value in values], base_offset=3)
    records = read_records(batch, limit=1 << 20)
    assert [record.value for record in records] == values
    assert [record.offset for record in records] == list(range(3, 8303))
    assert {record.timestamp for record in records} == {5}


def test_records_with_keys_are_the_same_on_the_short_way(seed: int) -> None:
    random = Random(seed)
    sizes = (0, 1, 62, 63, 64, 65, 4_000, 8_100, 8_190, 8_200)
    rows = [
        (random.randbytes(random.choice(sizes)), random.randbytes(random.choice(sizes)), at, ())
        for at in sorted(random.choices(range(300), k=200))
    ]
    batch = build_batch(rows)
    long_way = b"".join(
        encode_record(delta, at - rows[0][2], key, value, ())
        for delta, (key, value, at, _) in enumerate(rows)
    )
    assert bytes(batch[HEADER_SIZE:]) == long_way


@pytest.mark.parametrize("codec", list(Codec))
def test_what_is_built_is_read(seed: int, codec: Codec) -> None:
    rows = random_records(Random(seed), 500)
    batch = build_batch(rows, codec=codec)
    assert crc_valid(batch, 0, len(batch))
    assert read_header(batch).codec == codec
    read = read_records(batch, limit=1 << 24)
    assert [(r.key, r.value, r.timestamp, r.headers) for r in read] == rows
    assert [r.offset for r in read] == list(range(500))


def test_compaction_keeps_offsets_and_the_producer() -> None:
    rows = [(b"%d" % at, b"v", 100 + at, ()) for at in range(10)]
    batch = build_batch(
        rows, base_offset=50, codec=4, producer_id=3, producer_epoch=1, base_sequence=7
    )
    header = read_header(batch)
    records = read_records(batch, limit=1 << 20)
    kept = rebuild_batch(header, [records[2], records[9]])
    thin = read_header(kept)
    assert read_records(kept, limit=1 << 20) == [records[2], records[9]]
    assert (thin.base_offset, thin.last_offset, thin.records_count) == (50, 59, 2)
    assert (thin.base_sequence, thin.last_sequence) == (7, 16)
    assert (thin.codec, thin.base_timestamp, thin.max_timestamp) == (4, 102, 109)
    assert crc_valid(kept, 0, len(kept))


def test_a_delete_horizon_takes_the_place_of_the_base_timestamp() -> None:
    batch = build_batch([(b"k", None, 100, ()), (b"l", b"v", 105, ())])
    records = read_records(batch, limit=100)
    marked = rebuild_batch(read_header(batch), records, delete_horizon=9_999)
    header = read_header(marked)
    assert header.has_delete_horizon
    assert (header.base_timestamp, header.max_timestamp) == (9_999, 105)
    assert read_records(marked, limit=100) == records
    again = read_header(rebuild_batch(header, records[1:]))
    assert again.has_delete_horizon
    assert again.base_timestamp == 9_999


def test_append_time_survives_compaction() -> None:
    batch = build_batch([(b"k", b"v", 100, ()), (b"l", b"v", 105, ())], log_append_time=700)
    kept = rebuild_batch(read_header(batch), read_records(batch, limit=100)[1:])
    assert read_header(kept).max_timestamp == 700
    assert [record.timestamp for record in read_records(kept, limit=100)] == [700]


def test_an_emptied_batch_is_a_bare_header() -> None:
    batch = build_batch(
        [(b"k", b"v", 5, ())] * 4,
        base_offset=8,
        codec=1,
        producer_id=3,
        producer_epoch=0,
        base_sequence=0,
        transactional=True,
    )
    bare = rebuild_batch(read_header(batch), [])
    header = read_header(bare)
    assert len(bare) == 61
    assert (header.base_offset, header.last_offset, header.records_count) == (8, 11, 0)
    assert (header.base_timestamp, header.max_timestamp, header.codec) == (-1, 5, 0)
    assert header.is_transactional
    assert header.last_sequence == 3
    assert crc_valid(bare, 0, 61)
    assert read_records(bare, limit=0) == []


def test_the_producers_builder_never_underestimates(seed: int) -> None:
    builder = BatchBuilder()
    for at, (key, value, timestamp, headers) in enumerate(random_records(Random(seed), 300)):
        before = builder.size
        assert builder.append(key, value, timestamp, headers) == builder.size
        assert builder.size == before + record_size_bound(key, value, headers)
        assert len(builder) == at + 1
        if at % 50 == 0:
            assert len(builder.build()) <= builder.size
    batch = builder.build(
        codec=3, producer_id=8, producer_epoch=2, base_sequence=6, transactional=True
    )
    header = read_header(batch)
    assert header[8:] == (header.max_timestamp, 8, 2, 6, 300)
    assert (header.codec, header.is_transactional) == (3, True)


def test_cut_batches_keep_to_the_limit(seed: int) -> None:
    records = random_records(Random(seed), 300)
    for limit in (1, 300, 1_000, 100_000_000):
        found = cuts(records, limit)
        assert (found[0], found[-1]) == (0, 300)
        for start, end in pairwise(found):
            assert start < end
            assert end == start + 1 or len(build_batch(records[start:end])) <= limit
    assert cuts(records, 100_000_000) == [0, 300]
    assert len(cuts(records, 1)) == 301
