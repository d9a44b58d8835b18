"""Partitions with their replicas: chosen by hand or by placement."""

from __future__ import annotations

from collections.abc import Sequence

from barnabas.metadata.controller.decision import ControllerSettings
from barnabas.metadata.controller.placement import default_directory, place, usable_brokers
from barnabas.metadata.image import ClusterImage, MetadataImage, Partition
from barnabas.metadata.image.partition import RECOVERED
from barnabas.metadata.record_types import PartitionRecord
from barnabas.wire.errors import ErrorCode, KafkaError


def new_partition(cluster: ClusterImage, replicas: Sequence[int]) -> Partition | None:
    """A partition led by its first active replica; None when no replica is active."""
    isr = tuple(replica for replica in replicas if cluster.active(replica))
    if not isr:
        return None
    return Partition(
        replicas=tuple(replicas),
        directories=tuple(default_directory(cluster, replica) for replica in replicas),
        isr=isr,
        removing_replicas=(),
        adding_replicas=(),
        leader=isr[0],
        leader_recovery_state=RECOVERED,
        leader_epoch=0,
        partition_epoch=0,
        elr=(),
        last_known_elr=(),
    )


def manual_partition(
    cluster: ClusterImage, number: int, replicas: Sequence[int], replication_factor: int | None
) -> Partition:
    """A partition as the user assigned it. `replication_factor`: that of the partitions before.

    Raises KafkaError INVALID_REPLICA_ASSIGNMENT.
    """
    check_replicas(cluster, number, replicas)
    if replication_factor is not None and len(replicas) != replication_factor:
        raise _invalid_assignment(
            f"partition {number} has {len(replicas)} replica(s), those before it "
            f"{replication_factor}"
        )
    partition = new_partition(cluster, replicas)
    if partition is None:
        raise _invalid_assignment(
            f"all brokers of partition {number} are fenced or in controlled shutdown"
        )
    return partition


def check_replicas(cluster: ClusterImage, number: int, replicas: Sequence[int]) -> None:
    """Raises KafkaError INVALID_REPLICA_ASSIGNMENT unless these are different registered brokers."""
    if not replicas:
        raise _invalid_assignment(f"partition {number} has no replicas")
    for broker in sorted(set(replicas)):
        if broker not in cluster.brokers:
            raise _invalid_assignment(f"broker {broker} is not registered")
        if replicas.count(broker) > 1:
            raise _invalid_assignment(f"broker {broker} is listed more than once")


def placed_partitions(
    image: MetadataImage, settings: ControllerSettings, count: int, replication_factor: int
) -> list[Partition]:
    """`count` partitions on usable brokers. Raises KafkaError INVALID_REPLICATION_FACTOR."""
    brokers = usable_brokers(image.cluster)
    partitions = []
    for replicas in place(brokers, count, replication_factor, settings.random_below):
        partition = new_partition(image.cluster, replicas)
        if partition is None:
            raise KafkaError(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                "All brokers are currently fenced or in controlled shutdown.",
            )
        partitions.append(partition)
    return partitions


def partition_records(
    image: MetadataImage, topic_id: bytes, first: int, partitions: Sequence[Partition]
) -> list[PartitionRecord]:
    """Records of new partitions, numbered from `first`."""
    version = image.features.version
    elr = image.features.elr_enabled
    return [p.record(topic_id, n, version, elr) for n, p in enumerate(partitions, first)]


def _invalid_assignment(why: str) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"The manual partition assignment is invalid: {why}."
    )
