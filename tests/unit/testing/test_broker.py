"""The broker for tests, used as its users will: by a client that is not ours, and by the plugin."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from barnabas.testing import Broker
from barnabas.wire.errors import KafkaError

pytest_plugins = ["pytester"]


def produce(broker: Broker, topic: str, *values: bytes) -> None:
    """Send and wait for the acknowledgements."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def consume(broker: Broker, topic: str, count: int, group: str = "g") -> list[bytes]:
    """Read as a member of a group that begins at the beginning, and commit."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    found: list[bytes] = []
    while len(found) < count:
        event = consumer.poll(30)
        assert event is not None
        assert event.error() is None, event.error()
        found.append(event.value() or b"")
    consumer.commit(asynchronous=False)
    consumer.close()
    return found


def test_start_produce_consume_in_a_group_stop() -> None:
    before = threading.active_count()
    with Broker() as broker:
        broker.create_topic("t", 3)
        produce(broker, "t", b"a", b"b")
        assert sorted(consume(broker, "t", 2)) == [b"a", b"b"]
        port = broker.port
    assert threading.active_count() == before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_what_was_there_is_there_after_a_restart() -> None:
    with Broker() as broker:
        produce(broker, "t", b"a", b"b")
        assert consume(broker, "t", 1) == [b"a"]
        port, cluster = broker.port, broker.cluster_id
        broker.restart()
        assert (broker.port, broker.cluster_id) == (port, cluster)
        assert consume(broker, "t", 1) == [b"b"]


def test_a_directory_outlives_the_broker(tmp_path: Path) -> None:
    with Broker(directory=tmp_path) as broker:
        produce(broker, "t", b"kept")
    assert (tmp_path / "t-0" / "00000000000000000000.log").stat().st_size > 0
    with Broker(directory=tmp_path) as broker:
        assert consume(broker, "t", 1) == [b"kept"]


def test_two_brokers_know_nothing_of_each_other() -> None:
    with Broker() as one, Broker() as two:
        assert one.port != two.port
        one.create_topic("t")
        two.create_topic("t")
        with pytest.raises(KafkaError):
            one.create_topic("t")
        one.delete_topic("t")
        with pytest.raises(KafkaError):
            one.delete_topic("t")


def test_it_is_an_async_context_manager_too() -> None:
    async def main() -> str:
        async with Broker({"num.partitions": "2"}) as broker:
            return broker.bootstrap_servers

    assert asyncio.run(main()).startswith("127.0.0.1:")


def test_what_keeps_it_from_starting_is_raised() -> None:
    with Broker() as one:
        taken = Broker(port=one.port)
        with pytest.raises(OSError, match="in use"):
            taken.start()
    with taken:
        pass
    with pytest.raises(RuntimeError, match="does not run"):
        _ = taken.port


def test_compaction_works_on_a_disk_in_memory() -> None:
    quick = {"log.cleaner.backoff.ms": "50", "log.segment.bytes": "1048576"}
    with Broker(quick) as broker:
        broker.create_topic(
            "t",
            configs={
                "cleanup.policy": "compact",
                "min.cleanable.dirty.ratio": "0.01",
                "segment.ms": "1",
            },
        )
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        for number in range(50):
            producer.produce("t", b"%d" % number, key=b"k")
            assert producer.flush(30) == 0
        for attempt in range(200):
            values = consume(broker, "t", 1, f"g{attempt}")
            if values != [b"0"]:
                break
        assert values != [b"0"]


def test_the_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient

        @pytest.fixture(scope="session")
        def kafka_config():
            return {"num.partitions": "5"}

        def names(kafka):
            admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
            return {t.topic: len(t.partitions) for t in admin.list_topics().topics.values()}

        def test_topic(kafka, kafka_topic):
            assert names(kafka)[kafka_topic] == 1
            producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
            producer.produce("made", b"x")
            assert producer.flush(30) == 0

        def test_shared(kafka):
            assert names(kafka)["made"] == 5

        def test_fresh(fresh_kafka):
            assert names(fresh_kafka) == {}
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=3)
