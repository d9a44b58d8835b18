"""`barnabas.Producer` and `barnabas.sync.Producer` against the test broker."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from array import array
from collections.abc import Iterator

import pytest

import barnabas
from barnabas import Producer, sync
from barnabas.client.blocking_engine import BlockingDelivery, One
from barnabas.client.cluster import Cluster
from barnabas.client.columns import Column
from barnabas.client.errors import BufferFull, CannotConnect, ClientError, RecordTooLarge
from barnabas.client.fetcher import Fetcher
from barnabas.client.offsets import LATEST, list_offsets
from barnabas.client.sender import Sender
from barnabas.host import open_ports
from barnabas.records.record import Record
from barnabas.testing import Broker
from barnabas.wire.errors import KafkaError

MANY = 5000


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker({"auto.create.topics.enable": "false"}) as running:
        yield running


def stored(broker: Broker, topic: str) -> dict[int, list[Record]]:
    """Everything in a topic, read with the fetcher of the same package."""

    async def read() -> dict[int, list[Record]]:
        ports = open_ports(asyncio.get_running_loop())
        async with Cluster(ports, [("127.0.0.1", broker.port)]) as cluster:
            state = await cluster.topic(topic)
            names = {(topic, partition): LATEST for partition in state.partitions}
            ends = {name: at.offset for name, at in (await list_offsets(cluster, names)).items()}
            found: dict[int, list[Record]] = {partition: [] for _, partition in ends}
            async with Fetcher(cluster) as fetcher:
                await fetcher.assign({name: 0 for name, end in ends.items() if end})
                while any(fetcher.positions().get(name, end) < end for name, end in ends.items()):
                    batch = await fetcher.poll(1000)
                    if batch is not None:
                        found[batch.partition] += batch.records
        ports.close()
        return found

    return asyncio.run(read())


# -- asyncio --


def test_a_record_is_where_its_future_says(broker: Broker) -> None:
    broker.create_topic("one", 3)

    async def main() -> barnabas.RecordMetadata:
        async with Producer({"bootstrap.servers": broker.bootstrap_servers}) as producer:
            future = producer.send(
                "one", b"value", key=b"k", headers=[("source", b"web")], timestamp_ms=1234
            )
            assert not future.done()
            where = await future
            assert await future == where
            return where

    where = asyncio.run(main())
    assert (where.topic, where.offset, where.timestamp) == ("one", 0, 1234)
    assert stored(broker, "one")[where.partition] == [
        Record(0, 1234, b"k", b"value", (("source", b"web"),))
    ]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_carries_many(broker: Broker, codec: str) -> None:
    topic = f"codec-{codec}"
    broker.create_topic(topic, 2)
    values = [b"%d" % n * 20 for n in range(MANY)]

    async def main() -> None:
        async with Producer(
            bootstrap_servers=broker.bootstrap_servers, compression_type=codec
        ) as producer:
            sent = await producer.send_many(topic, values, partition=1)
            ranges = await sent
        assert sum(each.records for each in ranges) == MANY
        assert ranges[0].offset == 0

    asyncio.run(main())
    assert [record.value for record in stored(broker, topic)[1]] == values


def test_futures_of_many_sends_are_in_order(broker: Broker) -> None:
    broker.create_topic("sends")

    async def main() -> None:
        async with Producer(bootstrap_servers=broker.bootstrap_servers) as producer:
            futures = [producer.send("sends", b"%d" % n) for n in range(MANY)]
            offsets = [(await future).offset for future in futures]
            assert offsets == list(range(MANY))
            called: list[int] = []
            last = producer.send("sends", b"last")
            last.add_done_callback(lambda done: called.append(done.result().offset))
            await producer.flush()
            last.add_done_callback(lambda done: called.append(done.result().offset))
            assert called == [MANY, MANY]

    asyncio.run(main())


def test_columns_of_buffers(broker: Broker) -> None:
    broker.create_topic("columns")
    column = Column(b"aabbbc", array("i", [0, 2, 5, 6]))

    async def main() -> None:
        async with Producer(bootstrap_servers=broker.bootstrap_servers) as producer:
            await producer.send_columns("columns", column, keys=column, timestamps_ms=[7, 8, 9])

    asyncio.run(main())
    assert stored(broker, "columns")[0] == [
        Record(0, 7, b"aa", b"aa", ()),
        Record(1, 8, b"bbb", b"bbb", ()),
        Record(2, 9, b"c", b"c", ()),
    ]


def test_errors_belong_to_the_record(broker: Broker) -> None:
    broker.create_topic("errors")

    async def main() -> None:
        async with Producer(
            bootstrap_servers=broker.bootstrap_servers, max_block_ms=100
        ) as producer:
            with pytest.raises(TypeError, match="value: bytes or None is wanted, not str"):
                producer.send("errors", "text")  # type: ignore[arg-type]
            large = producer.send("errors", b"x" * 2_000_000)
            nowhere = producer.send("no-such-topic", b"x")
            good = producer.send("errors", bytearray(b"x"))
            with pytest.raises(RecordTooLarge):
                await large
            with pytest.raises(KafkaError, match="UNKNOWN_TOPIC_OR_PARTITION"):
                await nowhere
            assert (await good).offset == 0
            assert await producer.partitions_for("errors") == 1

    asyncio.run(main())


def test_full_memory_is_told_and_waited_for(broker: Broker) -> None:
    broker.create_topic("full")

    async def main() -> int:
        async with Producer(
            bootstrap_servers=broker.bootstrap_servers, buffer_memory=20_000, linger_ms=1000
        ) as producer:
            for _ in range(20):
                producer.send("full", b"x" * 1000)
            with pytest.raises(BufferFull, match=r"await room\(\)"):
                producer.send("full", b"x" * 1000)
            await producer.room()
            producer.send("full", b"last")
            return 21

    sent = asyncio.run(main())
    assert len(stored(broker, "full")[0]) == sent


def test_a_producer_that_is_not_started_says_so(broker: Broker) -> None:
    producer = Producer(bootstrap_servers=broker.bootstrap_servers)
    with pytest.raises(RuntimeError, match="not started"):
        producer.send("t", b"")
    asyncio.run(producer.close())


def test_nobody_there() -> None:
    async def main() -> None:
        async with Producer(bootstrap_servers="127.0.0.1:1"):
            pass

    with pytest.raises(CannotConnect, match=r"127\.0\.0\.1:1"):
        asyncio.run(main())
    with pytest.raises(CannotConnect, match=r"127\.0\.0\.1:1"):
        sync.Producer(bootstrap_servers="127.0.0.1:1")
    assert "barnabas-producer" not in {thread.name for thread in threading.enumerate()}


def test_cancellation_closes_at_once(broker: Broker) -> None:
    broker.create_topic("cancel")

    async def main() -> None:
        async with Producer(
            bootstrap_servers=broker.bootstrap_servers, linger_ms=100_000
        ) as producer:
            future = producer.send("cancel", b"x")
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            try:
                await future
            finally:
                await producer.close(flush=False)
                with pytest.raises(ClientError, match="closed before"):
                    await future

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_importing_the_package_loads_no_client() -> None:
    code = "import sys, barnabas; print([m for m in sys.modules if m.startswith('barnabas.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "Producer" in dir(barnabas)
    with pytest.raises(AttributeError, match="no attribute 'Produce'"):
        barnabas.Produce  # type: ignore[attr-defined]  # noqa: B018


# -- blocking --


def test_threads_share_a_blocking_producer(broker: Broker) -> None:
    broker.create_topic("threads", 3)
    failures: list[BaseException] = []
    with sync.Producer(bootstrap_servers=broker.bootstrap_servers, linger_ms=1) as producer:

        def work(number: int) -> None:
            try:
                sent = [
                    producer.send("threads", b"%d:%d" % (number, n), key=b"%d" % number)
                    for n in range(500)
                ]
                offsets = [delivery.result(30).offset for delivery in sent]
                assert offsets == sorted(offsets)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    found = [record.value for records in stored(broker, "threads").values() for record in records]
    assert sorted(found, key=str) == sorted(
        (b"%d:%d" % (number, n) for number in range(8) for n in range(500)), key=str
    )
    for records in stored(broker, "threads").values():
        for number in range(8):
            mine = [record.value for record in records if record.key == b"%d" % number]
            assert mine in ([], [b"%d:%d" % (number, n) for n in range(500)])


def test_blocking_send_waits_for_memory(broker: Broker) -> None:
    broker.create_topic("blocking")
    with sync.Producer(
        bootstrap_servers=broker.bootstrap_servers, buffer_memory=20_000, linger_ms=0
    ) as producer:
        for n in range(200):
            producer.send("blocking", b"%d" % n * 300)
        many = producer.send_many("blocking", [b"x" * 1000] * 100)
        columns = producer.send_columns("blocking", Column(b"ab", array("i", [0, 1, 2])))
        assert sum(each.records for each in many.result()) == 100
        producer.flush()
        assert [each.offset for each in columns.result()] == [300]
        assert producer.partitions_for("blocking") == 1
    values = [record.value for record in stored(broker, "blocking")[0]]
    assert values[:200] == [b"%d" % n * 300 for n in range(200)]


def test_blocking_errors_belong_to_the_record(broker: Broker) -> None:
    broker.create_topic("blocking-errors")
    with sync.Producer(
        bootstrap_servers=broker.bootstrap_servers, max_block_ms=100, linger_ms=60_000
    ) as producer:
        large = producer.send("blocking-errors", b"x" * 2_000_000)
        nowhere = producer.send("no-such-topic", b"x")
        good = producer.send("blocking-errors", b"x")
        with pytest.raises(TimeoutError):
            good.result(0.01)
        with pytest.raises(TypeError):
            producer.send_many("blocking-errors", ["text"])  # type: ignore[list-item]
        assert isinstance(large.exception(30), RecordTooLarge)
        assert isinstance(nowhere.exception(30), KafkaError)
        producer.flush()
        assert good.result().offset == 0
    with pytest.raises(RuntimeError, match="closed"):
        producer.send("blocking-errors", b"x")
    producer.close()


PROGRAM = """
import os, signal, sys, threading, time
from barnabas.sync import Producer
producer = Producer(bootstrap_servers=sys.argv[1], linger_ms=int(sys.argv[3]))
{}
"""


def run_program(broker: Broker, topic: str, body: str, linger_ms: int = 5) -> str:
    code = PROGRAM.format(textwrap.dedent(body))
    command = [sys.executable, "-c", code, broker.bootstrap_servers, topic, str(linger_ms)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_that_ends_without_closing_loses_nothing(broker: Broker) -> None:
    broker.create_topic("ends")
    run_program(
        broker, "ends", "for n in range(1000): producer.send(sys.argv[2], b'%d' % n)", 60_000
    )
    assert [record.value for record in stored(broker, "ends")[0]] == [
        b"%d" % n for n in range(1000)
    ]


def test_a_producer_that_nobody_refers_to_any_more_delivers(broker: Broker) -> None:
    broker.create_topic("dropped")
    body = "producer.send(sys.argv[2], b'x'); del producer"
    run_program(broker, "dropped", body, 60_000)
    assert [record.value for record in stored(broker, "dropped")[0]] == [b"x"]


def test_what_reaches_a_closed_blocking_producer_fails_at_once(broker: Broker) -> None:
    producer = sync.Producer(bootstrap_servers=broker.bootstrap_servers)
    engine = producer._running()
    producer.close()
    late = BlockingDelivery(engine)
    engine.put_record(One(late, "t", None, None, b"x", None, (), 1))
    with pytest.raises(ClientError, match="closed"):
        late.result(timeout=30)
    with pytest.raises(ClientError, match="closed"):
        engine.run(Sender.flush)


def test_a_callback_that_raises_does_not_stop_a_blocking_producer(broker: Broker) -> None:
    broker.create_topic("raises")
    with sync.Producer(bootstrap_servers=broker.bootstrap_servers) as producer:
        first = producer.send("raises", b"x")
        first.result(timeout=30)
        first.add_done_callback(lambda _: 1 / 0)
        assert producer.send("raises", b"y").result(timeout=30).offset == 1


def test_a_callback_must_not_wait_for_its_producer(broker: Broker) -> None:
    broker.create_topic("waits")
    told: list[object] = []
    over = threading.Event()

    def wait(_delivery: object) -> None:
        for call in (
            producer.flush,
            lambda: producer.send("waits", b"y").result(),
            lambda: producer.send_many("waits", [b"z"]),
        ):
            try:
                call()
            except RuntimeError as error:
                told.append(str(error))
        over.set()

    with sync.Producer(bootstrap_servers=broker.bootstrap_servers) as producer:
        producer.send("waits", b"x").add_done_callback(wait)
        assert over.wait(30)
    assert told == ["a callback of the producer must not wait for the producer"] * 3


def test_ctrl_c_in_the_middle_loses_nothing_and_mixes_nothing(broker: Broker) -> None:
    broker.create_topic("interrupt")
    out = run_program(
        broker,
        "interrupt",
        """
        me, over, seen = os.getpid(), threading.Event(), [-1]
        def interrupt():
            for number in range(20):
                while seen[0] != number:  # else it could come into the handling of the last one
                    time.sleep(0.003)
                os.kill(me, signal.SIGINT)
            while seen[0] != 20:
                time.sleep(0.003)
            over.set()
        threading.Thread(target=interrupt, daemon=True).start()
        sent, deliveries, interrupts = 0, [], 0
        while not over.is_set():
            try:
                while not over.is_set():
                    seen[0] = interrupts
                    deliveries.append(producer.send(sys.argv[2], b"%d" % sent, key=b"k%d" % sent))
                    sent += 1
            except KeyboardInterrupt:
                interrupts += 1
                sent += 1  # sent or not: nobody knows
        producer.flush()
        print(interrupts, len(deliveries), sum(d.result(30).offset >= 0 for d in deliveries))
        """,
    )
    interrupts, deliveries, delivered = map(int, out.split())
    assert interrupts == 20
    assert deliveries == delivered
    records = stored(broker, "interrupt")[0]
    assert len(records) >= deliveries
    assert all(record.key == b"k" + (record.value or b"") for record in records)
    numbers = [int(record.value or b"") for record in records]
    assert numbers == sorted(set(numbers))


def test_a_forked_process_has_a_producer_of_its_own(broker: Broker) -> None:
    broker.create_topic("fork")
    out = run_program(
        broker,
        "fork",
        """
        before = producer.send(sys.argv[2], b"before")
        child = os.fork()
        if not child:
            assert producer.send(sys.argv[2], b"child").result(30)
            producer.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        producer.send(sys.argv[2], b"parent").result(30)
        print(before.result(30).offset)
        """,
    )
    assert out.strip().isdigit()
    values = sorted(record.value or b"" for record in stored(broker, "fork")[0])
    assert values == [b"before", b"child", b"parent"]
