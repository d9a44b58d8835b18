"""CreateTopics, DeleteTopics, CreatePartitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from barnabas.metadata import record_types as r
from barnabas.metadata.controller.partitions import create_partitions
from barnabas.metadata.controller.topic_deletion import delete_topics
from barnabas.metadata.controller.topics import create_topics
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import TOPIC
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.create_partitions_request import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from barnabas.wire.messages.create_topics_request import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.create_topics_response import CreatableTopicResult
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from tests.unit.metadata.cluster import (
    after,
    broker,
    directory,
    image_of,
    partition,
    replayed,
    settings,
    topic,
)

T1, T2 = bytes([1] * 16), bytes([2] * 16)


def three(*records: Any) -> MetadataImage:
    """Brokers 1 to 3; 3 is fenced."""
    return image_of(broker(1), broker(2), broker(3, fenced=True), *records)


def create(
    image: MetadataImage, *topics: CreatableTopic, validate_only: bool = False
) -> tuple[list[CreatableTopicResult], MetadataImage]:
    """Results, and the image afterwards."""
    request = CreateTopicsRequest(list(topics), validate_only=validate_only)
    decision = create_topics(image, settings(), request)
    return decision.response.topics, after(image, decision)


def manual(name: str, *replicas: tuple[int, list[int]], **fields: int) -> CreatableTopic:
    """A topic assigned by hand."""
    assignments = [CreatableReplicaAssignment(n, brokers) for n, brokers in replicas]
    return CreatableTopic(name, fields.get("partitions", -1), fields.get("factor", -1), assignments)


def test_a_topic_with_configs() -> None:
    wanted = CreatableTopic("t", 2, 2, configs=[CreatableTopicConfig("retention.ms", "5")])
    request = CreateTopicsRequest([wanted])
    decision = create_topics(three(), settings(), request)
    # Kafka's order: topic, configs, partitions.
    assert [x.NAME for x in decision.records] == [
        "TopicRecord",
        "ConfigRecord",
        "PartitionRecord",
        "PartitionRecord",
    ]
    image = after(three(), decision)
    (result,) = decision.response.topics
    assert (result.error_code, result.error_message) == (0, None)
    assert (result.num_partitions, result.replication_factor) == (2, 2)
    assert result.topic_id == image.topics.by_name["t"].id
    assert result.configs is not None
    assert ("retention.ms", "5") in [(c.name, c.value) for c in result.configs]
    assert image.configs.of(TOPIC, "t") == {"retention.ms": "5"}
    first = partition(image)
    assert sorted(first.replicas) == [1, 2]
    assert first.isr == first.replicas
    assert first.leader == first.replicas[0]
    assert first.directories == tuple(directory(b) for b in first.replicas)
    assert (first.leader_epoch, first.partition_epoch) == (0, 0)


def test_defaults_stand_in_for_minus_one() -> None:
    (result,), image = create(three(), CreatableTopic("t", -1, -1))
    assert (result.num_partitions, result.replication_factor) == (2, 1)
    assert len(image.topics.by_name["t"].partitions) == 2


def test_validate_only_answers_the_same_and_writes_nothing() -> None:
    image = three()
    (result,), new = create(image, CreatableTopic("t", 1, 1), validate_only=True)
    assert result.error_code == 0
    assert new.topics is image.topics


def test_manual_assignment_fenced_brokers_do_not_join_the_isr() -> None:
    (result,), image = create(three(), manual("t", (1, [2, 1]), (0, [3, 1])))
    assert result.error_code == 0
    assert (partition(image).replicas, partition(image).isr) == ((3, 1), (1,))
    assert partition(image).leader == 1
    assert partition(image, number=1).isr == (2, 1)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (CreatableTopic("", 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (CreatableTopic(".", 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (CreatableTopic("..", 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (CreatableTopic("a b", 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (CreatableTopic("ä", 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (CreatableTopic("a\n", 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (CreatableTopic("a" * 250, 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (CreatableTopic("x_y", 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (CreatableTopic("x.y", 1, 1), ErrorCode.TOPIC_ALREADY_EXISTS),
        (CreatableTopic("__cluster_metadata", 1, 1), ErrorCode.INVALID_REQUEST),
        (CreatableTopic("t", 0, 1), ErrorCode.INVALID_PARTITIONS),
        (CreatableTopic("t", -2, 1), ErrorCode.INVALID_PARTITIONS),
        (CreatableTopic("t", 1, 0), ErrorCode.INVALID_REPLICATION_FACTOR),
        (CreatableTopic("t", 1, -2), ErrorCode.INVALID_REPLICATION_FACTOR),
        (CreatableTopic("t", 1, 4), ErrorCode.INVALID_REPLICATION_FACTOR),
        (
            CreatableTopic("t", 1, 1, configs=[CreatableTopicConfig("a", None)]),
            ErrorCode.INVALID_CONFIG,
        ),
        (
            CreatableTopic("t", 1, 1, configs=[CreatableTopicConfig("a", "bad")]),
            ErrorCode.INVALID_CONFIG,
        ),
        (manual("t", (0, [1]), factor=1), ErrorCode.INVALID_REQUEST),
        (manual("t", (0, [1]), partitions=1), ErrorCode.INVALID_REQUEST),
        (manual("t", (0, [1]), (0, [2])), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (manual("t", (1, [1])), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (manual("t", (0, [])), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (manual("t", (0, [9])), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (manual("t", (0, [1, 1])), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (manual("t", (0, [1]), (1, [1, 2])), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (manual("t", (0, [3])), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
    ],
)
def test_refusals(wanted: CreatableTopic, code: ErrorCode) -> None:
    image = three(*topic("x.y", T1, [(1,)]))
    (result,), new = create(image, wanted)
    assert ErrorCode(result.error_code) is code
    assert result.error_message
    assert (result.num_partitions, result.topic_id) == (-1, uuids.ZERO)
    assert new.topics is image.topics


def test_one_refused_topic_does_not_hinder_the_others() -> None:
    results, image = create(three(), CreatableTopic("", 1, 1), CreatableTopic("t", 1, 1))
    assert [r.error_code for r in results] == [ErrorCode.INVALID_TOPIC_EXCEPTION, 0]
    assert list(image.topics.by_name) == ["t"]


def test_a_name_twice_in_a_request_is_created_not_even_once() -> None:
    results, image = create(three(), CreatableTopic("t", 1, 1), CreatableTopic("t", 2, 1))
    assert [(r.name, r.error_code) for r in results] == [("t", ErrorCode.INVALID_REQUEST)]
    assert not image.topics.by_name


def test_no_broker_no_topic() -> None:
    (result,), _ = create(image_of(broker(3, fenced=True)), CreatableTopic("t", 1, 1))
    assert result.error_code == ErrorCode.INVALID_REPLICATION_FACTOR


def test_too_many_partitions_at_once() -> None:
    with pytest.raises(KafkaError) as refused:
        create(three(), CreatableTopic("t", 9_999, 1), CreatableTopic("u", -1, 1))
    assert refused.value.code is ErrorCode.POLICY_VIOLATION


def delete(image: MetadataImage, *states: DeleteTopicState, names: tuple[str, ...] = ()) -> Any:
    """(name, id, error) of each result, and the image afterwards."""
    request = DeleteTopicsRequest(list(states), list(names))
    decision = delete_topics(image, settings(), request)
    results = [(x.name, x.topic_id, ErrorCode(x.error_code)) for x in decision.response.responses]
    return results, after(image, decision)


def test_delete_by_name_and_by_id() -> None:
    image = three(*topic("t", T1, [(1,)]), *topic("u", T2, [(1,)]))
    results, image = delete(image, DeleteTopicState("t"), DeleteTopicState(None, T2))
    assert sorted(results) == [("t", T1, ErrorCode.NONE), ("u", T2, ErrorCode.NONE)]
    assert not image.topics.by_id


def test_delete_by_the_old_list_of_names() -> None:
    _, image = delete(three(*topic("t", T1, [(1,)])), names=("t",))
    assert not image.topics.by_id


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([DeleteTopicState("x")], [("x", uuids.ZERO, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)]),
        ([DeleteTopicState(None, T2)], [(None, T2, ErrorCode.UNKNOWN_TOPIC_ID)]),
        ([DeleteTopicState(None)], [(None, uuids.ZERO, ErrorCode.INVALID_REQUEST)]),
        ([DeleteTopicState("t", T1)], [("t", T1, ErrorCode.INVALID_REQUEST)]),
        ([DeleteTopicState("t")] * 3, [("t", uuids.ZERO, ErrorCode.INVALID_REQUEST)]),
        ([DeleteTopicState(None, T1)] * 2, [(None, T1, ErrorCode.INVALID_REQUEST)]),
        (
            [DeleteTopicState("t"), DeleteTopicState(None, T1)],
            [("t", T1, ErrorCode.INVALID_REQUEST)],
        ),
    ],
)
def test_deletions_that_are_refused(states: list[DeleteTopicState], expected: Any) -> None:
    image = three(*topic("t", T1, [(1,)]))
    results, new = delete(image, *states)
    assert results == expected
    assert new.topics is image.topics


def test_deletion_can_be_switched_off() -> None:
    closed = replace(settings(), delete_topic_enable=False)
    with pytest.raises(KafkaError) as refused:
        delete_topics(three(), closed, DeleteTopicsRequest())
    assert refused.value.code is ErrorCode.TOPIC_DELETION_DISABLED


def grow(
    image: MetadataImage,
    *topics: CreatePartitionsTopic,
    validate_only: bool = False,
) -> tuple[list[ErrorCode], MetadataImage]:
    """Codes, and the image afterwards."""
    request = CreatePartitionsRequest(list(topics), validate_only=validate_only)
    decision = create_partitions(image, settings(), request)
    codes = [ErrorCode(x.error_code) for x in decision.response.results]
    return codes, after(image, decision)


def test_partitions_are_added_with_the_topics_replication_factor() -> None:
    image = three(*topic("t", T1, [(1, 2)]))
    codes, image = grow(image, CreatePartitionsTopic("t", 3, None))
    assert codes == [ErrorCode.NONE]
    assert list(image.topics.by_name["t"].partitions) == [0, 1, 2]
    assert len(partition(image, number=2).replicas) == 2


def test_partitions_are_added_as_assigned() -> None:
    assigned = CreatePartitionsTopic("t", 2, [CreatePartitionsAssignment([2])])
    codes, image = grow(three(*topic("t", T1, [(1,)])), assigned)
    assert codes == [ErrorCode.NONE]
    assert partition(image, number=1).replicas == (2,)
    assert partition(image, number=0).replicas == (1,)


def test_growing_only_for_validation() -> None:
    image = three(*topic("t", T1, [(1,)]))
    codes, new = grow(image, CreatePartitionsTopic("t", 2, None), validate_only=True)
    assert codes == [ErrorCode.NONE]
    assert new.topics is image.topics


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (CreatePartitionsTopic("x", 2, None), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (CreatePartitionsTopic("t", 2, None), ErrorCode.INVALID_PARTITIONS),
        (CreatePartitionsTopic("t", 1, None), ErrorCode.INVALID_PARTITIONS),
        (CreatePartitionsTopic("t", -1, None), ErrorCode.INVALID_PARTITIONS),
        (CreatePartitionsTopic("t", 2**31 - 1, None), ErrorCode.POLICY_VIOLATION),
        (CreatePartitionsTopic("t", 3, []), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (
            CreatePartitionsTopic("t", 3, [CreatePartitionsAssignment([1, 2])]),
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        ),
        (
            CreatePartitionsTopic("t", 3, [CreatePartitionsAssignment([3])]),
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        ),
    ],
)
def test_growth_that_is_refused(wanted: CreatePartitionsTopic, code: ErrorCode) -> None:
    image = three(*topic("t", T1, [(1,), (1,)]))
    codes, new = grow(image, wanted)
    assert codes == [code]
    assert new.topics is image.topics


def test_a_topic_twice_in_a_request_does_not_grow() -> None:
    wanted = CreatePartitionsTopic("t", 2, None)
    codes, image = grow(three(*topic("t", T1, [(1,)])), wanted, wanted)
    assert codes == [ErrorCode.INVALID_REQUEST]
    assert len(image.topics.by_name["t"].partitions) == 1


def test_directories_of_brokers_with_several_are_chosen_by_the_broker() -> None:
    many = broker(1)
    many.log_dirs = [T1, T2]
    (result,), image = create(image_of(many), CreatableTopic("t", 1, 1))
    assert result.error_code == 0
    assert partition(image).directories == (bytes(15) + b"\x01",)


def test_records_of_an_old_level_carry_no_directories() -> None:
    image = image_of(r.TopicRecord("old", T2), level=16)
    old = broker(1)
    old.log_dirs = []
    image = replayed(image, [old])
    (result,), image = create(image, CreatableTopic("t", 1, 1))
    assert result.error_code == 0
    assert partition(image).directories == (uuids.ZERO,)
