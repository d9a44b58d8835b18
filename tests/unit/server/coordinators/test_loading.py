"""Loading a shard: whole, and a little at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

from barnabas.coordinator.effects import Effects, Now
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.records.batch import HEADER_SIZE, write_crc
from barnabas.records.builder import build_batch
from barnabas.server.append import append_own
from barnabas.server.coordinators.loading import RECORDS_AT_ONCE, Doors, load_shard
from barnabas.server.coordinators.turns import LOOKS, SLICE_NS, Turn, Turns
from barnabas.server.partitions import HostedPartition
from tests.unit.server.coordinators.test_runtime import Desk, Numbers, Paper, at_desk

MANY = 9_000


class CountedTurns(Turns):
    """Notes how many records are replayed in each turn, by all together."""

    def __init__(self, clock: Any, *shards: Numbers) -> None:
        super().__init__(clock)
        self._shards = shards
        self._totals = [0]

    async def ask(self, turn: Turn) -> int:
        """Count before the turn is given away, and when it is given."""
        self._note()
        end_ns = await super().ask(turn)
        self._note()
        return end_ns

    def _note(self) -> None:
        self._totals.append(sum(shard.replayed for shard in self._shards))

    @property
    def busy(self) -> list[int]:
        """Records in each turn that had any."""
        self._note()
        return [after - before for before, after in pairwise(self._totals) if after > before]


class SlowClock:
    """A clock on which each look takes a while."""

    def __init__(self, clock: Any, look_ns: int) -> None:
        self._clock = clock
        self._look_ns = look_ns
        self.now = 0

    @property
    def monotonic_ns(self) -> Callable[[], int]:
        """Each call takes time."""
        return self._look

    def _look(self) -> int:
        self.now += self._look_ns
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


async def filled(desk: Desk, count: int = MANY) -> HostedPartition:
    """A partition with so many records, in few batches."""
    for first in range(0, count, 3_000):
        paper = Paper()

        def decide(shard: Numbers, _: Now, first: int = first, paper: Paper = paper) -> Effects:
            effects = Effects()
            for number in range(first, min(first + 3_000, count)):
                effects.merge(shard.put(f"n{number}", number, Paper()))
            effects.replies = effects.replies[:1]
            effects.replies[0] = (paper, effects.replies[0][1])
            return effects

        desk.runtime.run_on(0, decide, paper)
        await desk.told(paper)
    hosted = await desk.broker.partitions.open(desk.runtime.topic, 0)
    assert isinstance(hosted, HostedPartition)
    return hosted


def doors(desk: Desk, kept: list[None] | None = None) -> Doors:
    """Those of the node."""
    keep = (lambda: None) if kept is None else (lambda: kept.append(None))
    return Doors(desk.broker.executor, desk.broker.clock, keep)


def load(
    desk: Desk, hosted: HostedPartition, shard: Numbers, turns: Turns, urgent: bool = False
) -> Coroutine[Any, Any, int]:
    """Load a shard from it."""
    return load_shard(hosted, shard, GROUP_RECORDS, doors(desk), turns.join(lambda: urgent))


def test_a_turn_takes_few_records_even_when_time_stands_still() -> None:
    async def scenario(desk: Desk) -> None:
        hosted, shard = await filled(desk), Numbers()
        turns = CountedTurns(desk.broker.clock, shard)
        assert await load(desk, hosted, shard, turns) == MANY
        assert len(shard.numbers) == MANY
        assert max(turns.busy) <= LOOKS * RECORDS_AT_ONCE
        assert len(turns.busy) > 1

    at_desk(scenario)


def test_a_turn_ends_when_its_time_is_up() -> None:
    async def scenario(desk: Desk) -> None:
        hosted, shard = await filled(desk), Numbers()
        turns = CountedTurns(SlowClock(desk.broker.clock, SLICE_NS // 3), shard)
        assert await load(desk, hosted, shard, turns) == MANY
        assert len(shard.numbers) == MANY
        assert max(turns.busy) <= 4 * RECORDS_AT_ONCE

    at_desk(scenario)


def test_several_loads_hold_the_loop_no_longer_than_one_and_end_one_by_one() -> None:
    async def scenario(desk: Desk) -> None:
        hosted = await filled(desk)
        shards = [Numbers() for _ in range(10)]
        turns = CountedTurns(desk.broker.clock, *shards)
        ended: list[int] = []

        async def one(number: int) -> None:
            await load(desk, hosted, shards[number], turns, urgent=number == 7)
            ended.append(number)

        await asyncio.gather(*(one(number) for number in range(10)))
        assert sum(turns.busy) == 10 * MANY
        assert max(turns.busy) <= LOOKS * RECORDS_AT_ONCE
        assert ended == [7, 0, 1, 2, 3, 4, 5, 6, 8, 9]

    at_desk(scenario)


def test_what_is_loaded_is_kept_out_of_collections() -> None:
    async def scenario(desk: Desk) -> None:
        hosted, kept = await filled(desk), list[None]()
        turn = Turns(desk.broker.clock).join(lambda: False)
        await load_shard(hosted, Numbers(), GROUP_RECORDS, doors(desk, kept), turn)
        assert kept

    at_desk(scenario)


def test_a_load_that_is_cancelled_lets_others_go_on() -> None:
    async def scenario(desk: Desk) -> None:
        hosted, turns = await filled(desk), Turns(desk.broker.clock)
        first = asyncio.ensure_future(load(desk, hosted, Numbers(), turns))
        second, shard = asyncio.ensure_future(load(desk, hosted, Numbers(), turns)), Numbers()
        await asyncio.sleep(0)
        first.cancel()
        assert await load(desk, hosted, shard, turns) == MANY
        assert await second == MANY

    at_desk(scenario)


def test_a_damaged_batch_is_left_out_whole() -> None:
    async def scenario(desk: Desk) -> None:
        hosted = await filled(desk, 600)
        rows = [(b"\0\1\0\1g\0\1t" + bytes(4), bytes(24), 0, ()) for _ in range(600)]
        batch = bytearray(build_batch(rows))
        batch[-1] = 1  # a header more than there is, in the last record
        write_crc(batch, 0, len(batch))
        assert len(batch) > HEADER_SIZE
        assert not append_own(hosted, batch, limited=False).error
        shard = Numbers()
        while hosted.log.written_offset < hosted.log.end_offset:
            await desk.s.sleep(1)
        assert await load(desk, hosted, shard, Turns(desk.broker.clock)) == 600
        assert len(shard.numbers) == 600

    at_desk(scenario)


def test_a_large_compressed_batch_is_inflated_off_the_loop() -> None:
    async def scenario(desk: Desk) -> None:
        hosted = await filled(desk, 10)
        key = b"\0\1\0\1g"
        names = [f"{number:04d}".encode() for number in range(9_000)]
        value = b"\0\3" + bytes(22)
        rows = [(key + b"\0\4" + name + bytes(4), value, 0, ()) for name in names]
        batch = bytearray(build_batch(rows, codec=1))
        assert len(batch) > 4 << 10
        assert not append_own(hosted, batch, limited=False).error
        while hosted.log.written_offset < hosted.log.end_offset:
            await desk.s.sleep(1)
        shard = Numbers()
        turns = CountedTurns(desk.broker.clock, shard)
        assert await load(desk, hosted, shard, turns) == 9_010
        assert len(shard.numbers) == 9_010
        assert max(turns.busy) <= LOOKS * RECORDS_AT_ONCE

    at_desk(scenario)
