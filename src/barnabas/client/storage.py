"""Administrative calls about what is stored: records to delete, log directories, producers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from barnabas.client.cluster import Cluster
from barnabas.client.errors import ClientError, error_code
from barnabas.client.fetch_core import TopicPartition
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages import delete_records_request as deletion
from barnabas.wire.messages import describe_producers_request as producers
from barnabas.wire.messages.delete_records_response import DeleteRecordsResponse
from barnabas.wire.messages.describe_log_dirs_request import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
)
from barnabas.wire.messages.describe_log_dirs_response import (
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
)
from barnabas.wire.messages.describe_producers_response import DescribeProducersResponse

HIGH_WATERMARK = -1
"""As an offset to delete to: everything that a consumer may read by now."""


class StoredReplica(NamedTuple):
    """A replica in a log directory: bytes of its segments, records that it lacks."""

    topic: str
    partition: int
    size: int
    lag: int
    future: bool


@dataclass(frozen=True, slots=True)
class StoredIn:
    """A log directory of a broker; `total` and `usable` bytes of its volume, -1 when unknown."""

    broker: int
    path: str
    error: ErrorCode
    total: int
    usable: int
    cordoned: bool
    replicas: tuple[StoredReplica, ...]


class ActiveProducer(NamedTuple):
    """A producer that a partition remembers; -1 for what there is not."""

    topic: str
    partition: int
    id: int
    epoch: int
    last_sequence: int
    last_timestamp: int
    coordinator_epoch: int
    transaction_start: int


async def delete_records(
    cluster: Cluster, offsets: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int | KafkaError]:
    """Delete everything below an offset (or HIGH_WATERMARK) in each partition.

    Where each starts now, or why nothing was deleted there.
    """
    results: dict[TopicPartition, int | KafkaError] = {}

    async def attempt() -> None:
        left = {name: at for name, at in offsets.items() if not isinstance(results.get(name), int)}
        try:
            for node, part in (await _by_leader(cluster, left)).items():
                await _delete(cluster, node, part, results)
            for result in results.values():
                if isinstance(result, KafkaError) and result.code.retriable:
                    raise result
        except (KafkaError, ClientError):
            await cluster.refresh(sorted({name[0] for name in offsets}))
            raise

    try:
        await cluster.retrying(attempt)
    except KafkaError:
        if len(results) < len(offsets):
            raise
    return results


async def describe_log_dirs(
    cluster: Cluster, topics: Mapping[str, Iterable[int]] | None = None
) -> list[StoredIn]:
    """The log directories of all brokers, with the replicas of `topics` (None: all).

    Raises `KafkaError`.
    """
    await cluster.refresh([])
    asked = None
    if topics is not None:
        asked = [DescribableLogDirTopic(name, list(parts)) for name, parts in topics.items()]
    found = []
    for broker in sorted(cluster.metadata.nodes):
        request = DescribeLogDirsRequest(asked)
        response = await cluster.ask(request, DescribeLogDirsResponse, node=broker)
        if response.error_code != ErrorCode.NONE:
            raise KafkaError(error_code(response.error_code), "log directories")
        found += [_stored_in(broker, result) for result in response.results]
    return found


async def describe_producers(
    cluster: Cluster, partitions: Iterable[TopicPartition]
) -> list[ActiveProducer]:
    """The producers that the leaders of the partitions remember. Raises `KafkaError`."""
    found = []
    for node, part in (await _by_leader(cluster, dict.fromkeys(partitions, 0))).items():
        topics: dict[str, list[int]] = {}
        for topic, partition in part:
            topics.setdefault(topic, []).append(partition)
        request = producers.DescribeProducersRequest(
            [producers.TopicRequest(name, indexes) for name, indexes in topics.items()]
        )
        response = await cluster.ask(request, DescribeProducersResponse, node=node)
        for answer in response.topics:
            for entry in answer.partitions:
                if entry.error_code != ErrorCode.NONE:
                    name = f"{answer.name}-{entry.partition_index}"
                    raise KafkaError(error_code(entry.error_code), entry.error_message or name)
                found += [
                    ActiveProducer(
                        answer.name,
                        entry.partition_index,
                        p.producer_id,
                        p.producer_epoch,
                        p.last_sequence,
                        p.last_timestamp,
                        p.coordinator_epoch,
                        p.current_txn_start_offset,
                    )
                    for p in entry.active_producers
                ]
    return sorted(found)


async def _by_leader(
    cluster: Cluster, wanted: Mapping[TopicPartition, int]
) -> dict[int, dict[TopicPartition, int]]:
    by_node: dict[int, dict[TopicPartition, int]] = {}
    for name, offset in wanted.items():
        by_node.setdefault(await cluster.leader(*name), {})[name] = offset
    return by_node


async def _delete(
    cluster: Cluster,
    node: int,
    offsets: Mapping[TopicPartition, int],
    results: dict[TopicPartition, int | KafkaError],
) -> None:
    topics: dict[str, list[deletion.DeleteRecordsPartition]] = {}
    for (topic, partition), offset in offsets.items():
        topics.setdefault(topic, []).append(deletion.DeleteRecordsPartition(partition, offset))
    request = deletion.DeleteRecordsRequest(
        [deletion.DeleteRecordsTopic(name, parts) for name, parts in topics.items()],
        cluster.config.request_timeout_ms,
    )
    response = await cluster.ask(request, DeleteRecordsResponse, node=node)
    for answer in response.topics:
        for entry in answer.partitions:
            name = (answer.name, entry.partition_index)
            if entry.error_code == ErrorCode.NONE:
                results[name] = entry.low_watermark
            else:
                results[name] = KafkaError(error_code(entry.error_code), f"{name[0]}-{name[1]}")


def _stored_in(broker: int, result: DescribeLogDirsResult) -> StoredIn:
    return StoredIn(
        broker,
        result.log_dir,
        error_code(result.error_code),
        result.total_bytes,
        result.usable_bytes,
        result.is_cordoned,
        tuple(
            StoredReplica(
                topic.name, p.partition_index, p.partition_size, p.offset_lag, p.is_future_key
            )
            for topic in result.topics
            for p in topic.partitions
        ),
    )
