"""The controller's APIs beside topics and configs, in every version, as a client sees them."""

from __future__ import annotations

import asyncio

import pytest

from barnabas.metadata.controller.configs import incremental_alter_configs
from barnabas.metadata.controller.registration import unregister
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.alter_partition_reassignments_request import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from barnabas.wire.messages.alter_partition_reassignments_response import (
    AlterPartitionReassignmentsResponse,
)
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse
from barnabas.wire.messages.describe_quorum_request import (
    DescribeQuorumRequest,
    PartitionData,
    TopicData,
)
from barnabas.wire.messages.describe_quorum_response import DescribeQuorumResponse
from barnabas.wire.messages.elect_leaders_request import ElectLeadersRequest, TopicPartitions
from barnabas.wire.messages.elect_leaders_response import ElectLeadersResponse
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse
from barnabas.wire.messages.list_config_resources_request import ListConfigResourcesRequest
from barnabas.wire.messages.list_config_resources_response import ListConfigResourcesResponse
from barnabas.wire.messages.list_partition_reassignments_request import (
    ListPartitionReassignmentsRequest,
)
from barnabas.wire.messages.list_partition_reassignments_response import (
    ListPartitionReassignmentsResponse,
)
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.unregister_broker_request import UnregisterBrokerRequest
from barnabas.wire.messages.unregister_broker_response import UnregisterBrokerResponse
from barnabas.wire.messages.update_features_request import FeatureUpdateKey, UpdateFeaturesRequest
from barnabas.wire.messages.update_features_response import UpdateFeaturesResponse
from tests.sim.node_host import PORT
from tests.unit.server.calm import CONTROLLER_PORT, Session, calm

PORTS = (PORT, CONTROLLER_PORT)
METADATA = [TopicData("__cluster_metadata", [PartitionData(0)])]


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_describe_quorum(version: int, port: int) -> None:
    async def scenario(s: Session) -> None:
        answer = await s.ask(
            DescribeQuorumRequest(METADATA), DescribeQuorumResponse, version, port=port
        )
        assert answer.error_code == ErrorCode.NONE
        (partition,) = answer.topics[0].partitions
        assert (partition.leader_id, partition.leader_epoch) == (1, 1)
        (voter,) = partition.current_voters
        assert s.node.node is not None
        log = s.node.node.broker.metadata
        assert partition.high_watermark == voter.log_end_offset == log.high_watermark > 0
        assert voter.last_fetch_timestamp == (s.now if version >= 1 else -1)
        assert voter.last_caught_up_timestamp == (s.now if version >= 1 else -1)
        assert partition.observers == []
        if version >= 2:
            (node,) = answer.nodes
            (listener,) = node.listeners
            assert (node.node_id, listener.name, listener.port) == (1, "CONTROLLER", 9093)
        else:
            assert answer.nodes == []
            assert voter.replica_directory_id == uuids.ZERO

    calm(scenario)


def test_only_the_metadata_partition_has_a_quorum() -> None:
    async def scenario(s: Session) -> None:
        for topics in (
            [TopicData("t", [PartitionData(0)])],
            [TopicData("__cluster_metadata", [PartitionData(1)])],
            [TopicData("__cluster_metadata", [PartitionData(0), PartitionData(0)])],
            [*METADATA, TopicData("t", [])],
        ):
            for version in (0, 1, 2):
                answer = await s.ask(DescribeQuorumRequest(topics), DescribeQuorumResponse, version)
                assert answer.error_code == ErrorCode.NONE
                told = [
                    (t.topic_name, p.partition_index) for t in answer.topics for p in t.partitions
                ]
                assert told == [
                    (t.topic_name, p.partition_index) for t in topics for p in t.partitions
                ]
                for topic in answer.topics:
                    for partition in topic.partitions:
                        assert partition.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    calm(scenario)


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_elect_leaders(version: int, port: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 2)
        request = ElectLeadersRequest(0, [TopicPartitions("t", [1, 5]), TopicPartitions("no", [0])])
        answer = await s.ask(request, ElectLeadersResponse, version, port=port)
        assert answer.error_code == ErrorCode.NONE
        told = {
            (r.topic, p.partition_id): p.error_code
            for r in answer.replica_election_results
            for p in r.partition_result
        }
        assert told == {
            ("t", 1): ErrorCode.ELECTION_NOT_NEEDED,
            ("t", 5): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ("no", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        }
        if version >= 1:
            request.election_type = 9
            answer = await s.ask(request, ElectLeadersResponse, version, port=port)
            assert answer.error_code == ErrorCode.INVALID_REQUEST
            codes = [
                p.error_code for r in answer.replica_election_results for p in r.partition_result
            ]
            assert codes == [ErrorCode.INVALID_REQUEST] * 3

    calm(scenario)


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("version", [0, 1])
def test_reassignments_of_one_node(version: int, port: int) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", 3)
        targets: list[tuple[int, list[int] | None]] = [(0, [1]), (1, [9]), (2, None), (7, [1])]
        request = AlterPartitionReassignmentsRequest(
            topics=[ReassignableTopic("t", [ReassignablePartition(*each) for each in targets])]
        )
        answer = await s.ask(request, AlterPartitionReassignmentsResponse, version, port=port)
        assert (answer.error_code, answer.error_message) == (ErrorCode.NONE, None)
        assert [p.error_code for p in answer.responses[0].partitions] == [
            ErrorCode.NONE,
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ]
        listed = await s.ask(
            ListPartitionReassignmentsRequest(), ListPartitionReassignmentsResponse, port=port
        )
        assert (listed.error_code, listed.error_message, listed.topics) == (0, None, [])

    calm(scenario)


def test_list_config_resources() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        for kind, name, key in ((16, "s", "interval.ms"), (32, "g", "consumer.session.timeout.ms")):
            change = AlterConfigsResource(kind, name, [AlterableConfig(key, 0, "50000")])
            done = await s.ask(
                IncrementalAlterConfigsRequest([change]), IncrementalAlterConfigsResponse
            )
            assert done.responses[0].error_code == ErrorCode.NONE

        async def listed(version: int, *kinds: int) -> list[tuple[int, str]] | int:
            request = ListConfigResourcesRequest(list(kinds))
            answer = await s.ask(request, ListConfigResourcesResponse, version)
            if answer.error_code != ErrorCode.NONE:
                assert answer.config_resources == []
                return answer.error_code
            return [(r.resource_type, r.resource_name) for r in answer.config_resources]

        assert await listed(0) == [(16, "s")]
        assert await listed(1) == [(32, "g"), (16, "s"), (8, "1"), (4, "1"), (2, "t")]
        assert await listed(1, 2, 4) == [(4, "1"), (2, "t")]
        assert await listed(1, 8) == [(8, "1")]
        assert await listed(1, 2, 3) == ErrorCode.UNSUPPORTED_VERSION

    calm(scenario)


@pytest.mark.parametrize("port", PORTS)
def test_unregister_an_unknown_broker(port: int) -> None:
    async def scenario(s: Session) -> None:
        answer = await s.ask(UnregisterBrokerRequest(9), UnregisterBrokerResponse, port=port)
        assert answer.error_code == ErrorCode.BROKER_ID_NOT_REGISTERED

    calm(scenario)


def test_a_node_that_is_unregistered_serves_nothing_until_it_starts_again() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"kept"))
        answer = await s.ask(UnregisterBrokerRequest(1), UnregisterBrokerResponse)
        assert (answer.error_code, answer.error_message) == (ErrorCode.NONE, "")
        gone = await s.ask(MetadataRequest(None), MetadataResponse)
        assert gone.brokers == []
        assert gone.topics[0].partitions[0].leader_id == -1
        assert gone.topics[0].partitions[0].error_code == ErrorCode.LEADER_NOT_AVAILABLE
        refused = await s.produce("t", s.batch(b"lost"))
        assert refused.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
        identity = await s.ask(InitProducerIdRequest(None, 1000), InitProducerIdResponse)
        assert identity.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        await s.restart()
        assert await s.values("t") == [b"kept"]
        assert (await s.produce("t", s.batch(b"more"))).base_offset == 1

    calm(scenario)


async def features(s: Session) -> dict[str, int]:
    """Finalised levels as clients see them."""
    answer = await s.ask(ApiVersionsRequest("test", "1"), ApiVersionsResponse, 4)
    return {f.name: f.max_version_level for f in answer.finalized_features}


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_update_features(version: int, port: int) -> None:
    async def scenario(s: Session) -> None:
        async def update(level: int, kind: int = 1, **options: bool) -> UpdateFeaturesResponse:
            key = FeatureUpdateKey("group.version", level, upgrade_type=kind)
            request = UpdateFeaturesRequest(1000, [key], **options)
            return await s.ask(request, UpdateFeaturesResponse, version, port=port)

        refused = await update(0)
        assert refused.error_code == ErrorCode.INVALID_UPDATE_VERSION
        assert refused.error_message
        assert refused.results == []
        assert (await features(s))["group.version"] == 1
        done = await update(1)
        if version >= 1:
            await update(0, 2, validate_only=True)
            assert (await features(s))["group.version"] == 1
            done = await update(0, 2)
            assert "group.version" not in await features(s)
        assert (done.error_code, done.error_message) == (ErrorCode.NONE, None)
        told = [(r.feature, r.error_code, r.error_message) for r in done.results]
        assert told == ([("group.version", 0, "NONE")] if version <= 1 else [])
        await s.restart("kill")
        assert ("group.version" in await features(s)) == (version == 0)

    calm(scenario)


def test_raising_kraft_version_names_the_voters() -> None:
    async def scenario(s: Session) -> None:
        async def voter() -> tuple[bytes, int]:
            answer = await s.ask(DescribeQuorumRequest(METADATA), DescribeQuorumResponse)
            partition = answer.topics[0].partitions[0]
            return partition.current_voters[0].replica_directory_id, partition.leader_epoch

        assert (await voter())[0] == uuids.ZERO
        request = UpdateFeaturesRequest(1000, [FeatureUpdateKey("kraft.version", 1)])
        for _ in range(2):
            assert (await s.ask(request, UpdateFeaturesResponse)).error_code == ErrorCode.NONE
        assert (await features(s))["kraft.version"] == 1
        named, epoch = await voter()
        assert named != uuids.ZERO
        for kind in ("stop", "kill", "power"):
            await s.restart(kind)
            epoch += 1
            assert await voter() == (named, epoch)
            assert (await features(s))["kraft.version"] == 1
        request.feature_updates[0].max_version_level = 0
        request.feature_updates[0].upgrade_type = 2
        refused = await s.ask(request, UpdateFeaturesResponse)
        assert refused.error_code == ErrorCode.INVALID_UPDATE_VERSION

    calm(scenario)


def test_directories_are_cordoned_by_a_node_that_is_unregistered_in_the_same_moment(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(s: Session) -> None:
        assert s.node.node is not None
        directory = s.node.node.config.log_dirs[0]
        change = AlterConfigsResource(4, "1", [AlterableConfig("cordoned.log.dirs", 0, directory)])
        altered = IncrementalAlterConfigsRequest([change])
        broker = s.node.node.broker
        # Decided in one turn of the loop, so that both are committed by the same sync.
        await asyncio.gather(
            broker.submit(lambda i: incremental_alter_configs(i, broker.settings, altered)),
            broker.submit(lambda i: unregister(i, broker.settings, 1)),
        )
        assert broker.config.get_list("cordoned.log.dirs") == (directory,)
        assert not broker.image.cluster.brokers
        await s.sleep(1000)
        assert not [r for r in caplog.records if r.levelname == "ERROR"]

    calm(scenario)
