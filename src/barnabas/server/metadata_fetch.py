"""Fetch on a controller listener: observers replicate the metadata log (KIP-595, KIP-1166)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from barnabas.raft.types import METADATA_TOPIC, METADATA_TOPIC_ID, ReplicaKey
from barnabas.replication.metadata_reads import FetchAnswer
from barnabas.security.operations import Operation
from barnabas.server.dispatch import encode_response
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest
from barnabas.wire.messages.fetch_response import (
    FetchableTopicResponse,
    FetchResponse,
    NodeEndpoint,
    PartitionData,
)

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request import Request

WHOLE_FROM = 7
FLEXIBLE_FROM = 12
IDS_FROM = 13
ENDPOINTS_FROM = 17


async def fetch_metadata(
    broker: Broker, request: Request, message: FetchRequest, replica_id: int
) -> None:
    """Answer the one partition there is, parked while there is nothing new."""
    try:
        response = await _answer(broker, request, message, replica_id)
    except KafkaError as error:
        response = _refused(request.api_version, message, error.code)
    flexible = request.api_version >= FLEXIBLE_FROM
    request.respond(encode_response(request, response, flexible))


def _refused(version: int, message: FetchRequest, code: ErrorCode) -> FetchResponse:
    """The error for the whole, where versions without ids repeat it for each partition."""
    response = FetchResponse(error_code=code if version >= WHOLE_FROM else ErrorCode.NONE)
    if version < IDS_FROM:
        response.responses = [
            FetchableTopicResponse(
                topic.topic,
                partitions=[
                    PartitionData(wanted.partition, code, -1, records=b"")
                    for wanted in topic.partitions
                ],
            )
            for topic in message.topics
        ]
    return response


async def _answer(
    broker: Broker, request: Request, message: FetchRequest, replica_id: int
) -> FetchResponse:
    if not broker.allowed.cluster(request, Operation.CLUSTER_ACTION):
        raise KafkaError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    if message.cluster_id is not None and message.cluster_id != broker.cluster_id:
        raise KafkaError(ErrorCode.INCONSISTENT_CLUSTER_ID)
    by_id = request.api_version >= IDS_FROM
    wanted = _only_partition(message, by_id=by_id)
    if wanted is None or message.max_wait_ms < 0:
        raise KafkaError(ErrorCode.INVALID_REQUEST)
    replica = ReplicaKey(replica_id, wanted.replica_directory_id)
    answer = await _ask(broker, replica, wanted, message.max_bytes)
    if answer.parkable and message.max_wait_ms > 0:
        if wanted.high_watermark >= answer.partition.high_watermark:
            await _Wait().until_news(broker, request, message.max_wait_ms)
        answer = await _ask(broker, replica, wanted, message.max_bytes)
    topic = FetchableTopicResponse(METADATA_TOPIC, METADATA_TOPIC_ID, partitions=[answer.partition])
    response = FetchResponse(responses=[topic])
    if answer.verdict.error and request.api_version >= ENDPOINTS_FROM:
        response.node_endpoints = [
            NodeEndpoint(n.id, n.host, n.port, n.rack)
            for n in broker.controller_nodes(request.connection.listener_name)
            if n.id == answer.verdict.leader_id
        ]
    return response


def _only_partition(message: FetchRequest, *, by_id: bool) -> FetchPartition | None:
    """The metadata partition, if the request asks for it and for nothing else."""
    if len(message.topics) != 1 or len(message.topics[0].partitions) != 1:
        return None
    topic = message.topics[0]
    known = topic.topic_id == METADATA_TOPIC_ID if by_id else topic.topic == METADATA_TOPIC
    wanted = topic.partitions[0]
    return wanted if known and wanted.partition == 0 else None


async def _ask(
    broker: Broker, replica: ReplicaKey, wanted: FetchPartition, max_bytes: int
) -> FetchAnswer:
    try:
        return await broker.metadata.reads.fetch(replica, wanted, max_bytes)
    except OSError as error:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR) from error


class _Wait:
    """A fetch that waits (`request.Parked`)."""

    def __init__(self) -> None:
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hurry(self) -> None:
        """Wait no longer."""
        if not self._news.done():
            self._news.set_result(None)

    abandon = hurry

    async def until_news(self, broker: Broker, request: Request, max_wait_ms: int) -> None:
        """Until the metadata log has news, time is over or the client is gone."""
        wake = self.hurry
        request.connection.parked = self
        broker.metadata_waiters[wake] = None
        timer = broker.clock.call_later(max_wait_ms, wake)
        try:
            await self._news
        finally:
            request.connection.parked = None
            broker.metadata_waiters.pop(wake, None)
            timer.cancel()
