"""Which partition a record goes to: the choices of Kafka's Java client and of librdkafka.

By default a keyed record goes to murmur2(key) modulo the number of partitions, bit for bit as Java
does, so that producers of every language agree. Records without a key stick to one partition until
it took a batch, then move to another; the more waits for a partition, the rarer it is chosen
(KIP-480, KIP-794). librdkafka's other choices go by its own names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from barnabas.client.hashes import fnv1a, murmur2, murmur2_many
from barnabas.records.checksum import crc32

MAX_REMEMBERED_KEYS: Final = 65_536
_POSITIVE: Final = 0x7FFFFFFF
_LOOKS_PER_ROUND: Final = 16
"""Queues are looked at so often while each partition gets its turn once, at most at every turn."""

Load = Callable[[], tuple[Sequence[int], Sequence[int]]]
"""Partitions that have a leader, and how many batches wait for each."""


class Hash(NamedTuple):
    """How keys become partitions. `free`: which keys count as none."""

    one: Callable[[bytes], int]
    many: Callable[[Sequence[bytes]], Sequence[int]]
    free: Callable[[bytes | None], bool]


def _positive_murmur2(key: bytes) -> int:
    return murmur2(key) & _POSITIVE


def _positive_murmurs(keys: Sequence[bytes]) -> Sequence[int]:
    return [value & _POSITIVE for value in murmur2_many(keys)]


def _crc32s(keys: Sequence[bytes]) -> Sequence[int]:
    return list(map(crc32, keys))


def _fnv1as(keys: Sequence[bytes]) -> Sequence[int]:
    return list(map(fnv1a, keys))


def _no_key(key: bytes | None) -> bool:
    return key is None


def _empty(key: bytes | None) -> bool:
    return not key


def _never(_key: bytes | None) -> bool:
    return False


def _always(_key: bytes | None) -> bool:
    return True


HASHES: Final = {
    "default": Hash(_positive_murmur2, _positive_murmurs, _no_key),
    "murmur2_random": Hash(_positive_murmur2, _positive_murmurs, _no_key),
    "murmur2": Hash(_positive_murmur2, _positive_murmurs, _never),
    "consistent_random": Hash(crc32, _crc32s, _empty),
    "consistent": Hash(crc32, _crc32s, _never),
    "fnv1a_random": Hash(fnv1a, _fnv1as, _no_key),
    "fnv1a": Hash(fnv1a, _fnv1as, _never),
    "random": Hash(crc32, _crc32s, _always),
}
"""By librdkafka's names; `default` is Java's."""


class Partitioner:
    """Chooses partitions of one topic. `below(n)` draws a uniform integer in [0, n).

    `batch_size`: bytes after which records without a key move on. `load` tells what waits; without
    it every partition is as good as another.
    """

    __slots__ = (
        "_batch_size",
        "_below",
        "_hash",
        "_keys",
        "_load",
        "_looked",
        "_produced",
        "_sums",
        "_targets",
        "count",
        "null_is_free",
        "sticky",
    )

    def __init__(
        self,
        count: int,
        below: Callable[[int], int],
        *,
        name: str = "default",
        batch_size: int = 16_384,
        load: Load | None = None,
    ) -> None:
        self._below = below
        self._hash = HASHES[name]
        self.null_is_free = self._hash.free(None)
        self._keys: dict[bytes, int] = {}
        self.count = count
        self._batch_size = batch_size
        self._load = load
        self._produced = 0
        self._looked = 0
        self._targets: Sequence[int] = ()
        self._sums: Sequence[int] = ()
        self.sticky = below(count)
        """Where records without a key go now."""

    def resize(self, count: int) -> None:
        """The topic has `count` partitions now: keys are hashed anew."""
        if count == self.count:
            return
        self.count = count
        self._keys.clear()
        self._looked = 0
        self.sticky = self._below(count)

    def is_free(self, key: bytes | None) -> bool:
        """Whether a record with this key goes wherever there is room."""
        return self._hash.free(key)

    def any_free(self, keys: Sequence[bytes | None]) -> bool:
        """Whether a record with one of these keys goes wherever there is room."""
        free = self._hash.free
        return free(b"k") or (free(b"") and b"" in keys) or (self.null_is_free and None in keys)

    def partition(self, key: bytes | None) -> int:
        """The partition for a record with this key."""
        if self._hash.free(key):
            return self.sticky
        if key is None:
            key = b""
        found = self._keys.get(key)
        if found is None:
            if len(self._keys) >= MAX_REMEMBERED_KEYS:
                self._keys.clear()
            found = self._keys[key] = self._hash.one(key) % self.count
        return found

    def partitions(self, keys: Sequence[bytes]) -> list[int]:
        """The partition of each key; none of them may be free (`is_free`)."""
        if self.count == 1:
            return [0] * len(keys)
        count = self.count
        return [value % count for value in self._hash.many(keys)]

    # -- records without a key --

    def took(self, nbytes: int) -> None:
        """The sticky partition took so much of records without a key."""
        self._produced += nbytes
        if self._produced >= 2 * self._batch_size:
            self._move()

    def batch_full(self, partition: int) -> None:
        """A batch of `partition` filled up: records without a key go elsewhere from now on."""
        if partition == self.sticky:
            self._move()

    def batch_begins(self) -> int:
        """The sticky partition needs a new batch: the partition in which to begin it."""
        if self._produced >= self._batch_size:
            self._move()
        return self.sticky

    def _move(self) -> None:
        self._produced = 0
        if self.count == 1:
            return
        if self._load is not None:
            self._looked -= 1
            if self._looked < 0:
                self._looked = self.count // _LOOKS_PER_ROUND
                self._look(*self._load())
        if self._sums:
            at = bisect_right(self._sums, self._below(self._sums[-1]))
            self.sticky = self._targets[at]
        else:
            step = 1 + self._below(self.count - 1)
            self.sticky = (self.sticky + step) % self.count

    def _look(self, targets: Sequence[int], queues: Sequence[int]) -> None:
        """A partition is chosen the more often the less waits for it, those without a leader never."""
        self._targets, self._sums = targets, ()
        if len(targets) and (len(targets) < self.count or min(queues) != max(queues)):
            most = max(queues) + 1
            self._sums = list(accumulate(most - queue for queue in queues))
