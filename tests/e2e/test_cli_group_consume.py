"""`barnabas consume --group`: what is printed is committed, once it is printed."""

from __future__ import annotations

import json
import signal

import pytest

from barnabas.cli.exits import Exit
from barnabas.testing import Broker
from tests.e2e.node import Shell, run

PROTOCOLS = pytest.mark.parametrize("protocol", ["classic", "consumer"])


@pytest.fixture
def sh(kafka: Broker) -> Shell:
    """Commands against the broker of the run."""
    return Shell(kafka.bootstrap_servers)


def send(sh: Shell, topic: str, *values: int) -> None:
    sh("produce", topic, stdin="".join(f"{value}\n" for value in values).encode())


def lag(sh: Shell, group: str) -> list[tuple[int | None, int]]:
    return [(row["offset"], row["end"]) for row in sh.json("groups", "lag", group)]


def numbers(text: bytes) -> list[int]:
    return [int(line) for line in text.split()]


@PROTOCOLS
def test_a_group_goes_on_where_it_stands(kafka_topic: str, sh: Shell, protocol: str) -> None:
    group = f"{kafka_topic}-{protocol}"
    send(sh, kafka_topic, *range(10))
    member = ("consume", kafka_topic, "--group", group, "--group-protocol", protocol)
    assert numbers(sh(*member, "--max", "4")) == [0, 1, 2, 3]
    assert lag(sh, group) == [(4, 10)]
    # --from is for what the group has not committed.
    assert numbers(sh(*member, "--from", "end")) == [4, 5, 6, 7, 8, 9]
    assert lag(sh, group) == [(10, 10)]


def test_from_says_where_a_new_group_begins(kafka_topic: str, sh: Shell) -> None:
    send(sh, kafka_topic, *range(5))
    found = sh("consume", kafka_topic, "--group", f"{kafka_topic}-new", "--from", "-2")
    assert numbers(found) == [3, 4]
    assert lag(sh, f"{kafka_topic}-new") == [(5, 5)]


@PROTOCOLS
def test_an_interrupt_commits_what_was_printed_and_leaves(
    kafka: Broker, kafka_topic: str, sh: Shell, protocol: str
) -> None:
    group = f"{kafka_topic}-{protocol}"
    send(sh, kafka_topic, 1, 2, 3)
    command = ["consume", kafka_topic, "-b", kafka.bootstrap_servers, "--follow"]
    options = ["--from", "beginning", "--group", group, "--group-protocol", protocol]
    with sh.popen([*command, *options]) as process:
        assert process.stdout is not None
        assert numbers(b"".join(process.stdout.readline() for _ in range(3))) == [1, 2, 3]
        process.send_signal(signal.SIGINT)
        assert process.wait() == Exit.INTERRUPTED
    (listed,) = [g for g in sh.json("groups", "list") if g["group"] == group]
    assert listed["state"] == "Empty"
    assert lag(sh, group) == [(3, 3)]


def shares(sh: Shell, group: str) -> list[int]:
    """How many partitions each member has; nobody has joined as long as there is no group."""
    asked = run(sh.address, "groups", "members", group, "-o", "json")
    if asked.returncode:
        return []
    return [len(each["partitions"]) for each in json.loads(asked.stdout)]


def test_two_members_share_the_partitions(kafka: Broker, sh: Shell) -> None:
    kafka.create_topic("shared", 4)
    command = ["consume", "shared", "-b", kafka.bootstrap_servers, "--follow"]
    options = ["--from", "beginning", "--group", "sharing", "--format", "json"]
    members = [sh.popen([*command, *options]) for _ in range(2)]
    try:
        while shares(sh, "sharing") != [2, 2]:
            pass
        lines = "".join(f'{{"value": "{n}", "partition": {n % 4}}}\n' for n in range(40))
        sh("produce", "shared", "--format", "json", stdin=lines.encode())
        for each in members:
            assert each.stdout is not None
            assert len([each.stdout.readline() for _ in range(20)]) == 20
    finally:
        for each in members:
            each.send_signal(signal.SIGINT)
        for each in members:
            with each:
                assert each.wait() == Exit.INTERRUPTED
    assert lag(sh, "sharing") == [(10, 10)] * 4


def test_a_static_member_stays_in_the_group(kafka_topic: str, sh: Shell) -> None:
    group = f"{kafka_topic}-static"
    send(sh, kafka_topic, 1)
    member = ("consume", kafka_topic, "--group", group, "--group-instance-id", "one")
    assert numbers(sh(*member)) == [1]
    assert [each["instance"] for each in sh.json("groups", "members", group)] == ["one"]
    send(sh, kafka_topic, 2)
    assert numbers(sh(*member)) == [2]


def test_options_that_do_not_go_together(kafka_topic: str, sh: Shell) -> None:
    assert sh.fail("consume", kafka_topic, "--group", "g", "-p", "0")[0] == Exit.USAGE
    assert sh.fail("consume", kafka_topic, "--group-instance-id", "i")[0] == Exit.USAGE
