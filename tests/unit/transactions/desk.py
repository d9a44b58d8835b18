"""A shard of transactional ids without a node: records are kept, markers sent when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

from barnabas.coordinator.effects import Effects, Now, Origin, TimerKey
from barnabas.coordinator.framing import decode_record, encode_record
from barnabas.transactions.producers import refuse_init
from barnabas.transactions.record_types import TRANSACTION_RECORDS
from barnabas.transactions.settings import TransactionSettings
from barnabas.transactions.shard import TransactionShard
from barnabas.transactions.transaction import SendMarkers, State, Transaction
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.add_partitions_to_txn_request import (
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from barnabas.wire.messages.add_partitions_to_txn_response import AddPartitionsToTxnResult
from barnabas.wire.messages.end_txn_request import EndTxnRequest
from barnabas.wire.messages.end_txn_response import EndTxnResponse
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse

START_MS = 1_700_000_000_000
FIRST_ID = 1000
PLAIN, BUMPING = 0, 2


class Who(NamedTuple):
    """A producer."""

    id: int
    epoch: int


class Paper:
    """A ticket that remembers its answer."""

    def __init__(self) -> None:
        self.response: Any = None
        self.error: ErrorCode | None = None

    def answer(self, response: Message) -> None:
        """Once only."""
        assert self.response is None
        assert self.error is None
        self.response = response

    def fail(self, error: ErrorCode) -> None:
        """Once only."""
        assert self.response is None
        assert self.error is None
        self.error = error


class Desk:
    """Runs decisions as the runtime does, on a clock that moves when told to.

    `orders`: the markers that are to be sent; `send` does it.
    """

    def __init__(self, version: int = BUMPING, **settings: Any) -> None:
        self.settings = TransactionSettings(**settings)
        self.version = version
        self.ms = 0
        self.log: list[tuple[bytes, bytes | None, Origin]] = []
        self.timers: dict[TimerKey, int] = {}
        self.orders: list[SendMarkers] = []
        self.refuse: ErrorCode | None = None
        self.ids_at_hand = True
        self._ids = count(FIRST_ID)
        self.shard = self._new()
        self._do(self.shard.activate(self.now))

    def _new(self) -> TransactionShard:
        return TransactionShard(self.settings, self._new_id, lambda: self.version)

    def _new_id(self) -> int:
        if not self.ids_at_hand:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return next(self._ids)

    @property
    def now(self) -> Now:
        """Now."""
        return Now(START_MS + self.ms, self.ms)

    def transaction(self, name: str = "x") -> Transaction:
        """One that is there."""
        return self.shard.state.transactions[name]

    def state(self) -> State:
        """Of the transactional id `x`."""
        return self.transaction().state

    def reload(self) -> None:
        """The node dies, and another one reads the log."""
        self.timers.clear()
        self.orders.clear()
        self.shard = self._new()
        for key, value, origin in self.log:
            record = decode_record(TRANSACTION_RECORDS, key, value)
            assert record is not None
            self.shard.replay(record, origin)
        self._do(self.shard.activate(self.now))

    def run(self, decide: Callable[[Paper], Effects]) -> Paper:
        """A request."""
        paper = Paper()
        self._do(decide(paper))
        return paper

    def _do(self, effects: Effects) -> None:
        if effects.records and self.refuse is not None:
            code, self.refuse = self.refuse, None
            if effects.refused is not None:
                self._do(effects.refused(code))
            for ticket, _ in effects.replies:
                ticket.fail(code)
            return
        for record in effects.records:
            key, value = encode_record(record)
            assert decode_record(TRANSACTION_RECORDS, key, value) == record
            origin = Origin(len(self.log), self.now.wall, -1, -1)
            self.log.append((key, value, origin))
            self.shard.replay(record, origin)
        for key_, at in effects.timers:
            if at is None:
                self.timers.pop(key_, None)
            else:
                self.timers[key_] = at
        for ticket, response in effects.replies:
            ticket.answer(response)
        for order in effects.orders:
            assert isinstance(order, SendMarkers)
            self.orders.append(order)

    def advance(self, ms: int) -> None:
        """Time passes."""
        end = self.ms + ms
        while self.timers:
            key = min(self.timers, key=lambda each: self.timers[each])
            if self.timers[key] > end:
                break
            self.ms = max(self.ms, self.timers.pop(key))
            self._do(self.shard.timer(key, self.now))
        self.ms = end

    def send(self) -> SendMarkers:
        """The only order is carried out."""
        (order,) = self.orders
        self.orders.clear()
        self._do(self.shard.markers_written(order, self.now))
        return order

    def repeat(self, order: SendMarkers) -> None:
        """An order that was carried out before is reported once more."""
        self._do(self.shard.markers_written(order, self.now))

    # -- requests --------------------------------------------------------------------------------

    def init(
        self,
        name: str | None = "x",
        *,
        timeout_ms: int = 60_000,
        of: Who | None = None,
        **more: Any,
    ) -> InitProducerIdResponse:
        """InitProducerId."""
        producer_id, epoch = of or (-1, -1)
        request = InitProducerIdRequest(name, timeout_ms, producer_id, epoch, **more)
        paper = self.run(lambda p: self.shard.init_producer_id(request, p, self.now))
        if paper.error is not None:
            return refuse_init(paper.error)
        assert isinstance(paper.response, InitProducerIdResponse)
        return paper.response

    def begin(self, name: str = "x", **options: Any) -> Who:
        """A producer that may write."""
        answer = self.init(name, **options)
        assert answer.error_code == ErrorCode.NONE
        return Who(answer.producer_id, answer.producer_epoch)

    def add(
        self,
        who: Who,
        *places: tuple[str, int],
        name: str = "x",
        version: int = BUMPING,
        verify: bool = False,
    ) -> list[ErrorCode]:
        """AddPartitionsToTxn, of t-0 unless said otherwise; the errors in order."""
        topics = [AddPartitionsToTxnTopic(t, [p]) for t, p in places or (("t", 0),)]
        request = AddPartitionsToTxnTransaction(name, *who, verify, topics)
        paper = self.run(lambda p: self.shard.add_partitions(request, version, p, self.now))
        if paper.error is not None:
            return [paper.error]
        result = paper.response
        assert isinstance(result, AddPartitionsToTxnResult)
        return [
            ErrorCode(each.partition_error_code)
            for topic in result.topic_results
            for each in topic.results_by_partition
        ]

    def end(
        self, who: Who, *, commit: bool = True, name: str = "x", version: int = BUMPING
    ) -> EndTxnResponse:
        """EndTxn."""
        request = EndTxnRequest(name, *who, commit)
        paper = self.run(lambda p: self.shard.end_transaction(request, version, p, self.now))
        if paper.error is not None:
            return EndTxnResponse(error_code=paper.error)
        assert isinstance(paper.response, EndTxnResponse)
        return paper.response

    def ended(self, who: Who, *, commit: bool = True, version: int = BUMPING) -> Who:
        """A transaction that was begun ends, markers and all; the producer from then on."""
        answer = self.end(who, commit=commit, version=version)
        assert answer.error_code == ErrorCode.NONE
        self.send()
        return Who(answer.producer_id, answer.producer_epoch) if version >= BUMPING else who

    def at_epoch(self, epoch: int) -> Who:
        """`x` has this epoch, whatever it took."""
        who = self.begin()
        transaction = self.transaction()
        transaction.epoch = epoch
        return Who(who.id, epoch)
