"""Files of `__cluster_metadata-0` beside its segments: quorum-state and snapshots.

Everything here blocks; run it on the executor. Every write is whole or not there after a crash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from barnabas.log import names
from barnabas.log.checkpoints import read_file, replace_file
from barnabas.ports import Buffer, Disk
from barnabas.raft.election import ElectionState, decode_election, encode_election
from barnabas.raft.types import OffsetAndEpoch

QUORUM_STATE = "quorum-state"
CHECKPOINT = ".checkpoint"
PART = ".checkpoint.part"
MAX_QUORUM_STATE_BYTES = 1 << 20
MAX_SNAPSHOT_BYTES = 1 << 30
"""An image of some ten million partitions; a larger file is refused rather than read."""

_SNAPSHOT = re.compile(r"(\d{20})-(\d{10})\.checkpoint\Z")
BOOTSTRAP_SNAPSHOT = OffsetAndEpoch(0, 0)
"""The format command of a dynamic quorum leaves one with the voters, and without metadata."""


class SnapshotFile(NamedTuple):
    """A complete snapshot. `id.offset` is exclusive; `size` bytes."""

    id: OffsetAndEpoch
    size: int


def snapshot_name(snapshot: OffsetAndEpoch) -> str:
    """`<20-digit end offset>-<10-digit epoch>.checkpoint`."""
    return f"{snapshot.offset:020d}-{snapshot.epoch:010d}{CHECKPOINT}"


def read_quorum_state(disk: Disk, directory: str) -> ElectionState | None:
    """None when there is none. Raises QuorumError, LogDamaged, OSError."""
    data = read_file(disk, f"{directory}/{QUORUM_STATE}", MAX_QUORUM_STATE_BYTES)
    return None if data is None else decode_election(data)


def write_quorum_state(
    disk: Disk,
    directory: str,
    state: ElectionState,
    kraft_version: int,
    voter_ids: Iterable[int],
) -> None:
    """Durable when this returns: a vote or an epoch must not be forgotten once it was told."""
    content = encode_election(state, kraft_version=kraft_version, voter_ids=list(voter_ids))
    replace_file(disk, f"{directory}/{QUORUM_STATE}", content)


def tidy_snapshots(disk: Disk, directory: str) -> list[SnapshotFile]:
    """Remove what a crash left half written or half deleted; the complete ones, oldest first."""
    found = []
    changed = False
    for name in disk.list_dir(directory):
        if name.endswith((PART, names.KRAFT_SNAPSHOT_DELETED)):
            disk.unlink(f"{directory}/{name}")
            changed = True
            continue
        match = _SNAPSHOT.match(name)
        if match is not None:
            snapshot = OffsetAndEpoch(int(match[1]), int(match[2]))
            found.append(SnapshotFile(snapshot, _size(disk, f"{directory}/{name}")))
    if changed:
        disk.sync_dir(directory)
    return sorted(found)


def read_snapshot_file(disk: Disk, directory: str, snapshot: OffsetAndEpoch) -> bytes:
    """The whole file. Raises LogDamaged beyond MAX_SNAPSHOT_BYTES, OSError."""
    path = f"{directory}/{snapshot_name(snapshot)}"
    data = read_file(disk, path, MAX_SNAPSHOT_BYTES)
    if data is None:
        raise FileNotFoundError(path)
    return data


def read_snapshot_slice(
    disk: Disk, directory: str, snapshot: OffsetAndEpoch, position: int, max_bytes: int
) -> bytes:
    """A part of a snapshot for a replica that loads it."""
    file = disk.open(f"{directory}/{snapshot_name(snapshot)}")
    try:
        return file.pread(max_bytes, position)
    finally:
        file.close()


def write_snapshot_file(
    disk: Disk, directory: str, snapshot: OffsetAndEpoch, batches: Iterable[Buffer], unique: str
) -> SnapshotFile:
    """Write a snapshot under a temporary name, sync it, then give it its name.

    Contents before name, name before directory: once `.checkpoint` is seen it is complete, and
    once this returns it stays. Only then may the log before it be deleted.
    """
    final = f"{directory}/{snapshot_name(snapshot)}"
    part = f"{final.removesuffix(CHECKPOINT)}-{unique}{PART}"
    file = disk.open(part, create=True)
    size = 0
    try:
        for batch in batches:
            size += file.pwritev([batch], size)
        file.sync()
    finally:
        file.close()
    disk.rename(part, final)
    disk.sync_dir(directory)
    return SnapshotFile(snapshot, size)


def remove_snapshots(disk: Disk, directory: str, snapshots: Iterable[OffsetAndEpoch]) -> None:
    """Delete snapshots; a crash in between leaves `.deleted` files, which the next start drops."""
    paths = [f"{directory}/{snapshot_name(snapshot)}" for snapshot in snapshots]
    for path in paths:
        if disk.exists(path):
            disk.rename(path, path + ".deleted")
    for path in paths:
        disk.unlink(path + ".deleted")


def drop_segments_behind(disk: Disk, directory: str) -> None:
    """Remove every segment: the newest snapshot is ahead of the log, which begins anew after it.

    Interrupted and repeated it comes to the same end: the snapshot stays ahead of what is left.
    """
    for name in reversed(disk.list_dir(directory)):
        if names.parse_file(name) is not None or name == names.LEADER_EPOCHS:
            disk.unlink(f"{directory}/{name}")
    disk.sync_dir(directory)


def _size(disk: Disk, path: str) -> int:
    file = disk.open(path)
    try:
        return file.size()
    finally:
        file.close()
