"""AddPartitionsToTxn: partitions join a transaction, or are looked for in it (KIP-98, KIP-890)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.transactions.transaction import PREPARED, Place, State, Transaction, partitions_of
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.add_partitions_to_txn_response import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
)

if TYPE_CHECKING:
    from barnabas.transactions.state import TransactionsState
    from barnabas.wire.messages.add_partitions_to_txn_request import AddPartitionsToTxnTransaction

_NONE: Final = ErrorCode.NONE


def places_of(request: AddPartitionsToTxnTransaction) -> list[Place]:
    """The partitions that a request names."""
    return [(topic.name, partition) for topic in request.topics for partition in topic.partitions]


def answer(
    request: AddPartitionsToTxnTransaction, errors: dict[Place, ErrorCode], other: ErrorCode
) -> AddPartitionsToTxnResult:
    """The result for each partition; `other` for those that `errors` does not have."""
    topics = [
        AddPartitionsToTxnTopicResult(
            topic.name,
            [
                AddPartitionsToTxnPartitionResult(part, errors.get((topic.name, part), other))
                for part in topic.partitions
            ],
        )
        for topic in request.topics
    ]
    return AddPartitionsToTxnResult(request.transactional_id, topics)


def add_partitions(
    state: TransactionsState,
    request: AddPartitionsToTxnTransaction,
    client_version: int,
    ticket: Ticket,
    now: Now,
) -> Effects:
    """Decide an AddPartitionsToTxn; with `verify_only` nothing is added."""
    transaction = state.transactions.get(request.transactional_id)
    error = _check(transaction, request)
    effects = Effects()
    if error or transaction is None:
        return effects.reply(ticket, answer(request, {}, error))
    wanted = places_of(request)
    there = transaction.partitions
    if request.verify_only:
        strange = {place: ErrorCode.TRANSACTION_ABORTABLE for place in wanted if place not in there}
        return effects.reply(ticket, _verified(request.transactional_id, wanted, strange))
    ongoing = transaction.state is State.ONGOING
    if not ongoing or any(place not in there for place in wanted):
        value = transaction.value(State.ONGOING, now.wall)
        if not ongoing:
            value.transaction_start_timestamp_ms = now.wall
        value.transaction_partitions = partitions_of({**there, **dict.fromkeys(wanted)})
        value.client_transaction_version = client_version
        state.write(effects, request.transactional_id, value)
    return effects.reply(ticket, answer(request, {}, _NONE))


def _verified(
    transactional_id: str, wanted: list[Place], errors: dict[Place, ErrorCode]
) -> AddPartitionsToTxnResult:
    """Each partition once, and no topic without any: so Kafka answers who verifies."""
    topics: dict[str, dict[int, AddPartitionsToTxnPartitionResult]] = {}
    for topic, part in wanted:
        error = errors.get((topic, part), _NONE)
        topics.setdefault(topic, {})[part] = AddPartitionsToTxnPartitionResult(part, error)
    results = [
        AddPartitionsToTxnTopicResult(name, [*some.values()]) for name, some in topics.items()
    ]
    return AddPartitionsToTxnResult(transactional_id, results)


def _check(transaction: Transaction | None, request: AddPartitionsToTxnTransaction) -> ErrorCode:
    if not request.transactional_id:
        return ErrorCode.INVALID_REQUEST
    if transaction is None or transaction.producer_id != request.producer_id:
        return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    if transaction.epoch != request.producer_epoch:
        return ErrorCode.PRODUCER_FENCED
    return ErrorCode.CONCURRENT_TRANSACTIONS if transaction.state in PREPARED else _NONE
