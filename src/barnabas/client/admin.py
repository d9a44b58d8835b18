"""Administrative calls: topics, partitions, configs, the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from barnabas.client.cluster import Cluster
from barnabas.client.errors import error_code
from barnabas.client.metadata import NodeAddress, TopicState
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.create_partitions_request import (
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from barnabas.wire.messages.create_partitions_response import CreatePartitionsResponse
from barnabas.wire.messages.create_topics_request import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from barnabas.wire.messages.create_topics_response import CreateTopicsResponse
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest, DeleteTopicState
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from barnabas.wire.messages.describe_cluster_request import DescribeClusterRequest
from barnabas.wire.messages.describe_cluster_response import DescribeClusterResponse
from barnabas.wire.messages.describe_configs_request import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from barnabas.wire.messages.describe_configs_response import (
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
)
from barnabas.wire.messages.incremental_alter_configs_request import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from barnabas.wire.messages.incremental_alter_configs_response import (
    IncrementalAlterConfigsResponse,
)
from barnabas.wire.messages.list_config_resources_request import ListConfigResourcesRequest
from barnabas.wire.messages.list_config_resources_response import ListConfigResourcesResponse

Failures = dict[str, KafkaError]
"""What failed, by name; empty when everything went well."""


class ResourceType(IntEnum):
    """What a config belongs to."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


class ConfigSource(IntEnum):
    """Where a config's value comes from."""

    UNKNOWN = 0
    DYNAMIC_TOPIC_CONFIG = 1
    DYNAMIC_BROKER_CONFIG = 2
    DYNAMIC_DEFAULT_BROKER_CONFIG = 3
    STATIC_BROKER_CONFIG = 4
    DEFAULT_CONFIG = 5
    DYNAMIC_BROKER_LOGGER_CONFIG = 6
    DYNAMIC_CLIENT_METRICS_CONFIG = 7
    DYNAMIC_GROUP_CONFIG = 8


class AlterOp(IntEnum):
    """How IncrementalAlterConfigs changes a value."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to create; -1 takes the node's default. `assignments`: replicas by partition."""

    name: str
    partitions: int = -1
    replication_factor: int = -1
    configs: Mapping[str, str] = field(default_factory=dict)
    assignments: Mapping[int, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfigSynonym:
    """One of the places that give a config its value; the first of an entry wins."""

    name: str
    value: str | None
    source: ConfigSource


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One config of a resource. `value` is None when it is sensitive or unset."""

    name: str
    value: str | None
    source: ConfigSource
    read_only: bool
    sensitive: bool
    documentation: str | None
    synonyms: tuple[ConfigSynonym, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """One step of IncrementalAlterConfigs."""

    name: str
    op: AlterOp
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterDescription:
    """The cluster as a broker sees it."""

    cluster_id: str
    controller: int
    brokers: list[NodeAddress]


def _failures(answers: Iterable[tuple[str, int, str | None]]) -> Failures:
    return {
        name: KafkaError(error_code(code), message)
        for name, code, message in answers
        if code != ErrorCode.NONE
    }


class Admin:
    """Administrative calls to any node; a broker passes on what is the controller's business."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._timeout_ms = cluster.config.request_timeout_ms

    async def create_topics(
        self, topics: Iterable[NewTopic], *, validate_only: bool = False
    ) -> Failures:
        """Create topics; what failed is returned by name."""
        request = CreateTopicsRequest(
            topics=[_creatable(topic) for topic in topics],
            timeout_ms=self._timeout_ms,
            validate_only=validate_only,
        )
        response = await self._cluster.ask(request, CreateTopicsResponse)
        return _failures((t.name, t.error_code, t.error_message) for t in response.topics)

    async def delete_topics(self, names: Sequence[str]) -> Failures:
        """Delete topics by name; what failed is returned by name."""
        request = DeleteTopicsRequest(timeout_ms=self._timeout_ms)
        connection = await self._cluster.any_connection()
        if connection.version(DeleteTopicsRequest) >= 6:
            request.topics = [DeleteTopicState(name=name) for name in names]
        else:
            request.topic_names = list(names)
        response = await connection.request(request, DeleteTopicsResponse)
        return _failures((t.name or "", t.error_code, t.error_message) for t in response.responses)

    async def create_partitions(
        self, counts: Mapping[str, int], *, validate_only: bool = False
    ) -> Failures:
        """Let topics have this many partitions; what failed is returned by name."""
        request = CreatePartitionsRequest(
            topics=[
                CreatePartitionsTopic(name=name, count=count, assignments=None)
                for name, count in counts.items()
            ],
            timeout_ms=self._timeout_ms,
            validate_only=validate_only,
        )
        response = await self._cluster.ask(request, CreatePartitionsResponse)
        return _failures((t.name, t.error_code, t.error_message) for t in response.results)

    async def topics(self, names: Sequence[str] | None = None) -> list[TopicState]:
        """These topics (None: all), by name. One that does not exist has its error set."""
        response = await self._cluster.refresh(names)
        found = {topic.name for topic in response.topics}
        return [
            state for name, state in sorted(self._cluster.metadata.topics.items()) if name in found
        ]

    async def config_resources(self, kind: ResourceType) -> list[str]:
        """Names of the resources of a kind that have configs, sorted. Raises `KafkaError`."""
        request = ListConfigResourcesRequest([kind])
        response = await self._cluster.ask(request, ListConfigResourcesResponse)
        if response.error_code != ErrorCode.NONE:
            raise KafkaError(error_code(response.error_code))
        found = [each for each in response.config_resources if each.resource_type == kind]
        return sorted(each.resource_name for each in found)

    async def describe_configs(
        self,
        kind: ResourceType,
        name: str,
        keys: Sequence[str] | None = None,
        *,
        documentation: bool = False,
        synonyms: bool = False,
    ) -> list[ConfigEntry]:
        """The configs of a resource by its name: a broker's or its loggers' by the id, "" for what
        holds for all brokers.

        Raises `KafkaError`.
        """
        request = DescribeConfigsRequest(
            resources=[
                DescribeConfigsResource(
                    resource_type=kind,
                    resource_name=name,
                    configuration_keys=None if keys is None else list(keys),
                )
            ],
            include_documentation=documentation,
            include_synonyms=synonyms,
        )
        node = await self._node_of(kind, name)
        response = await self._cluster.ask(request, DescribeConfigsResponse, node=node)
        for result in response.results:
            if result.error_code != ErrorCode.NONE:
                raise KafkaError(error_code(result.error_code), result.error_message)
            return [_config_entry(entry) for entry in result.configs]
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "the answer is empty")

    async def alter_configs(
        self,
        kind: ResourceType,
        name: str,
        changes: Iterable[ConfigChange],
        *,
        validate_only: bool = False,
    ) -> None:
        """Change some configs of a resource, all or none. Raises `KafkaError`."""
        configs = [
            AlterableConfig(name=change.name, config_operation=change.op, value=change.value)
            for change in changes
        ]
        resource = AlterConfigsResource(resource_type=kind, resource_name=name, configs=configs)
        request = IncrementalAlterConfigsRequest(resources=[resource], validate_only=validate_only)
        node = await self._node_of(kind, name)
        response = await self._cluster.ask(request, IncrementalAlterConfigsResponse, node=node)
        for failure in _failures(
            (r.resource_name, r.error_code, r.error_message) for r in response.responses
        ).values():
            raise failure

    async def _node_of(self, kind: ResourceType, name: str) -> int | None:
        """A named broker answers for itself; anything else may be asked of anyone."""
        if kind not in (ResourceType.BROKER, ResourceType.BROKER_LOGGER) or not name.isdigit():
            return None
        await self._cluster.refresh()
        if int(name) not in self._cluster.metadata.nodes:
            raise KafkaError(ErrorCode.BROKER_NOT_AVAILABLE, f"there is no broker {name}")
        return int(name)

    async def describe_cluster(self) -> ClusterDescription:
        """The cluster's id, controller and brokers. Raises `KafkaError`."""
        response = await self._cluster.ask(DescribeClusterRequest(), DescribeClusterResponse)
        if response.error_code != ErrorCode.NONE:
            raise KafkaError(error_code(response.error_code), response.error_message)
        brokers = sorted(response.brokers, key=lambda broker: broker.broker_id)
        return ClusterDescription(
            response.cluster_id,
            response.controller_id,
            [NodeAddress(b.broker_id, b.host, b.port, b.rack) for b in brokers],
        )


def _creatable(topic: NewTopic) -> CreatableTopic:
    return CreatableTopic(
        name=topic.name,
        num_partitions=-1 if topic.assignments else topic.partitions,
        replication_factor=-1 if topic.assignments else topic.replication_factor,
        assignments=[
            CreatableReplicaAssignment(partition_index=index, broker_ids=list(brokers))
            for index, brokers in sorted(topic.assignments.items())
        ],
        configs=[CreatableTopicConfig(name=k, value=v) for k, v in topic.configs.items()],
    )


def _source(number: int) -> ConfigSource:
    known = number in ConfigSource.__members__.values()
    return ConfigSource(number) if known else ConfigSource.UNKNOWN


def _config_entry(entry: DescribeConfigsResourceResult) -> ConfigEntry:
    return ConfigEntry(
        name=entry.name,
        value=entry.value,
        source=_source(entry.config_source),
        read_only=entry.read_only,
        sensitive=entry.is_sensitive,
        documentation=entry.documentation,
        synonyms=tuple(
            ConfigSynonym(each.name, each.value, _source(each.source)) for each in entry.synonyms
        ),
    )
