"""AddOffsetsToTxn (key 25), versions 0-4; broker listeners (KIP-98).

v2 PRODUCER_FENCED; v3 flexible; v4 TRANSACTION_ABORTABLE. The group's partition of __consumer_offsets
joins the transaction. Errors: TRANSACTIONAL_ID_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED,
INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED (before v2 INVALID_PRODUCER_EPOCH),
CONCURRENT_TRANSACTIONS, and those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation, ResourceType
from barnabas.server.coordinators.internal_topics import CONSUMER_OFFSETS
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.add_offsets_to_txn_request import AddOffsetsToTxnRequest
from barnabas.wire.messages.add_offsets_to_txn_response import AddOffsetsToTxnResponse
from barnabas.wire.messages.add_partitions_to_txn_request import (
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

FENCED_FROM = 2
#: Clients that use transactions of version 2 do not send this request.
PLAIN = 0


async def handle(
    broker: Broker, request: Request, message: AddOffsetsToTxnRequest
) -> AddOffsetsToTxnResponse:
    """The offsets of a group join a transaction."""
    transactional_id, group_id = message.transactional_id, message.group_id
    allowed = broker.allowed.resource
    if not allowed(request, Operation.WRITE, ResourceType.TRANSACTIONAL_ID, transactional_id):
        return _answer(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    if not allowed(request, Operation.READ, ResourceType.GROUP, group_id):
        return _answer(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    partition = broker.coordinators.groups.runtime.partition_of(group_id)
    transaction = AddPartitionsToTxnTransaction(
        transactional_id,
        message.producer_id,
        message.producer_epoch,
        topics=[AddPartitionsToTxnTopic(CONSUMER_OFFSETS, [partition])],
    )
    try:
        result = await broker.coordinators.transactions.ask(
            transactional_id,
            lambda shard, now, ticket: shard.add_partitions(transaction, PLAIN, ticket, now),
        )
    except KafkaError as error:
        return _answer(error.code)
    code = ErrorCode(result.topic_results[0].results_by_partition[0].partition_error_code)
    if code is ErrorCode.PRODUCER_FENCED and request.api_version < FENCED_FROM:
        code = ErrorCode.INVALID_PRODUCER_EPOCH
    return _answer(code)


def _answer(code: ErrorCode) -> AddOffsetsToTxnResponse:
    return AddOffsetsToTxnResponse(error_code=code)
