"""Every disk that a power cut may leave of a metadata log that writes snapshots and drops what lies
before them: it starts, and knows everything that was answered."""

from __future__ import annotations

import pytest

from barnabas.log.errors import LogDamaged, StorageError
from barnabas.metadata.errors import MetadataError
from barnabas.raft.errors import QuorumError
from barnabas.raft.types import OffsetAndEpoch
from barnabas.replication.metadata_files import (
    read_snapshot_file,
    tidy_snapshots,
    write_snapshot_file,
)
from barnabas.replication.snapshotter import SnapshotSettings
from barnabas.testing.sim import CrashLimits, History, SimDisk, SimWorld, enumerate_crashes
from barnabas.testing.sim.disk_model import DiskModel
from tests.sim.crash_classes import Tally, images_of
from tests.unit.replication.harness import started

QUICK = CrashLimits(images=12, contents=8, tears=1)
FULL = CrashLimits(images=120, contents=96, tears=2)
TIGHT = SnapshotSettings(max_bytes_between=400, retention_bytes=1_000)
SEGMENT_BYTES = 500


def record() -> History:
    """The disk's history of some forty commits, with snapshots and their clean-up."""
    world = SimWorld(1)
    ports = world.host("a").ports
    history = world.hosts["a"].disk.start_history()

    async def main() -> None:
        running = await started(ports, snapshots=TIGHT, segment_bytes=SEGMENT_BYTES)
        for n in range(40):
            await running.put(f"k{n % 5}", str(n))
            history.mark((f"k{n % 5}", n))

    world.run(main())
    return history


def check_image(model: DiskModel, marks: tuple[object, ...]) -> None:
    """Start on this disk."""
    world = SimWorld(2)
    host = world.host("a")
    host.disk.restore(model)
    promised: dict[str, int] = {}
    for mark in marks:
        assert isinstance(mark, tuple)
        promised[mark[0]] = mark[1]

    async def main() -> None:
        try:
            running = await started(host.ports, snapshots=TIGHT, segment_bytes=SEGMENT_BYTES)
        except (LogDamaged, MetadataError, QuorumError, StorageError, OSError) as error:
            pytest.fail(f"it does not start: {error!r}")
        newest = max(promised.values(), default=-1)
        for key, value in promised.items():
            # The one commit that was under way may have happened.
            assert int(running.values[key]) in (value, newest + 1), f"{key}: {running.values}"

    world.run(main())


def crash_everywhere(limits: CrashLimits, seed: int, share: float) -> Tally:
    """Start on the images."""
    tally = Tally("snapshots")
    for image in images_of(record(), tally, limits, seed, share):
        check_image(image.model, image.marks)
    return tally


def test_a_share_of_the_images(seed: int) -> None:
    tally = crash_everywhere(QUICK, seed, 0.05)
    assert tally.images >= 25
    assert {"lost", "name lost"} <= set(tally.by_class)


def test_a_snapshot_stays_once_it_is_written() -> None:
    disk = SimDisk()
    disk.make_dirs("/m")
    disk.sync_dir("/")
    history = disk.start_history()
    snapshot = OffsetAndEpoch(7, 1)
    write_snapshot_file(disk, "/m", snapshot, [b"a" * 600, b"b" * 600], "x")
    history.mark("written")
    told = 0
    for image in enumerate_crashes(history):
        left = SimDisk(model=image.model)
        found = tidy_snapshots(left, "/m")
        if image.marks or found:
            assert [each.id for each in found] == [snapshot]
            assert read_snapshot_file(left, "/m", snapshot) == b"a" * 600 + b"b" * 600
            told += bool(image.marks)
    assert told
