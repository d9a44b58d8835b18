"""DescribeTransactions and ListTransactions (KIP-664, KIP-994, KIP-1152)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from barnabas.transactions.transaction import STATE_NAMES, Transaction, partitions_of
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.describe_transactions_response import TopicData
from barnabas.wire.messages.describe_transactions_response import TransactionState as Described
from barnabas.wire.messages.list_transactions_response import TransactionState as Listed

if TYPE_CHECKING:
    from barnabas.coordinator.effects import Now
    from barnabas.transactions.state import TransactionsState


class Filters(NamedTuple):
    """What a ListTransactions asks for; an empty filter lets everything pass."""

    states: frozenset[str]
    producer_ids: frozenset[int]
    longer_than_ms: int
    """Transactions that began longer ago; negative: any."""
    matches: Callable[[str], bool] | None
    """Of the transactional id."""


def describe(state: TransactionsState, transactional_id: str) -> Described:
    """One transactional id. Error: TRANSACTIONAL_ID_NOT_FOUND."""
    transaction = state.transactions.get(transactional_id)
    if transaction is None:
        return Described(ErrorCode.TRANSACTIONAL_ID_NOT_FOUND, transactional_id)
    return Described(
        ErrorCode.NONE,
        transactional_id,
        STATE_NAMES[transaction.state],
        transaction.timeout_ms,
        transaction.start_ms,
        transaction.producer_id,
        transaction.epoch,
        [
            TopicData(schema.topic, schema.partition_ids)
            for schema in partitions_of(transaction.partitions)
        ],
    )


def list_transactions(state: TransactionsState, filters: Filters, now: Now) -> list[Listed]:
    """All transactional ids of the shard that pass."""
    return [
        Listed(name, transaction.producer_id, STATE_NAMES[transaction.state])
        for name, transaction in state.transactions.items()
        if _passes(transaction, filters, now)
    ]


def _passes(transaction: Transaction, filters: Filters, now: Now) -> bool:
    return (
        (not filters.producer_ids or transaction.producer_id in filters.producer_ids)
        and (not filters.states or STATE_NAMES[transaction.state] in filters.states)
        and (filters.longer_than_ms < 0 or now.wall - transaction.start_ms > filters.longer_than_ms)
        and (filters.matches is None or filters.matches(transaction.transactional_id))
    )
