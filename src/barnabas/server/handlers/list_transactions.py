"""ListTransactions (key 66), versions 0-2; broker listeners (KIP-664).

v1 a filter by duration (KIP-994); v2 a pattern of the transactional id, of RE2's syntax (KIP-1152).
Transactional ids that may not be described are left out. Errors: INVALID_REGULAR_EXPRESSION, and those
of a coordinator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import re2

from barnabas.coordinator.effects import Effects
from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.internal_topics import TRANSACTION_STATE
from barnabas.transactions.administration import Filters
from barnabas.transactions.transaction import STATE_NAMES
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.list_transactions_request import ListTransactionsRequest
from barnabas.wire.messages.list_transactions_response import (
    ListTransactionsResponse,
    TransactionState,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

_STATES = frozenset(STATE_NAMES.values())


async def handle(
    broker: Broker, request: Request, message: ListTransactionsRequest
) -> ListTransactionsResponse:
    """The transactional ids of this node's coordinators."""
    unknown = [name for name in message.state_filters if name not in _STATES]
    try:
        found = await _list(broker, _filters(message))
    except KafkaError as error:
        return ListTransactionsResponse(error_code=error.code)
    allowed = broker.allowed.resource
    return ListTransactionsResponse(
        unknown_state_filters=list(dict.fromkeys(unknown)),
        transaction_states=[
            each
            for each in found
            if allowed(
                request, Operation.DESCRIBE, ResourceType.TRANSACTIONAL_ID, each.transactional_id
            )
        ],
    )


def _filters(message: ListTransactionsRequest) -> Filters:
    """Raises `KafkaError` INVALID_REGULAR_EXPRESSION."""
    pattern = message.transactional_id_pattern
    return Filters(
        frozenset(message.state_filters),
        frozenset(message.producer_id_filters),
        message.duration_filter,
        _matcher(pattern) if pattern else None,
    )


def _matcher(pattern: str) -> Callable[[str], bool]:
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        raise KafkaError(ErrorCode.INVALID_REGULAR_EXPRESSION, str(error)) from error
    return lambda name: compiled.fullmatch(name) is not None


async def _list(broker: Broker, filters: Filters) -> list[TransactionState]:
    found: list[TransactionState] = []
    if TRANSACTION_STATE not in broker.image.topics.by_name:
        return found
    coordinator = broker.coordinators.transactions
    for number in coordinator.runtime.used():
        try:
            answer: ListTransactionsResponse = await coordinator.ask_partition(
                number,
                lambda shard, now, ticket: Effects().reply(
                    ticket,
                    ListTransactionsResponse(
                        transaction_states=shard.list_transactions(filters, now)
                    ),
                ),
            )
        except KafkaError as error:
            if error.code is ErrorCode.NOT_COORDINATOR:
                continue  # it has just moved: its transactions are listed elsewhere
            raise
        found += answer.transaction_states
    return found
