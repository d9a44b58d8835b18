"""InitProducerId (key 22), versions 0-5; broker listeners. Idempotent producers (KIP-98).

v2 flexible; v3 producer id and epoch of the caller (KIP-360); v4 PRODUCER_FENCED. Without a
transactional id every call gives a new producer id with epoch 0. Errors:
CLUSTER_AUTHORIZATION_FAILED; INVALID_REQUEST for a half-given id and epoch, and for transactional
ids, whose coordinator is not built (FindCoordinator is not listed, so clients do not get here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: InitProducerIdRequest
) -> InitProducerIdResponse:
    """A new producer id."""
    if message.transactional_id is not None:
        return _refuse(ErrorCode.INVALID_REQUEST)
    if not broker.allowed.cluster(request, Operation.IDEMPOTENT_WRITE) and not (
        broker.allowed.any_topic(request, Operation.WRITE, broker.image.topics.by_name)
    ):
        return _refuse(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    if (message.producer_id == -1) != (message.producer_epoch == -1):
        return _refuse(ErrorCode.INVALID_REQUEST)
    try:
        producer_id = await broker.producer_ids.next()
    except KafkaError as error:
        return _refuse(error.code)
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)


def _refuse(code: ErrorCode) -> InitProducerIdResponse:
    return InitProducerIdResponse(error_code=code, producer_id=-1, producer_epoch=-1)
