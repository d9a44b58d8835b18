"""Produce requests made of batches, their answers taken apart, and the id to send them under."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from barnabas.client.batches import Batch, Identity
from barnabas.client.cluster import Cluster
from barnabas.client.errors import error_code
from barnabas.client.metadata import MetadataCache
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import PartitionProduceResponse, ProduceResponse
from barnabas.wire.uuids import ZERO


def produce_request(
    batches: Sequence[Batch],
    metadata: MetadataCache,
    acks: int,
    timeout_ms: int,
    transactional_id: str | None = None,
) -> ProduceRequest:
    """The request that carries `batches`, one per partition."""
    topics: dict[str, TopicProduceData] = {}
    for batch in batches:
        data = topics.get(batch.topic)
        if data is None:
            state = metadata.topics.get(batch.topic)
            topic_id = ZERO if state is None else state.id
            data = TopicProduceData(name=batch.topic, topic_id=topic_id, partition_data=[])
            topics[batch.topic] = data
        data.partition_data.append(PartitionProduceData(index=batch.partition, records=batch.data))
    return ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=timeout_ms,
        topic_data=list(topics.values()),
    )


def outcomes(
    batches: Sequence[Batch], response: ProduceResponse, metadata: MetadataCache
) -> Iterator[tuple[Batch, PartitionProduceResponse | None]]:
    """What the node says about each batch; None where it says nothing."""
    names = {state.id: state.name for state in metadata.topics.values()}
    answers = {
        (topic.name or names.get(topic.topic_id, ""), entry.index): entry
        for topic in response.responses
        for entry in topic.partition_responses
    }
    for batch in batches:
        yield batch, answers.get((batch.topic, batch.partition))


async def ask_identity(cluster: Cluster, timeout_ms: int) -> Identity:
    """A producer id without transactions. Raises `KafkaError`, `ClientError` when time is up."""

    async def attempt() -> Identity:
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
        response = await cluster.ask(request, InitProducerIdResponse)
        if response.error_code != ErrorCode.NONE:
            raise KafkaError(error_code(response.error_code), "no producer id")
        return Identity(response.producer_id, response.producer_epoch)

    return await cluster.retrying(attempt, timeout_ms)
