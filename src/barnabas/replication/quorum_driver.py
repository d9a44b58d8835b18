"""Carries out what a `QuorumNode` asks for, in order: timers, quorum-state, answers.

Runs on the event loop. While quorum-state is being written everything behind it waits, new events
too, because what follows may only happen once it is durable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol, assert_never

from barnabas.ports import Clock, Executor, Random
from barnabas.ports import Timer as PortTimer
from barnabas.raft.effects import (
    BecameLeader,
    Effect,
    FetchVerdict,
    HighWatermark,
    LeaderChanged,
    Persist,
    Respond,
    Send,
    StartTimer,
    StopTimer,
)
from barnabas.raft.election import ElectionState
from barnabas.raft.events import Event, Timer, TimerExpired
from barnabas.raft.node import QuorumNode
from barnabas.wire.message import Message

Answer = Callable[[Message | FetchVerdict], None]


class QuorumSink(Protocol):
    """What the driver tells the metadata log."""

    def became_leader(self, effect: BecameLeader) -> None:
        """Append the LeaderChange batch."""

    def leader_changed(self, effect: LeaderChanged) -> None:
        """Another leader, or none."""

    def high_watermark_moved(self, offset: int) -> None:
        """More is committed."""

    def send(self, effect: Send) -> None:
        """Send a request to another voter."""

    def quorum_failed(self, error: BaseException) -> None:
        """quorum-state could not be written, or the quorum's rules are broken: stop."""


class QuorumDriver:
    """`store(election)` writes quorum-state durably; it runs on the executor."""

    def __init__(
        self,
        node: QuorumNode,
        sink: QuorumSink,
        store: Callable[[ElectionState], None],
        *,
        clock: Clock,
        random: Random,
        executor: Executor,
    ) -> None:
        self.node = node
        self._sink = sink
        self._store = store
        self._clock = clock
        self._random = random
        self._executor = executor
        self._events: deque[Event] = deque()
        self._effects: deque[Effect] = deque()
        self._answers: dict[int, Answer] = {}
        self._timers: dict[Timer, PortTimer] = {}
        self._next_token = 0
        self._storing = False
        self._pumping = False
        self._stopped = False

    def feed(self, event: Event) -> None:
        """Take an event, now or when what came before is done."""
        if not self._stopped:
            self._events.append(event)
            self._pump()

    def ask(self, make_event: Callable[[int], Event], answer: Answer) -> None:
        """Feed an event that is answered; `make_event` gets the token of the answer."""
        self._next_token += 1
        self._answers[self._next_token] = answer
        self.feed(make_event(self._next_token))

    def stop(self) -> None:
        """No timers, no events any more. What is being written is written."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._events.clear()
        self._effects.clear()

    def _pump(self) -> None:
        if self._pumping:
            return
        self._pumping = True
        try:
            while not self._storing and (self._effects or self._events):
                if not self._effects:
                    self._effects.extend(_coalesce(self.node.step(self._events.popleft())))
                else:
                    self._carry_out(self._effects.popleft())
        except Exception as error:
            # The state machine may be half changed: nothing may go on from here.
            self.stop()
            self._sink.quorum_failed(error)
        finally:
            self._pumping = False

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Persist():
                self._persist(effect.election)
            case StartTimer():
                self._start_timer(effect)
            case StopTimer():
                timer = self._timers.pop(effect.timer, None)
                if timer is not None:
                    timer.cancel()
            case Send():
                self._sink.send(effect)
            case Respond():
                self._answers.pop(effect.token)(effect.response)
            case FetchVerdict():
                self._answers.pop(effect.token)(effect)
            case BecameLeader():
                self._sink.became_leader(effect)
            case LeaderChanged():
                self._sink.leader_changed(effect)
            case HighWatermark():
                self._sink.high_watermark_moved(effect.offset)
            case _:
                assert_never(effect)

    def _persist(self, election: ElectionState) -> None:
        self._storing = True
        self._executor.submit(lambda: self._store(election), self._stored)

    def _stored(self, _: None, error: BaseException | None) -> None:
        self._storing = False
        if error is not None:
            self.stop()
            self._sink.quorum_failed(error)
        else:
            self._pump()

    def _start_timer(self, effect: StartTimer) -> None:
        running = self._timers.pop(effect.timer, None)
        if running is not None:
            running.cancel()
        delay = effect.min_ms + self._random.below(effect.max_ms - effect.min_ms + 1)

        def expired() -> None:
            self._timers.pop(effect.timer, None)
            self.feed(TimerExpired(effect.timer, self._clock.wall_ms()))

        self._timers[effect.timer] = self._clock.call_later(delay, expired)


def _coalesce(effects: list[Effect]) -> list[Effect]:
    """Drop a Persist that another one of the same step follows before anything depends on it.

    A sole voter passes through three roles at its start; only the last need be written, because
    nothing in between leaves the node.
    """
    kept: list[Effect] = []
    superseded = False
    for effect in reversed(effects):
        if isinstance(effect, Persist):
            if superseded:
                continue
            superseded = True
        elif not isinstance(effect, StartTimer | StopTimer | LeaderChanged):
            superseded = False
        kept.append(effect)
    kept.reverse()
    return kept
