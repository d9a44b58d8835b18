"""The first look at a partition directory: leftovers of what was interrupted, and what remains.

Every step can be interrupted and repeated: what a crash leaves is again something that one of
these rules tidies to the same result.
"""

from __future__ import annotations

from barnabas.log import names
from barnabas.log.errors import LogDamaged
from barnabas.log.lookup import pread_blocking
from barnabas.log.segment import Segment, listed, walk
from barnabas.ports import Disk


def remove_leftovers(disk: Disk, directory: str) -> list[str]:
    """Finish or undo what was interrupted (facts: log-format section 14); the names that remain.

    `.deleted` goes. `.cleaned` goes: the cleaner had not finished. A `.swap` at or above the
    smallest `.cleaned` goes too (an interrupted split); any other `.swap` is complete, replaces
    the segments that it covers, and gets its final name.
    """
    present = disk.list_dir(directory)
    before = list(present)
    cleaned = [name for name in present if name.endswith(names.CLEANED)]
    lowest = min((_offset(name) for name in cleaned), default=names.MAX_LONG)
    swaps = [name for name in present if name.endswith(names.SWAP)]
    drop = [
        name
        for name in present
        if name.endswith(names.DELETED) and not name.endswith(names.KRAFT_SNAPSHOT_DELETED)
    ]
    drop += [name for name in swaps if _offset(name) >= lowest]
    drop += [name for name in present if name.endswith(".tmp")]
    # `.cleaned` last: as long as one is there the invalid `.swap` files are recognised.
    for name in (*drop, *cleaned):
        disk.unlink(f"{directory}/{name}")
        present.remove(name)
    swaps = [name for name in swaps if name in present]
    if swaps:
        present = _finish_swap(disk, directory, present, swaps)
    present = _drop_orphans(disk, directory, present)
    if present != before:
        disk.sync_dir(directory)
    return present


def list_segments(
    directory: str, present: list[str]
) -> tuple[list[Segment], list[int], dict[int, set[str]]]:
    """(segments, snapshot offsets, suffixes by base offset), each ascending."""
    files: dict[int, set[str]] = {}
    snapshots = []
    for name in present:
        parsed = names.parse_file(name)
        if parsed is None:
            continue
        offset, suffix = parsed
        if suffix == names.SNAPSHOT:
            snapshots.append(offset)
        else:
            files.setdefault(offset, set()).add(suffix)
    segments = [
        listed(directory, base, names.TXN_INDEX in suffixes)
        for base, suffixes in sorted(files.items())
    ]
    return segments, sorted(snapshots), files


def _offset(name: str) -> int:
    offset = names.prefix_offset(name)
    return names.MAX_LONG if offset is None else offset


def _finish_swap(disk: Disk, directory: str, present: list[str], swaps: list[str]) -> list[str]:
    """Remove what the `.swap` segments replace, then give them their names.

    The removals are durable before the first rename: afterwards nothing tells old from new.
    """
    logs = [name for name in swaps if name.endswith(names.LOG + names.SWAP)]
    if logs:
        low = min(map(_offset, logs))
        high = max(_next_offset(disk, directory, name) for name in logs)
        for name in list(present):
            if name not in swaps and names.parse_file(name) and low <= _offset(name) < high:
                disk.unlink(f"{directory}/{name}")
                present.remove(name)
        disk.sync_dir(directory)
    for name in sorted(swaps, key=_swap_order):
        final = name[: -len(names.SWAP)]
        disk.rename(f"{directory}/{name}", f"{directory}/{final}")
        present.remove(name)
        if final not in present:
            present.append(final)
    return sorted(present)


def _swap_order(name: str) -> tuple[int, int]:
    """Highest base first, so that a base that still has the suffix is below all that lost it: the
    range it replaces cannot hold them. Within a base the log goes first: an index that keeps its
    suffix a moment longer is simply renamed at the next start."""
    return -_offset(name), int(not name.endswith(names.LOG + names.SWAP))


def _next_offset(disk: Disk, directory: str, name: str) -> int:
    """Offset behind the last batch of a `.swap` log; its own base when it is empty."""
    file = disk.open(f"{directory}/{name}")
    last = _offset(name)
    try:
        for place in walk(file, 0, file.size(), pread_blocking):
            last = place[2] + 1
    except LogDamaged:
        return last
    finally:
        file.close()
    return last


def _drop_orphans(disk: Disk, directory: str, present: list[str]) -> list[str]:
    """Index files without their log."""
    kept = []
    known = set(present)
    for name in present:
        parsed = names.parse_file(name)
        orphan = (
            parsed is not None
            and parsed[1] in names.INDEX_SUFFIXES
            and names.offset_name(parsed[0]) + names.LOG not in known
        )
        if orphan:
            disk.unlink(f"{directory}/{name}")
        else:
            kept.append(name)
    return kept
