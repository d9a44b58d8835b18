"""From key to newest offset, in memory of a fixed size."""

from __future__ import annotations

from array import array
from binascii import crc32
from collections.abc import Sequence

SLOT_BYTES = 20
"""Tag and offset of 8 bytes, check of 4."""
_MIN_SLOTS = 3


class OffsetMap:
    """A hash table that holds digests instead of keys, so that it needs 20 bytes for any key.

    A key counts as known when two independent hashes agree: Python's keyed 64-bit hash and its
    CRC-32. Among the five million keys of Kafka's default buffer two share both with a
    probability of 2**-53. Open addressing in flat arrays: a dict of keys would take six times as
    much, and cleaning a log of many keys six times as many passes.
    """

    __slots__ = ("_checks", "_limit", "_offsets", "_size", "_slots", "_tags", "latest")

    def __init__(self, slots: int, load_factor: float) -> None:
        slots = _prime_below(max(slots, _MIN_SLOTS))
        self._slots = slots
        self._limit = min(max(1, int(slots * load_factor)), slots - 1)
        self._size = 0
        self._tags = array("q", bytes(8)) * slots
        self._checks = array("I", bytes(4)) * slots
        self._offsets = array("q", bytes(8)) * slots
        self.latest = -1
        """Everything at or below this offset has been seen."""

    def __len__(self) -> int:
        return self._size

    def put_all(
        self, keys: Sequence[bytes | None], deltas: Sequence[int], base: int, start: int
    ) -> bool:
        """Note the records of a batch at `base` from offset `start` on, in order.

        False when there is no room for all; `latest` then is the last one that was noted.
        """
        tags, checks, offsets = self._tags, self._checks, self._offsets
        slots, size, limit = self._slots, self._size, self._limit
        last = -1
        for key, delta in zip(keys, deltas, strict=True):
            offset = base + delta
            if key is None or offset < start:
                continue
            if size >= limit:
                break
            tag, check = hash(key) or 1, crc32(key)
            slot = tag % slots
            while there := tags[slot]:
                if there == tag and checks[slot] == check:
                    break
                slot += check % (slots - 2) + 1  # below `slots`, which is prime: reaches all
                if slot >= slots:
                    slot -= slots
            else:
                tags[slot], checks[slot] = tag, check
                size += 1
            offsets[slot] = last = offset
        else:
            self._size = size
            return True
        self._size = size
        self.latest = max(self.latest, last)
        return False

    def newest(self, keys: Sequence[bytes | None], deltas: Sequence[int], base: int) -> list[int]:
        """Which records of a batch at `base` nothing newer is known of, as indexes. Those beyond
        `latest` always belong to them, those without a key only then."""
        tags, checks, offsets, latest = self._tags, self._checks, self._offsets, self.latest
        slots = self._slots
        kept = []
        for index, key in enumerate(keys):
            offset = base + deltas[index]
            if offset > latest:
                kept.append(index)
                continue
            if key is None:
                continue
            tag, check = hash(key) or 1, crc32(key)
            slot = tag % slots
            while there := tags[slot]:
                if there == tag and checks[slot] == check:
                    if offset >= offsets[slot]:
                        kept.append(index)
                    break
                slot += check % (slots - 2) + 1
                if slot >= slots:
                    slot -= slots
            else:
                kept.append(index)
        return kept


def _prime_below(n: int) -> int:
    """The largest prime at or below `n`, which is at least 3."""
    n -= 1 - n % 2
    while any(n % divisor == 0 for divisor in range(3, int(n**0.5) + 1, 2)):
        n -= 2
    return n
