"""Directories that change hands: what Kafka wrote our node serves and extends, and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import Node
from tests.interop.kafka_view import look_as_coordinator, look_at_transactions
from tests.interop.seen import Section, differences, look
from tests.interop.swap import DYNAMIC, STATIC, Intruder, Swap
from tests.interop.swap_dirt import TOPIC as DIRTY
from tests.interop.swap_dirt import Dirt
from tests.interop.swap_files import (
    check_forms,
    check_settled,
    digests,
    dump_everything,
    half_swapped,
    left_over,
    wait_for_deletions,
)
from tests.interop.swap_retry import Retrier
from tests.interop.swap_work import (
    CODECS,
    commit_group_offsets,
    create_all,
    create_topic,
    leave_half_deleted,
    produce,
    read_as_group,
    write_as_kafka,
    write_as_ours,
    write_more_as_kafka,
)

pytestmark = pytest.mark.usefixtures("java")

OFTEN = {"metadata.log.max.record.bytes.between.snapshots": "1500"}
"""Each node then takes snapshots of the metadata, and starts from those of the other."""

UNTOUCHED = ["__transaction_state"]


def refused(node: Node) -> str:
    """Start a node that cannot have the directory; what it said before it ended."""
    before = len(node.log_text())
    node.launch()
    assert node.process is not None
    try:
        assert node.process.wait(WAIT_SECONDS) != 0
    finally:
        node.kill()
    return node.log_text()[before:]


def assert_same(before: dict[str, Section], after: dict[str, Section]) -> None:
    """The two views are equal."""
    found = differences(before, after)
    assert not found, "\n".join(line[:500] for line in found[:20])


def truncations(text: str) -> list[str]:
    """Lines in which Kafka says that it cut a log, or could not read one.

    Not those of a busy machine: a slow controller, and a coordinator that stops to load a partition
    because a newer leader epoch of the same start loads it (what it loads is compared elsewhere).
    """
    words = ("runcat", "orrupt", "ERROR")
    harmless = ("EventPerformanceMonitor", "is not online or is no longer the leader")
    return [
        line
        for line in text.splitlines()
        if any(word in line for word in words) and not any(word in line for word in harmless)
    ]


class Hands:
    """A directory of Kafka's that goes from hand to hand, and what has to be found in it."""

    def __init__(self, swap: Swap, kafka_stops: bool, ours_stops: bool) -> None:
        self.swap = swap
        self.kafka_stops = kafka_stops
        self.ours_stops = ours_stops
        self.seen: dict[str, Section] = {}
        self.coordinated: dict[str, Section] = {}
        self.left: dict[int, Path] = {}
        self.swapped: Path | None = None

    def kafka_fills(self) -> None:
        """The first turn is Kafka's: all kinds of topics, records, transactions and settings."""
        kafka, ours = self.swap.kafka, self.swap.ours
        with kafka:
            write_as_kafka(kafka, self.swap.path)
            create_topic(kafka, "retried")
            self.retrier = Retrier(kafka, "retried")
            self.retrier.go_on(kafka)
            self.dirt = Dirt(kafka)
            said = refused(ours)
            assert f"Another node uses the data directory {self.swap.data}" in said
            self._let_go(kafka, self.kafka_stops)

    def ours_takes(self, seed: int) -> None:
        """Our node finds everything, and keeps what it does not serve byte for byte."""
        swap, ours = self.swap, self.swap.ours
        written = digests(swap.path)
        with ours:
            self._look_around(ours)
            known = {"transactions": look_at_transactions(ours)}
            assert_same({"transactions": self.coordinated["transactions"]}, known)
            self.retrier.retry(ours)
            assert_same(self.seen, look(ours, DIRTY))
            write_as_ours(ours, seed)
            self.retrier.go_on(ours)
            self._let_go(ours, self.ours_stops)
        kept = digests(swap.path)
        exact = self.kafka_stops and self.ours_stops
        logs = {name for name in written if exact or name.endswith((".log", ".txnindex"))}
        assert {name: kept[name] for name in logs} == {name: written[name] for name in logs}
        version = int(swap.kafka.quorum == DYNAMIC)
        check_forms(swap.path, quorum_version=version, clean=self.ours_stops)
        dump_everything(swap.path)

    def kafka_takes(self, trip: int, *, goes_on: bool) -> None:
        """Kafka finds everything, cuts nothing off, and goes on with what it left open."""
        kafka = self.swap.kafka
        said_before = len(kafka.log_text())
        with kafka:
            self._look_around(kafka)
            assert_same(self.coordinated, look_as_coordinator(kafka, UNTOUCHED))
            assert not truncations(kafka.log_text()[said_before:])
            self.retrier.retry(kafka)
            abort_open_transaction(kafka)
            if goes_on:
                write_more_as_kafka(kafka, trip)
                self.retrier.go_on(kafka)
            self._let_go(kafka, self.kafka_stops)

    def ours_looks(self) -> None:
        """The last turn is ours: all is there, and what was deleted is gone."""
        ours = self.swap.ours
        with ours:
            self._look_around(ours)
            self.retrier.retry(ours)
            wait_for_deletions(self.swap.path)

    def _look_around(self, node: Node) -> None:
        assert_same(self.seen, look(node, DIRTY))
        self.dirt.check(node)
        check_settled(self.swap.path, self.left)
        if self.swapped is not None:
            assert self.swapped.exists()

    def _let_go(self, node: Node, stops: bool) -> None:
        swap = self.swap
        self.seen = look(node, DIRTY)
        if node is swap.kafka:
            self.coordinated = look_as_coordinator(node, UNTOUCHED)
        self.swapped = None
        if stops:
            leave_half_deleted(node, swap.path)
            swap.end(node, clean=True)
        else:
            self.dirt.interrupt(node, swap.path)
            if node is swap.kafka:
                self.swapped = half_swapped(next(swap.path.glob("data*/dense-0")))
        assert list(swap.path.glob("data*/*-delete"))
        self.left = left_over(swap.path)
        assert stops or self.left


STOPPED, KILLED = True, False
SHORT = pytest.mark.timeout(400)
LONG = [
    pytest.param(
        quorum,
        kafka,
        ours,
        settings,
        directories,
        3,
        marks=[pytest.mark.soak, pytest.mark.timeout(1800)],
    )
    for quorum, settings, directories in ((STATIC, {}, 1), (DYNAMIC, OFTEN, 3))
    for kafka in (STOPPED, KILLED)
    for ours in (STOPPED, KILLED)
]


@pytest.mark.parametrize(
    ("quorum", "kafka_stops", "ours_stops", "settings", "directories", "trips"),
    [
        pytest.param(DYNAMIC, KILLED, KILLED, OFTEN, 3, 1, marks=SHORT, id="dynamic-killed"),
        *LONG,
    ],
)
def test_directory_of_kafka(
    tmp_path: Path,
    quorum: str,
    kafka_stops: bool,
    ours_stops: bool,
    settings: dict[str, str],
    directories: int,
    trips: int,
) -> None:
    swap = Swap(tmp_path, quorum, settings, directories=directories)
    hands = Hands(swap, kafka_stops, ours_stops)
    hands.kafka_fills()
    for trip in range(trips):
        hands.ours_takes(11 + trip)
        hands.kafka_takes(trip, goes_on=trip < trips - 1)
    hands.ours_looks()


def abort_open_transaction(node: Node) -> None:
    """The producer of the open transaction comes back: what it left is aborted, and all is stable."""
    producer = Producer({"bootstrap.servers": node.address, "transactional.id": "java-open"})
    producer.init_transactions(WAIT_SECONDS)
    producer.begin_transaction()
    producer.produce("ledger", key=b"after the swap", partition=0)
    producer.commit_transaction(WAIT_SECONDS)
    ends = {
        isolation: look(node)["offsets"][("ledger", 0), number, -1][1]
        for isolation, number in (("uncommitted", 0), ("committed", 1))
    }
    assert ends["uncommitted"] == ends["committed"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "clean", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["stopped", "killed"]
)
def test_directory_of_ours(tmp_path: Path, clean: bool) -> None:
    swap = Swap(tmp_path, STATIC, OFTEN, formatted=False)
    kafka, ours = swap.kafka, swap.ours
    with ours:
        create_topic(ours, "retried")
        create_all(ours, leave_out="doomed")
        commit_group_offsets(ours)
        write_as_ours(ours, 12)
        retrier = Retrier(ours, "retried")
        retrier.go_on(ours)
        seen = look(ours)
        if clean:
            said = refused(Intruder(tmp_path, kafka.settings))
            assert f"Failed to acquire lock on file .lock in {swap.data}" in said
        swap.end(ours, clean=clean)
    check_forms(swap.path, quorum_version=0, clean=clean)
    dump_everything(swap.path)
    said_before = len(kafka.log_text())
    with kafka:
        assert_same(seen, look(kafka))
        assert not truncations(kafka.log_text()[said_before:])
        retrier.retry(kafka)
        retrier.go_on(kafka)
        for codec in CODECS:
            produce(kafka, codec, 50, skip=frozenset({"shortened"}))
        read_as_group(kafka)
        seen = look(kafka)
        swap.end(kafka, clean=clean)
    with ours:
        assert_same(seen, look(ours))
        retrier.retry(ours)
        wait_for_deletions(swap.path)
