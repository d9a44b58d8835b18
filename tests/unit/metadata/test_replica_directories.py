"""AssignReplicasToDirs: where a broker says its replicas are."""

from __future__ import annotations

import pytest

from barnabas.metadata import record_types as r
from barnabas.metadata.controller.replica_directories import assign_replicas
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.partition import NO_LEADER
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.assign_replicas_to_dirs_request import (
    AssignReplicasToDirsRequest,
    DirectoryData,
    PartitionData,
    TopicData,
)
from tests.unit.metadata.cluster import broker, directory, image_of, replayed, settings, topic

T1, NEW, GONE = bytes([1] * 16), bytes([0xEE] * 16), bytes([0xEF] * 16)


def request(
    where: bytes, *replicas: tuple[bytes, int], broker_id: int = 1, epoch: int = 101
) -> AssignReplicasToDirsRequest:
    """Replicas (topic id, partition) of one directory."""
    topics = [TopicData(topic_id, [PartitionData(index)]) for topic_id, index in replicas]
    return AssignReplicasToDirsRequest(broker_id, epoch, [DirectoryData(where, topics)])


def two_directories() -> MetadataImage:
    """Broker 1 with two directories; t-0 on brokers 1 and 2, t-1 on broker 1."""
    many = broker(1)
    many.log_dirs = [directory(1), NEW]
    return image_of(many, broker(2), broker(3), *topic("t", T1, [(1, 2), (1,)]))


def test_the_directory_of_a_replica_is_noted_and_nothing_else_changes() -> None:
    image = two_directories()
    before = image.topics.by_id[T1].partitions
    decision = assign_replicas(image, settings(), request(NEW, (T1, 0), (T1, 1)))
    after = replayed(image, decision.records).topics.by_id[T1].partitions
    assert [after[n].directory(1) for n in range(2)] == [NEW, NEW]
    assert after[0].directory(2) == directory(2)
    for index in range(2):
        assert after[index].leader_epoch == before[index].leader_epoch
        assert (after[index].leader, after[index].isr) == (before[index].leader, before[index].isr)
    again = assign_replicas(replayed(image, decision.records), settings(), request(NEW, (T1, 0)))
    assert again.records == []


def test_a_replica_in_a_failed_directory_leaves_the_isr() -> None:
    image = two_directories()
    decision = assign_replicas(image, settings(), request(GONE, (T1, 0), (T1, 1)))
    after = replayed(image, decision.records).topics.by_id[T1].partitions
    assert (after[0].leader, after[0].isr, after[0].directory(1)) == (2, (2,), GONE)
    assert (after[1].leader, after[1].directory(1)) == (NO_LEADER, GONE)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ((GONE, 0), ErrorCode.UNKNOWN_TOPIC_ID),
        ((T1, 7), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    ],
)
def test_what_is_not_there_is_said_per_partition(asked: tuple[bytes, int], code: int) -> None:
    decision = assign_replicas(two_directories(), settings(), request(NEW, asked, (T1, 0)))
    topics = decision.response.directories[0].topics
    assert [t.partitions[0].error_code for t in topics] == [code, 0]
    assert len(decision.records) == 1


def test_a_broker_can_only_speak_of_its_own_replicas() -> None:
    image = two_directories()
    asked = request(directory(3), (T1, 0), broker_id=3, epoch=103)
    decision = assign_replicas(image, settings(), asked)
    code = decision.response.directories[0].topics[0].partitions[0].error_code
    assert (code, decision.records) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, [])
    with pytest.raises(KafkaError) as stale:
        assign_replicas(image, settings(), request(NEW, (T1, 0), epoch=1))
    assert stale.value.code is ErrorCode.STALE_BROKER_EPOCH


def test_before_directory_assignment_there_is_nothing_to_say() -> None:
    image = replayed(two_directories(), [r.FeatureLevelRecord("metadata.version", 16)])
    with pytest.raises(KafkaError) as refused:
        assign_replicas(image, settings(), request(NEW, (T1, 0)))
    assert refused.value.code is ErrorCode.UNSUPPORTED_VERSION
