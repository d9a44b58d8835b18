"""The picture of the cluster that Metadata responses add up to."""

from __future__ import annotations

from barnabas.client.metadata import MetadataCache
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.metadata_response import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

ID = bytes(range(16))
OTHER_ID = bytes(16)


def response(leader: int, epoch: int, *, topic_id: bytes = ID, name: str = "t") -> MetadataResponse:
    partition = MetadataResponsePartition(
        partition_index=0, leader_id=leader, leader_epoch=epoch, replica_nodes=[1, 2], isr_nodes=[1]
    )
    topic = MetadataResponseTopic(name=name, topic_id=topic_id, partitions=[partition])
    brokers = [MetadataResponseBroker(node_id=n, host=f"h{n}", port=9000 + n) for n in (1, 2)]
    return MetadataResponse(brokers=brokers, cluster_id="c", controller_id=1, topics=[topic])


def test_a_response_names_nodes_and_leaders() -> None:
    cache = MetadataCache()
    assert cache.leader("t", 0) == -1
    cache.update(response(1, 5), 77)
    assert cache.nodes[2].host == "h2"
    assert cache.leader("t", 0) == 1
    assert cache.leader("t", 1) == -1
    assert (cache.cluster_id, cache.controller, cache.updated_ms) == ("c", 1, 77)


def test_an_older_epoch_does_not_win() -> None:
    cache = MetadataCache()
    cache.update(response(1, 5), 0)
    cache.update(response(2, 4), 1)
    assert cache.leader("t", 0) == 1
    cache.update(response(2, 6), 2)
    assert cache.leader("t", 0) == 2


def test_a_topic_made_anew_starts_over_with_its_epochs() -> None:
    cache = MetadataCache()
    cache.update(response(1, 5), 0)
    cache.update(response(2, 0, topic_id=OTHER_ID), 1)
    assert cache.leader("t", 0) == 2


def test_topics_that_are_not_mentioned_stay() -> None:
    cache = MetadataCache()
    cache.update(response(1, 5), 0)
    cache.update(response(1, 5, name="u"), 1)
    assert set(cache.topics) == {"t", "u"}


def test_a_leader_that_is_no_live_node_is_none() -> None:
    cache = MetadataCache()
    cache.update(response(9, 5), 0)
    assert cache.leader("t", 0) == -1


def test_a_hint_moves_the_leader_only_when_it_is_news() -> None:
    cache = MetadataCache()
    cache.update(response(1, 5), 0)
    cache.moved("t", 0, 2, 5)
    cache.moved("t", 0, 9, 6)
    cache.moved("nope", 0, 2, 6)
    assert cache.leader("t", 0) == 1
    cache.moved("t", 0, 2, 6)
    assert cache.leader("t", 0) == 2


def test_an_error_code_newer_than_this_client_is_an_unknown_error() -> None:
    cache = MetadataCache()
    odd = response(1, 5)
    odd.topics[0].error_code = 999
    cache.update(odd, 0)
    assert cache.topics["t"].error is ErrorCode.UNKNOWN_SERVER_ERROR
