"""Batches built from columns are byte for byte those built from records."""

from __future__ import annotations

from array import array
from random import Random

import pytest

from barnabas.client.columns import Column, cut
from barnabas.records.batch import read_header
from barnabas.records.builder import build_batch
from barnabas.records.column_builder import assemble_batch, encode_columns, restamp_batch
from barnabas.records.record import Headers, read_records

TIME = 1_700_000_000_000


def runs_of(timestamps: list[int]) -> list[tuple[int, int]]:
    return [
        (index, time)
        for index, time in enumerate(timestamps)
        if index == 0 or time != timestamps[index - 1]
    ]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200, 8191, 8192, 8193, 9000])
@pytest.mark.parametrize("kind", ["plain", "sizes", "keys", "nulls", "headers", "long"])
def test_columns_give_the_bytes_of_records(count: int, kind: str, seed: int) -> None:
    chance = Random(f"{seed}/{count}/{kind}")
    width = 9000 if kind == "long" and count < 100 else 70
    values: list[bytes | None] = [
        chance.randbytes(40 if kind == "plain" else chance.randrange(width)) for _ in range(count)
    ]
    keys: list[bytes | None] | None = None
    headers: list[Headers] | None = None
    if kind in ("keys", "nulls", "long"):
        keys = [chance.randbytes(chance.randrange(80)) for _ in range(count)]
    if kind == "nulls" and keys is not None:
        for index in chance.sample(range(count), 1 + count // 3):
            keys[index] = None
            values[count - 1 - index] = None
    if kind == "headers":
        some: tuple[Headers, ...] = ((), (("a", b"b"), ("ä", None)), (("x" * 100, b"y" * 100),))
        headers = [chance.choice(some) for _ in range(count)]
    times = [TIME + chance.choice((0, 0, index // 50, -3)) for index in range(count)]
    runs = runs_of(times)
    rows = [
        (None if keys is None else keys[i], values[i], times[i], headers[i] if headers else ())
        for i in range(count)
    ]
    payload = encode_columns(values, keys, headers, runs, nulls=kind == "nulls")
    built = assemble_batch(
        payload, count, runs, producer_id=7, producer_epoch=2, base_sequence=5, transactional=True
    )
    assert built == build_batch(
        rows, producer_id=7, producer_epoch=2, base_sequence=5, transactional=True
    )


def test_a_batch_gets_another_sequence_in_a_copy() -> None:
    runs = [(0, TIME)]
    payload = encode_columns([b"a", b"b"], None, None, runs, nulls=False)
    first = assemble_batch(payload, 2, runs, producer_id=1, producer_epoch=0, base_sequence=3)
    kept = bytes(first)
    second = restamp_batch(first, 9, 4, 0)
    assert first == kept
    assert second == assemble_batch(
        payload, 2, runs, producer_id=9, producer_epoch=4, base_sequence=0
    )
    assert read_header(second).producer_id == 9
    assert [record.value for record in read_records(second, limit=100)] == [b"a", b"b"]


def joined(values: object, keys: object = None) -> tuple[list[bytes | None], list[bytes | None]]:
    found: tuple[list[bytes | None], list[bytes | None]] = ([], [])
    for part in cut(values, keys, None):
        found[0].extend(part.values)
        found[1].extend(part.keys or ())
    return found


@pytest.mark.parametrize("code", ["i", "q"])
def test_strings_between_offsets(code: str, seed: int) -> None:
    chance = Random(seed)
    strings = [chance.randbytes(chance.randrange(20)) for _ in range(9000)]
    ends = [0]
    for string in strings:
        ends.append(ends[-1] + len(string))
    column = Column(b"".join(strings), array(code, ends))
    assert joined(column, column) == (strings, strings)


def test_strings_of_one_width_are_strings_between_offsets() -> None:
    data = bytes(range(240))
    column = Column(data, array("i", range(0, 241, 24)))
    assert joined(column)[0] == [data[at : at + 24] for at in range(0, 240, 24)]


@pytest.mark.parametrize(
    "offsets", [array("i", [0, 4, 2, 6]), array("i", [0, 3, 9]), array("i", [-1, 3, 6])]
)
def test_offsets_that_lead_astray_are_refused(offsets: array[int]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        joined(Column(b"abcdef", offsets))


def test_what_is_no_column_is_refused() -> None:
    with pytest.raises(TypeError, match="no column"):
        cut("text", None, None)
    with pytest.raises(TypeError, match="integers"):
        cut(Column(b"", array("d", [0.0])), None, None)
    with pytest.raises(ValueError, match="2 values and 1 keys"):
        cut([b"a", b"b"], [b"k"], None)
