"""Whether the transaction that a client writes in is real: its coordinator is asked (KIP-890).

With transactions of version 1 the partition must be in it already; with version 2 it is added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from barnabas.ports import Buffer
from barnabas.records.batch import (
    ATTRIBUTES_OFFSET,
    HEADER_SIZE,
    MAGIC,
    MAGIC_OFFSET,
    TRANSACTIONAL_BIT,
    BatchHeader,
    read_header,
)
from barnabas.server.append import InTransaction
from barnabas.transactions.partitions import places_of
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.add_partitions_to_txn_request import (
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from barnabas.wire.messages.add_partitions_to_txn_response import AddPartitionsToTxnResult

if TYPE_CHECKING:
    from barnabas.partition.producer_entry import Verification
    from barnabas.server.broker import Broker
    from barnabas.server.markers import Place
    from barnabas.server.pending_produce import Outcome
    from barnabas.server.request import Request
    from barnabas.wire.messages.produce_request import ProduceRequest

#: Produce from which a client knows TRANSACTION_ABORTABLE, and from which partitions are added.
ABORTABLE_FROM: Final = 11
ADDS_FROM: Final = 12

#: transaction.version that the requests of brokers speak for.
_BROKERS_VERSION: Final = 2

#: The coordinator can't be asked now: old clients retry on NOT_ENOUGH_REPLICAS.
_NOT_NOW: Final = (
    ErrorCode.NETWORK_EXCEPTION,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
)


class Producer(NamedTuple):
    """Who writes, under which transactional id."""

    transactional_id: str
    producer_id: int
    producer_epoch: int


def is_transactional(records: Buffer | None) -> bool:
    """Whether the first batch says that it is part of a transaction."""
    return (
        records is not None
        and len(records) >= HEADER_SIZE
        and records[MAGIC_OFFSET] == MAGIC
        and bool(records[ATTRIBUTES_OFFSET + 1] & TRANSACTIONAL_BIT)
    )


async def ask_coordinator(
    broker: Broker, producer: Producer, places: Iterable[Place], *, add: bool, abortable: bool
) -> dict[Place, ErrorCode]:
    """Add partitions to the producer's transaction, or look whether they are in it.

    The errors are those that a client gets; `abortable`: it knows TRANSACTION_ABORTABLE.
    """
    topics: dict[str, list[int]] = {}
    for topic, partition in places:
        topics.setdefault(topic, []).append(partition)
    question = AddPartitionsToTxnTransaction(
        *producer,
        verify_only=not add,
        topics=[AddPartitionsToTxnTopic(*topic) for topic in topics.items()],
    )
    errors = await _ask(broker, question)
    return {place: _told(error, abortable) for place, error in errors.items()}


async def _ask(broker: Broker, question: AddPartitionsToTxnTransaction) -> dict[Place, ErrorCode]:
    coordinator = broker.coordinators.transactions
    try:
        result: AddPartitionsToTxnResult = await coordinator.ask(
            question.transactional_id,
            lambda shard, now, ticket: shard.add_partitions(
                question, _BROKERS_VERSION, ticket, now
            ),
        )
    except KafkaError as error:
        return dict.fromkeys(places_of(question), error.code)
    return {
        (topic.name, each.partition_index): ErrorCode(each.partition_error_code)
        for topic in result.topic_results
        for each in topic.results_by_partition
    }


def _told(error: ErrorCode, abortable: bool) -> ErrorCode:
    if error is ErrorCode.PRODUCER_FENCED:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    if error is ErrorCode.TRANSACTION_ABORTABLE and not abortable:
        return ErrorCode.INVALID_TXN_STATE
    return error


class ProducedTransaction:
    """The transaction of one Produce request."""

    def __init__(
        self,
        broker: Broker,
        request: Request,
        message: ProduceRequest,
        outcomes: list[Outcome],
    ) -> None:
        self._broker = broker
        self._adds = request.api_version >= ADDS_FROM
        self._abortable = request.api_version >= ABORTABLE_FROM
        self._transactional_id = message.transactional_id or ""
        self._outcomes = outcomes

    def begin(self) -> bool:
        """Begin to verify; false when nobody has to be asked."""
        return bool(self._begin())

    async def verify(self) -> None:
        """Ask the coordinator; what may not be written to is refused.

        While it ends the former transaction, a producer whose partitions are added by its writes is
        kept waiting for a little: with another answer it would have to come back.
        """
        config, clock = self._broker.config, self._broker.clock
        patience_ms = min(
            config.get_int("add.partitions.to.txn.retry.backoff.max.ms"),
            config.get_int("request.timeout.ms"),
        )
        until_ms = clock.monotonic_ms() + patience_ms
        while asked := self._begin():
            errors = await self._ask(asked)
            busy = ErrorCode.CONCURRENT_TRANSACTIONS in errors.values()
            if busy and self._adds and clock.monotonic_ms() < until_ms:
                await clock.sleep(config.get_int("add.partitions.to.txn.retry.backoff.ms"))
                continue
            for outcome in asked:
                self._settle(outcome, errors[outcome.topic, outcome.index])
            return

    async def _ask(self, asked: list[Outcome]) -> dict[Place, ErrorCode]:
        header = _header(asked[0])
        producer = Producer(self._transactional_id, header.producer_id, header.producer_epoch)
        places = [(outcome.topic, outcome.index) for outcome in asked]
        return await ask_coordinator(
            self._broker, producer, places, add=self._adds, abortable=self._abortable
        )

    def _begin(self) -> list[Outcome]:
        """Guards for all partitions that are open here; those about which to ask."""
        outcomes = [
            o for o in self._outcomes if is_transactional(o.records) and _header(o).producer_id >= 0
        ]
        producers = {(_header(o).producer_id, _header(o).producer_epoch) for o in outcomes}
        if len(producers) > 1:
            for outcome in self._outcomes:
                outcome.refuse(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
            return []
        return [o for o in outcomes if o.hosted is not None and self._guard(o) is not None]

    def _guard(self, outcome: Outcome) -> Verification | None:
        assert outcome.hosted is not None
        verified = self._broker.config.get_bool("transaction.partition.verification.enable")
        if not self._adds and not verified:
            outcome.within = InTransaction(None, verified=False)
            return None
        header = _header(outcome)
        code, guard = outcome.hosted.log.producers.start_verification(
            header.producer_id,
            header.base_sequence,
            header.producer_epoch,
            self._adds,
            self._broker.clock.wall_ms(),
        )
        if code:
            outcome.refuse(ErrorCode(code))
        else:
            outcome.within = InTransaction(guard, verified)
        return guard

    def _settle(self, outcome: Outcome, error: ErrorCode) -> None:
        if error is ErrorCode.INVALID_PRODUCER_ID_MAPPING and outcome.hosted is not None:
            # Forged ids must not fill the memory.
            outcome.hosted.log.producers.forget_verification(_header(outcome).producer_id)
        if error in _NOT_NOW or (error is ErrorCode.CONCURRENT_TRANSACTIONS and not self._adds):
            outcome.refuse(
                ErrorCode.NOT_ENOUGH_REPLICAS,
                f"The transaction can't be verified at the moment: {error.name}.",
            )
        elif error is ErrorCode.INVALID_TXN_STATE:
            outcome.refuse(error, "The partition is not in the transaction.")
        elif error:
            outcome.refuse(error)


def _header(outcome: Outcome) -> BatchHeader:
    return read_header(outcome.records or b"")
