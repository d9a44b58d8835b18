"""Apache Kafka's own tools, unchanged, on groups: what they show, reset and delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.interop.conftest import WAIT_SECONDS, MakeTopic
from tests.interop.kafka import Node
from tests.interop.test_kafka_tools import tool

pytestmark = pytest.mark.usefixtures("java")

RECORDS = 60
COMMITTED = 7
PARTITIONS = 2
TABLES = ("GROUP", "TOPIC")


def fill(node: Node, topic: str, records: int = RECORDS) -> None:
    """So many records in each partition, a second apart."""
    producer = Producer({"bootstrap.servers": node.address})
    for partition in range(PARTITIONS):
        for number in range(records):
            stamp = 1_700_000_000_000 + 1000 * number
            producer.produce(topic, f"v{number}", partition=partition, timestamp=stamp)
    assert producer.flush(WAIT_SECONDS) == 0


def consumer(node: Node, group: str) -> Consumer:
    """A consumer of a group, not yet a member."""
    settings = {"bootstrap.servers": node.address, "group.id": group, "client.id": "reader"}
    return Consumer({**settings, "auto.offset.reset": "earliest", "enable.auto.commit": False})


def commit(node: Node, group: str, topic: str, offset: int = COMMITTED) -> None:
    """Commit an offset for every partition, as a simple consumer does."""
    simple = consumer(node, group)
    wanted = [TopicPartition(topic, each, offset) for each in range(PARTITIONS)]
    simple.commit(offsets=wanted, asynchronous=False)
    simple.close()


@pytest.fixture
def member(node: Node, make_topic: MakeTopic) -> Iterator[tuple[str, str]]:
    """A topic with records and a group with one member on it, who has committed."""
    topic = make_topic(PARTITIONS)
    group = f"live-{topic}"
    fill(node, topic)
    live = consumer(node, group)
    live.subscribe([topic])
    while not live.assignment():
        live.poll(0.1)
    wanted = [TopicPartition(topic, each, COMMITTED) for each in range(PARTITIONS)]
    live.commit(offsets=wanted, asynchronous=False)
    yield group, topic
    live.close()


def rows(printed: str) -> list[dict[str, str]]:
    """The lines of the tables that a tool printed, by their headings."""
    found: list[dict[str, str]] = []
    heads: list[str] = []
    for line in printed.replace("COORDINATOR (ID)", "COORDINATOR ID").splitlines():
        words = line.split()
        if words and words[0] in TABLES:
            heads = words
        elif heads and len(words) == len(heads):
            found.append(dict(zip(heads, words, strict=True)))
    return found


def groups(node: Node, *arguments: str, check: bool = True) -> str:
    """What ConsumerGroupCommand prints."""
    return tool("consumer.group.ConsumerGroupCommand", node, *arguments, check=check).stdout


def offsets(printed: str, column: str) -> dict[int, str]:
    """A column of a table of partitions."""
    return {int(row["PARTITION"]): row[column] for row in rows(printed)}


def test_consumer_group_command_shows_a_live_group(node: Node, member: tuple[str, str]) -> None:
    group, topic = member
    assert group in groups(node, "--list").split()
    listed = rows(groups(node, "--list", "--state", "stable"))
    assert {"GROUP": group, "STATE": "Stable"}.items() <= listed[0].items()
    described = rows(groups(node, "--describe", "--group", group))
    assert [row["TOPIC"] for row in described] == [topic] * PARTITIONS
    for row in described:
        assert (row["CURRENT-OFFSET"], row["LOG-END-OFFSET"]) == (str(COMMITTED), str(RECORDS))
        assert row["LAG"] == str(RECORDS - COMMITTED)
        assert (row["HOST"], row["CLIENT-ID"]) == ("/127.0.0.1", "reader")
    (one,) = rows(groups(node, "--describe", "--group", group, "--members", "--verbose"))
    assert (one["#PARTITIONS"], one["CURRENT-ASSIGNMENT"]) == (str(PARTITIONS), f"{topic}:0,1")
    assert one["CONSUMER-ID"].startswith("reader-")
    (state,) = rows(groups(node, "--describe", "--group", group, "--state"))
    assert (state["STATE"], state["#MEMBERS"]) == ("Stable", "1")
    assert (state["ASSIGNMENT-STRATEGY"], state["COORDINATOR"]) == ("range", node.address)


def test_consumer_group_command_leaves_a_live_group_alone(
    node: Node, member: tuple[str, str]
) -> None:
    group, topic = member
    reset = groups(
        node, "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute",
        check=False,
    )  # fmt: skip
    assert "inactive, but the current state is Stable" in reset
    deleted = groups(node, "--delete", "--group", group, check=False)
    assert f"Group '{group}' could not be deleted due to" in deleted
    assert "GroupNotEmptyException" in deleted
    kept = groups(
        node, "--delete-offsets", "--group", group, "--topic", topic, check=False
    )  # fmt: skip
    assert "GroupSubscribedToTopicException" in kept or "is subscribed to the topic" in kept
    described = groups(node, "--describe", "--group", group)
    assert set(offsets(described, "CURRENT-OFFSET").values()) == {str(COMMITTED)}


@pytest.mark.parametrize(
    ("to", "new"),
    [
        (("--to-earliest",), 0),
        (("--to-latest",), RECORDS),
        (("--to-offset", "12"), 12),
        (("--to-offset", "1000"), RECORDS),
        (("--shift-by", "-3"), COMMITTED - 3),
        (("--to-datetime", "2023-11-14T22:13:30.000"), 10),
        (("--to-current",), COMMITTED),
        (("--by-duration", "PT1S"), RECORDS),
    ],
    ids=lambda value: value[0].strip("-") if isinstance(value, tuple) else str(value),
)
def test_consumer_group_command_resets_offsets(
    node: Node, make_topic: MakeTopic, to: tuple[str, ...], new: int
) -> None:
    topic = make_topic(PARTITIONS)
    group = f"reset-{topic}"
    fill(node, topic)
    commit(node, group, topic)
    asked = ["--reset-offsets", "--group", group, "--topic", topic, *to]
    simple = consumer(node, group)
    both = [TopicPartition(topic, each) for each in range(PARTITIONS)]
    done = groups(node, *asked, "--execute")
    assert offsets(done, "NEW-OFFSET") == dict.fromkeys(range(PARTITIONS), str(new))
    assert {each.offset for each in simple.committed(both, WAIT_SECONDS)} == {new}
    simple.close()


def test_consumer_group_command_changes_nothing_in_a_dry_run(
    node: Node, make_topic: MakeTopic
) -> None:
    topic = make_topic(PARTITIONS)
    group = f"dry-{topic}"
    fill(node, topic)
    commit(node, group, topic)
    asked = ("--reset-offsets", "--group", group, "--topic", topic, "--to-earliest")
    dry = groups(node, *asked, "--dry-run")
    assert offsets(dry, "NEW-OFFSET") == dict.fromkeys(range(PARTITIONS), "0")
    simple = consumer(node, group)
    both = [TopicPartition(topic, each) for each in range(PARTITIONS)]
    assert {each.offset for each in simple.committed(both, WAIT_SECONDS)} == {COMMITTED}
    simple.close()


def test_consumer_group_command_resets_from_a_file_and_deletes(
    node: Node, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic(PARTITIONS)
    group = f"file-{topic}"
    fill(node, topic)
    commit(node, group, topic)
    exported = groups(
        node, "--reset-offsets", "--group", group, "--all-topics", "--to-current", "--export"
    )
    assert f"{topic},0,{COMMITTED}" in exported.splitlines()
    plan = tmp_path / "plan.csv"
    plan.write_text(f"{topic},0,3\n{topic},1,4\n")
    groups(node, "--reset-offsets", "--group", group, "--from-file", str(plan), "--execute")
    described = groups(node, "--describe", "--group", group)
    assert offsets(described, "CURRENT-OFFSET") == {0: "3", 1: "4"}
    gone = groups(node, "--delete-offsets", "--group", group, "--topic", f"{topic}:0")
    assert rows(gone) == [{"TOPIC": topic, "PARTITION": "0", "STATUS": "Successful"}]
    assert offsets(groups(node, "--describe", "--group", group), "CURRENT-OFFSET") == {1: "4"}
    deleted = groups(node, "--delete", "--group", group)
    assert f"('{group}') was successful" in deleted
    assert group not in groups(node, "--list").split()
    unknown = groups(node, "--describe", "--group", group, check=False)
    assert f"GroupIdNotFoundException: Group {group} not found." in unknown
    again = groups(node, "--delete", "--group", group, check=False)
    assert "GroupIdNotFoundException" in again


def test_groups_command(node: Node, member: tuple[str, str], make_topic: MakeTopic) -> None:
    group, _ = member
    simple = f"simple-{group}"
    commit(node, simple, make_topic(PARTITIONS), 0)
    listed = {row["GROUP"]: row for row in rows(tool("GroupsCommand", node, "--list").stdout)}
    assert listed[group] == {"GROUP": group, "TYPE": "Classic", "PROTOCOL": "consumer"}
    # Who only commits has no protocol, and so there are two words.
    every = tool("GroupsCommand", node, "--list", "--group-type", "classic").stdout
    assert [simple, "Classic"] in [line.split() for line in every.splitlines()]
    assert rows(tool("GroupsCommand", node, "--list", "--share").stdout) == []


def test_console_consumer_goes_on_where_its_group_was(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(PARTITIONS)
    fill(node, topic)
    seen = []
    for _ in range(2):
        printed = tool(
            "consumer.ConsoleConsumer", node, "--topic", topic, "--group", f"console-{topic}",
            "--from-beginning", "--max-messages", str(RECORDS), "--timeout-ms", "20000",
            "--formatter-property", "print.partition=true",
        ).stdout  # fmt: skip
        seen += printed.split("\n")[:-1]
    assert len(seen) == len(set(seen)) == PARTITIONS * RECORDS


def test_streams_resetter(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(PARTITIONS)
    application = f"streams-{topic}"
    fill(node, topic)
    commit(node, application, topic)
    internal = f"{application}-KSTREAM-AGGREGATE-STATE-STORE-0000000003-changelog"
    tool("TopicCommand", node, "--create", "--topic", internal)
    asked = ["--application-id", application, "--input-topics", topic]
    printed = tool("StreamsResetter", node, *asked, "--dry-run").stdout
    assert f"Topic: {topic} Partition: 1 Offset: 0" in printed
    assert internal in printed
    tool("StreamsResetter", node, *asked, "--force")
    simple = consumer(node, application)
    both = [TopicPartition(topic, each) for each in range(PARTITIONS)]
    assert {each.offset for each in simple.committed(both, WAIT_SECONDS)} == {0}
    simple.close()
    assert internal not in tool("TopicCommand", node, "--list").stdout.split()


def test_a_deleted_group_takes_no_more_commits_of_its_member(
    node: Node, make_topic: MakeTopic
) -> None:
    topic = make_topic(PARTITIONS)
    live = consumer(node, f"removed-{topic}")
    fill(node, topic)
    live.subscribe([topic])
    while not live.assignment():
        live.poll(0.1)
    tool("StreamsResetter", node, "--application-id", f"removed-{topic}", "--force")
    with pytest.raises(KafkaException, match=r"UNKNOWN_MEMBER_ID|REBALANCE_IN_PROGRESS"):
        live.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
    live.close()
