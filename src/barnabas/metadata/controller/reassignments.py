"""AlterPartitionReassignments and ListPartitionReassignments (KIP-455, KIP-860)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from barnabas.metadata.controller.assignments import check_replicas
from barnabas.metadata.controller.decision import (
    ControllerSettings,
    Decision,
    check_record_count,
)
from barnabas.metadata.controller.leadership import (
    begin_change,
    effective_min_isr,
    unclean_election_enabled,
)
from barnabas.metadata.controller.partition_change import Election
from barnabas.metadata.image import MetadataImage, Partition, Topic
from barnabas.metadata.record_types import PartitionChangeRecord
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.alter_partition_reassignments_request import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
)
from barnabas.wire.messages.alter_partition_reassignments_response import (
    AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)
from barnabas.wire.messages.list_partition_reassignments_request import (
    ListPartitionReassignmentsRequest,
)
from barnabas.wire.messages.list_partition_reassignments_response import (
    ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
)


def alter_reassignments(
    image: MetadataImage,
    settings: ControllerSettings,
    request: AlterPartitionReassignmentsRequest,
) -> Decision[AlterPartitionReassignmentsResponse]:
    """Begin reassignments, or cancel them (null replicas); each succeeds or fails for itself.

    A target that needs nobody to catch up is reached at once. Raises KafkaError POLICY_VIOLATION
    when the request needs too many records.
    """
    response = AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=request.allow_replication_factor_change
    )
    if not request.topics:
        # Kafka answers before it looks at anything, with the defaults of the message.
        response.allow_replication_factor_change = True
        return Decision((), response)
    response.error_message = None
    records: list[PartitionChangeRecord] = []
    for asked in request.topics:
        topic = image.topics.by_name.get(asked.name)
        results = []
        for target in asked.partitions:
            result = ReassignablePartitionResponse(target.partition_index, error_message=None)
            try:
                record = _alter(
                    image, settings, topic, target, request.allow_replication_factor_change
                )
            except KafkaError as error:
                result.error_code, result.error_message = error.code, error.message
            else:
                if record is not None:
                    records.append(record)
                    check_record_count(records)
            results.append(result)
        response.responses.append(ReassignableTopicResponse(asked.name, results))
    return Decision(records, response)


def list_reassignments(
    image: MetadataImage, request: ListPartitionReassignmentsRequest
) -> ListPartitionReassignmentsResponse:
    """The partitions that are being reassigned, among those asked for or among all (null)."""
    found: list[OngoingTopicReassignment] = []
    if request.topics is None:
        for topic in image.topics.by_name.values():
            _list(found, topic, topic.partitions)
    else:
        for asked in request.topics:
            named = image.topics.by_name.get(asked.name)
            if named is not None:
                _list(found, named, asked.partition_indexes)
    return ListPartitionReassignmentsResponse(error_message=None, topics=found)


def _list(found: list[OngoingTopicReassignment], topic: Topic, numbers: Iterable[int]) -> None:
    ongoing = [
        OngoingPartitionReassignment(
            number,
            list(partition.replicas),
            list(partition.adding_replicas),
            list(partition.removing_replicas),
        )
        for number in numbers
        if (partition := topic.partitions.get(number)) is not None and _in_progress(partition)
    ]
    if ongoing:
        found.append(OngoingTopicReassignment(topic.name, ongoing))


def _in_progress(partition: Partition) -> bool:
    return bool(partition.adding_replicas or partition.removing_replicas)


def _alter(
    image: MetadataImage,
    settings: ControllerSettings,
    topic: Topic | None,
    target: ReassignablePartition,
    factor_may_change: bool,
) -> PartitionChangeRecord | None:
    partition = None if topic is None else topic.partitions.get(target.partition_index)
    if topic is None or partition is None:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "This topic or partition does not exist."
        )
    if target.replicas is None:
        return _cancel(image, settings, topic, target.partition_index, partition)
    return _begin(
        image,
        settings,
        topic,
        target.partition_index,
        partition,
        target.replicas,
        factor_may_change,
    )


def _begin(
    image: MetadataImage,
    settings: ControllerSettings,
    topic: Topic,
    number: int,
    partition: Partition,
    target: Sequence[int],
    factor_may_change: bool,
) -> PartitionChangeRecord | None:
    check_replicas(image.cluster, number, target)
    if not factor_may_change:
        _check_factor(partition, target)
    removing = sorted(set(partition.replicas) - set(target))
    adding = sorted(set(target) - set(partition.replicas))
    change = begin_change(image, partition, min_isr=effective_min_isr(image, settings, topic))
    change.replicas = [*target, *removing]
    # What an earlier reassignment still adds or removes stays unless this one says otherwise.
    change.removing = removing or change.removing
    change.adding = adding or change.adding
    return change.build(topic.id, number)


def _check_factor(partition: Partition, target: Sequence[int]) -> None:
    replicas = {*partition.replicas, *partition.adding_replicas} - {*partition.removing_replicas}
    if len(replicas) != len(target):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The replication factor would change from {len(replicas)} to {len(target)}.",
        )


def _cancel(
    image: MetadataImage,
    settings: ControllerSettings,
    topic: Topic,
    number: int,
    partition: Partition,
) -> PartitionChangeRecord | None:
    """Back to the replicas from before: those being added go, those being removed stay."""
    if not _in_progress(partition):
        raise KafkaError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    unclean = unclean_election_enabled(image, settings, topic)
    replicas = [r for r in partition.replicas if r not in partition.adding_replicas]
    isr = [r for r in partition.isr if r not in partition.adding_replicas]
    if not replicas:
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT, "All replicas of the partition are being added."
        )
    if not isr:
        if not unclean:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                "No replica from before the reassignment is in sync: going back would take an "
                "unclean leader election.",
            )
        isr = replicas[:1]
    change = begin_change(
        image,
        partition,
        min_isr=effective_min_isr(image, settings, topic),
        election=Election.UNCLEAN if unclean else Election.ONLINE,
    )
    change.isr, change.replicas = isr, replicas
    change.removing, change.adding = [], []
    return change.build(topic.id, number)
