"""Timers of coordinators, against a naive list of deadlines."""

from __future__ import annotations

from random import Random

from barnabas.coordinator.effects import TimerKey
from barnabas.server.coordinators.timers import FIRED_AT_ONCE, Timers
from tests.unit.log.world import FakeClock


class Watch:
    """Timers, a clock that moves when told to, and what ran out when."""

    def __init__(self) -> None:
        self.clock = FakeClock(0)
        self.fired: list[tuple[int, int, TimerKey]] = []
        self.timers = Timers(self.clock, self._fire)

    def _fire(self, partition: int, key: TimerKey) -> None:
        self.fired.append((self.clock.now, partition, key))

    def advance(self, to: int) -> None:
        """Run the clock's callbacks up to a time."""
        while self.clock.timers and self.clock.timers[0][0] <= to:
            when, _, timer = self.clock.timers.pop(0)
            self.clock.timers.sort()
            self.clock.now = max(self.clock.now, when)
            if timer.callback is not None:
                timer.callback()
        self.clock.now = to


def test_a_timer_that_is_moved_back_runs_out_at_its_last_time_only() -> None:
    w = Watch()
    w.timers.set((0, "a"), 100)
    w.timers.set((0, "a"), 300)
    w.advance(250)
    assert w.fired == []
    w.advance(1000)
    assert w.fired == [(300, 0, "a")]


def test_a_timer_can_come_earlier() -> None:
    w = Watch()
    w.timers.set((0, "a"), 300)
    w.timers.set((0, "a"), 100)
    w.advance(1000)
    assert w.fired == [(100, 0, "a")]


def test_what_is_cancelled_or_dropped_stays_silent() -> None:
    w = Watch()
    w.timers.set((0, "a"), 100)
    w.timers.set((1, "a"), 100)
    w.timers.set((1, "b"), 100)
    w.timers.cancel((0, "a"))
    w.timers.cancel((0, "unknown"))
    w.timers.drop(1)
    w.advance(1000)
    assert w.fired == []
    assert len(w.timers) == 0


def test_one_that_runs_out_may_cancel_the_next() -> None:
    w = Watch()
    w.timers = Timers(w.clock, lambda partition, _: w.timers.cancel((partition, "b")))
    w.timers.set((0, "a"), 100)
    w.timers.set((0, "b"), 100)
    w.advance(1000)
    assert len(w.timers) == 0


def test_a_storm_is_spread_over_turns() -> None:
    w = Watch()
    for number in range(3 * FIRED_AT_ONCE):
        w.timers.set((0, number), 100)
    w.clock.now = 100
    _, _, timer = w.clock.timers.pop(0)
    assert timer.callback is not None
    timer.callback()
    assert len(w.fired) == FIRED_AT_ONCE
    w.advance(200)
    assert len(w.fired) == 3 * FIRED_AT_ONCE


def test_close_leaves_nothing() -> None:
    w = Watch()
    w.timers.set((0, "a"), 100)
    w.timers.close()
    w.advance(1000)
    assert w.fired == []


def test_many_moves_against_a_naive_model(seed: int) -> None:
    random = Random(seed)
    w = Watch()
    model: dict[tuple[int, str], int] = {}
    expected: list[tuple[int, int, str]] = []
    now = 0
    for _ in range(2000):
        name = (random.randrange(3), f"k{random.randrange(20)}")
        match random.randrange(6):
            case 0 | 1 | 2:
                model[name] = now + random.randrange(1, 200)
                w.timers.set(name, model[name])
            case 3:
                model.pop(name, None)
                w.timers.cancel(name)
            case 4 if random.randrange(10) == 0:
                model = {each: at for each, at in model.items() if each[0] != name[0]}
                w.timers.drop(name[0])
            case _:
                now += random.randrange(60)
                due = [(at, *each) for each, at in model.items() if at <= now]
                expected += sorted(due)
                model = {each: at for each, at in model.items() if at > now}
                w.advance(now)
    assert sorted(w.fired, key=repr) == sorted(expected, key=repr)
