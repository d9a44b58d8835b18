"""The driver's order: what must be durable first, timers, answers."""

from __future__ import annotations

from typing import Any

from barnabas.raft.effects import (
    BecameLeader,
    Effect,
    FetchVerdict,
    LeaderChanged,
    Persist,
    StartTimer,
    StopTimer,
)
from barnabas.raft.election import ElectionState
from barnabas.raft.events import Event, FetchAsked, ResignAsked, Timer, TimerExpired
from barnabas.raft.types import ReplicaKey
from barnabas.replication.quorum_driver import QuorumDriver


class Script:
    """A node that answers events with prepared effects, and a sink that notes what it hears."""

    def __init__(self, **effects: list[Effect]) -> None:
        self.effects = effects
        self.heard: list[Any] = []
        self.jobs: list[Any] = []
        self.timers: list[tuple[int, Any]] = []
        self.cancelled = 0
        self.stored: list[ElectionState] = []

    def step(self, event: Event) -> list[Effect]:
        """Note and answer."""
        self.heard.append(type(event).__name__)
        return self.effects.get(type(event).__name__, [])

    def became_leader(self, effect: BecameLeader) -> None:
        """Note."""
        self.heard.append(effect)

    leader_changed = high_watermark_moved = send = quorum_failed = became_leader

    def submit(self, job: Any, done: Any) -> None:
        """The executor: runs when told to."""
        self.jobs.append((job, done))

    def run_job(self, error: BaseException | None = None) -> None:
        """Run the oldest job."""
        job, done = self.jobs.pop(0)
        if error is None:
            job()
        done(None, error)

    def wall_ms(self) -> int:
        """The clock."""
        return 5

    def call_later(self, delay_ms: int, callback: Any) -> Script:
        """A timer."""
        self.timers.append((delay_ms, callback))
        return self

    def cancel(self) -> None:
        """Of the timer."""
        self.cancelled += 1

    def below(self, n: int) -> int:
        """Always the most."""
        return n - 1


def driver(script: Any) -> QuorumDriver:
    """A driver whose every neighbour is the script."""
    return QuorumDriver(
        script, script, script.stored.append, clock=script, random=script, executor=script
    )


LEADER = BecameLeader(2, (1,), (1,))


def test_what_follows_a_persist_waits_until_it_is_durable_and_so_do_events() -> None:
    script = Script(ResignAsked=[Persist(ElectionState(2)), LEADER])
    running = driver(script)
    running.feed(ResignAsked())
    running.feed(TimerExpired(Timer.FETCH, 0))
    assert script.heard == ["ResignAsked"]
    script.run_job()
    assert script.stored == [ElectionState(2)]
    assert script.heard == ["ResignAsked", LEADER, "TimerExpired"]


def test_a_failed_persist_ends_everything() -> None:
    script = Script(ResignAsked=[Persist(ElectionState(2)), LEADER])
    running = driver(script)
    running.feed(ResignAsked())
    failure = OSError("disk")
    script.run_job(failure)
    running.feed(ResignAsked())
    assert script.heard == ["ResignAsked", failure]


def test_only_the_last_persist_of_a_step_is_written_when_nothing_left_in_between() -> None:
    changed = LeaderChanged(-1, 1, ())
    steps: list[Effect] = [
        Persist(ElectionState(1)),
        changed,
        StopTimer(Timer.FETCH),
        Persist(ElectionState(2)),
        LEADER,
        Persist(ElectionState(3)),
    ]
    script = Script(ResignAsked=steps)
    driver(script).feed(ResignAsked())
    script.run_job()
    script.run_job()
    assert script.stored == [ElectionState(2), ElectionState(3)]
    assert script.heard == ["ResignAsked", changed, LEADER]


def test_timers_run_for_a_random_time_within_their_bounds_and_restart() -> None:
    script = Script(ResignAsked=[StartTimer(Timer.ELECTION, 1000, 2000)])
    running = driver(script)
    running.feed(ResignAsked())
    running.feed(ResignAsked())
    assert [delay for delay, _ in script.timers] == [2000, 2000]
    assert script.cancelled == 1
    script.timers[1][1]()
    assert script.heard[-1] == "TimerExpired"
    running.stop()
    assert script.cancelled == 1


def test_answers_find_their_askers() -> None:
    script = Script()
    running = driver(script)
    answers: list[Any] = []

    def step(event: Event) -> list[Effect]:
        assert isinstance(event, FetchAsked)
        return [FetchVerdict(token=event.token, high_watermark=event.fetch_offset)]

    script.step = step  # type: ignore[method-assign]
    for offset in (7, 8):
        running.ask(
            lambda token, offset=offset: FetchAsked(token, ReplicaKey(9), 1, offset, 0, 0),  # type: ignore[misc]
            answers.append,
        )
    assert [answer.high_watermark for answer in answers] == [7, 8]


def test_a_broken_rule_stops_the_driver_and_is_told() -> None:
    script = Script()
    running = driver(script)
    error = ValueError("bug")

    def step(event: Event) -> list[Effect]:
        del event
        raise error

    script.step = step  # type: ignore[method-assign]
    running.feed(ResignAsked())
    assert script.heard == [error]
