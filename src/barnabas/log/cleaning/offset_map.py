"""From key to newest offset, in memory of a fixed size."""

from __future__ import annotations

from array import array
from binascii import crc32
from collections.abc import Sequence

SLOT_BYTES = 16
"""A tag, and next to it, in the same cache line, check and offset."""
_OFFSET_BITS = 40
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_CHECK_SHIFT = 9
"""What of a CRC-32 fits beside an offset: 23 bits."""
_MIN_SLOTS = 3


class OffsetMap:
    """A hash table that holds digests instead of keys, so that it needs 16 bytes for any key.

    A key counts as known when two independent hashes agree: Python's keyed 64-bit hash and 23 bits
    of its CRC-32. Among the five million keys of Kafka's default buffer two share both with a
    probability of 2**-44. Open addressing in a flat array: a dict of keys would take ten times as
    much, and cleaning a log of many keys ten times as many passes.

    `start` is the first offset that counts; offsets are held relative to it, so that a map that
    reaches a trillion offsets further is full.
    """

    __slots__ = ("_limit", "_size", "_slots", "_start", "_table", "latest")

    def __init__(self, slots: int, load_factor: float, start: int) -> None:
        slots = _prime_below(max(slots, _MIN_SLOTS))
        self._slots = slots
        self._limit = min(max(1, int(slots * load_factor)), slots - 1)
        self._size = 0
        self._start = start
        self._table = array("q", bytes(8)) * (2 * slots)
        self.latest = -1
        """Everything at or below this offset has been seen."""

    def __len__(self) -> int:
        return self._size

    def put_all(self, keys: Sequence[bytes | None], deltas: Sequence[int], base: int) -> bool:
        """Note the records of a batch at `base`, in order.

        False when there is no room for all; `latest` then is the last one that was noted.
        """
        table, slots, size, limit = self._table, self._slots, self._size, self._limit
        ring = 2 * slots
        relative = base - self._start
        last = -1
        for key, delta in zip(keys, deltas, strict=True):
            offset = relative + delta
            if key is None or offset < 0:
                continue
            if size >= limit or offset > _OFFSET_MASK:
                break
            tag = hash(key) or 1
            check = crc32(key) >> _CHECK_SHIFT
            at = tag % slots * 2
            while there := table[at]:
                if there == tag and table[at + 1] >> _OFFSET_BITS == check:
                    break
                at = (at + 2 * (check % (slots - 2) + 1)) % ring  # `slots` is prime: reaches all
            else:
                table[at] = tag
                size += 1
            table[at + 1] = check << _OFFSET_BITS | offset
            last = offset
        else:
            self._size = size
            return True
        self._size = size
        if last >= 0:
            self.latest = max(self.latest, self._start + last)
        return False

    def newest(self, keys: Sequence[bytes | None], deltas: Sequence[int], base: int) -> list[int]:
        """Which records of a batch at `base` nothing newer is known of, as indexes. Those beyond
        `latest` always belong to them, those without a key only then."""
        table, slots = self._table, self._slots
        ring = 2 * slots
        relative, latest = base - self._start, self.latest - self._start
        kept = []
        for index, key in enumerate(keys):
            offset = relative + deltas[index]
            if offset > latest:
                kept.append(index)
                continue
            if key is None:
                continue
            tag = hash(key) or 1
            check = crc32(key) >> _CHECK_SHIFT
            at = tag % slots * 2
            while there := table[at]:
                if there == tag:
                    found = table[at + 1]
                    if found >> _OFFSET_BITS == check:
                        if offset >= found & _OFFSET_MASK:
                            kept.append(index)
                        break
                at = (at + 2 * (check % (slots - 2) + 1)) % ring
            else:
                kept.append(index)
        return kept


def _prime_below(n: int) -> int:
    """The largest prime at or below `n`, which is at least 3."""
    n -= 1 - n % 2
    while any(n % divisor == 0 for divisor in range(3, int(n**0.5) + 1, 2)):
        n -= 2
    return n
