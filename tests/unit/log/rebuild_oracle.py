"""What the files of a partition must hold, computed from its `.log` files alone (invariant P11).

An independent second writing of the index rules: nothing of `barnabas.log` is used.
"""

from __future__ import annotations

import struct

from barnabas.partition.producer_entry import decode_snapshot
from barnabas.ports import Disk
from barnabas.records.batch import BatchHeader, crc_valid, iter_batches
from barnabas.records.record import read_records


def read_bytes(disk: Disk, path: str) -> bytes:
    """A whole file."""
    file = disk.open(path)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


def dump(disk: Disk, path: str) -> dict[str, bytes]:
    """Every file below a directory."""
    out: dict[str, bytes] = {}
    for name in disk.list_dir(path):
        full = f"{path}/{name}"
        if disk.is_dir(full):
            out |= dump(disk, full)
        else:
            out[full] = read_bytes(disk, full)
    return out


def check_partition(
    disk: Disk, path: str, interval: int, *, snapshots: bool = True
) -> list[tuple[BatchHeader, bytes]]:
    """Check offsets, CRCs, indexes, transaction indexes and snapshots of a stopped partition.

    Returns its batches.
    """
    present = disk.list_dir(path)
    bases = [int(name[:20]) for name in present if name.endswith(".log")]
    found: list[tuple[BatchHeader, bytes]] = []
    starts: dict[int, list[tuple[BatchHeader, bytes, int]]] = {}
    next_offset = bases[0]
    for base in bases:
        data = read_bytes(disk, f"{path}/{base:020d}.log")
        assert base >= next_offset
        end = 0
        starts[base] = []
        for position, header in iter_batches(data):
            assert header.base_offset >= next_offset, "offsets go back"
            assert crc_valid(data, position, header.size)
            raw = data[position : position + header.size]
            starts[base].append((header, raw, position))
            found.append((header, raw))
            next_offset, end = header.next_offset, position + header.size
        assert end == len(data), "bytes behind the last batch"
        _check_offset_index(disk, path, base, starts[base], interval)
        _check_time_index(disk, path, base, starts[base])
    _check_txn_index(disk, path, bases, starts)
    for name in present:
        if snapshots and name.endswith(".snapshot"):
            assert int(name[:20]) <= max(next_offset, bases[-1])
            _check_snapshot(disk, path, int(name[:20]), found)
    return found


def _check_offset_index(
    disk: Disk,
    path: str,
    base: int,
    batches: list[tuple[BatchHeader, bytes, int]],
    interval: int,
) -> None:
    want, last = b"", 0
    for header, _, position in batches:
        if position - last > interval:
            want += struct.pack(">ii", header.last_offset - base, position)
            last = position
    assert read_bytes(disk, f"{path}/{base:020d}.index") == want


def _check_time_index(
    disk: Disk, path: str, base: int, batches: list[tuple[BatchHeader, bytes, int]]
) -> None:
    """Entries grow; each is the largest timestamp up to its batch; the last one is the largest."""
    highest: dict[int, int] = {}
    top = -1
    for header, _, _ in batches:
        if header.max_timestamp > top:
            top = header.max_timestamp
            highest[top] = header.last_offset - base
    entries = list(struct.iter_unpack(">qi", read_bytes(disk, f"{path}/{base:020d}.timeindex")))
    assert entries == sorted(set(entries))
    for timestamp, relative in entries:
        assert highest.get(timestamp) == relative
    assert (entries[-1][0] if entries else -1) == top


def _check_txn_index(
    disk: Disk,
    path: str,
    bases: list[int],
    starts: dict[int, list[tuple[BatchHeader, bytes, int]]],
) -> None:
    opened: dict[int, int] = {}
    for base in bases:
        want = []
        for header, raw, _ in starts[base]:
            if header.producer_id < 0:
                continue
            if header.is_control:
                kind = struct.unpack(">hh", read_records(raw, limit=1000)[0].key or b"")[1]
                first = opened.pop(header.producer_id, None)
                if first is not None and kind == 0:
                    stable = min(opened.values(), default=header.base_offset + 1)
                    want.append((header.producer_id, first, header.base_offset, stable))
            elif header.is_transactional:
                opened.setdefault(header.producer_id, header.base_offset)
        name = f"{base:020d}.txnindex"
        have = []
        if name in disk.list_dir(path):
            data = read_bytes(disk, f"{path}/{name}")
            have = [entry[1:] for entry in struct.iter_unpack(">hqqqq", data)]
        # Of a transaction that began in a segment which retention removed, only the end is known.
        cut = {entry[2] for entry in have if min(entry[1], entry[3]) < bases[0]}
        assert [entry for entry in have if entry[2] not in cut] == [
            entry for entry in want if entry[2] not in cut
        ]


def _check_snapshot(
    disk: Disk, path: str, offset: int, batches: list[tuple[BatchHeader, bytes]]
) -> None:
    last: dict[int, tuple[int, int]] = {}
    for header, _ in batches:
        if header.producer_id >= 0 and not header.is_control and header.last_offset < offset:
            last[header.producer_id] = (header.last_sequence, header.last_offset)
    entries = decode_snapshot(read_bytes(disk, f"{path}/{offset:020d}.snapshot"))
    have = {
        entry.producer_id: (entry.batches[-1].last_sequence, entry.batches[-1].last_offset)
        for entry in entries
        if entry.batches
    }
    for producer_id, state in last.items():
        assert have[producer_id] == state
