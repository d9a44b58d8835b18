"""Records of one `send_many`, as columns: checked at the door, measured, cut into chunks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any

from barnabas.client.errors import RecordTooLarge
from barnabas.records.record import Headers

OVERHEAD = 14
"""Most bytes that a short record takes beside its content while its batch is younger than a quarter
of an hour: its length, attributes, two deltas, two lengths and the count of headers."""

LONG = 8_000
"""A longer record has longer lengths: `OVERHEAD_OF_LONG`."""
OVERHEAD_OF_LONG = 24
OWN_TIME = 7
"""More bytes that the time may take when the caller says it."""

CHUNK_RECORDS = 4_096
CHUNK_BYTES = 1 << 20


def record_size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Most bytes that a record takes in a batch before compression."""
    size = (0 if value is None else len(value)) + (0 if key is None else len(key))
    for name, content in headers:
        size += 10 + 4 * len(name) + (0 if content is None else len(content))
    return size + (OVERHEAD if size < LONG else OVERHEAD_OF_LONG)


class Rows:
    """Columns of equal length. `size` is the bound of each record if it is the same for all."""

    __slots__ = ("headers", "keys", "size", "sums", "timestamps", "values")

    def __init__(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None,
        timestamps: Sequence[int] | int,
        headers: Sequence[Headers] | None,
    ) -> None:
        self.values = values
        self.keys = keys
        self.timestamps = timestamps
        self.headers = headers
        self.size = 0
        self.sums: list[int] = []
        extra = 0 if isinstance(timestamps, int) else OWN_TIME
        if keys is None and headers is None and None not in values:
            sizes: list[int] = list(map(len, values))  # type: ignore[arg-type]
            most = max(sizes, default=0)
            overhead = extra + (OVERHEAD if most < LONG else OVERHEAD_OF_LONG)
            if most == min(sizes, default=0):
                self.size = most + overhead
                return
            sizes = list(map(overhead.__add__, sizes))
        else:
            sizes = self._measure(extra)
        self.sums = list(accumulate(sizes, initial=0))

    def _measure(self, extra: int) -> list[int]:
        nothing: Sequence[None] = [None] * len(self.values)
        keys = nothing if self.keys is None else self.keys
        if self.headers is not None:
            rows = zip(keys, self.values, self.headers, strict=True)
            return [extra + record_size(key, value, headers) for key, value, headers in rows]
        fixed = extra + OVERHEAD
        more = OVERHEAD_OF_LONG - OVERHEAD
        sizes = [
            fixed + (0 if key is None else len(key)) + (0 if value is None else len(value))
            for key, value in zip(keys, self.values, strict=True)
        ]
        if max(sizes, default=0) >= LONG:
            return [size + more for size in sizes]
        return sizes

    def __len__(self) -> int:
        return len(self.values)

    @property
    def largest(self) -> int:
        """The bound of the largest record."""
        if self.size or not self.values:
            return self.size
        return max(after - before for before, after in pairwise(self.sums))

    def fitting(self, start: int, room: int) -> tuple[int, int]:
        """How many records from `start` on fit in `room` bytes, and their bytes."""
        if self.size:
            count = min(len(self.values) - start, max(room, 0) // self.size)
            return count, count * self.size
        sums = self.sums
        end = bisect_right(sums, sums[start] + room, start) - 1
        count = max(end - start, 0)
        return count, sums[start + count] - sums[start]

    def part(self, start: int, end: int) -> Rows:
        """The records from `start` to `end`."""
        if start == 0 and end == len(self.values):
            return self
        return self._like(lambda column: column[start:end], self._sizes(start, end))

    def pick(self, indices: Sequence[int]) -> Rows:
        """The records at these places (at least one)."""
        if len(indices) == 1:
            return self.part(indices[0], indices[0] + 1)
        take = itemgetter(*indices)
        sizes = None
        if not self.size:
            sizes = [self.sums[index + 1] - self.sums[index] for index in indices]
        return self._like(take, sizes)

    def _sizes(self, start: int, end: int) -> list[int] | None:
        if self.size:
            return None
        sums = self.sums[start : end + 1]
        return [after - before for before, after in pairwise(sums)]

    def _like(self, take: Any, sizes: list[int] | None) -> Rows:
        other = Rows.__new__(Rows)
        other.values = take(self.values)
        other.keys = None if self.keys is None else take(self.keys)
        other.headers = None if self.headers is None else take(self.headers)
        stamps = self.timestamps
        other.timestamps = stamps if isinstance(stamps, int) else take(stamps)
        other.size = self.size
        other.sums = [] if sizes is None else list(accumulate(sizes, initial=0))
        return other

    def chunks(self) -> Iterator[Rows]:
        """Pieces of at most `CHUNK_RECORDS` records and about `CHUNK_BYTES` bytes, in order."""
        start, count = 0, len(self.values)
        while start < count:
            fit, _ = self.fitting(start, CHUNK_BYTES)
            end = start + min(max(fit, 1), CHUNK_RECORDS)
            yield self.part(start, end)
            start = end


def checked(
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None] | None,
    timestamps: Sequence[int] | int,
    headers: Sequence[Headers] | None,
    max_request_size: int,
) -> Rows:
    """The columns of a caller. Raises `TypeError`, `ValueError`, `RecordTooLarge`."""
    values = _bytes("values", values)
    if keys is not None:
        keys = _bytes("keys", keys)
    if headers is not None:
        headers = [tuple(each) for each in headers]
    for name, column in (("keys", keys), ("headers", headers), ("timestamps", timestamps)):
        if column is not None and not isinstance(column, int) and len(column) != len(values):
            raise ValueError(f"{len(values)} values and {len(column)} {name}")
    rows = Rows(values, keys, timestamps, headers)
    if rows.largest > max_request_size:
        raise RecordTooLarge(
            f"a record of {rows.largest} bytes exceeds max.request.size ({max_request_size})"
        )
    return rows


def _bytes(name: str, column: Sequence[bytes | None]) -> Sequence[bytes | None]:
    """What is not bytes already is copied, because it may change before it is sent."""
    if isinstance(column, bytes | bytearray | memoryview | str):
        raise TypeError(f"{name}: a list of bytes is wanted, not {type(column).__name__}")
    if not isinstance(column, list | tuple):
        column = list(column)
    kinds = set(map(type, column))
    if kinds <= {bytes, type(None)}:
        return column
    for kind in kinds - {bytes, type(None)}:
        if not issubclass(kind, bytes | bytearray | memoryview):
            raise TypeError(f"{name}: bytes or None is wanted, not {kind.__name__}")
    return [None if each is None else bytes(each) for each in column]
