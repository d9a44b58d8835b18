"""Every disk that a power cut may leave of a log, per operation: opened, checked, opened again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log import names
from barnabas.log.cleaning.cleaner import CleanerSettings, LogCleaner
from barnabas.log.log import Log
from barnabas.log.retention import raise_log_start
from barnabas.records.batch import assign, iter_batches, read_header
from barnabas.records.builder import build_batch
from barnabas.testing.sim import CrashLimits, History, SimDisk
from tests.sim.crash_classes import Tally, images_of
from tests.unit.log.rebuild_oracle import check_partition, dump
from tests.unit.log.world import World, read_all

PATH = "/logs/t-0"
NOW = 1_700_000_000_000
QUICK = CrashLimits(images=40, contents=24, tears=2)
FULL = CrashLimits(images=800, contents=256, tears=3)
SEGMENT_BYTES = 780
"""Three batches, the last of which lies in two sectors."""


class Recording:
    """One run of the log layer whose disk history is kept, with its promises as marks."""

    def __init__(self, config: LogConfig, disk: SimDisk | None = None) -> None:
        self.config = config
        self.disk = disk or SimDisk()
        self.history: History = self.disk.start_history()
        self.world = World(self.disk, config, now=NOW)
        self.log: Log = self.world.open()
        self.cleaner = LogCleaner(
            self.world.manager, CleanerSettings, open_partition=self.world.open_partition
        )
        self.keys = 3 if "compact" in config.cleanup_policy else 0
        self.sent: list[bytes] = []
        self.before_cut: list[bytes] = []
        """What was sent until the log was cut; `sent` goes on from the cut."""
        self.fill = b"x"
        self.promised = 0
        self.sequence = 0

    def append(self, count: int, size: int = 160) -> None:
        """Batches of one record each; some of a producer with sequences. Few keys, if any."""
        for _ in range(count):
            number = len(self.sent)
            value = b"%04d" % number + self.fill * size
            options: dict[str, Any] = {}
            if number % 2:
                options = {"producer_id": 5, "producer_epoch": 0, "base_sequence": self.sequence}
                self.sequence += 1
            key = b"%d" % (number % self.keys) if self.keys else None
            data = build_batch([(key, value, NOW + number, ())], **options)
            assign(data, 0, self.log.end_offset, 0)
            self.log.append(data, read_header(data))
            self.sent.append(bytes(data))

    def burst(self, count: int) -> None:
        """Batches that are written one by one while nothing is synced."""
        jobs = self.world.executor.jobs
        for _ in range(count):
            self.append(1)
            while self.world.soon:
                self.world.soon.popleft()()
        assert jobs
        self.settle()

    def cut(self, offset: int) -> None:
        """Truncate to `offset`, once, and go on with other batches."""
        self.history.mark(("cut", offset))
        self.world.manager.truncate(self.log, offset, lambda _: None)
        self.settle()
        assert self.log.end_offset == offset
        self.before_cut, self.sent = self.sent, self.sent[:offset]
        self.fill = b"y"
        self.promised = offset
        self.history.mark(("went on", offset))

    def settle(self) -> None:
        """Run everything; note what is durable after each step."""
        while self.world.step():
            if self.log.durable_offset > self.promised:
                self.promised = self.log.durable_offset
                self.history.mark(("durable", self.promised))
            self.log.high_watermark = self.promised


def produce(run: Recording) -> None:
    """Rounds of a few batches."""
    for count in (1, 3, 2):
        run.append(count, size=700)
        run.settle()


def roll(run: Recording) -> None:
    """Segments of three batches; a roll within a round, and one between rounds."""
    for count in (2, 5, 1, 2):
        run.append(count)
        run.settle()
    run.burst(3)


def retention(run: Recording) -> None:
    """Old segments go, while a new round is written."""
    roll(run)
    run.world.maintenance.retain(run.log)
    run.append(2)
    run.settle()
    run.history.mark(("started", run.log.log_start_offset))
    run.world.advance(run.config.file_delete_delay_ms + 1)
    run.settle()


def deletion(run: Recording) -> None:
    """The log start moves while rounds are written, and the segments below it go."""
    roll(run)
    checkpoints = run.world.manager.checkpoints
    for offset in (2, 4, 7):
        raise_log_start(run.log, offset)
        told = partial(run.history.mark, ("started", offset))
        checkpoints.write(names.LOG_STARTS, told)
        run.append(1)
        run.settle()
        run.world.maintenance.retain(run.log)
        checkpoints.write(names.LOG_STARTS)
        # On another thread the checkpoint is written before the files are marked.
        run.world.executor.jobs.reverse()
        run.append(1)
        run.settle()
    assert run.log.bases[0] > 0
    run.world.advance(run.config.file_delete_delay_ms + 1)
    run.settle()


def truncation(run: Recording) -> None:
    """A follower cuts its log and goes on, with batches that lie where the old ones lay."""
    roll(run)
    run.world.maintenance.checkpoint_all()
    run.settle()
    run.cut(4)
    for size in (160, 120, 161):
        run.append(1, size=size)
        run.settle()
    run.burst(2)


def compaction(run: Recording) -> None:
    """Cleanings while rounds are written; those behind the first make one segment of several."""
    merged = False
    for count in (9, 5, 3):
        run.append(count - 2)
        run.burst(2)
        before = set(run.log.bases)
        run.cleaner.look()
        run.append(1)
        run.settle()
        merged = merged or not before <= set(run.log.bases)
    assert merged
    run.world.advance(run.config.file_delete_delay_ms + 1)
    run.settle()


def checkpoints(run: Recording) -> None:
    """Recovery points, log starts and high watermarks are written between rounds."""
    run.append(4)
    run.settle()
    run.world.maintenance.checkpoint_all()
    run.burst(2)


def clean_stop(run: Recording) -> None:
    """Everything up to the marker."""
    roll(run)
    run.append(1)
    run.settle()
    run.world.stop()


SMALL = LogConfig(segment_bytes=SEGMENT_BYTES, index_interval_bytes=0, retention_ms=-1)
FULL_INDEX = LogConfig(segment_index_bytes=36, index_interval_bytes=0, retention_ms=-1)
OPERATIONS: dict[str, tuple[LogConfig, Callable[[Recording], None]]] = {
    "produce": (LogConfig(index_interval_bytes=0), produce),
    "roll": (SMALL, roll),
    "index-full roll": (FULL_INDEX, roll),
    "retention": (
        LogConfig(segment_bytes=SEGMENT_BYTES, index_interval_bytes=0, retention_bytes=1700),
        retention,
    ),
    "deletion": (SMALL, deletion),
    "truncation": (SMALL, truncation),
    "compaction": (
        LogConfig(
            segment_bytes=SEGMENT_BYTES,
            index_interval_bytes=0,
            retention_ms=-1,
            cleanup_policy=frozenset({"compact"}),
            min_cleanable_dirty_ratio=0.0,
        ),
        compaction,
    ),
    "checkpoints": (SMALL, checkpoints),
    "clean stop": (SMALL, clean_stop),
}


def check_image(run: Recording, disk: SimDisk, marks: tuple[object, ...]) -> None:
    """P4, P6, P9, P10 and P11 on one image, and everything promised is there."""
    promised = start = 0
    sent = run.before_cut or run.sent
    for mark in marks:
        assert isinstance(mark, tuple)
        kind, offset = mark
        if kind == "durable":
            promised = max(promised, offset)
        elif kind == "started":
            start = offset
        else:
            promised = min(promised, offset)
            if kind == "went on":
                sent = run.sent
    world = World(disk, run.config, now=NOW + 10_000)
    log = world.open()
    assert log.log_start_offset <= log.end_offset == log.durable_offset
    assert promised <= log.end_offset <= len(sent)
    assert log.log_start_offset >= (start if promised else 0)
    if run.keys:
        check_compacted(run, log)
    else:
        assert read_all(log) == b"".join(sent[log.log_start_offset : log.end_offset])
    once = dump(disk, PATH)
    disk.kill()
    world = World(disk, run.config, now=NOW + 10_000)
    assert world.open().end_offset == log.end_offset
    assert dump(disk, PATH) == once, "recovery of what was recovered changed it"
    world.stop()
    # An old snapshot may know of a producer's batch that went when a newer one came.
    check_partition(disk, PATH, run.config.index_interval_bytes, snapshots=not run.keys)


def check_compacted(run: Recording, log: Log) -> None:
    """S1: what is there was sent, where it was sent; of each key the newest record is there, and
    no producer can send anything twice."""
    found: dict[int, bytes] = {}
    data = read_all(log)
    last = -1
    for position, header in iter_batches(data):
        assert header.base_offset > last
        last = header.last_offset
        if header.records_count:
            found[header.base_offset] = data[position : position + header.size]
    assert all(raw == run.sent[offset] for offset, raw in found.items())
    end = log.end_offset
    assert set(range(max(0, end - run.keys), end)) <= set(found)
    sequences = len([number for number in range(end) if number % 2])
    if sequences:
        assert log.producers.producers[5].next_sequence == sequences


def crash_everywhere(operation: str, limits: CrashLimits, seed: int, share: float) -> Tally:
    """Open the images of one operation."""
    config, act = OPERATIONS[operation]
    run = Recording(config)
    act(run)
    tally = Tally(operation)
    for image in images_of(run.history, tally, limits, seed, share):
        check_image(run, SimDisk(model=image.model), image.marks)
    return tally


def crash_recovery(limits: CrashLimits, seed: int, share: float) -> Tally:
    """Crash, then crash again during the recovery."""
    config, act = OPERATIONS["roll"]
    run = Recording(config)
    act(run)
    first, second = Tally("before"), Tally("recovery")
    for image in images_of(run.history, first, limits, seed, share):
        disk = SimDisk(model=image.model)
        history = disk.start_history()
        for mark in image.marks:
            history.mark(mark)
        World(disk, config, now=NOW + 10_000).open()
        for again in images_of(history, second, CrashLimits(images=8, contents=8), seed, 1):
            marks = (*image.marks, *again.marks)
            check_image(run, SimDisk(model=again.model), marks)
    return second


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_share_of_the_images(operation: str, seed: int) -> None:
    share = 0.15 if operation == "compaction" else 0.5
    tally = crash_everywhere(operation, QUICK, seed, share)
    assert tally.images >= 30
    assert {"lost", "torn", "zero-filled"} & set(tally.by_class)


def test_a_share_of_crashes_during_recovery(seed: int) -> None:
    assert crash_recovery(QUICK, seed, 0.03).images >= 20
