"""How records are gathered: by size, partition and key, one by one and many at once."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from barnabas.client.accumulator import Accumulator
from barnabas.client.batches import Batch, BatchState
from barnabas.client.config import ProducerConfig
from barnabas.client.errors import RecordTooLarge
from barnabas.client.hashes import murmur2
from barnabas.client.rows import CHUNK_BYTES, CHUNK_RECORDS, Rows, checked, record_size
from barnabas.records.record import Headers

LIMIT = 1 << 20


class Gathered:
    """An accumulator and the batches it began."""

    def __init__(self, partitions: int = 1, **config: int) -> None:
        self.config = ProducerConfig(**{"batch_size": 1000, **config})  # type: ignore[arg-type]
        self.batches: list[Batch] = []
        chance = Random(1)
        self.records = Accumulator(
            self.config, chance.randrange, self.batches.append, lambda _topic, all_: [0] * len(all_)
        )
        self.records.learn("t", partitions)

    def extend(
        self,
        values: list[bytes | None],
        keys: list[bytes | None] | None = None,
        partition: int | None = None,
        headers: list[Headers] | None = None,
        timestamps: list[int] | int = 5,
    ) -> list[tuple[Batch, int, int]]:
        rows = checked(values, keys, timestamps, headers, LIMIT)
        return [
            piece
            for chunk in rows.chunks()
            for piece in self.records.extend("t", partition, chunk, 0)
        ]

    def rows(self, partition: int) -> list[tuple[bytes | None, bytes | None]]:
        found: list[tuple[bytes | None, bytes | None]] = []
        for batch in self.batches:
            if batch.partition == partition:
                found += zip(batch.keys or [None] * batch.count, batch.values, strict=True)
        return found


def test_many_records_fill_batches_as_single_ones_do() -> None:
    values: list[bytes | None] = [b"x" * (n % 90) for n in range(300)]
    one, many = Gathered(), Gathered()
    for value in values:
        one.records.append("t", 0, None, value, 5, (), 0)
    many.extend(values, partition=0)
    assert [batch.values for batch in many.batches] == [batch.values for batch in one.batches]
    assert [batch.size for batch in many.batches] == [batch.size for batch in one.batches]
    assert many.records.buffered_bytes == one.records.buffered_bytes


def test_no_batch_exceeds_its_size_unless_a_record_does() -> None:
    gathered = Gathered()
    gathered.extend([b"x" * 300, b"x" * 5000, b"x" * 300, b"x" * 300], partition=0)
    assert [batch.count for batch in gathered.batches] == [1, 1, 2]
    assert [batch.state for batch in gathered.batches[:2]] == [BatchState.READY] * 2
    assert gathered.batches[2].state is BatchState.OPEN


def test_single_and_many_share_a_batch_in_order() -> None:
    gathered = Gathered()
    records = gathered.records
    records.append("t", 0, None, b"1", 5, (), 0)
    gathered.extend([b"2", b"3"], keys=[b"k", None], partition=0)
    records.append("t", 0, None, b"4", 6, (("h", b""),), 0)
    gathered.extend([b"5"], partition=0)
    [batch] = gathered.batches
    assert batch.values == [b"1", b"2", b"3", b"4", b"5"]
    assert batch.keys == [None, b"k", None, None, None]
    assert batch.headers == [(), (), (), (("h", b""),), ()]
    assert batch.runs == [(0, 5), (3, 6), (4, 5)]
    assert [batch.timestamp_of(index) for index in range(5)] == [5, 5, 5, 6, 5]


@pytest.mark.parametrize("nulls", [False, True])
def test_keys_go_where_their_hash_says_in_order(nulls: bool, seed: int) -> None:
    chance = Random(seed)
    gathered = Gathered(partitions=5)
    keys: list[bytes | None] = [b"k%d" % chance.randrange(400) for _ in range(6000)]
    if nulls:
        keys[::7] = [None] * len(keys[::7])
    values: list[bytes | None] = [b"%d" % n for n in range(6000)]
    pieces = gathered.extend(values, keys)
    assert sum(count for _, _, count in pieces) == 6000
    keyed = [(key, value) for key, value in zip(keys, values, strict=True) if key is not None]
    for partition in range(5):
        mine = [row for row in gathered.rows(partition) if row[0] is not None]
        assert mine == [
            (key, value)
            for key, value in keyed
            if key is not None and (murmur2(key) & 0x7FFFFFFF) % 5 == partition
        ]
    assert sum(len(gathered.rows(partition)) for partition in range(5)) == 6000


def test_records_without_key_change_partition_batch_by_batch() -> None:
    gathered = Gathered(partitions=4)
    gathered.extend([b"x" * 86] * 90)
    assert all(batch.count == 9 for batch in gathered.batches)
    assert all(
        before.partition != after.partition
        for before, after in zip(gathered.batches, gathered.batches[1:], strict=False)
    )
    assert {batch.partition for batch in gathered.batches} == {0, 1, 2, 3}


def test_a_partition_that_there_is_not_is_refused() -> None:
    gathered = Gathered(partitions=2)
    for partition in (-1, 2):
        with pytest.raises(ValueError, match="partitions 0 to 1"):
            gathered.records.append("t", partition, None, b"", 5, (), 0)
        with pytest.raises(ValueError, match="partitions 0 to 1"):
            gathered.extend([b""], partition=partition)
    assert gathered.batches == []


@pytest.mark.parametrize("own", [False, True])
def test_the_bound_of_many_is_that_of_each(own: bool, seed: int) -> None:
    chance = Random(seed)
    values: list[bytes | None] = [
        chance.choice((None, b"a" * chance.randrange(99))) for _ in range(50)
    ]
    keys: list[bytes | None] = [chance.choice((None, b"k")) for _ in range(50)]
    headers: list[Headers] = [chance.choice(((), (("h", b"1"),))) for _ in range(50)]
    rows = checked(values, keys, list(range(50)) if own else 5, headers, LIMIT)
    each = [
        record_size(key, value, some) + (7 if own else 0)
        for key, value, some in zip(keys, values, headers, strict=True)
    ]
    assert [after - before for before, after in zip(rows.sums, rows.sums[1:], strict=False)] == each


def test_chunks_are_bounded_and_complete() -> None:
    rows = Rows([b"x" * 1000] * 9000, None, 5, None)
    chunks = list(rows.chunks())
    assert sum(map(len, chunks)) == 9000
    assert all(len(chunk) <= CHUNK_RECORDS for chunk in chunks)
    assert all(len(chunk) * rows.size <= CHUNK_BYTES for chunk in chunks)
    mixed = Rows([b"x" * (n % 2000) for n in range(5000)], None, 5, None)
    parts = list(mixed.chunks())
    assert [value for part in parts for value in part.values] == mixed.values
    assert all(part.sums[-1] <= CHUNK_BYTES for part in parts)


@pytest.mark.parametrize(
    ("values", "keys", "error", "told"),
    [
        (["text"], None, TypeError, "values: bytes or None is wanted, not str"),
        ([b"v"], [1], TypeError, "keys: bytes or None is wanted, not int"),
        (b"bytes", None, TypeError, "a list of bytes is wanted"),
        ([b"a", b"b"], [b"k"], ValueError, "2 values and 1 keys"),
        ([b"x" * LIMIT], None, RecordTooLarge, "max.request.size"),
    ],
)
def test_what_is_no_column_of_bytes_is_refused(
    values: list[bytes | None], keys: list[bytes | None] | None, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        checked(values, keys, 5, None, LIMIT)


def test_what_may_change_is_copied() -> None:
    changing = bytearray(b"before")
    values: list[Any] = [changing, memoryview(b"view")]
    rows = checked(values, None, 5, None, LIMIT)
    changing[:] = b"after!"
    assert list(rows.values) == [b"before", b"view"]
