"""Random lives of one compacted log against a list, with crashes (invariants S1, T2, P10).

Each seed draws sizes and a history of keyed batches, tombstones, transactions, cleanings, clean
stops, killed processes and power cuts at any disk operation.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from random import Random

import pytest

from barnabas.config.log_config import LogConfig
from barnabas.log import time_index
from barnabas.log.cleaning.cleaner import CleanerSettings
from barnabas.log.recovery import DAY_MS
from barnabas.records.batch import BatchHeader, iter_batches
from barnabas.records.record import Record, read_records
from barnabas.testing.sim import SimDisk, SimulatedCrash
from tests.unit.log.compacted import Compacted, Pair
from tests.unit.log.rebuild_oracle import dump
from tests.unit.log.world import DIRECTORY, fetch, read_all

SEEDS = int(os.environ.get("BARNABAS_LOG_SEEDS", "24"))
KEYS = 6
LIMIT = 1 << 20


@dataclass
class Sent:
    """One batch that was appended."""

    base: int
    last: int
    producer: int
    transactional: bool
    records: list[Record]
    """None for a marker."""
    commit: bool | None = None


@dataclass
class Model:
    """What was appended, up to the end of the log."""

    batches: list[Sent] = field(default_factory=list)
    sequences: dict[int, int] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)

    def cut(self, end: int) -> None:
        """The log ends at `end` now."""
        self.batches = [one for one in self.batches if one.last < end]
        self.sequences, self.opened = {}, set()
        for one in self.batches:
            if one.producer < 0:
                continue
            if one.commit is not None:
                self.opened.discard(one.producer)
            else:
                self.sequences[one.producer] = self.sequences.get(one.producer, 0) + len(
                    one.records
                )
                if one.transactional:
                    self.opened.add(one.producer)

    def outcomes(self) -> dict[int, bool | None]:
        """Base offset of each data batch to whether it was committed; `None`: nobody knows yet."""
        found: dict[int, bool | None] = {}
        waiting: dict[int, list[int]] = {}
        for one in self.batches:
            if one.commit is not None:
                for base in waiting.pop(one.producer, []):
                    found[base] = one.commit
            elif one.transactional:
                found[one.base] = None
                waiting.setdefault(one.producer, []).append(one.base)
            else:
                found[one.base] = True
        return found


class Life:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.random = pick = Random(seed)
        self.config = LogConfig(
            segment_bytes=pick.choice([400, 900, 3000]),
            segment_index_bytes=pick.choice([64, 4096]),
            index_interval_bytes=pick.choice([0, 100, 4096]),
            retention_ms=-1,
            cleanup_policy=frozenset({"compact"}),
            min_cleanable_dirty_ratio=0.0,
            delete_retention_ms=pick.choice([0, 5_000, DAY_MS]),
        )
        self.settings = CleanerSettings(
            dedupe_buffer_bytes=pick.choice([100, 10_000]),
            io_buffer_bytes=pick.choice([100, 10_000]),
        )
        self.disk = SimDisk(Random(seed + 1))
        self.disk.faults.cold_rate = pick.choice([0, 0.3])
        self.model = Model()
        self.now = 1_700_000_000_000
        self.cleaned = 0
        self.durable = 0
        self.start()

    def start(self) -> None:
        """A process begins."""
        self.now += 1000
        self.run = Compacted(self.config, self.disk, now=self.now, settings=self.settings)

    def live(self, steps: int) -> None:
        """The whole life."""
        kinds = {
            self.append: 50,
            self.look: 12,
            self.step: 20,
            self.clean: 4,
            self.wait: 4,
            self.restart: 2,
            self.kill: 2,
            self.cut_power: 3,
        }
        for _ in range(steps):
            action = self.random.choices(list(kinds), list(kinds.values()))[0]
            try:
                action()
                self.durable = max(self.durable, self.run.log.durable_offset)
                self.run.log.high_watermark = self.run.log.durable_offset
            except SimulatedCrash:
                self.disk.power_loss()
                self.recover()
        self.disk.crash_at(-1)
        self.restart()

    def append(self) -> None:
        """One batch of any kind, in the log at once (its sync may be under way)."""
        pick, model, run = self.random, self.model, self.run
        producer = pick.choice([-1, 1, 2, 3])
        base = run.log.end_offset
        if producer in model.opened and pick.random() < 0.4:
            commit = pick.random() < 0.5
            model.batches.append(Sent(base, base, producer, True, [], commit))
            model.opened.discard(producer)
            run.end(producer, commit=commit)
            return
        pairs: list[Pair] = [
            (
                b"%d" % pick.randrange(KEYS),
                None if pick.random() < 0.25 else pick.randbytes(pick.randrange(60)),
            )
            for _ in range(pick.randrange(1, 4))
        ]
        transactional = producer in model.opened or (producer > 1 and pick.random() < 0.4)
        now = run.world.clock.now
        records = [Record(base + at, now + at, *pair, ()) for at, pair in enumerate(pairs)]
        last = base + len(pairs) - 1
        model.batches.append(Sent(base, last, producer, transactional, records))
        if producer < 0:
            run.append(*pairs, codec=pick.randrange(5))
            return
        if transactional:
            model.opened.add(producer)
        run.sequences = dict(model.sequences)
        model.sequences[producer] = model.sequences.get(producer, 0) + len(pairs)
        run.send(producer, *pairs, transactional=transactional)

    def look(self) -> None:
        """A cleaning begins."""
        self.run.cleaner.look()

    def step(self) -> None:
        """Something that waits goes on; readers are right in the middle of everything."""
        self.run.world.step()
        if self.random.random() < 0.3:
            self.check()

    def clean(self) -> None:
        """Clean to the end."""
        self.run.clean()
        self.check()

    def wait(self) -> None:
        """Tombstones grow old, files go."""
        self.run.world.advance(self.random.choice([1, 6_000, 70_000, DAY_MS]))
        self.now = self.run.world.clock.now

    def restart(self) -> None:
        """A clean stop; a start changes no byte of what it finds."""
        done: list[bool] = []
        self.run.cleaner.stop(lambda: done.append(True))
        self.run.world.settle()
        assert done
        self.run.world.stop()
        before = self.lasting()
        self.start()
        assert self.run.log.end_offset == self.end()
        self.check()
        self.run.world.stop()
        assert self.lasting() == before
        self.start()

    def kill(self) -> None:
        """The process dies in the middle of whatever it does."""
        for _ in range(self.random.randrange(6)):
            self.run.world.step()
        self.durable = max(self.durable, self.run.log.durable_offset)
        self.disk.kill()
        self.recover()

    def cut_power(self) -> None:
        """The machine dies at one of the next operations."""
        later = self.disk.op_count + self.random.randrange(1, 60)
        self.disk.crash_at(later, after=self.random.random() < 0.5)

    def recover(self) -> None:
        """What was promised is there, and what is there is right; once more the same."""
        self.disk.crash_at(-1)
        self.start()
        end = self.run.log.end_offset
        assert self.durable <= end <= self.end()
        once = self.recovered()
        self.disk.kill()
        self.start()
        assert self.recovered() == once
        self.model.cut(end)
        self.durable = end
        self.run.log.high_watermark = end
        self.check()

    def recovered(self) -> dict[str, bytes]:
        """The partition's files, but for transaction indexes: an entry that is computed anew
        begins where the first batch of its transaction is that compaction left. Of a time index only
        the last entry: how many are before it depends on where the index was begun anew."""
        found = dump(self.disk, self.run.log.path)
        return {
            path: data[-time_index.WIDTH :] if path.endswith(".timeindex") else data
            for path, data in found.items()
            if not path.endswith(".txnindex")
        }

    def end(self) -> int:
        """Where the log must end."""
        return self.model.batches[-1].last + 1 if self.model.batches else 0

    def lasting(self) -> dict[str, bytes]:
        """All files but those that every start removes."""
        found = dump(self.disk, DIRECTORY)
        return {path: data for path, data in found.items() if not path.endswith(".deleted")}

    # -- what must hold --------------------------------------------------------------------------

    def check(self) -> None:
        """S1 on all that a reader gets, T2 on what one that reads committed gets."""
        log = self.run.log
        outcomes = self.model.outcomes()
        sent = {r.offset: (one, r) for one in self.model.batches for r in one.records}
        found: dict[int, Record] = {}
        last = -1
        for header, records in batches_of(read_all(log)):
            assert header.base_offset > last
            last = header.last_offset
            for record in [] if header.is_control else records:
                assert record == sent[record.offset][1]
                found[record.offset] = record
        written = log.written_offset
        young = self.run.world.clock.now - self.config.delete_retention_ms
        newest: dict[bytes | None, int] = {}
        for offset, (one, record) in sorted(sent.items()):
            if offset >= written:
                continue
            outcome = outcomes[one.base]
            if outcome is None or offset >= log.active_base_offset:
                assert offset in found, f"{offset}, of which nothing is decided or clean, is gone"
            if outcome:
                newest[record.key] = offset
        for offset in newest.values():
            record = sent[offset][1]
            # (Records of one batch are dated a little ahead.)
            if record.value is not None or record.timestamp - 10 > young:
                assert offset in found, f"{offset}, the newest of its key, is gone"
        self.check_committed(outcomes, sent)
        for producer, sequence in self.model.sequences.items():
            known = log.producers.producers.get(producer)
            assert known is None or known.next_sequence == sequence

    def check_committed(
        self, outcomes: dict[int, bool | None], sent: dict[int, tuple[Sent, Record]]
    ) -> None:
        """Of aborted records a reader is told that they are; of others it is not."""
        log = self.run.log
        stable = log.producers.last_stable_offset(log.high_watermark)
        offset = log.log_start_offset
        while offset < stable:
            result = fetch(log, offset, upper=stable, aborted=True)
            if not result.data:
                return
            for header, records in batches_of(result.data):
                offset = header.next_offset
                for record in [] if header.is_control else records:
                    one = sent[record.offset][0]
                    told = any(
                        txn.producer_id == one.producer
                        and txn.first_offset <= record.offset <= txn.last_offset
                        for txn in result.aborted or []
                    )
                    assert told == (outcomes[one.base] is False), record.offset


def batches_of(data: bytes) -> list[tuple[BatchHeader, list[Record]]]:
    """Whole batches and their records."""
    return [
        (header, read_records(data, position, limit=LIMIT))
        for position, header in iter_batches(data)
    ]


@pytest.mark.parametrize("number", range(SEEDS))
def test_random_lives(number: int, seed: int) -> None:
    Life(seed * 1000 + number).live(120)
