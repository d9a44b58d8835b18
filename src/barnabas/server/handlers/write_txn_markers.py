"""WriteTxnMarkers (key 27), versions 1-2; broker listeners: from transaction coordinators and admins.

v2 the transaction's version (KIP-1228). Needs ClusterAction, or Alter, on the cluster. Errors, for
each partition: CLUSTER_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER,
KAFKA_STORAGE_ERROR, NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT, INVALID_PRODUCER_EPOCH,
TRANSACTION_COORDINATOR_FENCED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.security.operations import Operation
from barnabas.server.markers import Marker, write_markers
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.write_txn_markers_request import (
    WritableTxnMarker,
    WriteTxnMarkersRequest,
)
from barnabas.wire.messages.write_txn_markers_response import (
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersResponse,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.markers import Place
    from barnabas.server.request import Request


async def handle(
    broker: Broker, request: Request, message: WriteTxnMarkersRequest
) -> WriteTxnMarkersResponse:
    """End transactions on the partitions led here."""
    allowed = broker.allowed.cluster
    denied = not (allowed(request, Operation.ALTER) or allowed(request, Operation.CLUSTER_ACTION))
    results: dict[int, dict[Place, ErrorCode]] = {}
    for each in message.markers:
        places = [(topic.name, index) for topic in each.topics for index in topic.partition_indexes]
        errors = dict.fromkeys(places, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        if not denied:
            errors = await write_markers(broker, _marker(each), errors)
        if errors:
            results.setdefault(each.producer_id, {}).update(errors)
    return WriteTxnMarkersResponse([_result(*result) for result in results.items()])


def _marker(marker: WritableTxnMarker) -> Marker:
    return Marker(
        marker.producer_id,
        marker.producer_epoch,
        marker.transaction_result,
        marker.coordinator_epoch,
        marker.transaction_version,
    )


def _result(producer_id: int, errors: dict[Place, ErrorCode]) -> WritableTxnMarkerResult:
    topics: dict[str, list[WritableTxnMarkerPartitionResult]] = {}
    for (topic, index), error in errors.items():
        topics.setdefault(topic, []).append(WritableTxnMarkerPartitionResult(index, error))
    return WritableTxnMarkerResult(
        producer_id, [WritableTxnMarkerTopicResult(name, some) for name, some in topics.items()]
    )
