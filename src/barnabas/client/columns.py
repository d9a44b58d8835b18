"""Columns of Arrow, of numpy, and of plain buffers, cut into chunks of bytes for the producer.

Neither library is imported: what a column offers is asked of the column. Only one chunk of a column
exists as Python objects at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from struct import iter_unpack
from typing import Any, NamedTuple

from barnabas.client.rows import CHUNK_RECORDS

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Column:
    """Byte strings that lie one behind the other in `data`.

    `offsets`: where each begins, and where the last one ends: one more than there are strings, as
    32- or 64-bit integers (any buffer with such a format, `array("q", ...)` for instance).
    """

    data: Buffer
    offsets: Any

    def __len__(self) -> int:
        return len(memoryview(self.offsets)) - 1


class Part(NamedTuple):
    """A chunk of columns."""

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None] | None
    timestamps: Sequence[int] | None


_Reader = Callable[[int, int], Sequence[Any]]
"""The elements from one index to another."""


def cut(values: object, keys: object, timestamps: object) -> Iterator[Part]:
    """The chunks of the columns. Raises `TypeError` for what is no column, `ValueError` when the
    lengths differ or offsets lead astray."""
    count, read_values = _reader("values", values)
    read_keys: _Reader | None = None
    if keys is not None:
        some, read_keys = _reader("keys", keys)
        if some != count:
            raise ValueError(f"{count} values and {some} keys")
    read_times: _Reader | None = None
    if timestamps is not None:
        some, read_times = _times(timestamps)
        if some != count:
            raise ValueError(f"{count} values and {some} timestamps")
    return _parts(count, read_values, read_keys, read_times)


def _parts(
    count: int, values: _Reader, keys: _Reader | None, times: _Reader | None
) -> Iterator[Part]:
    for start in range(0, count, CHUNK_RECORDS):
        end = min(start + CHUNK_RECORDS, count)
        yield Part(
            values(start, end),
            None if keys is None else keys(start, end),
            None if times is None else times(start, end),
        )


def _reader(name: str, column: object) -> tuple[int, _Reader]:
    library = type(column).__module__.partition(".")[0]
    any_column: Any = column
    if isinstance(column, Column):
        return len(column), _strings(memoryview(column.data).cast("B"), memoryview(column.offsets))
    if library == "pyarrow":
        return _arrow(name, any_column)
    if library == "numpy":
        return _numpy(name, any_column)
    if isinstance(column, list | tuple):
        return len(column), lambda start, end: column[start:end]
    raise TypeError(f"{name}: {type(column).__name__} is no column")


def _times(column: object) -> tuple[int, _Reader]:
    any_column: Any = column
    library = type(column).__module__.partition(".")[0]
    if library == "pyarrow":
        if str(any_column.type).startswith("timestamp"):
            any_column = any_column.cast("timestamp[ms]", safe=False)
        any_column = any_column.cast("int64")
        return len(any_column), lambda start, end: any_column.slice(start, end - start).to_pylist()
    if library == "numpy":
        if any_column.dtype.kind == "M":
            any_column = any_column.astype("datetime64[ms]")
        any_column = any_column.astype("int64")
        return len(any_column), lambda start, end: any_column[start:end].tolist()
    if isinstance(column, list | tuple):
        return len(column), lambda start, end: column[start:end]
    raise TypeError(f"timestamps_ms: {type(column).__name__} is no column")


def _strings(data: memoryview, offsets: memoryview) -> _Reader:
    """Strings between offsets."""
    if offsets.format not in ("i", "l", "q", "I", "L", "Q") or offsets.ndim != 1:
        raise TypeError("offsets: a buffer of 32- or 64-bit integers is wanted")

    def read(start: int, end: int) -> Sequence[bytes]:
        places = offsets[start : end + 1].tolist()
        first, last = places[0], places[-1]
        if not 0 <= first <= last <= len(data):
            raise ValueError(f"offsets {first} to {last} in {len(data)} bytes")
        raw = bytes(data[first:last])
        width = places[1] - first
        if width > 0 and places == list(range(first, last + 1, width)):
            return list(chain.from_iterable(iter_unpack(f"{width}s", raw)))
        if places != sorted(places):
            raise ValueError("offsets go back")
        if first:
            places = list(map((-first).__add__, places))
        return list(map(raw.__getitem__, map(slice, places, places[1:])))

    return read


def _fixed(data: memoryview, width: int) -> _Reader:
    """Strings of one width."""

    def read(start: int, end: int) -> Sequence[bytes]:
        if width == 0:
            return [b""] * (end - start)
        return list(
            chain.from_iterable(iter_unpack(f"{width}s", data[start * width : end * width]))
        )

    return read


def _arrow(name: str, column: Any) -> tuple[int, _Reader]:
    if hasattr(column, "chunks"):
        return _arrow_chunked(name, column)
    kind = str(column.type)
    if kind.startswith("fixed_size_binary") and not column.null_count:
        width = column.type.byte_width
        raw = memoryview(column.buffers()[1]).cast("B")[column.offset * width :]
        return len(column), _fixed(raw, width)
    if kind.startswith(("int", "uint", "float", "double", "bool", "timestamp", "list", "struct")):
        raise TypeError(f"{name}: an Arrow array of {kind} is no column of bytes")
    if kind not in ("binary", "string", "large_binary", "large_string"):
        column = column.cast("large_binary")
        kind = "large_binary"
    if column.null_count:
        column = column.cast("large_binary")
        return len(column), lambda start, end: column.slice(start, end - start).to_pylist()
    if not len(column):
        return 0, lambda _start, _end: ()
    _, offsets, data = column.buffers()
    view = memoryview(offsets).cast("B").cast("q" if kind.startswith("large") else "i")
    places = view[column.offset : column.offset + len(column) + 1]
    return len(column), _strings(memoryview(data or b"").cast("B"), places)


def _arrow_chunked(name: str, column: Any) -> tuple[int, _Reader]:
    """A column of several arrays: a chunk of ours may span two of them."""
    readers = [_arrow(name, chunk) for chunk in column.chunks if len(chunk)]

    def read(start: int, end: int) -> Sequence[bytes | None]:
        found: list[bytes | None] = []
        at = 0
        for count, reader in readers:
            low, high = max(start, at), min(end, at + count)
            if low < high:
                found += reader(low - at, high - at)
            at += count
        return found

    return len(column), read


def _numpy(name: str, column: Any) -> tuple[int, _Reader]:
    kind, width = column.dtype.kind, column.dtype.itemsize
    if column.ndim == 2 and kind == "u" and width == 1:
        raw = memoryview(column if column.flags.c_contiguous else column.copy()).cast("B")
        return len(column), _fixed(raw, column.shape[1])
    if column.ndim == 1 and kind == "V":
        raw = memoryview(column.tobytes())
        return len(column), _fixed(raw, width)
    if column.ndim == 1 and kind in "SO":
        return len(column), lambda start, end: column[start:end].tolist()
    raise TypeError(f"{name}: numpy arrays of S, V, object or rows of uint8 are wanted")
