"""AlterPartitionReassignments and ListPartitionReassignments."""

from __future__ import annotations

import pytest

from barnabas.metadata.controller.reassignments import alter_reassignments, list_reassignments
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.record_types import PartitionChangeRecord
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.alter_partition_reassignments_request import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from barnabas.wire.messages.list_partition_reassignments_request import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
)
from tests.unit.metadata.cluster import (
    after,
    broker,
    image_of,
    partition,
    replayed,
    settings,
    topic,
)

T, U = bytes([1] * 16), bytes([2] * 16)
OK = (ErrorCode.NONE, None)


@pytest.fixture
def image() -> MetadataImage:
    """Four brokers; t has a partition on 1 and 2, and one on 3."""
    brokers = [broker(n) for n in (1, 2, 3, 4)]
    return image_of(*brokers, *topic("t", T, [[1, 2], [3]]), *topic("u", U, [[1]]))


def request(
    targets: dict[int, list[int] | None], *, name: str = "t", factor_may_change: bool = True
) -> AlterPartitionReassignmentsRequest:
    partitions = [ReassignablePartition(n, replicas) for n, replicas in targets.items()]
    return AlterPartitionReassignmentsRequest(
        allow_replication_factor_change=factor_may_change,
        topics=[ReassignableTopic(name, partitions)],
    )


def reassigned(
    image: MetadataImage,
    targets: dict[int, list[int] | None],
    *,
    factor_may_change: bool = True,
) -> MetadataImage:
    """The image after a request that must succeed."""
    decided = alter_reassignments(
        image, settings(), request(targets, factor_may_change=factor_may_change)
    )
    for result in decided.response.responses[0].partitions:
        assert (result.error_code, result.error_message) == OK
    return after(image, decided)


def refusals(image: MetadataImage, asked: AlterPartitionReassignmentsRequest) -> list[int]:
    """Error codes of a request that must not change anything."""
    decided = alter_reassignments(image, settings(), asked)
    assert not decided.records
    return [p.error_code for r in decided.response.responses for p in r.partitions]


def listed(image: MetadataImage, *names: tuple[str, list[int]]) -> dict[str, list[int]]:
    asked = [ListPartitionReassignmentsTopics(*n) for n in names] if names else None
    found = list_reassignments(image, ListPartitionReassignmentsRequest(topics=asked))
    assert (found.error_code, found.error_message) == OK
    return {t.name: [p.partition_index for p in t.partitions] for t in found.topics}


def test_the_same_replicas_are_no_change(image: MetadataImage) -> None:
    decided = alter_reassignments(image, settings(), request({0: [1, 2], 1: [3]}))
    assert not decided.records
    assert [p.error_code for p in decided.response.responses[0].partitions] == [0, 0]


def test_another_order_is_reached_at_once(image: MetadataImage) -> None:
    changed = reassigned(image, {0: [2, 1]})
    assert partition(changed).replicas == (2, 1)
    assert partition(changed).leader == 1
    assert listed(changed) == {}


def test_new_replicas_have_to_catch_up_before_old_ones_go(image: MetadataImage) -> None:
    going = reassigned(image, {0: [3, 4]})
    now = partition(going)
    assert now.replicas == (3, 4, 1, 2)
    assert (now.adding_replicas, now.removing_replicas) == ((3, 4), (1, 2))
    assert (now.isr, now.leader) == ((1, 2), 1)
    found = list_reassignments(going, ListPartitionReassignmentsRequest(topics=None)).topics[0]
    assert (found.name, found.partitions[0].replicas) == ("t", [3, 4, 1, 2])
    assert found.partitions[0].adding_replicas == [3, 4]
    assert found.partitions[0].removing_replicas == [1, 2]


def test_fewer_replicas_need_nobody_to_catch_up(image: MetadataImage) -> None:
    done = partition(reassigned(image, {0: [2]}))
    assert (done.replicas, done.isr, done.leader) == ((2,), (2,), 2)
    assert (done.adding_replicas, done.removing_replicas) == ((), ())


def test_a_reassignment_is_taken_back(image: MetadataImage) -> None:
    going = reassigned(image, {0: [3, 4]})
    back = partition(reassigned(going, {0: None}))
    assert (back.replicas, back.isr, back.leader) == ((1, 2), (1, 2), 1)
    assert (back.adding_replicas, back.removing_replicas) == ((), ())


def test_going_back_needs_an_old_replica_in_sync(image: MetadataImage) -> None:
    going = reassigned(image, {0: [3, 4]})
    moved = PartitionChangeRecord(partition_id=0, topic_id=T, isr=[3], leader=3)
    going = replayed(going, [moved])
    cancel = request({0: None})
    assert refusals(going, cancel) == [ErrorCode.INVALID_REPLICA_ASSIGNMENT]
    decided = alter_reassignments(going, settings(unclean="true"), cancel)
    back = partition(after(going, decided))
    assert (back.replicas, back.isr, back.leader) == ((1, 2), (1,), 1)


def test_a_new_target_keeps_what_it_does_not_change(image: MetadataImage) -> None:
    """Kafka's rule: an empty difference leaves the list of the reassignment before."""
    going = reassigned(image, {1: [3, 4]})
    assert partition(going, number=1).adding_replicas == (4,)
    more = partition(reassigned(going, {1: [4, 3]}), number=1)
    assert (more.replicas, more.adding_replicas) == ((4, 3), (4,))


def test_what_cannot_be_reassigned(image: MetadataImage) -> None:
    invalid = ErrorCode.INVALID_REPLICA_ASSIGNMENT
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    idle = ErrorCode.NO_REASSIGNMENT_IN_PROGRESS
    for targets, code in (
        ({0: [1, 9]}, invalid),
        ({0: []}, invalid),
        ({0: [1, 1]}, invalid),
        ({0: None}, idle),
        ({7: [1]}, unknown),
        ({7: None}, unknown),
    ):
        assert refusals(image, request(targets)) == [code], targets  # type: ignore[arg-type]
    assert refusals(image, request({0: [1]}, name="none")) == [unknown]


def test_one_bad_partition_does_not_stop_the_others(image: MetadataImage) -> None:
    decided = alter_reassignments(image, settings(), request({0: [2, 1], 1: [9]}))
    answered = [p.error_code for p in decided.response.responses[0].partitions]
    assert answered == [ErrorCode.NONE, ErrorCode.INVALID_REPLICA_ASSIGNMENT]
    assert partition(after(image, decided)).replicas == (2, 1)


def test_the_replication_factor_may_be_held(image: MetadataImage) -> None:
    refused = [ErrorCode.INVALID_REPLICATION_FACTOR]
    assert refusals(image, request({0: [1]}, factor_may_change=False)) == refused
    assert refusals(image, request({0: [1, 2, 3]}, factor_may_change=False)) == refused
    going = reassigned(image, {0: [3, 4]}, factor_may_change=False)
    # Counted is what it will be: four replicas now, two in the end.
    again = reassigned(going, {0: [1, 4]}, factor_may_change=False)
    assert set(partition(again).replicas) == {1, 2, 3, 4}


def test_only_what_is_asked_for_is_listed(image: MetadataImage) -> None:
    going = reassigned(image, {0: [3, 4], 1: [4]})
    assert listed(going) == {"t": [0, 1]}
    assert listed(going, ("t", [1, 8]), ("u", [0]), ("none", [0])) == {"t": [1]}
    nothing = list_reassignments(going, ListPartitionReassignmentsRequest(topics=[]))
    assert nothing.topics == []


def test_an_empty_request_is_answered_with_the_defaults(image: MetadataImage) -> None:
    empty = AlterPartitionReassignmentsRequest(allow_replication_factor_change=False)
    response = alter_reassignments(image, settings(), empty).response
    assert response.allow_replication_factor_change
    assert response.error_message == ""
