"""Exactly once with librdkafka: transactions, fencing, offsets in them, and a node that is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.interop.conftest import WAIT_SECONDS, MakeTopic
from tests.interop.kafka import BarnabasProcess, Node
from tests.interop.kafka_view import look_at_transactions
from tests.interop.swap import DYNAMIC, Swap

QUIET = {"log_level": 0}
KEEPS_BROKERS: dict[str, object] = {
    "metadata.recovery.strategy": "none",
    "transaction.timeout.ms": 20_000,
}
"""librdkafka 2.16.1 that bootstraps again, with all brokers gone, may leave a TxnOffsetCommit with one
that it has given up, and wait for ever."""


def transactional(node: Node, name: str, **settings: object) -> Producer:
    """A transactional producer that may begin."""
    made = Producer(
        {"bootstrap.servers": node.address, "transactional.id": name, **QUIET, **settings}
    )
    made.init_transactions(WAIT_SECONDS)
    return made


def reader(node: Node, group: str, **settings: object) -> Consumer:
    """A read_committed consumer that commits nothing by itself."""
    return Consumer(
        {
            "bootstrap.servers": node.address,
            "group.id": group,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            **QUIET,
            **settings,
        }
    )


def read_all(node: Node, topic: str, partitions: int = 1, **settings: object) -> list[bytes]:
    """All that a consumer is given up to the ends of the partitions."""
    consumer = reader(node, "reads-all", **settings)
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    values: list[bytes] = []
    ended: set[int] = set()
    deadline = time.monotonic() + WAIT_SECONDS
    while len(ended) < partitions:
        assert time.monotonic() < deadline
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            ended.add(message.partition() or 0)
        else:
            values.append(message.value() or b"")
    consumer.close()
    return values


def test_committed_transactions_are_read_and_aborted_ones_are_not(
    each_node: Node, make_topic: MakeTopic
) -> None:
    topic = make_topic(3)
    admin = AdminClient({"bootstrap.servers": each_node.address})
    if topic not in admin.list_topics().topics:
        admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(WAIT_SECONDS)
    made = transactional(each_node, f"tx-{topic}")
    for number in range(6):
        made.begin_transaction()
        for partition in range(3):
            made.produce(topic, b"%d-%d" % (number, partition), partition=partition)
        if number % 3 == 1:
            made.flush(WAIT_SECONDS)
            made.abort_transaction(WAIT_SECONDS)
        else:
            made.commit_transaction(WAIT_SECONDS)
    expected = [b"%d-%d" % (n, p) for n in range(6) if n % 3 != 1 for p in range(3)]
    assert sorted(read_all(each_node, topic, 3)) == expected
    uncommitted = read_all(each_node, topic, 3, **{"isolation.level": "read_uncommitted"})
    assert len(uncommitted) == 18


def test_an_older_instance_is_fenced(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic()
    old = transactional(node, f"tx-{topic}")
    old.begin_transaction()
    old.produce(topic, b"old", partition=0)
    old.flush(WAIT_SECONDS)
    new = transactional(node, f"tx-{topic}")
    new.begin_transaction()
    new.produce(topic, b"new", partition=0)
    new.commit_transaction(WAIT_SECONDS)
    with pytest.raises(KafkaException) as failure:
        old.commit_transaction(WAIT_SECONDS)
    assert failure.value.args[0].fatal()
    assert read_all(node, topic) == [b"new"]


def test_offsets_are_committed_with_the_transaction(node: Node, make_topic: MakeTopic) -> None:
    source, target = make_topic(), make_topic()
    plain = Producer({"bootstrap.servers": node.address})
    for number in range(10):
        plain.produce(source, b"%d" % number, partition=0)
    assert plain.flush(WAIT_SECONDS) == 0
    made = transactional(node, f"tx-{target}")
    group = f"g-{target}"
    for commit, end in ((True, 4), (False, 7), (True, 9)):
        consumer = reader(node, group)
        consumer.subscribe([source])
        read: list[Message] = []
        while not read or read[-1].offset() < end - 1:
            message = consumer.poll(WAIT_SECONDS)
            assert message is not None
            if not message.error():
                read.append(message)
        made.begin_transaction()
        for message in read:
            made.produce(target, message.value(), partition=0)
        places = [TopicPartition(source, 0, end)]
        made.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), WAIT_SECONDS)
        if commit:
            made.commit_transaction(WAIT_SECONDS)
        else:
            made.abort_transaction(WAIT_SECONDS)
        consumer.close()
    # What was aborted was read once more: nothing twice, nothing lost.
    assert read_all(node, target) == [b"%d" % number for number in range(9)]
    consumer = reader(node, group)
    (committed,) = consumer.committed([TopicPartition(source, 0)], WAIT_SECONDS)
    assert committed.offset == 9
    consumer.close()


class Copier(threading.Thread):
    """Reads from `source`, writes to `target` and commits its offsets, all in transactions.

    Begins anew after each failure, until `patience` seconds are over.
    """

    def __init__(self, node: Node, count: int, patience: float) -> None:
        super().__init__(daemon=True)
        self.node = node
        self.count = count
        self.done = 0
        self.failure: Exception | None = None
        self._deadline = time.monotonic() + patience

    def run(self) -> None:
        """Copy until everything is copied."""
        while self.done < self.count:
            try:
                self._copy()
            except KafkaException as failure:
                if time.monotonic() > self._deadline:
                    self.failure = failure
                    return

    def _copy(self) -> None:
        consumer = reader(self.node, "copiers", **{"session.timeout.ms": 6000})
        try:
            made = transactional(self.node, "copier", **KEEPS_BROKERS)
            consumer.subscribe(["source"])
            while self.done < self.count and time.monotonic() < self._deadline:
                messages = [m for m in consumer.consume(20, 1.0) if not m.error()]
                if messages:
                    self._transact(made, consumer, messages)
                    continue
                places = [TopicPartition("source", p) for p in range(2)]
                known = consumer.committed(places, WAIT_SECONDS)
                self.done = sum(max(0, each.offset) for each in known)
        finally:
            consumer.close()

    def _transact(self, made: Producer, consumer: Consumer, messages: list[Message]) -> None:
        made.begin_transaction()
        for message in messages:
            made.produce("target", message.value(), partition=message.partition() or 0)
        made.send_offsets_to_transaction(
            consumer.position(consumer.assignment()),
            consumer.consumer_group_metadata(),
            WAIT_SECONDS,
        )
        made.commit_transaction(WAIT_SECONDS)


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[Node]:
    """A node that a test may kill."""
    settings = {
        "group.initial.rebalance.delay.ms": "0",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    }
    with BarnabasProcess(tmp_path, settings) as running:
        yield running


@pytest.mark.soak  # tests/interop/test_exactly_once.py does it for three clients
def test_exactly_once_while_the_node_is_killed(own_node: Node) -> None:
    """T7: the output is the input, each event once and in order, whatever is cut off by kill -9."""
    count, kills = 8_000, 0
    admin = AdminClient({"bootstrap.servers": own_node.address})
    for done in admin.create_topics([NewTopic(t, 2, 1) for t in ("source", "target")]).values():
        done.result(WAIT_SECONDS)
    plain = Producer({"bootstrap.servers": own_node.address})
    for number in range(count):
        plain.produce("source", b"%d" % number, partition=number % 2)
    assert plain.flush(WAIT_SECONDS) == 0
    copier = Copier(own_node, count, 150)
    copier.start()
    for _ in range(8):
        copier.join(0.4)
        if copier.is_alive():
            own_node.kill()
            own_node.start()
            kills += 1
    copier.join(200)
    assert copier.failure is None, copier.failure
    assert not copier.is_alive()
    assert kills >= 3
    values = [int(value) for value in read_all(own_node, "target", 2)]
    for parity in range(2):
        mine = [value for value in values if value % 2 == parity]
        assert mine == list(range(parity, count, 2))
    assert "a bug of ours" not in own_node.log_text()


def one_turn(node: Node, turn: int) -> None:
    """Transactions of every kind on a node; `open` is left open."""
    for name, commit in (("kept", True), ("dropped", False), ("open", None)):
        made = transactional(node, name, **{"transaction.timeout.ms": 600_000})
        made.begin_transaction()
        for partition in range(2):
            made.produce("t", f"{name}-{turn}-{partition}".encode(), partition=partition)
        made.flush(WAIT_SECONDS)
        if commit:
            made.commit_transaction(WAIT_SECONDS)
        elif commit is not None:
            made.abort_transaction(WAIT_SECONDS)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("java")
@pytest.mark.parametrize(
    "clean", [pytest.param(True, marks=pytest.mark.soak), False], ids=["stopped", "killed"]
)
def test_the_topic_of_transactions_changes_hands(tmp_path: Path, clean: bool) -> None:
    """`__transaction_state` that Kafka wrote is loaded by our node, and the other way round."""
    names = ("dropped", "kept", "open")
    swap = Swap(tmp_path, DYNAMIC, {})
    seen: dict[str, object] = {}
    for turn, node in enumerate((swap.kafka, swap.ours, swap.kafka, swap.ours)):
        with node:
            if turn == 0:
                admin = AdminClient({"bootstrap.servers": node.address})
                admin.create_topics([NewTopic("t", 2, 1)])["t"].result(WAIT_SECONDS)
            else:
                assert dict(look_at_transactions(node, names)) == seen
            one_turn(node, turn)
            seen = dict(look_at_transactions(node, names))
            # `open` of the turns before was aborted by its next instance, this one holds back.
            expected = [f"kept-{n}-{p}".encode() for n in range(turn + 1) for p in range(2)]
            assert sorted(read_all(node, "t", 2)) == expected
            swap.end(node, clean=clean)
