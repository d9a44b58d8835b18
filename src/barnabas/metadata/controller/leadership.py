"""Who can lead a partition, as the image says, and the change that every decision begins with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from barnabas.metadata.controller.decision import (
    MIN_INSYNC_REPLICAS,
    UNCLEAN_LEADER_ELECTION,
    ControllerSettings,
    topic_value,
)
from barnabas.metadata.controller.partition_change import Election, PartitionChange
from barnabas.metadata.controller.placement import default_directory
from barnabas.metadata.image import MetadataImage, Partition, Topic
from barnabas.metadata.image.partition import NO_LEADER


def effective_min_isr(image: MetadataImage, settings: ControllerSettings, topic: Topic) -> int:
    """min.insync.replicas, but no more than there are replicas of partition 0."""
    first = topic.partitions.get(0)
    replicas = len(first.replicas) if first is not None else 1
    return min(int(topic_value(image, settings, topic.name, MIN_INSYNC_REPLICAS) or 1), replicas)


def unclean_election_enabled(
    image: MetadataImage, settings: ControllerSettings, topic: Topic
) -> bool:
    """Whether a topic would rather lose data than have no leader."""
    return topic_value(image, settings, topic.name, UNCLEAN_LEADER_ELECTION) == "true"


def begin_change(
    image: MetadataImage,
    partition: Partition,
    *,
    min_isr: int,
    election: Election = Election.ONLINE,
    added: int = NO_LEADER,
    gone: Sequence[int] = (),
) -> PartitionChange:
    """A change whose targets are the state as it is.

    `added` counts as alive although the image does not show it yet, `gone` as dead although it
    still shows them.
    """
    return PartitionChange(
        partition,
        acceptable=partial(_acceptable, image, partition, added, gone),
        default_directory=partial(default_directory, image.cluster),
        metadata_version=image.features.version,
        min_isr=min_isr,
        elr_enabled=image.features.elr_enabled,
        election=election,
    )


def _acceptable(
    image: MetadataImage, partition: Partition, added: int, gone: Sequence[int], broker_id: int
) -> bool:
    if broker_id in gone:
        return False
    broker = image.cluster.brokers.get(broker_id)
    if broker is None or not (broker.active or broker_id == added):
        return False
    directory = partition.directory(broker_id)
    return directory is not None and broker.has_online_directory(directory)
