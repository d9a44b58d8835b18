"""What several handlers ask of the metadata image about topics."""

from __future__ import annotations

from typing import Final

from barnabas.metadata.controller.topic_names import check_topic_name
from barnabas.metadata.image.cluster import ClusterImage
from barnabas.metadata.image.partition import Partition
from barnabas.wire.errors import ErrorCode, KafkaError

#: Topics of the node itself: clients may read them, not write to them.
INTERNAL_TOPICS: Final = frozenset(
    {"__consumer_offsets", "__transaction_state", "__share_group_state"}
)


def made_when_used(topic: str) -> bool:
    """Whether partitions of a topic get their files with their first use, not with the topic: of the
    many that internal ones have, most are never used."""
    return topic in INTERNAL_TOPICS


def unknown_topic(name: str) -> ErrorCode:
    """The error for a name that is no topic: it is not there, or could not be."""
    try:
        check_topic_name(name)
    except KafkaError as error:
        return error.code
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def leader_or_error(
    cluster: ClusterImage, partition: Partition, listener: str, no_listener: ErrorCode
) -> tuple[ErrorCode, int]:
    """(NONE, leader) when clients of `listener` can reach it, else (why not, -1)."""
    registration = cluster.brokers.get(partition.leader)
    if registration is None or registration.fenced:
        return ErrorCode.LEADER_NOT_AVAILABLE, -1
    if registration.endpoint(listener) is None:
        return no_listener, -1
    return ErrorCode.NONE, partition.leader
