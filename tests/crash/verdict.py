"""After a crash: what a restarted node must still know (invariants P4 to P6, P9 to P11)."""

from __future__ import annotations

from pathlib import Path

from barnabas.host.disk import HostDisk
from barnabas.records.batch import iter_batches
from barnabas.records.record import read_records
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import DescribeConfigsResponse
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.fetch_response import FetchResponse
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.crash.script import ALTERED, RECORDS, TOPICS, Journal, Script
from tests.hostile.target import MEBIBYTE, NAMED_VERSION, Client
from tests.unit.log.rebuild_oracle import check_partition

EARLIEST, LATEST = -2, -1
LIMIT = 16 * MEBIBYTE


def check_node(client: Client, journal: Journal) -> dict[str, tuple[int, int]]:
    """Everything acknowledged is there, once and in order; returns (start, end) by topic."""
    found = topics(client)
    gone = {"doomed"} if journal.deleted else set()
    assert journal.created - gone - ({"doomed"} if journal.delete_asked else set()) <= found
    assert found <= journal.asked - gone
    ranges = {}
    for topic in sorted(found):
        check_config(client, topic, journal)
        ranges[topic] = check_records(client, topic, journal)
        if topic in journal.in_doubt and topic in found:
            # The producer tries again what was not answered: it is in the log once.
            Script(client, journal).write(topic)
            ranges[topic] = check_records(client, topic, journal)
    return ranges


def topics(client: Client) -> set[str]:
    """Names of the topics."""
    answer = client.ask(MetadataRequest(topics=None), 9)
    assert isinstance(answer, MetadataResponse)
    assert all(t.error_code == 0 for t in answer.topics)
    return {t.name for t in answer.topics if t.name is not None}


def check_config(client: Client, topic: str, journal: Journal) -> None:
    """Configs that were acknowledged hold."""
    answer = client.ask(DescribeConfigsRequest([DescribeConfigsResource(2, topic)]), 1)
    assert isinstance(answer, DescribeConfigsResponse)
    values = {config.name: config.value for config in answer.results[0].configs}
    for name, value in TOPICS[topic].items():
        assert values.get(name, value) == value
    if topic == "steady":
        if journal.altered:
            assert values[ALTERED[0]] == ALTERED[1]
        elif not journal.alter_asked:
            assert values[ALTERED[0]] != ALTERED[1]


def check_records(client: Client, topic: str, journal: Journal) -> tuple[int, int]:
    """The record at each offset is the one that was written there."""
    start, end = offset(client, topic, EARLIEST), offset(client, topic, LATEST)
    acknowledged = journal.ends.get(topic, 0)
    assert acknowledged <= end, f"{topic}: lost {end} to {acknowledged}"
    assert end <= acknowledged + (RECORDS if topic in journal.in_doubt else 0)
    assert 0 <= start <= end
    if topic != "rolling":
        assert start == 0
    at = start
    while at < end:
        fetched = fetch(client, topic, at)
        assert fetched, f"{topic}: nothing at {at} of {start} to {end}"
        for number, value in fetched:
            assert (number, value) == (at, b"%s %d" % (topic.encode(), at))
            at += 1
    assert at == end
    return start, end


def offset(client: Client, topic: str, timestamp: int) -> int:
    """A special offset of partition 0."""
    wanted = ListOffsetsTopic(topic, [ListOffsetsPartition(0, timestamp=timestamp)])
    answer = client.ask(ListOffsetsRequest(replica_id=-1, topics=[wanted]), 5)
    assert isinstance(answer, ListOffsetsResponse)
    partition = answer.topics[0].partitions[0]
    assert partition.error_code == 0, f"{topic}: {partition}"
    return partition.offset


def fetch(client: Client, topic: str, at: int) -> list[tuple[int, bytes | None]]:
    """(offset, value) of the records from `at` on, as many as one answer has."""
    partition = FetchPartition(0, fetch_offset=at, partition_max_bytes=LIMIT)
    request = FetchRequest(
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=LIMIT,
        topics=[FetchTopic(topic, partitions=[partition])],
    )
    answer = client.ask(request, NAMED_VERSION)
    assert isinstance(answer, FetchResponse)
    found = answer.responses[0].partitions[0]
    assert found.error_code == 0, f"{topic}: {found.error_code} at {at}"
    data = found.records or b""
    return [
        (record.offset, record.value)
        for position, _ in iter_batches(data)
        for record in read_records(data, position, limit=LIMIT)
        if record.offset >= at
    ]


def check_files(data: Path) -> dict[str, list[bytes]]:
    """Indexes and snapshots of a stopped node are those that its logs ask for; returns the logs."""
    disk = HostDisk()
    found = {}
    for directory in sorted(data.iterdir()):
        topic = directory.name.removesuffix("-0")
        if topic in TOPICS and directory.is_dir() and any(directory.glob("*.log")):
            interval = int(TOPICS[topic].get("index.interval.bytes", "4096"))
            batches = check_partition(disk, str(directory), interval)
            found[directory.name] = [raw for _, raw in batches]
    disk.close()
    return found
