"""Keys of records against the decoder that reads all of them."""

from __future__ import annotations

from random import Random

import pytest

from barnabas.records.batch import HEADER_SIZE
from barnabas.records.builder import NewRecord, build_batch, encode_record
from barnabas.records.errors import CorruptRecord
from barnabas.records.keys import read_keys
from barnabas.records.record import decode_columns


def some_records(random: Random, count: int) -> list[NewRecord]:
    """Records of all widths of lengths and deltas."""
    sizes = (0, 1, 20, 62, 63, 64, 70, 127, 128, 200, 8191, 8192, 9000)

    def content() -> bytes | None:
        return None if random.random() < 0.2 else random.randbytes(random.choice(sizes))

    start = random.choice((0, -5, 1_700_000_000_000))
    return [
        (
            content(),
            content(),
            start + random.choice((0, 1, -1, 63, 64, 8192, -9000, 1 << 40)),
            random.choice(((), (("h", b"x"), ("i", None)))),
        )
        for _ in range(count)
    ]


def test_keys_are_those_of_the_full_decoder(seed: int) -> None:
    random = Random(seed)
    for _ in range(60):
        count = random.choice((1, 2, 70, 200))
        data = bytes(build_batch(some_records(random, count)))[HEADER_SIZE:]
        found, whole = read_keys(data, count), decode_columns(data, count)
        assert found.keys == whole.keys
        assert found.offset_deltas == whole.offset_deltas
        assert found.timestamp_deltas == whole.timestamp_deltas
        assert found.tombstones == [at for at, value in enumerate(whole.values) if value is None]
        starts = [0, *found.ends[:-1]]
        for at, (start, end) in enumerate(zip(starts, found.ends, strict=True)):
            one = decode_columns(data[start:end], 1)
            assert (one.keys[0], one.values[0]) == (whole.keys[at], whole.values[at])


def test_gaps_in_offsets_and_none_at_all() -> None:
    data = encode_record(5, 0, b"a", b"v", ()) + encode_record(9000, -3, b"b", None, ())
    found = read_keys(data, 2)
    assert found.offset_deltas == [5, 9000]
    assert found.timestamp_deltas == [0, -3]
    assert found.tombstones == [1]
    assert read_keys(b"", 0).keys == []


@pytest.mark.parametrize("count", [-1, 0, 1, 3, 1 << 30])
def test_another_count_than_there_are(count: int) -> None:
    data = encode_record(0, 0, b"a", b"v", ()) + encode_record(1, 0, b"b", b"v", ())
    with pytest.raises(CorruptRecord):
        read_keys(data, count)


def test_every_byte_cut_off_or_changed_is_an_error_or_another_record(seed: int) -> None:
    random = Random(seed)
    data = bytes(build_batch(some_records(random, 5)))[HEADER_SIZE:]
    for end in sorted(random.sample(range(len(data)), min(60, len(data)))):
        with pytest.raises(CorruptRecord):
            read_keys(data[:end], 5)
    for at in range(min(40, len(data))):
        broken = bytearray(data)
        broken[at] ^= 1 << random.randrange(8)
        try:
            found = read_keys(bytes(broken), 5)
        except CorruptRecord:
            continue
        assert found.ends[-1] == len(data)
