"""EndTxn (key 26), versions 0-5; broker listeners (KIP-98).

v2 PRODUCER_FENCED; v3 flexible; v4 TRANSACTION_ABORTABLE; v5 the next epoch of the producer
(KIP-890). Errors: TRANSACTIONAL_ID_AUTHORIZATION_FAILED, INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING,
PRODUCER_FENCED (before v2 INVALID_PRODUCER_EPOCH), CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE, and
those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation, ResourceType
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.end_txn_request import EndTxnRequest
from barnabas.wire.messages.end_txn_response import EndTxnResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

FENCED_FROM = 2
BUMPS_FROM = 5
#: transaction.version that the client uses, below v5 and from it on.
PLAIN, BUMPING = 0, 2


async def handle(broker: Broker, request: Request, message: EndTxnRequest) -> EndTxnResponse:
    """Commit or abort."""
    transactional_id = message.transactional_id
    if not broker.allowed.resource(
        request, Operation.WRITE, ResourceType.TRANSACTIONAL_ID, transactional_id
    ):
        return EndTxnResponse(error_code=ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    version = BUMPING if request.api_version >= BUMPS_FROM else PLAIN
    try:
        if version == BUMPING:  # which may need a new producer id
            await broker.producer_ids.ready()
        response: EndTxnResponse = await broker.coordinators.transactions.ask(
            transactional_id,
            lambda shard, now, ticket: shard.end_transaction(message, version, ticket, now),
        )
    except KafkaError as error:
        return EndTxnResponse(error_code=error.code)
    if response.error_code == ErrorCode.PRODUCER_FENCED and request.api_version < FENCED_FROM:
        response.error_code = ErrorCode.INVALID_PRODUCER_EPOCH
    return response
