"""Where in a log to begin: ListOffsets, by special timestamp or by time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from barnabas.client.cluster import Cluster
from barnabas.client.errors import ClientError, error_code
from barnabas.client.fetch_core import TopicPartition
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse

LATEST = -1
"""The end of what a consumer may read."""
EARLIEST = -2
"""The start of the log."""
MAX_TIMESTAMP = -3
"""The record with the largest timestamp (KIP-734)."""
EARLIEST_LOCAL = -4
"""The start of what is not only in remote storage (KIP-405)."""
LATEST_TIERED = -5
"""The end of what is in remote storage (KIP-1005)."""


class OffsetAt(NamedTuple):
    """An offset, -1 when there is none, and the timestamp of its record, -1 when unasked."""

    offset: int
    timestamp: int
    leader_epoch: int


async def list_offsets(
    cluster: Cluster, wanted: Mapping[TopicPartition, int], *, read_committed: bool = False
) -> dict[TopicPartition, OffsetAt]:
    """The offset for a time (ms, or one of the special values) in each partition.

    For a time: the first record with that timestamp or a later one. Raises `KafkaError` for the
    first partition that has no answer.
    """
    found: dict[TopicPartition, OffsetAt] = {}

    async def attempt() -> None:
        try:
            missing = {name: at for name, at in wanted.items() if name not in found}
            for node, part in (await _by_leader(cluster, missing)).items():
                await _ask(cluster, node, part, read_committed, found)
        except (KafkaError, ClientError):
            await cluster.refresh(sorted({name[0] for name in wanted}))
            raise

    await cluster.retrying(attempt)
    return found


async def _by_leader(
    cluster: Cluster, wanted: Mapping[TopicPartition, int]
) -> dict[int, dict[TopicPartition, int]]:
    by_node: dict[int, dict[TopicPartition, int]] = {}
    for name, at in wanted.items():
        node = await cluster.leader(*name)
        by_node.setdefault(node, {})[name] = at
    return by_node


async def _ask(
    cluster: Cluster,
    node: int,
    wanted: Mapping[TopicPartition, int],
    read_committed: bool,
    found: dict[TopicPartition, OffsetAt],
) -> None:
    topics: dict[str, list[ListOffsetsPartition]] = {}
    for (topic, partition), at in wanted.items():
        topics.setdefault(topic, []).append(
            ListOffsetsPartition(partition_index=partition, timestamp=at)
        )
    request = ListOffsetsRequest(
        replica_id=-1,
        isolation_level=1 if read_committed else 0,
        topics=[ListOffsetsTopic(name=name, partitions=parts) for name, parts in topics.items()],
        timeout_ms=cluster.config.request_timeout_ms,
    )
    response = await cluster.ask(request, ListOffsetsResponse, node=node)
    failure: KafkaError | None = None
    for answer in response.topics:
        for entry in answer.partitions:
            name = (answer.name, entry.partition_index)
            if entry.error_code == ErrorCode.NONE:
                found[name] = OffsetAt(entry.offset, entry.timestamp, entry.leader_epoch)
            else:
                failure = KafkaError(error_code(entry.error_code), f"{name[0]}-{name[1]}")
    if failure is not None:
        raise failure
