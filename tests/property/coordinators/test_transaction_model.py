"""The transaction coordinator beside a naive model: every answer, and the state after every step.

What is told here is exact; test_transaction_invariants.py holds T1 to T7 against what clients and
partitions saw.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from barnabas.coordinator.effects import Origin
from barnabas.coordinator.framing import CoordinatorRecord, encode_record
from barnabas.transactions.administration import Filters
from barnabas.transactions.records.transaction_log_key import TransactionLogKey
from barnabas.transactions.records.transaction_log_value import (
    PartitionsSchema,
    TransactionLogValue,
)
from barnabas.transactions.transaction import SendMarkers, State
from barnabas.wire.errors import ErrorCode, KafkaError
from tests.property.coordinators.transaction_model import (
    COMPLETE,
    EMPTY,
    NOBODY,
    ONGOING,
    PREPARED,
    Order,
    Row,
    TransactionModel,
)
from tests.unit.transactions.desk import FIRST_ID, START_MS, Desk, Who

NAMES = ("x", "y")
PLACES = (("t", 0), ("t", 1), ("u", 0), ("__consumer_offsets", 7))
MAX_TIMEOUT_MS, ABORT_MS, EXPIRE_MS, UNUSED_MS = 900_000, 10_000, 3_600_000, 7_200_000
TIMEOUTS_MS = (60_000, 60_000, 1, MAX_TIMEOUT_MS, MAX_TIMEOUT_MS + 1, 0, -1)

name = strategies.sampled_from((*NAMES, "x", "x", "x", ""))
version = strategies.sampled_from((0, 2, 2))
#: Who asks: the producer as the coordinator knows it, older and newer epochs, its former id, anyone.
CURRENT, BEFORE, NEXT, RENAMED, FORMER, STRANGER = (
    "current",
    "before",
    "next",
    "renamed",
    "old",
    "?",
)
identity = strategies.sampled_from(
    (CURRENT, CURRENT, CURRENT, CURRENT, BEFORE, BEFORE, NEXT, RENAMED, FORMER, STRANGER)
)
#: The log takes the records, refuses them, or loses them with the node; no producer ids are at hand.
TAKEN, REFUSED, LOST, NO_IDS = "taken", "refused", "lost", "no ids"
fate = strategies.sampled_from((TAKEN,) * 7 + (REFUSED, LOST, NO_IDS))
REFUSAL = ErrorCode.COORDINATOR_NOT_AVAILABLE


class Beside(RuleBasedStateMachine):
    """Two transactional ids, requests of anybody, in any order and any version."""

    @initialize(feature=strategies.sampled_from((0, 1, 2, 2)), two_pc=strategies.booleans())
    def begin(self, feature: int, two_pc: bool) -> None:
        """Nobody yet."""
        self.desk = Desk(
            feature,
            max_timeout_ms=MAX_TIMEOUT_MS,
            id_expiration_ms=UNUSED_MS,
            abort_interval_ms=ABORT_MS,
            expire_interval_ms=EXPIRE_MS,
            two_phase_commit=two_pc,
        )
        self.model = TransactionModel(
            FIRST_ID,
            START_MS,
            max_timeout_ms=MAX_TIMEOUT_MS,
            expiration_ms=UNUSED_MS,
            abort_every_ms=ABORT_MS,
            expire_every_ms=EXPIRE_MS,
        )
        self.model.version = feature
        self.model.two_phase_commit = two_pc
        self.done: list[SendMarkers] = []

    # -- requests --------------------------------------------------------------------------------

    def _who(self, name: str, identity: str) -> Who:
        row = self.model.rows.get(name)
        if row is None or identity == STRANGER:
            return Who(FIRST_ID - 1, 3)
        former = row["prev"] if row["prev"] != -1 else FIRST_ID - 1
        return {
            CURRENT: Who(row["id"], row["epoch"]),
            BEFORE: Who(row["id"], max(row["epoch"] - 1, 0)),
            NEXT: Who(row["id"], min(row["epoch"] + 1, 32767)),
            RENAMED: Who(former, 32766),
            FORMER: Who(former, row["epoch"]),
        }[identity]

    def _meet(self, fate: str) -> None:
        """What the log and the producer ids do during the next request."""
        self.before = len(self.desk.log)
        self.desk.refuse = REFUSAL if fate == REFUSED else None
        self.model.refuse = REFUSAL if fate == REFUSED else None
        self.desk.ids_at_hand = self.model.ids_at_hand = fate != NO_IDS

    def _over(self, fate: str) -> None:
        self.desk.refuse = None
        self.desk.ids_at_hand = self.model.ids_at_hand = True
        if fate == LOST:
            lost = len(self.desk.log) - self.before
            del self.desk.log[self.before :]
            self.desk.reload()
            self.model.crash(lost)

    @rule(
        name=name,
        timeout_ms=strategies.sampled_from(TIMEOUTS_MS),
        identity=strategies.one_of(strategies.none(), identity),
        two_pc=strategies.sampled_from((False, False, False, True)),
        keep=strategies.sampled_from((False,) * 9 + (True,)),
        fate=fate,
    )
    def init_producer_id(
        self, name: str, timeout_ms: int, identity: str | None, two_pc: bool, keep: bool, fate: str
    ) -> None:
        """InitProducerId."""
        who = None if identity is None else self._who(name, identity)
        self._meet(fate)
        try:
            answer = self.desk.init(
                name, timeout_ms=timeout_ms, of=who, enable2_pc=two_pc, keep_prepared_txn=keep
            )
            ours = (answer.error_code, answer.producer_id, answer.producer_epoch)
        except KafkaError as error:
            ours = (error.code, *NOBODY)
        assert ours == self.model.init(name, timeout_ms, who or NOBODY, two_pc=two_pc, keep=keep)
        self._over(fate)

    @rule(
        name=name,
        identity=identity,
        places=strategies.lists(strategies.sampled_from(PLACES), min_size=1, max_size=3),
        version=version,
        verify=strategies.sampled_from((False, False, True)),
        fate=fate,
    )
    def add_partitions(
        self,
        name: str,
        identity: str,
        places: list[tuple[str, int]],
        version: int,
        verify: bool,
        fate: str,
    ) -> None:
        """AddPartitionsToTxn, and what AddOffsetsToTxn asks for."""
        who, places = self._who(name, identity), list(dict.fromkeys(places))
        places.sort(key=lambda place: place[0])  # answers are by topic
        self._meet(fate)
        ours = self.desk.add(who, *places, name=name, version=version, verify=verify)
        model = self.model.add(name, who, places, version, verify=verify)
        assert set(ours) == set(model)
        assert ours == model or fate == REFUSED  # one error for all
        self._over(fate)

    @rule(name=name, identity=identity, commit=strategies.booleans(), version=version, fate=fate)
    def end(self, name: str, identity: str, commit: bool, version: int, fate: str) -> None:
        """EndTxn."""
        who = self._who(name, identity)
        self._meet(fate)
        try:
            answer = self.desk.end(who, commit=commit, name=name, version=version)
            ours = (answer.error_code, answer.producer_id, answer.producer_epoch)
        except KafkaError as error:
            ours = (error.code, *NOBODY)
        assert ours == self.model.end(name, who, commit, version)
        self._over(fate)

    # -- what happens by itself ------------------------------------------------------------------

    @precondition(lambda self: self.model.orders)
    @rule(number=strategies.integers(0, 9))
    def markers_are_written(self, number: int) -> None:
        """Those of one order, in any order."""
        number %= len(self.model.orders)
        order = self.desk.orders.pop(number)
        self.done.append(order)
        self.desk.repeat(order)
        self.model.markers_are_there(self.model.orders.pop(number))

    @precondition(lambda self: self.model.orders)
    @rule()
    def an_order_is_reported_twice(self) -> None:
        """After a load the markers are written once more, though they were there."""
        order = self.desk.orders[0]
        for _ in range(2):
            self.desk.repeat(order)
        self.model.markers_are_there(self.model.orders[0])

    @rule(ms=strategies.sampled_from((1, 500, ABORT_MS, 70_000, MAX_TIMEOUT_MS + ABORT_MS)))
    def time_passes(self, ms: int) -> None:
        """Transactions time out."""
        self.desk.advance(ms)
        self.model.advance(ms)

    @rule(ms=strategies.sampled_from((EXPIRE_MS, UNUSED_MS, UNUSED_MS + EXPIRE_MS)))
    def nobody_comes(self, ms: int) -> None:
        """Transactional ids expire."""
        self.time_passes(ms)

    @rule()
    def crash(self) -> None:
        """Another process reads the log."""
        self.desk.reload()
        self.model.crash()

    @rule(version=strategies.sampled_from((0, 1, 2, 2)))
    def feature(self, version: int) -> None:
        """transaction.version is raised or lowered."""
        self.desk.version = self.model.version = version

    @precondition(lambda self: any(r["state"] in (EMPTY, *COMPLETE) for r in self._rows()))
    @rule(epoch=strategies.sampled_from((32764, 32765, 32766, 32767)))
    def many_transactions(self, epoch: int) -> None:
        """So many that the epochs are nearly used up; then another process reads the log."""
        for name, row in list(self.model.rows.items()):
            if row["state"] in PREPARED or row["state"] == ONGOING:
                continue
            after = {**row, "epoch": epoch}
            self.model.log.append((name, after))
            self._append(name, after)
        self.crash()

    def _append(self, name: str, row: Row) -> None:
        topics = [PartitionsSchema(topic, [part]) for topic, part in row["places"]]
        value = TransactionLogValue(
            producer_id=row["id"],
            previous_producer_id=row["prev"],
            next_producer_id=row["next"],
            producer_epoch=row["epoch"],
            transaction_timeout_ms=row["timeout"],
            transaction_status=row["state"],
            transaction_partitions=topics,
            transaction_last_update_timestamp_ms=row["updated"],
            transaction_start_timestamp_ms=row["start"],
            client_transaction_version=row["version"],
        )
        key, data = encode_record(CoordinatorRecord(TransactionLogKey(name), value, 1))
        origin = Origin(len(self.desk.log), self.desk.now.wall, -1, -1)
        self.desk.log.append((key, data, origin))

    def _rows(self) -> list[Row]:
        return list(self.model.rows.values())

    # -- the same --------------------------------------------------------------------------------

    @invariant()
    def same_state(self) -> None:
        """Everything that is known of every transactional id."""
        if not hasattr(self, "desk"):
            return
        ours: dict[str, Any] = {}
        for key, each in self.desk.shard.state.transactions.items():
            ours[key] = {
                "id": each.producer_id,
                "prev": each.previous_producer_id,
                "next": each.next_producer_id,
                "epoch": each.epoch,
                "last": each.last_epoch,
                "timeout": each.timeout_ms,
                "state": each.state,
                "places": sorted(each.partitions),
                "start": each.start_ms,
                "updated": each.updated_ms,
                "version": each.client_version,
            }
        model = {k: {**row, "places": sorted(row["places"])} for k, row in self.model.rows.items()}
        assert ours == model

    @invariant()
    def same_orders(self) -> None:
        """The markers that are to be written."""
        if not hasattr(self, "desk"):
            return
        ours = [Order(*each[:5], frozenset(each.partitions)) for each in self.desk.orders]
        assert ours == self.model.orders

    @invariant()
    def same_log(self) -> None:
        """As many records."""
        if hasattr(self, "desk"):
            assert len(self.desk.log) == len(self.model.log)

    @rule(longer_than_ms=strategies.sampled_from((-1, 0, 60_000)))
    def administration(self, longer_than_ms: int) -> None:
        """ListTransactions and DescribeTransactions."""
        filters = Filters(frozenset(), frozenset(), longer_than_ms, None)
        listed = self.desk.shard.list_transactions(filters, self.desk.now)
        names = {each.name.title().replace("_", ""): each for each in State}
        ours = {(e.transactional_id, e.producer_id, names[e.transaction_state]) for e in listed}
        assert ours == self.model.listed(longer_than_ms)
        for name in NAMES:
            told, row = self.desk.shard.describe(name), self.model.rows.get(name)
            if row is None:
                assert told.error_code == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
                continue
            places = {(topic.topic, part) for topic in told.topics for part in topic.partitions}
            assert names[told.transaction_state] == row["state"]
            assert places == set(row["places"])
            seen = (told.producer_id, told.producer_epoch, told.transaction_start_time_ms)
            assert seen == (row["id"], row["epoch"], row["start"])
            assert told.transaction_timeout_ms == row["timeout"]


def test_random_lives_beside_a_model() -> None:
    run_state_machine_as_test(Beside, settings=settings(max_examples=100, stateful_step_count=40))


@pytest.mark.soak
def test_many_lives_beside_a_model() -> None:
    run_state_machine_as_test(Beside, settings=settings(max_examples=5_000, stateful_step_count=60))
