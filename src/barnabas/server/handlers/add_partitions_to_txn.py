"""AddPartitionsToTxn (key 24), versions 0-5; broker listeners (KIP-98).

v0-3 from clients, one transaction; v2 PRODUCER_FENCED; v3 flexible; v4 from brokers: several
transactions, and `verify_only` (KIP-890); v5 TRANSACTION_ABORTABLE. Errors, for each partition:
TRANSACTIONAL_ID_AUTHORIZATION_FAILED, TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION,
OPERATION_NOT_ATTEMPTED, INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED (before v2
INVALID_PRODUCER_EPOCH), CONCURRENT_TRANSACTIONS, TRANSACTION_ABORTABLE, and those of a coordinator;
for a whole request of brokers CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation, ResourceType
from barnabas.server.topics import INTERNAL_TOPICS
from barnabas.transactions.partitions import answer, places_of
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.add_partitions_to_txn_request import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTransaction,
)
from barnabas.wire.messages.add_partitions_to_txn_response import (
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request
    from barnabas.transactions.transaction import Place

FENCED_FROM = 2
BROKERS_FROM = 4
#: transaction.version that the request speaks for, below v4 and from it on.
PLAIN, BUMPING = 0, 2


async def handle(
    broker: Broker, request: Request, message: AddPartitionsToTxnRequest
) -> AddPartitionsToTxnResponse:
    """Partitions join transactions."""
    if request.api_version >= BROKERS_FROM:
        if not broker.allowed.cluster(request, Operation.CLUSTER_ACTION):
            return AddPartitionsToTxnResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        results = [await _add(broker, request, each) for each in message.transactions]
        return AddPartitionsToTxnResponse(results_by_transaction=results)
    transaction = AddPartitionsToTxnTransaction(
        message.v3_and_below_transactional_id,
        message.v3_and_below_producer_id,
        message.v3_and_below_producer_epoch,
        topics=message.v3_and_below_topics,
    )
    result = await _add(broker, request, transaction)
    if request.api_version < FENCED_FROM:
        _rename_fenced(result)
    return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=result.topic_results)


async def _add(
    broker: Broker, request: Request, transaction: AddPartitionsToTxnTransaction
) -> AddPartitionsToTxnResult:
    by_client = request.api_version < BROKERS_FROM
    transactional_id = transaction.transactional_id
    if by_client and not broker.allowed.resource(
        request, Operation.WRITE, ResourceType.TRANSACTIONAL_ID, transactional_id
    ):
        return answer(transaction, {}, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    refused: dict[Place, ErrorCode] = {}
    for topic, partition in places_of(transaction):
        if by_client and not _may_write(broker, request, topic):
            refused[topic, partition] = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        elif broker.image.topics.partition(topic, partition) is None:
            refused[topic, partition] = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if refused:
        return answer(transaction, refused, ErrorCode.OPERATION_NOT_ATTEMPTED)
    version = PLAIN if by_client else BUMPING
    try:
        result: AddPartitionsToTxnResult = await broker.coordinators.transactions.ask(
            transactional_id,
            lambda shard, now, ticket: shard.add_partitions(transaction, version, ticket, now),
        )
    except KafkaError as error:
        return answer(transaction, {}, error.code)
    return result


def _may_write(broker: Broker, request: Request, topic: str) -> bool:
    return topic not in INTERNAL_TOPICS and broker.allowed.topic(request, Operation.WRITE, topic)


def _rename_fenced(result: AddPartitionsToTxnResult) -> None:
    for topic in result.topic_results:
        for each in topic.results_by_partition:
            if each.partition_error_code == ErrorCode.PRODUCER_FENCED:
                each.partition_error_code = ErrorCode.INVALID_PRODUCER_EPOCH
