"""The sender when callers and nodes misbehave: nothing hangs, nothing is lost in silence."""

from __future__ import annotations

import asyncio

import pytest

from barnabas.client.cluster import Cluster
from barnabas.client.config import ProducerConfig
from barnabas.client.deliveries import Delivery
from barnabas.client.errors import ClientError
from barnabas.client.sender import Sender
from barnabas.wire.errors import KafkaError
from tests.unit.client.fake_node import FakeNode, silence
from tests.unit.client.test_faces import play

SMALL = ProducerConfig(batch_size=150, linger_ms=1)


def took(sender: Sender, value: bytes, topic: str = "t") -> Delivery:
    delivery = sender.try_send(topic, value)
    assert delivery is not None
    return delivery


def test_many_batches_without_answers_leave_at_once() -> None:
    config = ProducerConfig(batch_size=150, linger_ms=1, acks=0, enable_idempotence=False)

    async def work(cluster: Cluster, node: FakeNode) -> None:
        async with Sender(cluster, config) as sender:
            await sender.prepare("t")
            begun = cluster.ports.clock.monotonic_ms()
            many = await sender.send_many("t", [b"%d" % n for n in range(200)])
            await sender.flush()
            assert many.failed() == 0
            assert cluster.ports.clock.monotonic_ms() - begun < 10_000
            await cluster.ports.clock.sleep(1000)
        assert [record.value for record in node.records(0)] == [b"%d" % n for n in range(200)]

    play(work)


def test_what_is_in_flight_when_the_sender_is_closed_fails() -> None:
    async def work(cluster: Cluster, _node: FakeNode) -> None:
        sender = Sender(cluster, SMALL)
        await sender.prepare("t")
        delivery = took(sender, b"x")
        await cluster.ports.clock.sleep(1000)
        await sender.close(flush=False)
        with pytest.raises(ClientError, match="closed"):
            await delivery
        await cluster.close()  # the connections tell of their requests

    def prepare(node: FakeNode) -> None:
        node.faults.append(silence)

    play(work, prepare=prepare)


def test_a_callback_that_raises_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def bad(_delivery: Delivery) -> None:
        raise LookupError("the application's own")

    async def work(cluster: Cluster, _node: FakeNode) -> None:
        async with Sender(cluster, SMALL) as sender:
            await sender.prepare("t")
            first = took(sender, b"first")
            first.add_done_callback(bad)
            second = took(sender, b"second")
            assert (await second).offset == 1
            first.add_done_callback(bad)

    play(work)
    assert caplog.text.count("the application's own") >= 2


def test_a_record_sent_as_soon_as_its_topic_failed_is_looked_up_again() -> None:
    async def work(cluster: Cluster, _node: FakeNode) -> None:
        async with Sender(cluster, ProducerConfig(max_block_ms=3000)) as sender:
            again: list[Delivery] = []
            first = took(sender, b"x", "other")
            first.add_done_callback(lambda _: again.append(took(sender, b"y", "other")))
            with pytest.raises(KafkaError, match="no answer about topic"):
                await first
            last = took(sender, b"z", "other")
            for each in (*again, last):
                with pytest.raises(KafkaError, match="no answer about topic"):
                    async with asyncio.timeout(60):
                        await each

    play(work)


def test_send_many_that_waits_for_room_hears_of_the_end() -> None:
    config = ProducerConfig(batch_size=150, buffer_memory=400)

    async def work(cluster: Cluster, _node: FakeNode) -> None:
        sender = Sender(cluster, config)
        await sender.prepare("t")
        for n in range(30):
            if sender.try_send("t", b"%d" % n) is None:
                break
        task = asyncio.ensure_future(sender.send_many("t", [b"x", b"y"]))
        await cluster.ports.clock.sleep(1000)
        await sender.close(flush=False)
        with pytest.raises(ClientError, match="closed"):
            async with asyncio.timeout(60):
                await (await task)
        with pytest.raises(ClientError, match="closed"):
            took(sender, b"late")

    def prepare(node: FakeNode) -> None:
        node.faults.append(silence)

    play(work, prepare=prepare)


def test_a_producer_outlives_an_outage_before_its_first_record() -> None:
    config = ProducerConfig(delivery_timeout_ms=5_000, linger_ms=0)

    async def work(cluster: Cluster, node: FakeNode) -> None:
        async with Sender(cluster, config) as sender:
            await sender.prepare("t")
            node.mute = True
            with pytest.raises(ClientError):
                await took(sender, b"lost")
            await cluster.ports.clock.sleep(120_000)
            node.mute = False
            assert (await took(sender, b"x")).offset == 0

    play(work)
