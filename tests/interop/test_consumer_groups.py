"""Consumer groups of KIP-848 with real clients: librdkafka and Java, alone and beside classic members."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, ConsumerGroupType, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.e2e.node import Shell
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import KafkaProcess, Node, java_tool, target_class
from tests.interop.members import QUICK_GROUPS, Group, Member
from tests.interop.programs import NAMED

CONSUMER = "consumer"
QUICK = QUICK_GROUPS | {"group.consumer.assignment.interval.ms": "100"}


class Case(NamedTuple):
    """A client and an assignor of the coordinator."""

    program: str
    assignor: str

    def __str__(self) -> str:
        return f"{self.program}-{self.assignor}"


CASES = [
    Case(program, assignor)
    for program in ("confluent", "java")
    for assignor in ("uniform", "range")
]


@pytest.fixture(scope="module", params=["target", pytest.param("kafka", marks=pytest.mark.soak)])
def grouping(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node that misses members soon; in long runs a real Kafka, too."""
    made = target_class() if request.param == "target" else KafkaProcess
    if made is KafkaProcess:
        request.getfixturevalue("java")
    with made(tmp_path_factory.mktemp("groups"), QUICK) as node:
        yield node
    assert "a bug of ours" not in node.log_text(), node.log_tail()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_members_come_and_go(grouping: Node, case: Case) -> None:
    """Join, leave, crash under load: every event once, no partition owned twice in an epoch."""
    program = NAMED[case.program]
    with Group(grouping, f"new-{case}") as group:

        def join() -> Member:
            return group.join(program, case.assignor, protocol=CONSUMER)

        one, two, three = join(), join(), join()
        group.shared_by(one, two, three)
        four = join()
        group.shared_by(one, two, three, four)
        one.leave()
        group.shared_by(two, three, four)
        two.kill()
        group.shared_by(three, four)
        five = join()
        group.shared_by(three, four, five)
        group.finish()
        group.check()


def test_both_clients_in_one_group(grouping: Node) -> None:
    with Group(grouping, "both-new") as group:
        members = [
            group.join(NAMED[name], "uniform", protocol=CONSUMER)
            for name in ("java", "confluent", "java", "confluent")
        ]
        group.shared_by(*members)
        members.pop(0).kill()
        group.shared_by(*members)
        group.finish()
        group.check()


def test_a_static_member_leaves_for_a_while(grouping: Node, tmp_path: Path) -> None:
    """Its partitions wait for it: the others stay in their epoch."""
    patient = QUICK | {"group.consumer.session.timeout.ms": "45000"}
    with type(grouping)(tmp_path, patient) as node, Group(node, "static-new") as group:

        def join(name: str) -> Member:
            return group.join(NAMED["java"], "uniform", instance=name, protocol=CONSUMER)

        left, right = join("left"), join("right")
        group.shared_by(left, right)
        before = epoch(node, group.name)
        left.leave()
        again = join("left")
        group.shared_by(again, right)
        assert epoch(node, group.name) == before
        group.finish()
        group.check()


@pytest.mark.parametrize("program", ["confluent", "java"])
def test_members_outlive_a_crash_of_the_node(grouping: Node, program: str) -> None:
    with Group(grouping, f"crash-{program}") as group:
        members = [group.join(NAMED[program], "uniform", protocol=CONSUMER) for _ in range(2)]
        group.shared_by(*members)
        grouping.kill()
        grouping.start()
        members.append(group.join(NAMED[program], "uniform", protocol=CONSUMER))
        group.shared_by(*members)
        group.finish()
        group.check()


@pytest.mark.parametrize("program", ["confluent", "java"])
def test_a_group_changes_the_protocol_and_back_while_it_works(grouping: Node, program: str) -> None:
    """A rolling upgrade, and a downgrade, under load."""
    with Group(grouping, f"online-{program}") as group:

        def join(protocol: str) -> Member:
            assignor = "range" if protocol == "classic" else "uniform"
            return group.join(NAMED[program], assignor, protocol=protocol)

        old = [join("classic"), join("classic")]
        group.shared_by(*old)
        new = [join(CONSUMER)]
        group.shared_by(*old, *new)
        assert kind(grouping, group.name) is ConsumerGroupType.CONSUMER
        old.pop(0).leave()
        new.append(join(CONSUMER))
        group.shared_by(*old, *new)
        old.pop(0).leave()
        group.shared_by(*new)
        back = [join("classic")]
        group.shared_by(*new, *back)
        new.pop(0).leave()
        new.pop(0).leave()
        group.shared_by(*back)
        assert kind(grouping, group.name) is ConsumerGroupType.CLASSIC
        back.append(join("classic"))
        group.shared_by(*back)
        group.finish()
        group.check()


def epoch(node: Node, group: str) -> int:
    """The epoch of a group."""
    found: int = Shell(node.address).json("groups", "describe", group)["epoch"]
    return found


def kind(node: Node, group: str) -> ConsumerGroupType:
    """The type of a group."""
    admin = AdminClient({"bootstrap.servers": node.address})
    listed = admin.list_consumer_groups().result(WAIT_SECONDS)
    (found,) = [each for each in listed.valid if each.group_id == group]
    kind: ConsumerGroupType = found.type
    return kind


def make(node: Node, *topics: str) -> None:
    """Topics of two partitions, with an event in each."""
    admin = AdminClient({"bootstrap.servers": node.address})
    for future in admin.create_topics([NewTopic(topic, 2, 1) for topic in topics]).values():
        future.result(WAIT_SECONDS)
    producer = Producer({"bootstrap.servers": node.address})
    for topic in topics:
        for partition in range(2):
            producer.produce(topic, b"x", partition=partition)
    assert producer.flush(WAIT_SECONDS) == 0


def test_regular_expressions_of_librdkafka(grouping: Node) -> None:
    """Topics that exist, and one that comes later."""
    make(grouping, "rx-a", "rx-b", "other-x")
    settings = {
        "bootstrap.servers": grouping.address,
        "group.id": "rx",
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
    }
    consumer = Consumer(settings)
    consumer.subscribe(["^rx-.*"])
    assert read(consumer, 4) == {"rx-a", "rx-b"}
    make(grouping, "rx-c")
    assert read(consumer, 2) == {"rx-c"}
    assert {each.topic for each in consumer.assignment()} == {"rx-a", "rx-b", "rx-c"}
    consumer.close()


def read(consumer: Consumer, count: int) -> set[str]:
    """The topics of the next events."""
    topics: set[str] = set()
    deadline = time.monotonic() + WAIT_SECONDS
    while count:
        assert time.monotonic() < deadline, (count, topics)
        event = consumer.poll(0.1)
        if event is not None and event.error() is None:
            topic = event.topic()
            assert topic is not None
            topics.add(topic)
            count -= 1
    return topics


@pytest.mark.usefixtures("java")
def test_regular_expressions_of_java(grouping: Node) -> None:
    """SubscriptionPattern: RE2 on the coordinator."""
    make(grouping, "pattern-1", "pattern-2", "pattern-x")
    read = java_tool("PatternMember", grouping.address, "java-rx", r"pattern-\d", "4").stdout
    assert read.split() == ["pattern-1", "pattern-2"]


@pytest.mark.usefixtures("java")
def test_a_bad_regular_expression_is_told(grouping: Node) -> None:
    """What java.util.regex would take and RE2 does not."""
    done = java_tool("PatternMember", grouping.address, "java-bad", "a(?=b)", "1", check=False)
    assert done.returncode != 0
    assert "InvalidRegularExpression" in done.stderr
