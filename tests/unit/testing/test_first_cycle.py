"""The first use of a fresh test broker: nobody is sent away to come back later."""

from __future__ import annotations

from barnabas.sync import Consumer, Producer
from barnabas.testing import Broker

ONCE = {
    "FindCoordinator": 1,
    "SyncGroup": 1,
    "OffsetFetch": 1,
    "Produce": 1,
}
"""What one event needs of each, whatever the protocol; a client that is refused asks again."""


def asked_of(broker: Broker) -> dict[str, int]:
    """How often the broker was asked, by API."""
    node = broker._node
    assert node is not None
    return {times.name: times.total.count for times in node.broker.recorder.apis.values()}


def first_event(broker: Broker, protocol: str) -> None:
    """Send an event to a topic that is not there, and read it in a new group."""
    servers = {"bootstrap.servers": broker.bootstrap_servers}
    with Producer(servers) as producer:
        producer.send("fresh", b"hello")
    settings = {**servers, "group.id": "g", "group.protocol": protocol}
    with Consumer("fresh", {**settings, "auto.offset.reset": "earliest"}) as consumer:
        for record in consumer:
            assert record.value == b"hello"
            break


def test_the_first_event_of_a_classic_group_needs_no_second_try() -> None:
    with Broker() as broker:
        first_event(broker, "classic")
        asked = asked_of(broker)
    assert {name: asked.get(name) for name in ONCE} == ONCE
    # The first JoinGroup is told an id (KIP-394), the second is in.
    assert asked["JoinGroup"] == 2


def test_the_first_event_of_a_consumer_group_needs_no_second_try() -> None:
    with Broker() as broker:
        first_event(broker, "consumer")
        asked = asked_of(broker)
    wanted = {name: count for name, count in ONCE.items() if name != "SyncGroup"}
    assert {name: asked.get(name) for name in wanted} == wanted


def test_a_producer_asks_once_for_the_metadata_of_a_topic_that_is_not_there() -> None:
    with Broker() as broker:
        with Producer({"bootstrap.servers": broker.bootstrap_servers}) as producer:
            before = asked_of(broker).get("Metadata", 0)
            producer.send("fresh", b"hello")
            producer.flush()
        asked = asked_of(broker)
    assert asked["Metadata"] == before + 1
