"""Offset, time and transaction indexes, checked against the log beside them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from struct import Struct

from barnabas.cli.dump.batches import check_frame
from barnabas.cli.dump.items import Damage, Item, moment
from barnabas.records.batch import MAGIC, MAGIC_OFFSET, read_header

_OFFSET = Struct(">ii")
_TIME = Struct(">qi")
_TXN = Struct(">hqqqq")


class LogMap:
    """Where the batches of a log are, as far as they can be followed."""

    def __init__(self, view: memoryview) -> None:
        self.positions: dict[int, tuple[int, int]] = {}
        """Position of each batch to its first and last offset."""
        self.last_offsets: list[int] = []
        self.max_timestamps: list[int] = []
        """The largest timestamp up to each batch."""
        position, largest = 0, -1
        try:
            while position < len(view):
                size = check_frame(view, position)
                if view[position + MAGIC_OFFSET] != MAGIC:
                    return
                header = read_header(view, position)
                self.positions[position] = (header.base_offset, header.last_offset)
                largest = max(largest, header.max_timestamp)
                self.last_offsets.append(header.last_offset)
                self.max_timestamps.append(largest)
                position += size
        except Damage:
            return

    def max_timestamp_up_to(self, offset: int) -> int | None:
        """The largest timestamp of the batches that end at or before `offset`; None: no such."""
        index = bisect_right(self.last_offsets, offset)
        return self.max_timestamps[index - 1] if index else None


def _entries(view: memoryview, entry: Struct) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(position, fields) of each entry; a tail of zeros is room that was never used."""
    width = entry.size
    end = len(bytes(view).rstrip(b"\0"))
    used = min(-(-end // width) * width, len(view))
    for position in range(0, used - width + 1, width):
        yield position, entry.unpack_from(view, position)
    if used % width or (len(view) % width and used == len(view)):
        raise Damage(used - used % width, f"{used % width} bytes are no whole entry of {width}")


def _tail(view: memoryview, entry: Struct) -> Iterator[Item]:
    end = len(bytes(view).rstrip(b"\0"))
    used = -(-end // entry.size) * entry.size
    if used < len(view):
        yield {"kind": "unused", "position": used, "size": len(view) - used}


def dump_offset_index(view: memoryview, base: int, log: LogMap | None) -> Iterator[Item]:
    """`.index`: offset to position. Raises `Damage`."""
    before = (-1, -1)
    for position, (relative, place) in _entries(view, _OFFSET):
        yield {"kind": "offset", "position": position, "offset": base + relative, "file": place}
        if relative <= before[0]:
            raise Damage(position, f"offset {base + relative} does not follow {base + before[0]}")
        if place <= before[1]:
            raise Damage(position + 4, f"file position {place} does not follow {before[1]}")
        if log is not None:
            found = log.positions.get(place)
            if found is None:
                raise Damage(position + 4, f"no batch begins at {place} of the log")
            if not found[0] <= base + relative <= found[1]:
                raise Damage(
                    position,
                    f"offset {base + relative} is not in the batch at {place} "
                    f"({found[0]} to {found[1]})",
                )
        before = (relative, place)
    yield from _tail(view, _OFFSET)


def dump_time_index(view: memoryview, base: int, log: LogMap | None) -> Iterator[Item]:
    """`.timeindex`: time to offset. Raises `Damage`."""
    before = (-1, -1)
    for position, (timestamp, relative) in _entries(view, _TIME):
        offset = base + relative
        yield {
            "kind": "time",
            "position": position,
            "timestamp": moment(timestamp),
            "offset": offset,
        }
        if timestamp < before[0]:
            raise Damage(position, f"timestamp {timestamp} is below {before[0]} before it")
        if relative < before[1] or relative < 0:
            raise Damage(position + 8, f"offset {offset} is below {base + before[1]} before it")
        largest = None if log is None else log.max_timestamp_up_to(offset)
        if largest is not None and timestamp > largest:
            raise Damage(
                position, f"timestamp {timestamp} is above {largest}, the largest up to {offset}"
            )
        before = (timestamp, relative)
    yield from _tail(view, _TIME)


def dump_txn_index(view: memoryview, base: int) -> Iterator[Item]:
    """`.txnindex`: aborted transactions. Raises `Damage`."""
    before = -1
    for position in range(0, len(view), _TXN.size):
        if len(view) - position < _TXN.size:
            raise Damage(position, f"{len(view) - position} bytes are no whole entry of 34")
        version, producer, first, last, stable = _TXN.unpack_from(view, position)
        yield {
            "kind": "aborted",
            "position": position,
            "producer_id": producer,
            "first_offset": first,
            "last_offset": last,
            "last_stable_offset": stable,
        }
        if version != 0:
            raise Damage(position, f"entry version {version} is not known")
        if first > last:
            raise Damage(position + 10, f"first offset {first} is above last offset {last}")
        if last < max(base, before):
            raise Damage(position + 18, f"last offset {last} is below {max(base, before)}")
        before = last
