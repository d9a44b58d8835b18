"""Random lives of one log against a list, with crashes (invariants P4-P6 and P9-P11).

Each seed draws sizes, rates and a history of appends, reads, cuts, retention, checkpoints, clean
stops, killed processes and power cuts at any disk operation.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from random import Random

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log.log import Log
from barnabas.records.batch import BatchHeader, iter_batches, read_header
from barnabas.records.control import EndMarker, build_marker
from barnabas.testing.sim import SimDisk, SimulatedCrash
from tests.unit.log.rebuild_oracle import check_partition, dump
from tests.unit.log.world import DIRECTORY, World, batch, fetch, read_all

SEEDS = int(os.environ.get("BARNABAS_LOG_SEEDS", "60"))
PARTITION = f"{DIRECTORY}/t-0"


@dataclass
class Model:
    """What must be there."""

    batches: list[tuple[BatchHeader, bytes]] = field(default_factory=list)
    end: int = 0
    written: int = 0
    """Promised to survive the process."""
    durable: int = 0
    """Promised to survive a power cut."""
    start: int = 0
    """Retention finished up to here."""
    sequences: dict[int, int] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)

    def note(self, log: Log) -> None:
        """P9, P7: ends are in order; remember the promises."""
        assert log.log_start_offset <= log.end_offset
        assert log.durable_offset <= log.written_offset <= log.end_offset
        assert log.recovery_point <= log.durable_offset
        assert log.written_offset >= self.written
        assert log.durable_offset >= self.durable
        self.written, self.durable = log.written_offset, log.durable_offset
        log.high_watermark = self.durable

    def cut(self, end: int) -> None:
        """The log ends at `end` now."""
        self.batches = [one for one in self.batches if one[0].last_offset < end]
        self.end = end
        self.written = min(self.written, end)
        self.durable = min(self.durable, end)
        self.sequences, self.opened = {}, set()
        for header, _ in self.batches:
            if header.producer_id < 0:
                continue
            if header.is_control:
                self.opened.discard(header.producer_id)
            else:
                self.sequences[header.producer_id] = header.last_sequence + 1
                if header.is_transactional:
                    self.opened.add(header.producer_id)

    def readable(self, start: int) -> bytes:
        """The bytes from the batch that holds `start` on."""
        return b"".join(raw for header, raw in self.batches if header.last_offset >= start)


class Life:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        pick = self.random
        self.config = LogConfig(
            segment_bytes=pick.choice([700, 2000, 6000]),
            segment_index_bytes=pick.choice([24, 64, 4096]),
            index_interval_bytes=pick.choice([0, 100, 500, 4096]),
            retention_bytes=pick.choice([-1, -1, 4000]),
            retention_ms=-1,
            segment_ms=pick.choice([500, 10**9]),
            ack_mode=pick.choice(["synced", "synced", "page-cache"]),
            flush_messages=pick.choice([1, 10, 2**63 - 1]),
        )
        self.disk = SimDisk(Random(seed + 1))
        self.disk.faults.cold_rate = pick.choice([0, 0, 0.3])
        self.model = Model()
        self.now = 1_700_000_000_000
        self.epoch = 0
        self.truncating: int | None = None
        self.holes = False
        """Producer snapshots may know of batches that are lost."""
        self.start()

    def start(self) -> None:
        """A process begins."""
        self.now += 1000
        files = self.random.choice([16, 64])
        self.world = World(self.disk, self.config, now=self.now, max_open_files=files)
        self.log = self.world.open()
        self.epoch += self.random.choice([0, 1])

    def run(self, steps: int) -> None:
        """The whole life."""
        kinds = {
            self.append: 40,
            self.step: 40,
            self.settle: 8,
            self.read: 6,
            self.truncate: 2,
            self.retain: 3,
            self.checkpoint: 3,
            self.restart: 2,
            self.kill: 2,
            self.cut_power: 3,
        }
        names, weights = list(kinds), list(kinds.values())
        for _ in range(steps):
            action = self.random.choices(names, weights)[0]
            try:
                action()
                self.model.note(self.log)
            except SimulatedCrash:
                self.disk.power_loss()
                self.recover(self.model.durable)
        self.disk.crash_at(-1)
        self.settle()
        self.restart()

    def append(self) -> None:
        """One batch of any kind."""
        pick, log = self.random, self.log
        self.now += pick.choice([0, 1, 5, -3, 200])
        base = log.end_offset
        if pick.random() < 0.02:
            base += pick.randrange(20)  # a gap, as a follower of a compacted log has them
        producer = pick.choice([-1, 1, 2, 3])
        model = self.model
        if producer in model.opened and pick.random() < 0.5:
            marker = EndMarker(pick.random() < 0.5, 0)
            data = build_marker(
                producer, 0, marker, self.now, base_offset=base, leader_epoch=self.epoch
            )
            model.opened.discard(producer)
        else:
            values = [pick.randbytes(pick.randrange(60)) for _ in range(pick.randrange(1, 4))]
            options: dict[str, object] = {}
            if producer >= 0:
                sequence = model.sequences.get(producer, 0)
                model.sequences[producer] = sequence + len(values)
                transactional = producer in model.opened or (producer > 1 and pick.random() < 0.3)
                if transactional:
                    model.opened.add(producer)
                options = {
                    "producer_id": producer,
                    "producer_epoch": 0,
                    "base_sequence": sequence,
                    "transactional": transactional,
                }
            data = batch(base, values, timestamp=self.now, epoch=self.epoch, **options)
        header = read_header(data)
        log.append(data, header)
        model.batches.append((header, bytes(data)))
        model.end = header.next_offset
        assert log.end_offset == model.end

    def step(self) -> None:
        """Something that waits goes on."""
        self.world.step()

    def settle(self) -> None:
        """Everything that waits is done."""
        self.world.settle()
        assert self.log.written_offset == self.log.end_offset
        if self.config.ack_mode == "synced":
            assert self.log.durable_offset == self.log.end_offset

    def read(self) -> None:
        """P5, P6: what is read is what was appended, up to the bound."""
        log, pick = self.log, self.random
        bounds = [log.written_offset, log.durable_offset]
        known = [header.next_offset for header, _ in self.model.batches]
        bounds += [end for end in known[-8:] if end <= log.written_offset]
        upper = max(pick.choice(bounds), log.log_start_offset)
        offset = pick.randint(log.log_start_offset, log.end_offset)
        size = pick.choice([0, 1, 50, 300, 5000])
        whole = pick.random() < 0.7
        data = fetch(log, offset, size, upper, at_least_one=whole).data
        want = b"".join(
            raw
            for header, raw in self.model.batches
            if header.last_offset >= offset and header.last_offset < upper
        )
        if offset >= upper or (size == 0 and not whole):
            assert data == b""
        assert want.startswith(data)
        if want and offset < upper and whole:
            assert next(iter_batches(data), None) is not None
        if data:
            assert whole or len(data) <= size

    def truncate(self) -> None:
        """A follower diverged."""
        low = max(self.log.log_start_offset, self.log.end_offset - 12)
        self.truncating = self.random.randint(low, self.log.end_offset)
        done: list[Exception | None] = []
        self.world.manager.truncate(self.log, self.truncating, done.append)
        self.model.note(self.log)
        while not done:
            assert self.world.step()
            if not self.log.blocked:
                break
        self.world.settle()
        assert done == [None]
        self.truncating = None
        self.model.cut(self.log.end_offset)
        self.forget_below(self.log.log_start_offset)
        assert read_all(self.log) == self.model.readable(self.log.log_start_offset)

    def retain(self) -> None:
        """A retention run, and time for the marked files to go."""
        self.world.maintenance.retain(self.log)
        self.world.settle()
        self.model.start = self.log.log_start_offset
        if self.random.random() < 0.5:
            self.world.advance(self.config.file_delete_delay_ms)
        self.now = self.world.clock.now = max(self.now, self.world.clock.now)

    def checkpoint(self) -> None:
        """Recovery points move."""
        self.world.maintenance.checkpoint_all()
        self.world.settle()
        if self.config.ack_mode == "synced":
            assert self.log.recovery_point == self.log.end_offset

    def restart(self) -> None:
        """P10: a clean stop and start changes no byte; P11: files are what the log says."""
        self.world.stop()
        before = self.lasting()
        interval = self.config.index_interval_bytes
        found = check_partition(self.disk, PARTITION, interval, snapshots=not self.holes)
        readable = self.model.readable(found[0][0].base_offset) if found else b""
        assert b"".join(raw for _, raw in found) == readable
        self.start()
        assert self.log.end_offset == self.model.end
        self.check_state()
        self.world.stop()
        assert self.lasting() == before
        self.start()

    def kill(self) -> None:
        """The process dies: what was written stays."""
        for _ in range(self.random.randrange(4)):
            self.world.step()
        self.model.note(self.log)
        self.disk.kill()
        self.recover(self.model.written)

    def cut_power(self) -> None:
        """The machine dies, now or at one of the next operations."""
        if self.random.random() < 0.5:
            later = self.disk.op_count + self.random.randrange(1, 30)
            self.disk.crash_at(later, after=self.random.random() < 0.5)
            return
        self.disk.power_loss()
        self.recover(self.model.durable)

    def recover(self, promised: int) -> None:
        """Start after a crash; promised records are there, and recovery repeated finds the same."""
        self.disk.crash_at(-1)
        if self.truncating is not None:
            # A batch goes as a whole.
            cut = max(
                (h.next_offset for h, _ in self.model.batches if h.next_offset <= self.truncating),
                default=0,
            )
            promised = min(promised, cut)
            self.model.durable = min(self.model.durable, cut)
            self.model.written = min(self.model.written, cut)
            self.truncating = None
        crashes = self.random.choice([0, 0, 1, 2])
        for _ in range(crashes):  # recovery itself is interrupted
            self.disk.crash_at(self.disk.op_count + self.random.randrange(1, 12))
            try:
                self.start()
            except SimulatedCrash:
                self.disk.power_loss()
                promised = min(promised, self.model.durable)
            else:
                self.disk.kill()
            self.disk.crash_at(-1)
        self.start()
        end = self.log.end_offset
        assert promised <= end <= self.model.end
        once = self.files()
        self.disk.kill()
        self.start()
        assert self.log.end_offset == end
        assert self.files() == once
        if self.config.ack_mode == "page-cache":
            self.drop_holes(promised)
        self.model.cut(end)
        self.model.written = self.model.durable = end
        self.forget_below(self.log.log_start_offset)
        assert self.log.log_start_offset <= max(self.model.start, end)
        self.check_state()

    def lasting(self) -> dict[str, bytes]:
        """All files but those that every start removes."""
        found = dump(self.disk, DIRECTORY)
        return {path: data for path, data in found.items() if not path.endswith(".deleted")}

    def drop_holes(self, promised: int) -> None:
        """Without syncs, as with Kafka, a power cut may take the end of a segment and leave the
        next one; what was durable is never touched."""
        there = {header.base_offset for _, header in iter_batches(read_all(self.log))}
        start = self.log.log_start_offset
        before = len(self.model.batches)
        self.model.batches = [
            one
            for one in self.model.batches
            if one[0].base_offset in there or one[0].last_offset < max(start, promised)
        ]
        self.holes = self.holes or len(self.model.batches) < before

    def files(self) -> dict[str, bytes]:
        """The partition's files."""
        return dump(self.disk, PARTITION)

    def forget_below(self, start: int) -> None:
        """What retention removed, with its producers, is nobody's business any more."""
        del start
        self.model.sequences = {
            producer: entry.next_sequence
            for producer, entry in self.log.producers.producers.items()
            if entry.next_sequence >= 0
        } | self.model.sequences

    def check_state(self) -> None:
        """Records and producers of the open log are those of the model."""
        log, model = self.log, self.model
        assert read_all(log) == model.readable(log.log_start_offset)
        known = log.producers.producers
        for header, _ in reversed(model.batches):
            producer = header.producer_id
            if (
                self.holes
                or producer < 0
                or header.is_control
                or header.base_offset < log.log_start_offset
            ):
                continue
            assert known[producer].next_sequence == model.sequences[producer]
            assert (known[producer].txn_first_offset >= 0) == (producer in model.opened)


@pytest.mark.parametrize("number", range(SEEDS))
def test_random_lives(number: int, seed: int) -> None:
    Life(seed * 1000 + number).run(150)
