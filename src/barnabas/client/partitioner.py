"""Which partition a record goes to: the choices of Kafka's default partitioner.

A keyed record goes to murmur2(key) modulo the number of partitions, bit for bit as Java does, so
that producers of every language agree. Records without a key stick to one partition until a batch
is full, then move to another (KIP-480, KIP-794).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C
MAX_REMEMBERED_KEYS = 65_536


def murmur2(data: bytes) -> int:
    """The 32-bit hash of `data` as Kafka computes it, as an unsigned integer."""
    length = len(data)
    h = _SEED ^ length
    words = length >> 2
    for k in struct.unpack_from(f"<{words}I", data):
        k = (k * _M) & _MASK
        k = ((k ^ (k >> 24)) * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    if length & 3:
        h = ((h ^ int.from_bytes(data[words << 2 :], "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


class Partitioner:
    """Chooses partitions of one topic. `below(n)` draws a uniform integer in [0, n)."""

    __slots__ = ("_below", "_count", "_keys", "_sticky")

    def __init__(self, count: int, below: Callable[[int], int]) -> None:
        self._below = below
        self._keys: dict[bytes, int] = {}
        self._count = count
        self._sticky = below(count)

    def resize(self, count: int) -> None:
        """The topic has `count` partitions now: keys are hashed anew."""
        if count == self._count:
            return
        self._count = count
        self._keys.clear()
        self._sticky = self._below(count)

    def partition(self, key: bytes | None) -> int:
        """The partition for a record with this key."""
        if key is None:
            return self._sticky
        found = self._keys.get(key)
        if found is None:
            if len(self._keys) >= MAX_REMEMBERED_KEYS:
                self._keys.clear()
            found = self._keys[key] = (murmur2(key) & 0x7FFFFFFF) % self._count
        return found

    def batch_full(self, partition: int) -> None:
        """A batch of `partition` filled up: records without a key go elsewhere from now on."""
        if partition == self._sticky and self._count > 1:
            step = 1 + self._below(self._count - 1)
            self._sticky = (partition + step) % self._count
