"""Hashes of keys: Java's and librdkafka's, one by one and for lists."""

from __future__ import annotations

from random import Random

import pytest

from barnabas.client.hashes import fnv1a, murmur2, murmur2_many
from barnabas.client.partitioner import HASHES, Partitioner


@pytest.mark.parametrize("lengths", [(0,), (1,), (3,), (4,), (8,), (13,), (16,), tuple(range(40))])
@pytest.mark.parametrize("count", [1, 15, 16, 17, 1023, 1024, 1025, 3000])
def test_many_hashes_are_those_of_each(lengths: tuple[int, ...], count: int, seed: int) -> None:
    chance = Random(f"{seed}/{lengths}/{count}")
    keys = [chance.randbytes(chance.choice(lengths)) for _ in range(count)]
    assert list(murmur2_many(keys)) == [murmur2(key) for key in keys]


@pytest.mark.parametrize(
    ("key", "hashed"),
    # The offset basis and two published hashes, the sign taken off as in librdkafka.
    [(b"", 0x7EE3623B), (b"a", 0x1BF3D6D4), (b"foobar", 0x40630698)],
)
def test_fnv1a_is_librdkafkas(key: bytes, hashed: int) -> None:
    assert fnv1a(key) == hashed


@pytest.mark.parametrize(
    ("name", "null", "empty"),
    [
        ("default", True, False),
        ("murmur2_random", True, False),
        ("murmur2", False, False),
        ("consistent_random", True, True),
        ("consistent", False, False),
        ("fnv1a_random", True, False),
        ("fnv1a", False, False),
        ("random", True, True),
    ],
)
def test_which_keys_are_free(name: str, null: bool, empty: bool) -> None:
    partitioner = Partitioner(5, lambda n: n - 1, name=name)
    assert (partitioner.is_free(None), partitioner.is_free(b"")) == (null, empty)
    assert partitioner.is_free(b"k") == (name == "random")


@pytest.mark.parametrize("name", sorted(HASHES.keys() - {"random"}))
def test_one_key_and_many_agree(name: str, seed: int) -> None:
    chance = Random(f"{seed}/{name}")
    partitioner = Partitioner(7, chance.randrange, name=name)
    keys = [chance.randbytes(1 + chance.randrange(20)) for _ in range(200)]
    assert partitioner.partitions(keys) == [partitioner.partition(key) for key in keys]
    assert len(set(partitioner.partitions(keys))) == 7
