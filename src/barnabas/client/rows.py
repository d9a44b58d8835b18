"""Records of one `send_many`, as columns: checked at the door, measured, cut into chunks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any, SupportsIndex

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

MAX_TOPIC = 249
"""Bytes of a topic's name, in Kafka."""

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

    __slots__ = ("headers", "keys", "largest", "nulls", "size", "sums", "timestamps", "values")

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
        self.nulls = None in values or (keys is not None and None in keys)
        self.size = 0
        self.sums: list[int] = []
        sizes = self._exact() if self.nulls or headers is not None else self._plain()
        self.largest = max(sizes, default=0)
        """The bound of the largest record of the call."""
        if self.largest == min(sizes, default=0):
            self.size = self.largest
        else:
            self.sums = list(accumulate(sizes, initial=0))

    def _plain(self) -> Sequence[int]:
        """Records without nulls and headers; where all have one length a single bound says it."""
        extra = 0 if isinstance(self.timestamps, int) else OWN_TIME
        sizes: list[int] = list(map(len, self.values))  # type: ignore[arg-type]
        if self.keys is not None:
            lengths = map(len, self.keys)  # type: ignore[arg-type]
            sizes = [size + length for size, length in zip(sizes, lengths, strict=True)]
        most, least = max(sizes, default=0), min(sizes, default=0)
        if most < LONG:
            overhead = extra + OVERHEAD
        elif least >= LONG:
            overhead = extra + OVERHEAD_OF_LONG
        else:
            return self._exact()
        if most == least:
            return (most + overhead,) if sizes else ()
        return [size + overhead for size in sizes]

    def _exact(self) -> Sequence[int]:
        extra = 0 if isinstance(self.timestamps, int) else OWN_TIME
        keys = [None] * len(self.values) if self.keys is None else self.keys
        headers = [()] * len(self.values) if self.headers is None else self.headers
        rows = zip(keys, self.values, headers, strict=True)
        return [extra + record_size(key, value, some) for key, value, some in rows]

    def __len__(self) -> int:
        return len(self.values)

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
        other.nulls = self.nulls
        other.largest = self.largest
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
        known: dict[Headers, Headers] = {}
        headers = [
            known.get(each := tuple(given)) or known.setdefault(each, as_headers(each))
            for given in headers
        ]
    if isinstance(timestamps, int):
        as_time(timestamps)
    elif set(map(type, timestamps)) - {int}:
        raise TypeError("timestamps: whole numbers are wanted")
    elif len(timestamps):
        as_time(min(timestamps))
        as_time(max(timestamps))
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


def as_bytes(name: str, value: object) -> bytes | None:
    """A copy of what may change before it is sent. Raises `TypeError`."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"{name}: bytes or None is wanted, not {type(value).__name__}")


def as_headers(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    """Headers as they are kept. Raises `TypeError`, `ValueError` for a name that has no UTF-8."""
    found = tuple((name, as_bytes("header", content)) for name, content in headers)
    for name, _ in found:
        if not isinstance(name, str):
            raise TypeError(f"header: a name is a str, not {type(name).__name__}")
        name.encode()
    return found


def as_time(timestamp_ms: int) -> None:
    """Raises `TypeError`, `ValueError` for what is no time of a record."""
    if not isinstance(timestamp_ms, int):
        raise TypeError(f"timestamp: a number is wanted, not {type(timestamp_ms).__name__}")
    if not 0 <= timestamp_ms < 1 << 63:
        raise ValueError(f"timestamp: {timestamp_ms} ms is no time")


def check_partition(partition: object) -> None:
    """Raises `TypeError` for what is no number of a partition, and not None either."""
    if partition is not None and not isinstance(partition, SupportsIndex):
        raise TypeError(f"partition: a number is wanted, not {type(partition).__name__}")


def check_topic(topic: str) -> None:
    """Raises `TypeError`, `ValueError` for what can't be the name of a topic on the wire."""
    if not isinstance(topic, str):
        raise TypeError(f"topic: a str is wanted, not {type(topic).__name__}")
    if len(topic.encode()) > MAX_TOPIC:
        raise ValueError(f"topic: a name of more than {MAX_TOPIC} bytes")
