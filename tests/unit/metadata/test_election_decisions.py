"""ElectLeaders: who becomes leader, and what is said where nobody does."""

from __future__ import annotations

import pytest

from barnabas.metadata.controller import decision as limits
from barnabas.metadata.controller.elections import elect_leaders
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.record_types import PartitionChangeRecord
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.elect_leaders_request import ElectLeadersRequest, TopicPartitions
from barnabas.wire.messages.elect_leaders_response import ElectLeadersResponse
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
PREFERRED, UNCLEAN = 0, 1


def led_by(
    image: MetadataImage, leader: int, number: int = 0, **fields: list[int]
) -> MetadataImage:
    change = PartitionChangeRecord(partition_id=number, topic_id=T, leader=leader)
    change.isr = fields.get("isr")
    change.eligible_leader_replicas = fields.get("elr")
    change.last_known_elr = fields.get("last_known")
    return replayed(image, [change])


def request(kind: int, *wanted: tuple[str, list[int]]) -> ElectLeadersRequest:
    return ElectLeadersRequest(kind, [TopicPartitions(*each) for each in wanted])


def codes(response: ElectLeadersResponse) -> dict[str, list[tuple[int, int]]]:
    return {
        r.topic: [(p.partition_id, p.error_code) for p in r.partition_result]
        for r in response.replica_election_results
    }


@pytest.fixture
def three() -> MetadataImage:
    """Three brokers; partition 0 of t prefers 1, partition 1 prefers 2."""
    brokers = [broker(n) for n in (1, 2, 3)]
    return image_of(*brokers, *topic("t", T, [[1, 2, 3], [2, 1, 3]]), *topic("u", U, [[3, 1]]))


def test_the_preferred_leader_takes_over(three: MetadataImage) -> None:
    image = led_by(three, 2)
    decided = elect_leaders(image, settings(), request(PREFERRED, ("t", [0])))
    assert codes(decided.response) == {"t": [(0, ErrorCode.NONE)]}
    assert decided.response.replica_election_results[0].partition_result[0].error_message is None
    elected = partition(after(image, decided))
    assert (elected.leader, elected.leader_epoch) == (1, partition(image).leader_epoch + 1)
    assert elected.isr == (1, 2, 3)


def test_each_partition_has_its_own_answer(three: MetadataImage) -> None:
    image = led_by(led_by(three, 2), 3, 1)
    image = replayed(image, [broker(2, fenced=True)])
    wanted = request(PREFERRED, ("t", [0, 1, 9]), ("u", [0]), ("none", [0]))
    decided = elect_leaders(image, settings(), wanted)
    assert codes(decided.response) == {
        "t": [
            (0, ErrorCode.NONE),
            (1, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
            (9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ],
        "u": [(0, ErrorCode.ELECTION_NOT_NEEDED)],
        "none": [(0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)],
    }
    assert len(decided.records) == 1


def test_of_all_partitions_only_those_that_change_are_listed(three: MetadataImage) -> None:
    image = led_by(three, 2)
    decided = elect_leaders(image, settings(), ElectLeadersRequest(PREFERRED, None))
    assert codes(decided.response) == {"t": [(0, ErrorCode.NONE)], "u": []}


def test_of_no_partitions_nothing_is_elected_whatever_the_kind(three: MetadataImage) -> None:
    decided = elect_leaders(three, settings(), ElectLeadersRequest(77, []))
    assert decided.records == ()
    assert decided.response == ElectLeadersResponse()


def test_an_unclean_election_takes_whoever_lives() -> None:
    """Nobody is in sync; kafka's rule is the first replica that lives."""
    brokers = [broker(1, fenced=True), broker(2), broker(3)]
    image = image_of(*brokers, *topic("t", T, [[1, 2, 3]]), elr=False)
    image = led_by(image, -1, isr=[1])
    decided = elect_leaders(image, settings(), request(UNCLEAN, ("t", [0])))
    assert codes(decided.response) == {"t": [(0, ErrorCode.NONE)]}
    elected = partition(after(image, decided))
    assert (elected.leader, elected.isr) == (2, (2,))
    again = elect_leaders(after(image, decided), settings(), request(UNCLEAN, ("t", [0])))
    assert codes(again.response) == {"t": [(0, ErrorCode.ELECTION_NOT_NEEDED)]}


def test_nobody_to_elect() -> None:
    image = image_of(broker(1, fenced=True), *topic("t", T, [[1]]), elr=False)
    image = led_by(image, -1, isr=[1])
    for kind, code in (
        (PREFERRED, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
        (UNCLEAN, ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE),
    ):
        decided = elect_leaders(image, settings(), request(kind, ("t", [0])))
        assert codes(decided.response) == {"t": [(0, code)]}
        assert not decided.records


def test_an_unknown_kind_of_election_is_refused(three: MetadataImage) -> None:
    with pytest.raises(KafkaError) as refused:
        elect_leaders(three, settings(), request(2, ("t", [0])))
    assert refused.value.code is ErrorCode.INVALID_REQUEST


def test_too_many_elections_are_refused(
    three: MetadataImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_RECORDS_PER_USER_OPERATION", 2)
    image = led_by(three, 2)
    elect_leaders(image, settings(), request(PREFERRED, ("t", [0, 0])))
    with pytest.raises(KafkaError) as refused:
        elect_leaders(image, settings(), request(PREFERRED, ("t", [0, 0, 0])))
    assert refused.value.code is ErrorCode.POLICY_VIOLATION
