"""Administrative calls for the cluster itself: quorum, features, brokers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from barnabas import __version__
from barnabas.client.cluster import Cluster
from barnabas.client.errors import error_code
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse
from barnabas.wire.messages.describe_quorum_request import (
    DescribeQuorumRequest,
    PartitionData,
    TopicData,
)
from barnabas.wire.messages.describe_quorum_response import DescribeQuorumResponse, ReplicaState
from barnabas.wire.messages.unregister_broker_request import UnregisterBrokerRequest
from barnabas.wire.messages.unregister_broker_response import UnregisterBrokerResponse
from barnabas.wire.messages.update_features_request import FeatureUpdateKey, UpdateFeaturesRequest
from barnabas.wire.messages.update_features_response import UpdateFeaturesResponse

METADATA_TOPIC = "__cluster_metadata"


@dataclass(frozen=True, slots=True)
class QuorumReplica:
    """One replica of the metadata log. Times in wall ms, -1 for unknown; `role` in words."""

    id: int
    directory_id: bytes
    role: str
    endpoints: tuple[tuple[str, str, int], ...]
    end_offset: int
    last_fetch_ms: int
    last_caught_up_ms: int


@dataclass(frozen=True, slots=True)
class QuorumDescription:
    """The metadata quorum as its leader sees it; the leader comes first among `replicas`."""

    leader: int
    epoch: int
    high_watermark: int
    replicas: list[QuorumReplica]


async def describe_quorum(cluster: Cluster) -> QuorumDescription:
    """Leader, epoch, high watermark and replicas of the metadata log. Raises `KafkaError`."""
    request = DescribeQuorumRequest([TopicData(METADATA_TOPIC, [PartitionData(0)])])
    response = await cluster.ask(request, DescribeQuorumResponse)
    _check(response.error_code, response.error_message)
    partition = response.topics[0].partitions[0]
    _check(partition.error_code, partition.error_message)
    endpoints = {
        node.node_id: tuple((e.name, e.host, e.port) for e in node.listeners)
        for node in response.nodes
    }

    def replica(state: ReplicaState, role: str) -> QuorumReplica:
        return QuorumReplica(
            state.replica_id,
            state.replica_directory_id,
            "leader" if state.replica_id == partition.leader_id else role,
            endpoints.get(state.replica_id, ()),
            state.log_end_offset,
            state.last_fetch_timestamp,
            state.last_caught_up_timestamp,
        )

    replicas = [replica(state, "follower") for state in partition.current_voters]
    replicas += [replica(state, "observer") for state in partition.observers]
    replicas.sort(key=lambda each: (each.role != "leader", each.role == "observer", each.id))
    return QuorumDescription(
        partition.leader_id, partition.leader_epoch, partition.high_watermark, replicas
    )


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that a node supports from `low` to `high`, finalised at `level` (0: off)."""

    name: str
    low: int
    high: int
    level: int


async def describe_features(cluster: Cluster) -> tuple[list[Feature], int]:
    """What the asked node supports and the cluster has finalised, by name; and as of which epoch.

    Raises `KafkaError`.
    """
    request = ApiVersionsRequest("barnabas", __version__)
    response = await cluster.ask(request, ApiVersionsResponse)
    _check(response.error_code, None)
    levels = {each.name: each.max_version_level for each in response.finalized_features}
    found = [
        Feature(each.name, each.min_version, each.max_version, levels.get(each.name, 0))
        for each in response.supported_features
    ]
    return sorted(found, key=lambda each: each.name), response.finalized_features_epoch


class UpgradeType(IntEnum):
    """FeatureUpdate.UpgradeType."""

    UPGRADE = 1
    SAFE_DOWNGRADE = 2
    UNSAFE_DOWNGRADE = 3


async def update_features(
    cluster: Cluster, levels: Mapping[str, int], kind: UpgradeType, *, validate_only: bool = False
) -> None:
    """Set finalised levels, all or none; 0 turns a feature off. Raises `KafkaError`."""
    keys = [FeatureUpdateKey(name, level, upgrade_type=kind) for name, level in levels.items()]
    request = UpdateFeaturesRequest(feature_updates=keys, validate_only=validate_only)
    response = await cluster.ask(request, UpdateFeaturesResponse)
    _check(response.error_code, response.error_message)
    for result in response.results:
        _check(result.error_code, result.error_message)


async def unregister_broker(cluster: Cluster, broker: int) -> None:
    """Forget a broker. Raises `KafkaError`."""
    request = UnregisterBrokerRequest(broker)
    response = await cluster.ask(request, UnregisterBrokerResponse)
    _check(response.error_code, response.error_message)


def _check(code: int, message: str | None) -> None:
    if code != ErrorCode.NONE:
        raise KafkaError(error_code(code), message or None)
