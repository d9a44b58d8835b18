"""Where a partition is begun when nothing is committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from barnabas.client.cluster import Cluster
from barnabas.client.consumer.config import ConsumerConfig
from barnabas.client.errors import ClientError
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.offsets import EARLIEST, LATEST, list_offsets

Start: TypeAlias = Callable[
    [Cluster, Sequence[TopicPartition]], Awaitable[dict[TopicPartition, int]]
]
"""An application's own idea of where to begin."""


class NoOffset(ClientError):
    """Nothing is committed, and auto.offset.reset is none."""


async def starts(
    cluster: Cluster,
    config: ConsumerConfig,
    names: Sequence[TopicPartition],
    start: Start | None,
) -> dict[TopicPartition, int]:
    """An offset for each partition. Raises `NoOffset`, `KafkaError`, `ClientError`."""
    if start is not None:
        return await start(cluster, names)
    if config.auto_offset_reset == "none":
        listed = ", ".join(f"{topic}-{number}" for topic, number in sorted(names))
        raise NoOffset(f"no valid offset for {listed}, and auto.offset.reset is none")
    at = EARLIEST if config.auto_offset_reset == "earliest" else LATEST
    wanted = dict.fromkeys(names, at)
    found = await list_offsets(cluster, wanted, read_committed=config.read_committed)
    return {name: each.offset for name, each in found.items()}
