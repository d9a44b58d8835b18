"""Partitions are chosen as Kafka's default partitioner chooses them."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from barnabas.client.hashes import murmur2
from barnabas.client.partitioner import MAX_REMEMBERED_KEYS, Partitioner


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        # The vectors of Kafka's own UtilsTest.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_javas(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed & 0xFFFFFFFF


def test_a_key_goes_to_its_hash_modulo_the_count() -> None:
    partitioner = Partitioner(7, Random(1).randrange)
    for key in (b"", b"a", b"foobar", b"21"):
        assert partitioner.partition(key) == (murmur2(key) & 0x7FFFFFFF) % 7


def test_remembered_keys_are_bounded_and_stay_right() -> None:
    partitioner = Partitioner(5, Random(1).randrange)
    keys = [b"%d" % number for number in range(MAX_REMEMBERED_KEYS + 10)]
    for key in keys:
        partitioner.partition(key)
    assert len(partitioner._keys) <= MAX_REMEMBERED_KEYS
    assert partitioner.partition(keys[0]) == (murmur2(keys[0]) & 0x7FFFFFFF) % 5


def test_records_without_key_stick_until_a_batch_is_full() -> None:
    partitioner = Partitioner(4, Random(2).randrange)
    first = partitioner.partition(None)
    assert {partitioner.partition(None) for _ in range(20)} == {first}
    partitioner.batch_full((first + 1) % 4)
    assert partitioner.partition(None) == first
    partitioner.batch_full(first)
    assert partitioner.partition(None) != first


def test_all_partitions_get_their_turn() -> None:
    partitioner = Partitioner(4, Random(3).randrange)
    turns: Counter[int] = Counter()
    for _ in range(400):
        partition = partitioner.partition(None)
        turns[partition] += 1
        partitioner.batch_full(partition)
    assert set(turns) == {0, 1, 2, 3}
    assert min(turns.values()) > 50


def test_the_only_partition_takes_everything() -> None:
    partitioner = Partitioner(1, Random(4).randrange)
    partitioner.batch_full(0)
    assert partitioner.partition(None) == 0


def test_more_partitions_move_keys() -> None:
    partitioner = Partitioner(2, Random(5).randrange)
    partitioner.partition(b"foobar")
    partitioner.resize(1000)
    assert partitioner.partition(b"foobar") == (murmur2(b"foobar") & 0x7FFFFFFF) % 1000


# -- records without a key (KIP-794) --


def test_a_partition_is_left_after_a_batch_in_small_pieces() -> None:
    partitioner = Partitioner(4, Random(6).randrange, batch_size=100)
    first = partitioner.partition(None)
    partitioner.took(60)
    assert partitioner.batch_begins() == first
    partitioner.took(40)
    assert partitioner.partition(None) == first  # its open batch goes on
    assert partitioner.batch_begins() != first


def test_a_partition_is_left_after_two_batches_in_any_case() -> None:
    partitioner = Partitioner(4, Random(6).randrange, batch_size=100)
    first = partitioner.partition(None)
    partitioner.took(199)
    assert partitioner.partition(None) == first
    partitioner.took(1)
    assert partitioner.partition(None) != first


def test_the_more_waits_for_a_partition_the_rarer_it_is_chosen() -> None:
    chance = Random(7)
    partitioner = Partitioner(3, chance.randrange, load=lambda: ([0, 1, 2], [0, 3, 1]))
    turns: Counter[int] = Counter()
    for _ in range(3000):
        partitioner.batch_full(partitioner.partition(None))
        turns[partitioner.partition(None)] += 1
    # Weights 4, 1 and 3.
    assert 1350 < turns[0] < 1650
    assert 300 < turns[1] < 450
    assert 1000 < turns[2] < 1250


def test_a_partition_without_leader_is_not_chosen() -> None:
    partitioner = Partitioner(3, Random(8).randrange, load=lambda: ([0, 2], [0, 0]))
    for _ in range(100):
        partitioner.batch_full(partitioner.partition(None))
        assert partitioner.partition(None) != 1
