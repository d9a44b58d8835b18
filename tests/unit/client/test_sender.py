"""The sender against a node in the simulator: topics to come, many at once, faults, what is told."""

from __future__ import annotations

from random import Random

import pytest

from barnabas.client.cluster import Cluster
from barnabas.client.config import ClientConfig, ProducerConfig
from barnabas.client.deliveries import Delivery
from barnabas.client.errors import ClientError, DeliveryFailed, RecordTooLarge
from barnabas.client.sender import Sender
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.message import Message
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.produce_request import ProduceRequest
from barnabas.wire.messages.produce_response import (
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from tests.unit.client.fake_node import PORT, TOPIC_ID, FakeConnection, FakeNode, refuse, silence
from tests.unit.client.test_faces import FAULTS, play

SMALL = ProducerConfig(batch_size=150, linger_ms=1)


def took(sender: Sender, value: bytes, topic: str = "t") -> Delivery:
    delivery = sender.try_send(topic, value)
    assert delivery is not None
    return delivery


def test_a_record_waits_for_its_topic_in_order() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        async with Sender(cluster, SMALL) as sender:
            sent = [took(sender, b"%d" % n) for n in range(50)]
            assert sender.buffered_bytes > 0
            assert [(await delivery).offset for delivery in sent] == list(range(50))
            assert sender.buffered_bytes == 0
        assert [record.value for record in node.records(0)] == [b"%d" % n for n in range(50)]

    play(work)


def test_flush_waits_for_topics_that_are_looked_up() -> None:
    async def work(cluster: Cluster, _node: FakeNode) -> None:
        async with Sender(cluster, ProducerConfig(linger_ms=60_000)) as sender:
            delivery = took(sender, b"x")
            await sender.flush()
            assert delivery.done()
            assert delivery.result().offset == 0

    play(work)


def test_a_topic_that_can_not_be_looked_up_fails_its_records() -> None:
    async def work(cluster: Cluster, _node: FakeNode) -> None:
        async with Sender(cluster, ProducerConfig(max_block_ms=3000)) as sender:
            delivery = took(sender, b"x", "other")
            begun = cluster.ports.clock.monotonic_ms()
            with pytest.raises(KafkaError, match="no answer about topic 'other'"):
                await delivery
            assert cluster.ports.clock.monotonic_ms() - begun < 10_000
            assert sender.buffered_bytes == 0

    play(work)


def test_what_waits_for_its_topic_is_refused_alone() -> None:
    async def work(cluster: Cluster, _node: FakeNode) -> None:
        async with Sender(cluster, ProducerConfig(max_request_size=1000)) as sender:
            large = took(sender, b"x" * 2000)
            far = sender.try_send("t", b"far", partition=9)
            good = took(sender, b"good")
            with pytest.raises(RecordTooLarge):
                await large
            assert far is not None
            with pytest.raises(ValueError, match="partitions 0 to 0, not 9"):
                await far
            assert (await good).offset == 0

    play(work)


@pytest.mark.parametrize("number", range(8))
def test_many_are_neither_lost_nor_doubled_whatever_the_connection_does(
    number: int, seed: int
) -> None:
    chance = Random(f"{seed}/many/{number}")

    def prepare(node: FakeNode) -> None:
        node.faults.extend(chance.choices(FAULTS, k=30))

    async def work(cluster: Cluster, node: FakeNode) -> None:
        values: list[bytes | None] = [b"%d" % n for n in range(400)]
        keys: list[bytes | None] = [b"k%d" % (n % 7) for n in range(400)]
        small = ProducerConfig(batch_size=200, linger_ms=1, buffer_memory=3000)
        async with Sender(cluster, small) as sender:
            first = await sender.send_many("t", values[:300], keys=keys[:300])
            second = await sender.send_many("t", values[300:], keys=keys[300:])
            ranges = [*await first, *await second]
        assert sum(each.records for each in ranges) == 400
        found = []
        for partition in range(3):
            mine = [int(record.value or b"") for record in node.records(partition)]
            for key in range(7):
                group = [n for n in mine if n % 7 == key]
                assert group == sorted(group)
            found += mine
        assert sorted(found) == list(range(400))

    play(work, seed=chance.randrange(1 << 30), partitions=3, prepare=prepare)


def test_many_wait_for_memory() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        small = ProducerConfig(batch_size=1000, buffer_memory=5000, linger_ms=1)
        most = 0
        async with Sender(cluster, small) as sender:
            await sender.prepare("t")
            for _ in range(20):
                await sender.send_many("t", [b"x" * 400] * 10)
                most = max(most, sender.buffered_bytes)
        assert len(node.records(0)) == 200
        # One call's chunk may go beyond it.
        assert most < 5000 + 10 * 414

    play(work)


def test_a_failure_that_nobody_asked_for_is_told_by_flush() -> None:
    def prepare(node: FakeNode) -> None:
        node.faults.extend([refuse(ErrorCode.INVALID_RECORD)] * 2)

    async def work(cluster: Cluster, _node: FakeNode) -> None:
        sender = Sender(cluster, ProducerConfig(linger_ms=0))
        await sender.send_many("t", [b"a", b"b", b"c"])
        with pytest.raises(DeliveryFailed, match=r"3 records were not delivered.*INVALID_RECORD"):
            await sender.flush()
        asked = took(sender, b"d")
        with pytest.raises(KafkaError, match="INVALID_RECORD"):
            await asked
        await sender.flush()  # it was told, and the others were before
        await sender.close()

    play(work, prepare=prepare)


def test_close_without_flush_fails_what_is_left() -> None:
    def prepare(node: FakeNode) -> None:
        node.faults.append(silence)

    async def work(cluster: Cluster, _node: FakeNode) -> None:
        sender = Sender(cluster, ProducerConfig(linger_ms=60_000))
        await sender.prepare("t")
        waiting, parked = took(sender, b"x"), took(sender, b"y", "other")
        await sender.close(flush=False)
        for delivery in (waiting, parked):
            with pytest.raises(ClientError, match="closed before this was delivered"):
                await delivery
        assert sender.buffered_bytes == 0

    play(work, prepare=prepare)


def moved_to_2(connection: FakeConnection, request: Message) -> bool:
    """The answer names another leader and where it is (KIP-951)."""
    assert isinstance(request, ProduceRequest)
    answer = PartitionProduceResponse(
        index=0,
        error_code=ErrorCode.NOT_LEADER_OR_FOLLOWER,
        current_leader=LeaderIdAndEpoch(leader_id=2, leader_epoch=5),
    )
    topic = TopicProduceResponse(name="t", topic_id=TOPIC_ID, partition_responses=[answer])
    node = NodeEndpoint(node_id=2, host=connection.node.host, port=PORT)
    connection.send(ProduceResponse(responses=[topic], node_endpoints=[node]))
    return True


def test_a_leader_named_in_an_answer_is_used_at_once() -> None:
    def prepare(node: FakeNode) -> None:
        node.faults.append(moved_to_2)

    async def work(cluster: Cluster, node: FakeNode) -> None:
        async with Sender(cluster, ProducerConfig(linger_ms=0)) as sender:
            await sender.prepare("t")
            asked = node.seen.count("Metadata")
            begun = cluster.ports.clock.monotonic_ms()
            assert (await took(sender, b"x")).offset == 0
            assert cluster.ports.clock.monotonic_ms() - begun < 100  # less than a pause
            assert cluster.metadata.leader("t", 0) == 2
            assert node.seen.count("Metadata") == asked

    play(work, prepare=prepare)


def test_a_node_that_asks_for_it_is_left_for_the_bootstrap_addresses() -> None:
    """KIP-1102."""

    async def work(cluster: Cluster, node: FakeNode) -> None:
        await cluster.topic("t")
        before = await cluster.connection(1)
        answers = iter([MetadataResponse(error_code=ErrorCode.REBOOTSTRAP_REQUIRED)])
        usual = node.answer

        def answer(request: Message) -> Message:
            if isinstance(request, MetadataRequest):
                return next(answers, None) or usual(request)
            return usual(request)

        node.answer = answer  # type: ignore[method-assign]
        await cluster.topic("t")
        assert before.closed
        assert node.seen.count("ApiVersions") == 2
        assert cluster.metadata.leader("t", 0) == 1

    play(work)


def test_old_metadata_is_refreshed_on_the_way() -> None:
    async def work(cluster: Cluster, node: FakeNode) -> None:
        async with Sender(cluster, ProducerConfig(linger_ms=0)) as sender:
            await sender.prepare("t")
            await took(sender, b"1")
            asked = node.seen.count("Metadata")
            node.partitions = 3
            await cluster.ports.clock.sleep(10_001)
            await took(sender, b"2")
            await cluster.ports.clock.sleep(10)
            assert node.seen.count("Metadata") == asked + 1
            far = sender.try_send("t", b"3", partition=2)
            assert far is not None
            assert (await far).partition == 2

    play(work, config=ClientConfig(metadata_max_age_ms=10_000))
