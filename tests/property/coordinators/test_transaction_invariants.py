"""The transaction coordinator under any order of requests, retries, time-outs, crashes and late
markers, with the partitions as plain lists.

T2: a transaction is committed everywhere or nowhere, as its producer was told. T3: nothing of it
comes after its marker. T4: who was fenced changes nothing. T6: nothing hangs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from barnabas.transactions.transaction import State
from barnabas.wire.errors import ErrorCode
from tests.unit.transactions.desk import Desk, Who

PARTITIONS = range(3)
TIMEOUT_MS = 60_000
CHECK_MS = 10_000
FINISHED = (State.EMPTY, State.COMPLETE_COMMIT, State.COMPLETE_ABORT)

whom = strategies.integers(0, 3)
part = strategies.sampled_from(PARTITIONS)


@dataclass(frozen=True)
class Write:
    """A record of a transaction."""

    who: Who


@dataclass(frozen=True)
class Marker:
    """The end of a transaction in one partition."""

    producer_id: int
    epoch: int
    commit: bool


@dataclass
class Producer:
    """What one instance believes."""

    who: Who
    wrote: bool = False
    asked: bool | None = None
    """How it asked its transaction to end, as long as it has no answer."""


@dataclass
class Told:
    """What was asked and answered about one transaction: (producer id, epoch)."""

    asked: set[bool] = field(default_factory=set)
    answered: set[bool] = field(default_factory=set)


class Transactions(RuleBasedStateMachine):
    """One transactional id, instances of its producer old and new, three partitions."""

    @initialize()
    def begin(self) -> None:
        """Nobody yet."""
        self.desk = Desk()
        self.producers: list[Producer] = []
        self.logs: dict[int, list[Write | Marker]] = {number: [] for number in PARTITIONS}
        self.told: dict[Who, Told] = {}

    def _pick(self, who: int) -> Producer:
        recent = self.producers[-4:]
        return recent[who % len(recent)]

    def _is_old(self, producer: Producer) -> bool:
        return producer is not self.producers[-1]

    @rule()
    def another_instance(self) -> None:
        """InitProducerId without an id: from its answer on the others are fenced."""
        answer = self.desk.init(timeout_ms=TIMEOUT_MS)
        if answer.error_code == ErrorCode.NONE:
            who = Who(answer.producer_id, answer.producer_epoch)
            assert all(who.epoch > each.who.epoch for each in self.producers), "T4"
            self.producers.append(Producer(who))
        else:
            assert answer.error_code == ErrorCode.CONCURRENT_TRANSACTIONS

    @precondition(lambda self: self.producers)
    @rule(who=whom, number=part)
    def write(self, who: int, number: int) -> None:
        """The partition's leader adds it to the transaction, and appends."""
        producer = self._pick(who)
        (code,) = self.desk.add(producer.who, ("t", number))
        if code != ErrorCode.NONE:
            return
        assert not self._is_old(producer), "T4"
        producer.wrote = True
        self.logs[number].append(Write(producer.who))

    @precondition(lambda self: self.producers)
    @rule(who=whom, commit=strategies.booleans(), lost=strategies.booleans())
    def end(self, who: int, commit: bool, lost: bool) -> None:
        """EndTxn; when its answer is lost the same is asked again, sooner or later."""
        producer = self._pick(who)
        if producer.asked is not None:
            commit = producer.asked
        before = len(self.desk.log)
        told = self.told.setdefault(producer.who, Told())
        told.asked.add(commit)
        answer = self.desk.end(producer.who, commit=commit)
        if self._is_old(producer):
            assert len(self.desk.log) == before, "T4"
        if lost:
            producer.asked = commit
            return
        if answer.error_code == ErrorCode.CONCURRENT_TRANSACTIONS:
            producer.asked = commit  # retriable
            return
        producer.asked = None
        if answer.error_code == ErrorCode.NONE:
            told.answered.add(commit)
            producer.who = Who(answer.producer_id, answer.producer_epoch)
            producer.wrote = False

    @rule(crash=strategies.booleans())
    def markers_are_sent(self, crash: bool) -> None:
        """To all partitions; the coordinator hears of it, or dies before."""
        orders, self.desk.orders = list(self.desk.orders), []
        for order in orders:
            for _, number in order.partitions:
                marker = Marker(order.producer_id, order.producer_epoch, order.commit)
                self.logs[number].append(marker)
            if not crash:
                self.desk.repeat(order)
        if crash:
            self.desk.reload()

    @rule()
    def crash(self) -> None:
        """Another process reads the log."""
        self.desk.reload()

    @rule(ms=strategies.sampled_from((100, CHECK_MS, TIMEOUT_MS + CHECK_MS)))
    def time_passes(self, ms: int) -> None:
        """Transactions time out."""
        self.desk.advance(ms)

    def teardown(self) -> None:
        """T6, then what became of each transaction."""
        if not hasattr(self, "desk"):
            return
        self.desk.reload()
        for _ in range(3):
            self.desk.advance(TIMEOUT_MS + 2 * CHECK_MS)
            self.markers_are_sent(crash=False)
        for transaction in self.desk.shard.state.transactions.values():
            assert transaction.state in FINISHED, "T6"
        for who, outcomes in self._outcomes().items():
            assert len(outcomes) == 1, f"T2: {who} is half committed"
            (committed,) = outcomes
            told = self.told.get(who, Told())
            if committed:
                assert True in told.asked, f"T2: nobody asked to commit {who}"
            assert not told.answered or committed in told.answered, f"T2: {who}"

    def _outcomes(self) -> dict[Who, set[bool]]:
        """Of each transaction that wrote: how the marker behind each of its records ended it."""
        found: dict[Who, set[bool]] = {}
        for log in self.logs.values():
            for at, entry in enumerate(log):
                if not isinstance(entry, Write):
                    continue
                markers = [
                    each
                    for each in log[at:]
                    if isinstance(each, Marker) and each.producer_id == entry.who.id
                ]
                assert markers, "T6: a record without a marker"
                assert markers[0].epoch > entry.who.epoch, "T3: a marker without a bump"
                found.setdefault(entry.who, set()).add(markers[0].commit)
        return found


def test_random_lives() -> None:
    run_state_machine_as_test(
        Transactions, settings=settings(max_examples=100, stateful_step_count=40)
    )


@pytest.mark.soak
def test_many_lives() -> None:
    run_state_machine_as_test(
        Transactions, settings=settings(max_examples=3_000, stateful_step_count=60)
    )
