"""CreatePartitions."""

from __future__ import annotations

from collections import Counter

from barnabas.metadata.controller.assignments import (
    manual_partition,
    partition_records,
    placed_partitions,
)
from barnabas.metadata.controller.decision import (
    Charge,
    ControllerSettings,
    Decision,
    check_new_partitions,
    check_record_count,
    free,
)
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.record_types import PartitionRecord
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.create_partitions_request import (
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from barnabas.wire.messages.create_partitions_response import (
    CreatePartitionsResponse,
    CreatePartitionsTopicResult,
)


def create_partitions(
    image: MetadataImage,
    settings: ControllerSettings,
    request: CreatePartitionsRequest,
    *,
    charge: Charge = free,
) -> Decision[CreatePartitionsResponse]:
    """Add partitions to topics; each topic succeeds or fails for itself, all in one batch.

    Raises KafkaError POLICY_VIOLATION when the request is too large as a whole.
    """
    counts = Counter(topic.name for topic in request.topics)
    duplicate = KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
    results = [_result(name, duplicate) for name, count in counts.items() if count > 1]
    records: list[Message] = []
    for topic in request.topics:
        if counts[topic.name] > 1:
            continue
        error = KafkaError(ErrorCode.NONE)
        try:
            added = _add(image, settings, topic, charge)
            records += added
        except KafkaError as refused:
            error = refused
        results.append(_result(topic.name, error))
        check_record_count(records)
    response = CreatePartitionsResponse(results=results)
    return Decision(() if request.validate_only else records, response)


def _add(
    image: MetadataImage,
    settings: ControllerSettings,
    request: CreatePartitionsTopic,
    charge: Charge,
) -> list[PartitionRecord]:
    topic = image.topics.by_name.get(request.name)
    if topic is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    present = len(topic.partitions)
    if request.count == present:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {present} partition(s).")
    if request.count < present:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {topic.name} currently has {present} partition(s); {request.count} would "
            "not be an increase.",
        )
    added = request.count - present
    # Before anything is built: the count comes from the wire.
    check_new_partitions(added)
    if request.assignments is not None and len(request.assignments) != added:
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"{added} partition(s) would be added, but {len(request.assignments)} "
            "assignment(s) were specified.",
        )
    charge(added)
    replication_factor = len(topic.partitions[0].replicas)
    if request.assignments is None:
        partitions = placed_partitions(image, settings, added, replication_factor)
    else:
        partitions = [
            manual_partition(image.cluster, number, assignment.broker_ids, replication_factor)
            for number, assignment in enumerate(request.assignments, present)
        ]
    return partition_records(image, topic.id, present, partitions)


def _result(name: str, error: KafkaError) -> CreatePartitionsTopicResult:
    return CreatePartitionsTopicResult(
        name=name, error_code=error.code, error_message=error.message
    )
