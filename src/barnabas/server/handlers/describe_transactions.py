"""DescribeTransactions (key 65), version 0; broker listeners (KIP-664).

Errors, for each transactional id: TRANSACTIONAL_ID_AUTHORIZATION_FAILED, INVALID_REQUEST,
TRANSACTIONAL_ID_NOT_FOUND, and those of a coordinator. Topics that may not be described are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects
from barnabas.security.operations import Operation, ResourceType
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.describe_transactions_request import DescribeTransactionsRequest
from barnabas.wire.messages.describe_transactions_response import (
    DescribeTransactionsResponse,
    TransactionState,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: DescribeTransactionsRequest
) -> DescribeTransactionsResponse:
    """What the coordinator knows of some transactional ids, each once, however often it is named."""
    wanted = dict.fromkeys(message.transactional_ids)
    states = [await _describe(broker, request, each) for each in wanted]
    return DescribeTransactionsResponse(transaction_states=states)


async def _describe(broker: Broker, request: Request, transactional_id: str) -> TransactionState:
    if not broker.allowed.resource(
        request, Operation.DESCRIBE, ResourceType.TRANSACTIONAL_ID, transactional_id
    ):
        return TransactionState(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, transactional_id)
    if not transactional_id:
        return TransactionState(ErrorCode.INVALID_REQUEST, transactional_id)
    try:
        state: TransactionState = await broker.coordinators.transactions.ask(
            transactional_id,
            lambda shard, _, ticket: Effects().reply(ticket, shard.describe(transactional_id)),
        )
    except KafkaError as error:
        return TransactionState(error.code, transactional_id)
    state.topics = [
        topic
        for topic in state.topics
        if broker.allowed.topic(request, Operation.DESCRIBE, topic.topic)
    ]
    return state
