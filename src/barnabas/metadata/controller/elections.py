"""ElectLeaders (KIP-183, KIP-460): preferred and unclean elections on demand."""

from __future__ import annotations

from enum import IntEnum

from barnabas.metadata.controller.decision import (
    ControllerSettings,
    Decision,
    check_record_count,
)
from barnabas.metadata.controller.leadership import begin_change, effective_min_isr
from barnabas.metadata.controller.partition_change import Election
from barnabas.metadata.image import MetadataImage, Partition, Topic
from barnabas.metadata.image.partition import NO_LEADER
from barnabas.metadata.record_types import PartitionChangeRecord
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.elect_leaders_request import ElectLeadersRequest
from barnabas.wire.messages.elect_leaders_response import (
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)


class ElectionType(IntEnum):
    """Kafka's numbers."""

    PREFERRED = 0
    UNCLEAN = 1


def elect_leaders(
    image: MetadataImage, settings: ControllerSettings, request: ElectLeadersRequest
) -> Decision[ElectLeadersResponse]:
    """Elect leaders of the partitions asked for, or of all (null); each succeeds for itself.

    Of all, those whose leader is already the wanted one are not listed. Raises KafkaError:
    INVALID_REQUEST for an unknown kind of election, POLICY_VIOLATION when the request needs too
    many records.
    """
    response = ElectLeadersResponse()
    wanted = request.topic_partitions
    if wanted is not None and not wanted:
        return Decision((), response)
    try:
        kind = ElectionType(request.election_type)
    except ValueError:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Unknown election type {request.election_type}."
        ) from None
    elections = _Elections(image, settings, kind)
    if wanted is None:
        for name, topic in image.topics.by_name.items():
            results = [elections.hold(topic, n, p) for n, p in topic.partitions.items()]
            changed = [r for r in results if r.error_code != ErrorCode.ELECTION_NOT_NEEDED]
            response.replica_election_results.append(ReplicaElectionResult(name, changed))
    else:
        for each in wanted:
            results = [elections.hold_named(each.topic, n) for n in each.partitions]
            response.replica_election_results.append(ReplicaElectionResult(each.topic, results))
    return Decision(elections.records, response)


class _Elections:
    """One request's elections; `records` grows with each that changes something."""

    def __init__(
        self, image: MetadataImage, settings: ControllerSettings, kind: ElectionType
    ) -> None:
        self.records: list[PartitionChangeRecord] = []
        self._image = image
        self._settings = settings
        self._kind = kind
        self._min_isr: dict[bytes, int] = {}

    def hold_named(self, name: str, number: int) -> PartitionResult:
        """The election of a partition that may not exist."""
        topic = self._image.topics.by_name.get(name)
        partition = None if topic is None else topic.partitions.get(number)
        if topic is None or partition is None:
            missing = f"topic {name}" if topic is None else f"partition {name}-{number}"
            return PartitionResult(
                number, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no {missing}."
            )
        return self.hold(topic, number, partition)

    def hold(self, topic: Topic, number: int, partition: Partition) -> PartitionResult:
        """The election of one partition."""
        preferred = self._kind is ElectionType.PREFERRED
        wanted = partition.replicas[0] if preferred else partition.leader
        if wanted != NO_LEADER and partition.leader == wanted:
            return PartitionResult(
                number,
                ErrorCode.ELECTION_NOT_NEEDED,
                "The partition has the leader that this election would give it.",
            )
        min_isr = self._min_isr.get(topic.id)
        if min_isr is None:
            min_isr = effective_min_isr(self._image, self._settings, topic)
            self._min_isr[topic.id] = min_isr
        change = begin_change(
            self._image,
            partition,
            min_isr=min_isr,
            election=Election.PREFERRED if preferred else Election.UNCLEAN,
        )
        record = change.build(topic.id, number)
        if record is None:
            if preferred:
                code, text = ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, "The first replica"
            else:
                code, text = ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, "No replica"
            return PartitionResult(number, code, f"{text} can lead now.")
        self.records.append(record)
        check_record_count(self.records)
        return PartitionResult(number, error_message=None)
