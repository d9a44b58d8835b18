"""Records deleted, log directories and producers: a real Apache Kafka and ours give the same answers.

Both hold the same bytes. Only the names of directories and the space of volumes may differ.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from barnabas.records.builder import build_batch
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.create_topics_request import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.delete_records_request import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from barnabas.wire.messages.describe_log_dirs_request import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
)
from barnabas.wire.messages.describe_producers_request import (
    DescribeProducersRequest,
    TopicRequest,
)
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from barnabas.wire.messages.produce_response import ProduceResponse
from tests.interop.answers import Sides, both
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import java_tool

pytestmark = [pytest.mark.usefixtures("java"), pytest.mark.timeout(300)]

STAMP = 1_900_000_000_000
TOPICS = {"a": 3, "b": 1, "compacted": 1, "both": 1, "empty": 2, "tool": 3}
POLICIES = {"compacted": "compact", "both": "compact,delete"}
RECORDS = 10


@contextmanager
def filled(directory: Path) -> Iterator[Sides]:
    """Both nodes with the same topics and the same batches, some of producers with ids."""
    with both(directory, {"log.message.timestamp.after.max.ms": str(2**63 - 1)}) as sides:
        made = [
            CreatableTopic(
                name, count, 1, [], [CreatableTopicConfig("cleanup.policy", POLICIES[name])]
            )
            if name in POLICIES
            else CreatableTopic(name, count, 1)
            for name, count in TOPICS.items()
        ]
        for side in (sides.kafka, sides.ours):
            side.ask(CreateTopicsRequest(made, 30_000), 7)
        for name in ("a", "b", "compacted", "both", "tool"):
            for index in range(TOPICS[name]):
                for at in range(RECORDS):
                    write(sides, name, index, at)
        yield sides


def write(sides: Sides, name: str, index: int, at: int) -> None:
    """The `at`-th batch of a partition, the same on both sides: of producer 1000 + index where that
    is odd."""
    options: dict[str, Any] = {}
    if index % 2 or name == "b":
        options = {"producer_id": 1000 + index, "producer_epoch": 3, "base_sequence": 2 * at}
    records = [(b"k%d" % at, b"v" * 50, STAMP + at, ()), (b"k", b"w", STAMP + at + 1, ())]
    data = bytes(build_batch(records, **options))
    parts = [PartitionProduceData(index, data)]
    request = ProduceRequest(None, -1, 5000, [TopicProduceData(name, partition_data=parts)])
    for side in (sides.kafka, sides.ours):
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            answer = side.ask(request, 12)
            assert isinstance(answer, ProduceResponse)
            told = answer.responses[0].partition_responses[0]
            if not ErrorCode(told.error_code).retriable or time.monotonic() > deadline:
                break
            time.sleep(0.05)  # the broker has not seen yet what its controller made
        assert (told.error_code, told.base_offset) == (0, 2 * at)


def normal(name: str, value: Any) -> Any:
    """What may differ between two nodes."""
    match name:
        case "log_dir":
            return Path(value).name
        case "total_bytes" | "usable_bytes":
            return "bytes" if value > 0 else value
        case "topics" | "partitions" | "active_producers":
            return sorted(value, key=repr)
    return value


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Both nodes, for all tests of this file."""
    with filled(tmp_path_factory.mktemp("truth")) as running:
        yield running


@pytest.mark.parametrize("version", range(1, 6))
def test_log_directories(sides: Sides, version: int) -> None:
    asked: list[list[DescribableLogDirTopic] | None] = [
        None,
        [],
        [DescribableLogDirTopic("a", [0, 2, 9]), DescribableLogDirTopic("absent", [0])],
        [DescribableLogDirTopic("a", [1]), DescribableLogDirTopic("a", [1, 2])],
    ]
    for topics in asked:
        found = sides.compare(DescribeLogDirsRequest(topics), version, normal=normal)
        assert found["results"][0]["log_dir"] == "data"
        assert bool(found["results"][0]["topics"]) == (topics != [])


def test_producers(sides: Sides) -> None:
    asked = [
        TopicRequest("a", [0, 1, 2, 7]),
        TopicRequest("b", [0]),
        TopicRequest("empty", [0]),
        TopicRequest("absent", [0]),
        TopicRequest("no/name", [0]),
        TopicRequest("", [0]),
    ]
    found = sides.compare(DescribeProducersRequest(asked), 0, normal=normal)
    active = [p["active_producers"] for t in found["topics"] for p in t["partitions"]]
    assert sum(map(len, active)) == 2


def starts(sides: Sides, *names: str) -> list[int]:
    """Log starts, the same on both sides."""
    found = []
    for name in names:
        parts = [ListOffsetsPartition(n, timestamp=-2) for n in range(TOPICS[name])]
        request = ListOffsetsRequest(-1, 0, [ListOffsetsTopic(name, parts)])
        answer = sides.compare(request, 6, normal=normal)
        found += [p["offset"] for p in answer["topics"][0]["partitions"]]
    return found


def test_records_are_deleted(sides: Sides) -> None:
    def delete(version: int, **offsets: list[tuple[int, int]]) -> None:
        topics = [
            DeleteRecordsTopic(name, [DeleteRecordsPartition(*each) for each in pairs])
            for name, pairs in offsets.items()
        ]
        sides.compare(DeleteRecordsRequest(topics, 5000), version, normal=normal)

    for version in range(3):
        delete(version, a=[(0, version + 1), (1, 99), (2, -2), (7, 0)], absent=[(0, 0)])
        assert starts(sides, "a")[:1] == [version + 1]
    delete(2, a=[(0, 1), (1, 0)], b=[(0, -1)], compacted=[(0, 5)], both=[(0, 5)], empty=[(0, 0)])
    delete(2, a=[(2, 5), (2, 4)], empty=[(1, 1)])
    delete(2, a=[], b=[])
    assert starts(sides, "a", "b", "compacted", "both") == [3, 0, 4, 20, 0, 5]
    # What a producer's last batch was is known although it is gone.
    found = sides.compare(DescribeProducersRequest([TopicRequest("b", [0])]), 0, normal=normal)
    assert len(found["topics"][0]["partitions"][0]["active_producers"]) == 1
    sides.compare(DescribeLogDirsRequest(None), 5, normal=normal)


def test_tools_print_the_same(sides: Sides, tmp_path: Path) -> None:
    chosen = tmp_path / "offsets.json"
    chosen.write_text(
        '{"version": 1, "partitions": [{"topic": "tool", "partition": 0, "offset": 8}, '
        '{"topic": "tool", "partition": 1, "offset": -1}]}'
    )
    refused = tmp_path / "refused.json"
    refused.write_text(
        '{"partitions": [{"topic": "compacted", "partition": 0, "offset": 8}, '
        '{"topic": "tool", "partition": 2, "offset": 800}]}'
    )

    def printed(name: str, *arguments: str) -> list[list[str]]:
        found = []
        for side in (sides.kafka, sides.ours):
            node = side.node
            where = ("--bootstrap-server", node.address)
            done = java_tool(f"org.apache.kafka.tools.{name}", *where, *arguments, check=False)
            text = done.stdout.replace(str(node.data), "data").replace('"broker":0', '"broker":1')
            found.append([f"exit {done.returncode}", *sorted(text.splitlines())])
        return found

    for arguments in (
        ("DeleteRecordsCommand", "--offset-json-file", str(chosen)),
        ("DeleteRecordsCommand", "--offset-json-file", str(refused)),
    ):
        kafka, ours = printed(*arguments)
        assert ours == kafka
    assert starts(sides, "tool") == [8, 20, 0]
    kafka, ours = printed("LogDirsCommand", "--describe", "--topic-list", "tool,empty")
    assert len(ours) == len(kafka) > 3
    assert '"partition":"tool-2"' in "".join(ours)
