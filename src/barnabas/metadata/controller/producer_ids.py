"""Blocks of producer ids (KIP-730)."""

from __future__ import annotations

from barnabas.metadata.controller.decision import Decision
from barnabas.metadata.controller.heartbeat import check_broker_epoch
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.record_types import ProducerIdsRecord
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.allocate_producer_ids_request import AllocateProducerIdsRequest
from barnabas.wire.messages.allocate_producer_ids_response import AllocateProducerIdsResponse

BLOCK_SIZE = 1000
LAST_ID = (1 << 63) - 1


def allocate_producer_ids(
    image: MetadataImage, request: AllocateProducerIdsRequest
) -> Decision[AllocateProducerIdsResponse]:
    """The next block for a broker; ids that it does not use are lost.

    Raises KafkaError: STALE_BROKER_EPOCH, UNKNOWN_SERVER_ERROR when all ids were given out.
    """
    check_broker_epoch(image, request.broker_id, request.broker_epoch)
    first = max(image.producer_ids.next_producer_id, 0)
    if first > LAST_ID - BLOCK_SIZE:
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "All producer ids have been given out.")
    record = ProducerIdsRecord(
        broker_id=request.broker_id,
        broker_epoch=request.broker_epoch,
        next_producer_id=first + BLOCK_SIZE,
    )
    response = AllocateProducerIdsResponse(producer_id_start=first, producer_id_len=BLOCK_SIZE)
    return Decision((record,), response)
