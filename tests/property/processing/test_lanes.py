"""Records worked on side by side, beside a model that knows everything: order, bounds, commits.

Handlers end and fail in any order, partitions go and come back, commits are lost, the process
crashes. What the committed offsets and their metadata say is done has to be done; a crash repeats no
more than may be in flight; a key's records are worked on in order, one at a time.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from barnabas.client.consumer.records import Event
from barnabas.client.processing.gaps import decode
from barnabas.client.processing.lanes import Lanes, Limits, Order, Part, Work

CONCURRENCY, IN_FLIGHT, HELD = 4, 6, 12
PARTITIONS = st.sampled_from([0, 1])
PICK = st.integers(0, 1_000)


class Processing(RuleBasedStateMachine):
    """Two partitions; a key is a digit, or none."""

    order: Order = "key"

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[int, list[str]] = {0: [], 1: []}
        self.saved: dict[int, tuple[int, str]] = {0: (0, ""), 1: (0, "")}
        self.done: set[tuple[int, int]] = set()
        self.now = 0
        self.restart()

    def restart(self) -> None:
        """A process begins."""
        self.lanes = Lanes(self.order, Limits(CONCURRENCY, IN_FLIGHT, HELD, 1 << 20))
        self.lanes.partitions = 2
        self.parts: dict[int, Part] = {}
        self.at_work: list[Work] = []

    def committed(self, partition: int, offset: int) -> bool:
        """Whether the group's offsets say that this record is done."""
        position, text = self.saved[partition]
        known = decode(position, text)
        return offset < position or (offset < known.frontier and offset not in known.missing)

    # -- what happens --

    @rule(partition=PARTITIONS, keys=st.text("01234.", min_size=1, max_size=8))
    def produce(self, partition: int, keys: str) -> None:
        self.logs[partition] += keys

    @rule(partition=PARTITIONS)
    def assign(self, partition: int) -> None:
        if partition not in self.parts:
            position, text = self.saved[partition]
            known = decode(position, text)
            self.parts[partition] = self.lanes.begin(("t", partition), position, known)

    @rule(partition=PARTITIONS)
    def fetch(self, partition: int) -> None:
        part = self.parts.get(partition)
        if part is None or part.closing:
            return
        end = min(len(self.logs[partition]), part.reached + self.lanes.room(part))
        events = []
        for offset in range(part.reached, end):
            key = self.logs[partition][offset]
            coded = None if key == "." else key.encode()
            events.append(Event("t", partition, offset, 0, coded, b"v", ()))
        self.lanes.received(part, events, end)

    @rule(passed=st.integers(0, 20))
    def start(self, passed: int) -> None:
        self.now += passed
        for work in self.lanes.start(self.now):
            self._may_begin(work)
            self.at_work.append(work)

    def _may_begin(self, work: Work) -> None:
        event = work.event
        assert not self.committed(event.partition, event.offset), "it was done"
        for other in self.at_work:
            assert not self._same_lane(other.event, event), f"{other.event} is at work"
        for offset in range(event.offset):
            before = event._replace(offset=offset, key=self._key(event.partition, offset))
            if self._same_lane(before, event):
                assert (event.partition, offset) in self.done, f"{offset} comes before"

    def _key(self, partition: int, offset: int) -> bytes | None:
        key = self.logs[partition][offset]
        return None if key == "." else key.encode()

    def _same_lane(self, one: Event, other: Event) -> bool:
        if one.partition != other.partition or self.order == "none":
            return False
        return self.order == "partition" or (one.key is not None and one.key == other.key)

    @precondition(lambda self: self.at_work)
    @rule(pick=PICK)
    def finish(self, pick: int) -> None:
        work = self.at_work.pop(pick % len(self.at_work))
        self.done.add((work.event.partition, work.event.offset))
        self.lanes.finish(work)

    @precondition(lambda self: self.at_work)
    @rule(pick=PICK, pause=st.integers(0, 30))
    def fail(self, pick: int, pause: int) -> None:
        self.lanes.again(self.at_work.pop(pick % len(self.at_work)), self.now + pause)

    @rule(lost=st.booleans())
    def commit(self, lost: bool) -> None:
        mark = self.lanes.mark()
        for partition, part in self.parts.items():
            self.saved[partition] = part.told()
        if not lost:  # the answer
            self.lanes.settle(mark)

    @rule(partition=PARTITIONS)
    def revoke(self, partition: int) -> None:
        if partition in self.parts:
            self.lanes.close(("t", partition))

    @rule(partition=PARTITIONS, in_time=st.booleans())
    def give_up(self, partition: int, in_time: bool) -> None:
        part = self.parts.pop(partition, None)
        if part is not None:
            if in_time:
                self.saved[partition] = part.told()
            self.lanes.end(part.name)

    @rule()
    def crash(self) -> None:
        held = [each for each in self.at_work if not each.part.gone]
        repeated = [
            (partition, offset)
            for partition, offset in self.done
            if partition in self.parts and not self.committed(partition, offset)
        ]
        assert len(held) + len(repeated) <= IN_FLIGHT
        self.restart()

    # -- what always holds --

    @invariant()
    def bounded(self) -> None:
        assert self.lanes.running == len(self.at_work) <= CONCURRENCY
        assert self.lanes.running + self.lanes.done <= IN_FLIGHT
        assert self.lanes.waiting <= HELD

    @invariant()
    def nothing_is_lost(self) -> None:
        for partition, log in self.logs.items():
            for offset in range(len(log)):
                if self.committed(partition, offset):
                    assert (partition, offset) in self.done

    def teardown(self) -> None:
        """Let everything end: all is done, all is committed, nothing is held."""
        for work in self.at_work:
            self.lanes.again(work, self.now)
        self.at_work = []
        for part in list(self.parts.values()):
            if part.closing:
                self.give_up(part.name[1], in_time=True)
        for partition in self.logs:
            self.assign(partition)
        for _ in range(1_000):
            for partition in self.logs:
                self.fetch(partition)
            self.start(1_000)
            if not self.at_work and all(
                part.reached == len(self.logs[partition]) for partition, part in self.parts.items()
            ):
                break
            while self.at_work:
                self.finish(0)
            self.commit(lost=False)
        for partition, log in self.logs.items():
            assert self.parts[partition].told() == (len(log), "")
        assert (self.lanes.waiting, self.lanes.done, self.lanes._bytes) == (0, 0, 0)
        assert not self.lanes._lanes


class ByPartition(Processing):
    """The order of partitions."""

    order: Order = "partition"


class Unordered(Processing):
    """No order."""

    order: Order = "none"


_SETTINGS: Any = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestByKey = Processing.TestCase
TestByPartition = ByPartition.TestCase
TestUnordered = Unordered.TestCase
for _case in (TestByKey, TestByPartition, TestUnordered):
    _case.settings = _SETTINGS
