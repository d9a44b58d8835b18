"""Groups of real clients: members join, leave, crash and come again under load."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.interop.kafka import KafkaProcess, Node, target_class
from tests.interop.members import QUICK_GROUPS, Group, Member
from tests.interop.programs import NAMED


class Case(NamedTuple):
    """A client and its way to be a member."""

    program: str
    assignor: str
    static: bool = False
    protocol: str = "classic"

    def __str__(self) -> str:
        return "-".join((self.program, self.assignor, self.protocol, "static" * self.static)).strip(
            "-"
        )


CASES = (
    Case("confluent", "cooperative-sticky"),
    Case("aiokafka", "range"),
    Case("kafka-python", "cooperative-sticky"),
    Case("kafkajs", "RoundRobinAssigner"),
    Case("platformatic", "roundrobin"),
    Case("franz-go", "cooperative-sticky"),
    Case("sarama", "range"),
    Case("java", "cooperative-sticky"),
    Case("barnabas", "range"),
    Case("barnabas", "sticky"),
    Case("barnabas", "cooperative-sticky"),
    Case("barnabas-sync", "roundrobin"),
    Case("confluent", "range", protocol="consumer"),
    Case("franz-go", "uniform", protocol="consumer"),
)
LONGER = (
    # What the mixed group shows, too.
    *(Case(name, "range") for name in ("confluent", "kafka-python", "franz-go", "java")),
    Case("java", "uniform", protocol="consumer"),
    Case("franz-go", "range", protocol="consumer"),
)
"""In long runs."""
STATIC = (
    Case("java", "range", static=True),
    Case("franz-go", "cooperative-sticky", static=True),
    Case("barnabas", "cooperative-sticky", static=True),
)
HALTED = (
    Case("confluent", "cooperative-sticky"),
    Case("confluent", "uniform", protocol="consumer"),
    Case("aiokafka", "range"),
    # Its cooperative members claim what they had before they were put out (docs/compatibility.md).
    Case("kafka-python", "range"),
    Case("kafkajs", "RoundRobinAssigner"),
    Case("platformatic", "roundrobin"),
    Case("franz-go", "cooperative-sticky"),
    Case("franz-go", "uniform", protocol="consumer"),
    Case("sarama", "range"),
    Case("java", "cooperative-sticky"),
    Case("java", "uniform", protocol="consumer"),
    Case("barnabas", "cooperative-sticky"),
    Case("barnabas", "uniform", protocol="consumer"),
)
HALTS = (0.3, 1.0, 3.5, 4.5, 6.0)
"""Seconds; a session has four."""
LONG_MS = 60_000
"""Longer than a JVM needs to start on a busy machine."""
RANGE = ("barnabas", "java", "franz-go", "confluent", "sarama", "kafka-python", "aiokafka")
"""Clients whose range assignors know each other's words."""


@pytest.fixture(scope="module", params=["target", pytest.param("kafka", marks=pytest.mark.soak)])
def grouping(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node that misses members soon; in long runs a real Kafka, too."""
    made = target_class() if request.param == "target" else KafkaProcess
    if made is KafkaProcess:
        request.getfixturevalue("java")
    with made(tmp_path_factory.mktemp("groups"), QUICK_GROUPS) as node:
        yield node
    assert "a bug of ours" not in node.log_text(), node.log_tail()


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.soak) for case in LONGER)], ids=str
)
def test_members_come_and_go(grouping: Node, case: Case) -> None:
    program = NAMED[case.program]
    with Group(grouping, str(case)) as group:

        def join() -> Member:
            return group.join(program, case.assignor, protocol=case.protocol)

        one, two, three = (join() for _ in range(3))
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


@pytest.mark.soak
@pytest.mark.parametrize("case", HALTED, ids=str)
def test_members_that_are_halted(grouping: Node, case: Case, seed: int) -> None:
    """Who was put out learns it, commits nothing any more, and comes again."""
    drawn = random.Random(f"{seed}-{case}")
    with Group(grouping, f"halted-{case}") as group:

        def join() -> Member:
            return group.join(NAMED[case.program], case.assignor, protocol=case.protocol)

        members = [join() for _ in range(3)]
        group.shared_by(*members)
        halts: list[threading.Thread] = []

        def halt(member: Member, after: float, seconds: float) -> None:
            halts.append(threading.Thread(target=member.halt, args=(after, seconds)))
            halts[-1].start()

        for _ in range(6):
            what = drawn.choice(("halt", "halt", "leave", "kill", "join"))
            if what == "halt":
                for member in drawn.sample(members, min(len(members) - 1, drawn.choice((1, 2)))):
                    halt(member, 0.0, drawn.choice(HALTS))
                time.sleep(drawn.choice((0.2, 1.0, 3.0, 5.0)))
            elif what == "leave" and len(members) > 2:
                member = members.pop(drawn.randrange(len(members)))
                halt(member, drawn.uniform(0.0, 0.05), drawn.choice((0.5, 1.5)))
                member.leave()
            elif what == "kill" and len(members) > 2:
                members.pop(drawn.randrange(len(members))).kill()
            else:
                members.append(join())
                group.shared_by(*members)
            if drawn.random() < 0.5:
                group.shared_by(*members)
        for each in halts:
            each.join()
        group.shared_by(*members)
        group.finish()
        group.check()


@pytest.mark.parametrize("case", STATIC, ids=str)
def test_static_members_crash_and_come_again_without_a_rebalance(
    grouping: Node, case: Case
) -> None:
    program = NAMED[case.program]
    with Group(grouping, str(case)) as group:
        names = ("left", "middle", "right")

        def join(name: str) -> Member:
            return group.join(program, case.assignor, instance=name, session_ms=LONG_MS)

        left, middle, right = (join(name) for name in names)
        group.shared_by(left, middle, right)
        before = group.generation(left, middle, right)
        middle.kill()
        again = join("middle")
        group.shared_by(left, again, right)
        assert group.generation(left, again, right) == before
        group.finish()
        group.check()


def test_clients_of_many_languages_in_one_group(grouping: Node) -> None:
    with Group(grouping, "mixed") as group:
        members = [group.join(NAMED[name], "range") for name in RANGE]
        group.shared_by(*members)
        members.pop(0).leave()
        group.shared_by(*members)
        members.pop(0).kill()
        group.shared_by(*members)
        members.append(group.join(NAMED["java"], "range"))
        group.shared_by(*members)
        group.finish()
        group.check()


def test_a_group_moves_to_the_new_protocol_online_and_back(grouping: Node) -> None:
    with Group(grouping, "migrated") as group:
        program = NAMED["confluent"]
        old = [group.join(program, "range") for _ in range(2)]
        group.shared_by(*old)
        new = [group.join(program, "range", protocol="consumer") for _ in range(2)]
        group.shared_by(*old, *new)
        for member in old:
            member.leave()
        group.shared_by(*new)
        again = group.join(program, "range")
        group.shared_by(*new, again)
        for member in new:
            member.leave()
        group.shared_by(again)
        group.finish()
        group.check()


@pytest.mark.parametrize("assignor", ["sticky", "cooperative-sticky"])
def test_our_members_beside_javas(grouping: Node, assignor: str) -> None:
    """Either leads in turn, and reads what the other's assignor wrote."""
    with Group(grouping, f"beside-{assignor}") as group:
        members = [group.join(NAMED["barnabas"], assignor)]
        group.shared_by(*members)
        for name in ("java", "barnabas-sync", "java"):
            members.append(group.join(NAMED[name], assignor))
            group.shared_by(*members)
        members.pop(0).leave()  # the leader
        group.shared_by(*members)
        members.pop(0).kill()
        group.shared_by(*members)
        group.finish()
        group.check()


def test_our_members_under_kip_848_beside_javas(grouping: Node) -> None:
    with Group(grouping, "beside-kip-848") as group:
        members = [
            group.join(NAMED[name], "uniform", protocol="consumer")
            for name in ("barnabas", "java", "barnabas-sync")
        ]
        group.shared_by(*members)
        members.pop(0).leave()
        group.shared_by(*members)
        members.pop(0).kill()
        group.shared_by(*members)
        members.append(group.join(NAMED["barnabas"], "uniform", protocol="consumer"))
        group.shared_by(*members)
        group.finish()
        group.check()
