"""DescribeQuorum (key 55), versions 0-2; broker and controller listeners (KIP-595, KIP-836, KIP-853).

v1 times of the last fetch; v2 directory ids, listeners of the voters, messages. Whole answer:
CLUSTER_AUTHORIZATION_FAILED; per partition: UNKNOWN_TOPIC_OR_PARTITION unless exactly the metadata
partition is asked for, NOT_LEADER_OR_FOLLOWER.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.raft.types import METADATA_PARTITION, METADATA_TOPIC
from barnabas.security.operations import Operation
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.describe_quorum_request import DescribeQuorumRequest
from barnabas.wire.messages.describe_quorum_response import (
    DescribeQuorumResponse,
    PartitionData,
    TopicData,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request


def handle(
    broker: Broker, request: Request, message: DescribeQuorumRequest
) -> DescribeQuorumResponse:
    """Leader, epoch, high watermark, and how far each replica of the metadata log is."""
    if not broker.allowed.cluster(request, Operation.DESCRIBE):
        return DescribeQuorumResponse(
            ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Cluster authorization failed."
        )
    asked = [(t.topic_name, p.partition_index) for t in message.topics for p in t.partitions]
    if asked != [(METADATA_TOPIC, METADATA_PARTITION)] or len(message.topics) != 1:
        return _unknown(message)
    response = broker.metadata.reads.describe_quorum(broker.controller_endpoints)
    if request.api_version < 2:
        _reduce(response)
    return response


def _reduce(response: DescribeQuorumResponse) -> None:
    """Take out what only version 2 can say."""
    response.nodes = []
    for topic in response.topics:
        for partition in topic.partitions:
            for replica in (*partition.current_voters, *partition.observers):
                replica.replica_directory_id = uuids.ZERO


def _unknown(message: DescribeQuorumRequest) -> DescribeQuorumResponse:
    def partition(index: int) -> PartitionData:
        return PartitionData(
            index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "This is not the metadata partition."
        )

    return DescribeQuorumResponse(
        topics=[
            TopicData(t.topic_name, [partition(p.partition_index) for p in t.partitions])
            for t in message.topics
        ]
    )
