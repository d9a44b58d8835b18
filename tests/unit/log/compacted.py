"""A compacted log that is driven step by step, and what is seen of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from barnabas.config.log_config import LogConfig
from barnabas.log.checkpoints import TopicPartition
from barnabas.log.cleaning.cleaner import CleanerSettings, LogCleaner, Report
from barnabas.log.log import Log
from barnabas.records.batch import BatchHeader, assign, iter_batches, read_header
from barnabas.records.builder import build_batch
from barnabas.records.control import EndMarker, build_marker
from barnabas.records.record import Record, read_records
from barnabas.testing.sim import SimDisk
from tests.unit.log.world import World, read_all

NOW = 1_700_000_000_000
COMPACT = LogConfig(
    segment_bytes=400,
    index_interval_bytes=0,
    retention_ms=-1,
    cleanup_policy=frozenset({"compact"}),
    min_cleanable_dirty_ratio=0.0,
    delete_retention_ms=10_000,
)

Pair = tuple[bytes | None, bytes | None]


def _nothing() -> None:
    return


class Compacted:
    """One run of a log with a cleaner; another one after a crash or a stop."""

    def __init__(
        self,
        config: LogConfig | None = None,
        disk: SimDisk | None = None,
        *,
        now: int = NOW,
        settings: CleanerSettings | None = None,
    ) -> None:
        self.config = config or replace(COMPACT)
        self.disk = disk or SimDisk(Random(3))
        self.world = World(self.disk, self.config, now=now)
        self.log: Log = self.open("t")
        self.reports: list[Report] = []
        self.broken: list[tuple[TopicPartition, BaseException]] = []
        self.cleaner = LogCleaner(
            self.world.manager,
            lambda: settings or CleanerSettings(),
            open_partition=self.world.open_partition,
            on_cleaned=self.reports.append,
            on_uncleanable=lambda key, error: self.broken.append((key, error)),
        )
        self.sequences: dict[int, int] = {}

    def open(self, topic: str) -> Log:
        """A log that somebody serves."""
        log = self.world.open(topic)
        log.on_progress = _nothing
        return log

    def append(self, *pairs: Pair, **options: Any) -> int:
        """A batch of keys and values at the end; its base offset."""
        base = self.log.end_offset
        records = [
            (key, value, self.world.clock.now + at, ()) for at, (key, value) in enumerate(pairs)
        ]
        data = build_batch(records, **options)
        assign(data, 0, base, 0)
        self.log.append(data, read_header(data))
        self.settle()
        return base

    def send(self, producer: int, *pairs: Pair, transactional: bool = False) -> int:
        """A batch of an idempotent producer."""
        sequence = self.sequences.get(producer, 0)
        self.sequences[producer] = sequence + len(pairs)
        return self.append(
            *pairs,
            producer_id=producer,
            producer_epoch=0,
            base_sequence=sequence,
            transactional=transactional,
        )

    def end(self, producer: int, *, commit: bool) -> int:
        """A transaction's marker."""
        base = self.log.end_offset
        data = build_marker(
            producer,
            0,
            EndMarker(commit, 0),
            self.world.clock.now,
            base_offset=base,
            leader_epoch=0,
        )
        self.log.append(data, read_header(data))
        self.settle()
        return base

    def roll(self) -> None:
        """Begin a new segment: what is there can be cleaned."""
        self.log.roll()
        self.settle()

    def settle(self) -> None:
        """Everything is durable and committed."""
        self.world.settle()
        self.log.high_watermark = self.log.durable_offset

    def clean(self) -> None:
        """Clean until there is nothing left to be cleaned."""
        for _ in range(50):
            before = len(self.reports)
            self.cleaner.look()
            self.settle()
            if len(self.reports) == before:
                return
        raise AssertionError("it does not end")

    def clean_once(self) -> None:
        """Look once."""
        self.cleaner.look()
        self.settle()

    def lose_workers(self) -> None:
        """The processes of the cleanings under way are gone."""
        for run in self.cleaner._runs.values():
            run.cancel()

    def batches(self) -> list[tuple[BatchHeader, list[Record]]]:
        """What a reader gets."""
        data = read_all(self.log)
        return [
            (header, read_records(data, position, limit=1 << 20))
            for position, header in iter_batches(data)
        ]

    def records(self) -> list[tuple[int, bytes | None, bytes | None]]:
        """(offset, key, value) of all data records."""
        return [
            (record.offset, record.key, record.value)
            for header, records in self.batches()
            if not header.is_control
            for record in records
        ]

    def names(self, *suffixes: str) -> list[str]:
        """Files of the partition."""
        return [name for name in self.disk.list_dir(self.log.path) if name.endswith(suffixes)]


def filled(run: Compacted, rounds: int = 24, keys: int = 5) -> list[tuple[int, bytes, bytes]]:
    """Batches of two records with few keys; what was sent."""
    sent = []
    for at in range(rounds):
        pairs: list[Pair] = [
            (b"k%d" % ((2 * at + n) % keys), b"%03d" % (2 * at + n)) for n in (0, 1)
        ]
        base = run.append(*pairs)
        sent += [(base + n, key or b"", value or b"") for n, (key, value) in enumerate(pairs)]
    return sent


def newest(records: Iterable[tuple[int, bytes | None, bytes | None]]) -> dict[bytes | None, Pair]:
    """The last record of each key."""
    return {key: (key, value) for _, key, value in records}


def only_newest(
    records: Sequence[tuple[int, bytes | None, bytes | None]], below: int
) -> list[tuple[int, bytes | None, bytes | None]]:
    """A naive compaction: what must be left of `records` when all below `below` was dirty."""
    last = {key: offset for offset, key, _ in records if offset < below}
    return [
        (offset, key, value)
        for offset, key, value in records
        if offset >= below or (key is not None and last[key] == offset)
    ]
