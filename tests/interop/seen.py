"""All that a node shows of its topics, as values to compare between two nodes on one directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import (
    DescribeConfigsResponse,
    DescribeConfigsResult,
)
from barnabas.wire.messages.describe_producers_request import (
    DescribeProducersRequest,
    TopicRequest,
)
from barnabas.wire.messages.describe_producers_response import DescribeProducersResponse
from barnabas.wire.messages.list_offsets_request import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from barnabas.wire.messages.list_offsets_response import ListOffsetsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse, MetadataResponseTopic
from barnabas.wire.messages.offset_fetch_request import OffsetFetchRequest, OffsetFetchRequestGroup
from barnabas.wire.messages.offset_fetch_response import OffsetFetchResponse
from barnabas.wire.messages.offset_for_leader_epoch_request import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from barnabas.wire.messages.offset_for_leader_epoch_response import OffsetForLeaderEpochResponse
from tests.hostile.target import Client
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import HOST, Node

M = TypeVar("M", bound=Message)
GROUPS = ("readers", "java-group", "members")
LOADING = {ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR}
Partition = tuple[str, int]
Section = dict[Any, Any]

BROKER, TOPIC = 4, 2
"""Kinds of resources with configs."""

DYNAMIC_SOURCES = {2, 3}
"""DYNAMIC_BROKER_CONFIG and DYNAMIC_DEFAULT_BROKER_CONFIG."""

LATEST = -1
SPECIAL = (LATEST, -2, -3, -4, -5, -6)
"""The timestamps of ListOffsets that stand for something else."""

ENDS = (LATEST, -2)
"""Those of them that compaction does not change."""

TIMES_PER_PARTITION = 12

COMPACTED = "dense"
"""Of this topic the newest record of each key counts: older ones go when a cleaner finds the time."""

EXPIRED_MS = 23 * 3_600_000
"""A producer's state is forgotten a day after its last record, whenever a node comes to it."""


def ask(client: Client, message: Message, version: int, answer: type[M]) -> M:
    """One request on an open connection."""
    response = client.ask(message, version)
    assert isinstance(response, answer)
    return response


def topics_of(client: Client) -> list[MetadataResponseTopic]:
    """Every topic, by name."""
    every = ask(client, MetadataRequest(topics=None), 13, MetadataResponse).topics
    return sorted(every, key=lambda topic: topic.name or "")


def look(node: Node, leave_out: str = "") -> dict[str, Section]:
    """Section by section: what any node shows of a directory, but for one topic."""
    with Client((HOST, node.port)) as client:
        topics = [topic for topic in topics_of(client) if topic.name != leave_out]
        partitions = [(t.name or "", p.partition_index) for t in topics for p in t.partitions]
        records = {
            isolation: read_all(node, partitions, isolation)
            for isolation in ("read_uncommitted", "read_committed")
        }
        seen = {
            "topics": {t.name: (t.topic_id, t.is_internal, len(t.partitions)) for t in topics},
            "features": features(client),
            "configs": configs(client, [t.name or "" for t in topics]),
            "offsets": offsets(client, partitions, records["read_uncommitted"]),
            "epochs": epochs(client, records["read_uncommitted"]),
            "producers": producers(client, partitions),
            "groups": groups(client),
        }
    for isolation, found in records.items():
        seen[isolation] = {(*at, number): r for at, all_ in found.items() for number, r in all_}
        seen[f"{isolation} in all"] = {at: len(all_) for at, all_ in found.items()}
    return seen


def differences(before: dict[str, Section], after: dict[str, Section]) -> list[str]:
    """What `after` does not have, or has otherwise; and what it has in addition."""
    found = []
    for name, section in before.items():
        other = after[name]
        for key, value in section.items():
            if key not in other:
                found.append(f"{name} {key}: {value!r} is gone")
            elif other[key] != value:
                found.append(f"{name} {key}: {value!r} became {other[key]!r}")
        found += [f"{name} {key}: new {other[key]!r}" for key in other if key not in section]
    return found


def read_all(
    node: Node, partitions: list[Partition], isolation: str
) -> dict[Partition, list[tuple[int, tuple[Any, ...]]]]:
    """Every record by (offset, the rest), read by librdkafka until each partition ends."""
    consumer = Consumer(
        {
            "bootstrap.servers": node.address,
            "group.id": "unused",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "check.crcs": True,
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(*at, OFFSET_BEGINNING) for at in partitions])
    found: dict[Partition, list[tuple[int, tuple[Any, ...]]]] = {at: [] for at in partitions}
    open_ends = set(partitions)
    while open_ends:
        batch = consumer.consume(5_000, 0.2) or [consumer.poll(WAIT_SECONDS)]
        for message in batch:
            assert message is not None, f"{open_ends} do not end"
            at = (message.topic(), message.partition())
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                open_ends.discard(at)
                continue
            rest = (
                message.timestamp(),
                message.key(),
                message.value(),
                message.headers(),
                message.leader_epoch(),
            )
            found[at].append((message.offset(), rest))
    consumer.close()
    for at in partitions:
        if at[0] == COMPACTED:
            newest = {rest[1]: (offset, rest) for offset, rest in found[at]}
            found[at] = sorted(newest.values(), key=lambda record: record[0])
    return found


def offsets(
    client: Client,
    partitions: list[Partition],
    records: dict[Partition, list[tuple[int, tuple[Any, ...]]]],
) -> Section:
    """ListOffsets: every special timestamp in both isolations, and times around those of records."""
    found: Section = {}
    for isolation in (0, 1):
        for special in SPECIAL:
            some = [at for at in partitions if special in ENDS or at[0] != COMPACTED]
            for at, answer in _list_offsets(client, dict.fromkeys(some, special), isolation):
                # At the end of the log it is the newest epoch's, which changes with every start.
                newest = special == LATEST or not records[at]
                found[at, isolation, special] = answer[:3] if newest else answer
    times = {at: _times(records[at]) for at in partitions if at[0] != COMPACTED}
    for number in range(TIMES_PER_PARTITION):
        asked = {at: some[number] for at, some in times.items() if number < len(some)}
        for at, answer in _list_offsets(client, asked, 0):
            found[at, "time", asked[at]] = answer
    return found


def _times(records: list[tuple[int, tuple[Any, ...]]]) -> list[int]:
    stamps = sorted({rest[0][1] for _, rest in records})
    if not stamps:
        return [0]
    some = stamps[:: max(1, len(stamps) // 5)]
    around = {0, stamps[-1], stamps[-1] + 1, *some, *(stamp + 1 for stamp in some)}
    return sorted(around)[:TIMES_PER_PARTITION]


def _list_offsets(
    client: Client, asked: dict[Partition, int], isolation: int
) -> Iterator[tuple[Partition, tuple[int, ...]]]:
    by_topic: dict[str, list[ListOffsetsPartition]] = {}
    for (topic, index), timestamp in asked.items():
        by_topic.setdefault(topic, []).append(ListOffsetsPartition(index, timestamp=timestamp))
    request = ListOffsetsRequest(
        replica_id=-1,
        isolation_level=isolation,
        topics=[ListOffsetsTopic(name, some) for name, some in by_topic.items()],
        timeout_ms=5_000,
    )
    for answer in ask(client, request, 11, ListOffsetsResponse).topics:
        for p in answer.partitions:
            yield (
                (answer.name, p.partition_index),
                (p.error_code, p.offset, p.timestamp, p.leader_epoch),
            )


def epochs(client: Client, records: dict[Partition, list[tuple[int, tuple[Any, ...]]]]) -> Section:
    """OffsetForLeaderEpoch for each epoch that has records, by partition and epoch.

    An epoch in which nothing was written leaves no trace, in Kafka either.
    """
    found: Section = {}
    had = {at: {rest[-1] for _, rest in some} for at, some in records.items()}
    for epoch in range(max(map(max, filter(None, had.values())), default=-1) + 1):
        by_topic: dict[str, list[OffsetForLeaderPartition]] = {}
        for (topic, index), epochs_there in had.items():
            if epoch in epochs_there:
                asked = OffsetForLeaderPartition(index, leader_epoch=epoch)
                by_topic.setdefault(topic, []).append(asked)
        topics = [OffsetForLeaderTopic(name, some) for name, some in by_topic.items()]
        request = OffsetForLeaderEpochRequest(replica_id=-1, topics=topics)
        for result in ask(client, request, 4, OffsetForLeaderEpochResponse).topics:
            for end in result.partitions:
                key = (result.topic, end.partition, epoch)
                found[key] = (end.error_code, end.leader_epoch, end.end_offset)
    return found


def producers(client: Client, partitions: list[Partition]) -> Section:
    """The state of every producer that is not about to be forgotten, by partition and id."""
    by_topic: dict[str, list[int]] = {}
    for topic, index in partitions:
        by_topic.setdefault(topic, []).append(index)
    asked = DescribeProducersRequest([TopicRequest(name, some) for name, some in by_topic.items()])
    since = int(time.time() * 1000) - EXPIRED_MS
    found: Section = {}
    for answer in ask(client, asked, 0, DescribeProducersResponse).topics:
        for partition in answer.partitions:
            assert partition.error_code == 0, (answer.name, partition)
            for state in partition.active_producers:
                if state.last_timestamp > since:
                    key = (answer.name, partition.partition_index, state.producer_id)
                    found[key] = repr(state)
    return found


def groups(client: Client) -> Section:
    """The committed offsets of every group that a swap knows."""
    asked = [OffsetFetchRequestGroup(name, topics=None) for name in GROUPS]
    answer = loaded(
        lambda: ask(client, OffsetFetchRequest(groups=asked), 9, OffsetFetchResponse),
        lambda answer: [group.error_code for group in answer.groups],
    )
    return {group.group_id: sorted(map(repr, group.topics)) for group in answer.groups}


def features(client: Client) -> Section:
    """Supported ranges and finalised levels."""
    request = ApiVersionsRequest("tests", "1")
    answer = ask(client, request, 4, ApiVersionsResponse)
    found: Section = {
        ("supported", f.name): (f.min_version, f.max_version) for f in answer.supported_features
    }
    for f in answer.finalized_features:
        found["finalised", f.name] = (f.min_version_level, f.max_version_level)
    return found


def configs(client: Client, topics: list[str]) -> Section:
    """All configs of topics with their sources and synonyms, and what is dynamic of the broker."""
    resources = [DescribeConfigsResource(TOPIC, name, None) for name in topics]
    resources.append(DescribeConfigsResource(BROKER, "1", None))
    request = DescribeConfigsRequest(resources, include_synonyms=True)
    found: Section = {}
    for result in ask(client, request, 4, DescribeConfigsResponse).results:
        assert result.error_code == 0, result
        found |= _configs(result)
    return found


def _configs(result: DescribeConfigsResult) -> Section:
    own = result.resource_type == BROKER
    return {
        (result.resource_name, c.name): (
            c.value,
            c.config_source,
            c.read_only,
            c.is_sensitive,
            [(s.name, s.value, s.source) for s in c.synonyms],
        )
        for c in result.configs
        if not c.name.startswith("barnabas.")
        and not (own and c.config_source not in DYNAMIC_SOURCES)
    }


def loaded(get: Callable[[], M], errors: Callable[[M], list[int]]) -> M:
    """The first answer in which no coordinator is still loading."""
    deadline = time.monotonic() + WAIT_SECONDS
    while LOADING.intersection(errors(answer := get())):
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    assert not any(errors(answer)), answer
    return answer
