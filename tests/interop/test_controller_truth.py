"""The controller's APIs: the same requests to a real Apache Kafka and to ours, the same answers.

Both are a quorum of one with static voters. Ids, times, offsets and ports are normalised, the texts
of errors are not compared; every other field of every answer is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from barnabas.wire.apis import API
from barnabas.wire.message import Message
from barnabas.wire.messages.alter_partition_reassignments_request import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse
from barnabas.wire.messages.create_topics_request import CreatableTopic, CreateTopicsRequest
from barnabas.wire.messages.describe_quorum_request import (
    DescribeQuorumRequest,
    PartitionData,
    TopicData,
)
from barnabas.wire.messages.describe_topic_partitions_request import (
    Cursor,
    DescribeTopicPartitionsRequest,
    TopicRequest,
)
from barnabas.wire.messages.elect_leaders_request import ElectLeadersRequest, TopicPartitions
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.list_config_resources_request import ListConfigResourcesRequest
from barnabas.wire.messages.list_partition_reassignments_request import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
)
from barnabas.wire.messages.unregister_broker_request import UnregisterBrokerRequest
from barnabas.wire.messages.update_features_request import FeatureUpdateKey, UpdateFeaturesRequest
from tests.interop.answers import BROKER, CONTROLLER, Sides, both
from tests.interop.swap import STATIC, SwapKafka

pytestmark = [pytest.mark.usefixtures("java"), pytest.mark.timeout(300)]

LISTENERS = (BROKER, CONTROLLER)
SETTINGS = {"max.request.partition.size.limit": "6"}
METADATA = "__cluster_metadata"
TOPICS = {"a": 3, "b.b": 5, "c": 1, "d_d": 4}
SETTLED_SECONDS = 10.0


class StaticKafka(SwapKafka):
    """A quorum of one, named in server.properties."""

    quorum = STATIC


@contextmanager
def prepared(directory: Path) -> Iterator[Sides]:
    """Both nodes, with the same topics and some configs."""
    with both(directory, SETTINGS, kafka=StaticKafka) as running:
        made = [CreatableTopic(name, count, 1) for name, count in TOPICS.items()]
        subscription = AlterConfigsResource(16, "s", [AlterableConfig("interval.ms", 0, "1000")])
        group = AlterConfigsResource(32, "g", [AlterableConfig("share.isolation.level", 0, "")])
        group.configs[0].value = "read_committed"
        for side in (running.kafka, running.ours):
            side.ask(CreateTopicsRequest(made, 30_000), 7)
            side.ask(IncrementalAlterConfigsRequest([subscription, group]), 1)
        yield running


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Both nodes for the tests that change nothing."""
    with prepared(tmp_path_factory.mktemp("truth")) as running:
        yield running


def normal(name: str, value: Any) -> Any:
    """What may differ between two nodes."""
    match name:
        case "topic_id" | "replica_directory_id":
            return "an id" if any(value) else "none"
        case "last_fetch_timestamp" | "last_caught_up_timestamp":
            return "a time" if value > 0 else value
        case "high_watermark" | "log_end_offset":
            return "an offset" if value > 0 else value
        case "port" | "host":
            return name
        case "topics" | "replica_election_results" | "config_resources":
            return sorted(value, key=repr)
    return value


def eventually(sides: Sides, message: Message, version: int, listener: str = BROKER) -> Any:
    """As `compare`, but give a broker time to see what its controller has decided."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        try:
            return sides.compare(message, version, listener, normal)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize("listener", LISTENERS)
def test_kafka_lists_our_table_and_we_what_we_serve_of_it(sides: Sides, listener: str) -> None:
    compare_listings(sides, listener)


def compare_listings(sides: Sides, listener: str) -> None:
    request = ApiVersionsRequest("test", "1")
    theirs = sides.kafka.ask(request, 4, listener)
    ours = sides.ours.ask(request, 4, listener)
    assert isinstance(theirs, ApiVersionsResponse)
    assert isinstance(ours, ApiVersionsResponse)
    listed = {a.api_key: (a.min_version, a.max_version) for a in theirs.api_keys}
    table = {
        api.key: (api.advertised_min, api.max_version)
        for api in API.values()
        if (api.on_broker if listener == BROKER else api.on_controller)
    }
    # Telemetry is listed once a reporter for it is configured.
    assert listed == {key: versions for key, versions in table.items() if key not in (71, 72)}
    served = {a.api_key: (a.min_version, a.max_version) for a in ours.api_keys}
    assert served.items() <= listed.items()
    supported = [
        {f.name: (f.min_version, f.max_version) for f in answer.supported_features}
        for answer in (theirs, ours)
    ]
    assert supported[0] == supported[1]
    finalized = [
        {f.name: (f.min_version_level, f.max_version_level) for f in answer.finalized_features}
        for answer in (theirs, ours)
    ]
    assert finalized[0] == finalized[1]


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_describe_quorum(sides: Sides, version: int, listener: str) -> None:
    compare_quorums(sides, version, listener)


def compare_quorums(sides: Sides, version: int, listener: str) -> None:
    for topics in (
        [TopicData(METADATA, [PartitionData(0)])],
        [TopicData(METADATA, [PartitionData(1)])],
        [TopicData(METADATA, [PartitionData(0), PartitionData(0)])],
        [TopicData(METADATA, [PartitionData(0)]), TopicData("a", [])],
        [TopicData("a", [PartitionData(0)])],
        [],
    ):
        sides.compare(DescribeQuorumRequest(topics), version, listener, normal)


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_elect_leaders(sides: Sides, version: int, listener: str) -> None:
    wanted = [TopicPartitions("a", [0, 2, 3, -1]), TopicPartitions("none", [0])]
    for kind in (0,) if version == 0 else (0, 1, 2, -1):
        for topics in (wanted, None, []):
            sides.compare(ElectLeadersRequest(kind, topics), version, listener, normal)


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("version", [0, 1])
def test_reassignments(sides: Sides, version: int, listener: str) -> None:
    targets: list[tuple[int, list[int] | None]] = [
        (0, [1]), (0, [9]), (0, [1, 9]), (0, [1, 1]), (0, []), (0, [-1]), (0, None),
        (8, [1]), (8, None), (-1, [1]),
    ]  # fmt: skip
    for may_change in (True,) if version == 0 else (True, False):
        for topics in (
            [
                ReassignableTopic(name, [ReassignablePartition(*each) for each in targets])
                for name in ("a", "none")
            ],
            [],
        ):
            request = AlterPartitionReassignmentsRequest(1000, may_change, topics)
            sides.compare(request, version, listener, normal)
    for asked in (None, [], [ListPartitionReassignmentsTopics("a", [0, 9])]):
        listing = ListPartitionReassignmentsRequest(1000, asked)
        sides.compare(listing, 0, listener, normal)


def test_list_config_resources(sides: Sides) -> None:
    eventually(sides, ListConfigResourcesRequest(), 0)
    eventually(sides, ListConfigResourcesRequest(), 1)
    for kinds in ([2], [4], [8], [16], [32], [2, 32], [2, 2], [1], [0], [2, 64], [-1]):
        sides.compare(ListConfigResourcesRequest(kinds), 1, normal=normal)


def test_describe_topic_partitions_page_by_page(sides: Sides) -> None:
    everything = list(TOPICS)
    for names in ([], everything, ["none", "a", "b.b", "a"], ["!", "a", "z"], ["d_d", "c"]):
        topics = [TopicRequest(name) for name in names]
        for limit in (100, 6, 5, 4, 3, 1, 0, -1):
            cursor: Cursor | None = None
            for _ in range(30):
                request = DescribeTopicPartitionsRequest(topics, limit, cursor)
                answer = eventually(sides, request, 0)
                following = answer["next_cursor"]
                if following is None:
                    break
                cursor = Cursor(**following)
            else:
                raise AssertionError("paging does not end")


def test_cursors_that_nobody_gave(sides: Sides) -> None:
    for names in ([], ["a", "c"], ["none", "a"]):
        topics = [TopicRequest(name) for name in names]
        for cursor in (
            Cursor("a", 0), Cursor("a", 2), Cursor("a", 3), Cursor("a", 9), Cursor("a", -1),
            Cursor("b", 0), Cursor("none", 0), Cursor("none", 3), Cursor("zz", 0), Cursor("", 0),
            Cursor("", -1),
        ):  # fmt: skip
            request = DescribeTopicPartitionsRequest(topics, 3, cursor)
            sides.compare(request, 0, normal=normal)


@pytest.mark.parametrize("listener", LISTENERS)
def test_unregister_broker(sides: Sides, listener: str) -> None:
    for broker in (2, -1):
        sides.compare(UnregisterBrokerRequest(broker), 0, listener, normal)


UP, SAFE, UNSAFE = 1, 2, 3
GROUP, ELR, KRAFT = "group.version", "eligible.leader.replicas.version", "kraft.version"
UPDATES: tuple[list[tuple[str, int, int]], ...] = (
    *([(GROUP, level, kind)] for level in (-1, 0, 1, 2) for kind in (UP, 0, 9)),
    *([("metadata.version", level, kind)] for level in (0, 29, 30, 31) for kind in (1, 2, 3)),
    *([("nothing", level, kind)] for level in (0, 1) for kind in (UP, SAFE)),
    [(GROUP, 0, SAFE), ("nothing", 1, UP)],
    [],
    [(GROUP, 0, SAFE)],
    [(GROUP, 0, SAFE)],
    [(GROUP, 1, SAFE)],
    [(GROUP, 1, UP), (ELR, 0, UNSAFE)],
    [(ELR, 1, UP)],
    *([("transaction.version", level, SAFE)] for level in (1, 0)),
    [("transaction.version", 2, UP)],
    *([(KRAFT, level, kind)] for level in (0, 2) for kind in (UP, SAFE)),
    [(KRAFT, 1, SAFE)],
    [(KRAFT, 1, UP)],
    [(KRAFT, 1, UP)],
    *([(KRAFT, level, kind)] for level in (0, 1) for kind in (UP, SAFE, UNSAFE)),
)


def test_features_and_the_way_out(tmp_path: Path) -> None:
    with prepared(tmp_path) as sides:
        try:
            _update_features(sides)
            _unregister_itself(sides)
        finally:
            # A broker that is not registered does not find its way out.
            sides.kafka.node.kill()


def _update_features(sides: Sides) -> None:
    for version in (1, 2):
        for validate_only in (True, False):
            for updates in UPDATES:
                keys = [FeatureUpdateKey(n, level, upgrade_type=k) for n, level, k in updates]
                request = UpdateFeaturesRequest(1000, keys, validate_only)
                sides.compare(request, version, LISTENERS[version - 1], normal)
    for allow in (True, False):
        for level in (0, 1):
            old = UpdateFeaturesRequest(1000, [FeatureUpdateKey(GROUP, level, allow)])
            sides.compare(old, 0, normal=normal)
    for listener in LISTENERS:
        compare_listings(sides, listener)
        for version in (0, 1, 2):
            compare_quorums(sides, version, listener)


def _unregister_itself(sides: Sides) -> None:
    for _ in range(2):
        sides.compare(UnregisterBrokerRequest(1), 0, normal=normal)
    wanted = [TopicPartitions("a", [0])]
    for kind in (0, 1):
        sides.compare(ElectLeadersRequest(kind, wanted), 2, normal=normal)
    target = [ReassignableTopic("a", [ReassignablePartition(0, [1])])]
    sides.compare(AlterPartitionReassignmentsRequest(1000, True, target), 1, normal=normal)
    eventually(sides, DescribeTopicPartitionsRequest([TopicRequest("a")], 9), 0)
    eventually(sides, ListConfigResourcesRequest(), 1)
