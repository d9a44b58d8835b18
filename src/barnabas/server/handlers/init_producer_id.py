"""InitProducerId (key 22), versions 0-5; broker listeners (KIP-98).

v2 flexible; v3 producer id and epoch of the caller (KIP-360); v4 PRODUCER_FENCED; v5
TRANSACTION_ABORTABLE. Without a transactional id every call gives a new producer id with epoch 0.
Errors: CLUSTER_AUTHORIZATION_FAILED, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, INVALID_REQUEST,
INVALID_TRANSACTION_TIMEOUT, CONCURRENT_TRANSACTIONS, PRODUCER_FENCED (before v4
INVALID_PRODUCER_EPOCH), and those of a coordinator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation, ResourceType
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

FENCED_FROM = 4


async def handle(
    broker: Broker, request: Request, message: InitProducerIdRequest
) -> InitProducerIdResponse:
    """A producer id, and with a transactional id an epoch that fences all before it."""
    denied = _denied(broker, request, message.transactional_id)
    if denied:
        return _refuse(denied)
    if (message.producer_id == -1) != (message.producer_epoch == -1):
        return _refuse(ErrorCode.INVALID_REQUEST)
    try:
        if message.transactional_id is None:
            return InitProducerIdResponse(
                producer_id=await broker.producer_ids.next(), producer_epoch=0
            )
        await broker.producer_ids.ready()
        response: InitProducerIdResponse = await broker.coordinators.transactions.ask(
            message.transactional_id,
            lambda shard, now, ticket: shard.init_producer_id(message, ticket, now),
        )
    except KafkaError as error:
        return _refuse(error.code)
    if response.error_code == ErrorCode.PRODUCER_FENCED and request.api_version < FENCED_FROM:
        response.error_code = ErrorCode.INVALID_PRODUCER_EPOCH
    return response


def _denied(broker: Broker, request: Request, transactional_id: str | None) -> ErrorCode:
    if transactional_id is not None:
        if broker.allowed.resource(
            request, Operation.WRITE, ResourceType.TRANSACTIONAL_ID, transactional_id
        ):
            return ErrorCode.NONE
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    if broker.allowed.cluster(request, Operation.IDEMPOTENT_WRITE) or (
        broker.allowed.any_topic(request, Operation.WRITE, broker.image.topics.by_name)
    ):
        return ErrorCode.NONE
    return ErrorCode.CLUSTER_AUTHORIZATION_FAILED


def _refuse(code: ErrorCode) -> InitProducerIdResponse:
    return InitProducerIdResponse(error_code=code, producer_id=-1, producer_epoch=-1)
