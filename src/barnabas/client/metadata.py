"""What the client knows of the cluster: nodes, topics, leaders. Folded from Metadata responses."""

from __future__ import annotations

from dataclasses import dataclass, field

from barnabas.client.errors import error_code
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.metadata_response import (
    MetadataResponse,
    MetadataResponsePartition,
    MetadataResponseTopic,
)


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A broker and where it listens."""

    id: int
    host: str
    port: int
    rack: str | None


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A partition as the cluster reported it; `leader` is -1 while there is none."""

    partition: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    offline: tuple[int, ...]
    error: ErrorCode


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the cluster reported it."""

    name: str
    id: bytes
    internal: bool
    partitions: dict[int, PartitionState]
    error: ErrorCode


@dataclass(slots=True)
class MetadataCache:
    """The newest picture of the cluster. Older leader epochs never replace newer ones."""

    cluster_id: str | None = None
    controller: int = -1
    nodes: dict[int, NodeAddress] = field(default_factory=dict)
    topics: dict[str, TopicState] = field(default_factory=dict)
    updated_ms: int = -1
    """Monotonic time of the last update; -1 before the first."""

    def update(self, response: MetadataResponse, now_ms: int) -> None:
        """Take in a response. Topics that it doesn't mention stay as they were."""
        self.cluster_id = response.cluster_id
        self.controller = response.controller_id
        self.nodes = {
            broker.node_id: NodeAddress(broker.node_id, broker.host, broker.port, broker.rack)
            for broker in response.brokers
        }
        for topic in response.topics:
            if topic.name is not None:
                self.topics[topic.name] = self._topic(topic, topic.name)
        self.updated_ms = now_ms

    def _topic(self, topic: MetadataResponseTopic, name: str) -> TopicState:
        known = self.topics.get(name)
        # A topic that was deleted and created again starts over with its epochs.
        same = known is not None and known.id == topic.topic_id
        before = known.partitions if known is not None and same else {}
        partitions: dict[int, PartitionState] = {}
        for entry in sorted(topic.partitions, key=lambda p: p.partition_index):
            old = before.get(entry.partition_index)
            stale = old is not None and 0 <= entry.leader_epoch < old.leader_epoch
            partitions[entry.partition_index] = old if old and stale else _partition(entry)
        return TopicState(
            name, topic.topic_id, topic.is_internal, partitions, error_code(topic.error_code)
        )

    def leader(self, topic: str, partition: int) -> int:
        """The node that leads a partition, -1 when unknown."""
        state = self.topics.get(topic)
        if state is None or (found := state.partitions.get(partition)) is None:
            return -1
        return found.leader if found.leader in self.nodes else -1

    def moved(self, topic: str, partition: int, leader: int, leader_epoch: int) -> bool:
        """A node said who leads a partition now (KIP-951); whether that was news."""
        state = self.topics.get(topic)
        if state is None or (old := state.partitions.get(partition)) is None:
            return False
        if leader not in self.nodes or leader_epoch <= old.leader_epoch:
            return False
        state.partitions[partition] = PartitionState(
            partition, leader, leader_epoch, old.replicas, old.isr, old.offline, old.error
        )
        return True

    def met(self, node: int, host: str, port: int, rack: str | None) -> None:
        """A node said where another one is (KIP-951)."""
        self.nodes[node] = NodeAddress(node, host, port, rack)


def _partition(entry: MetadataResponsePartition) -> PartitionState:
    return PartitionState(
        partition=entry.partition_index,
        leader=entry.leader_id,
        leader_epoch=entry.leader_epoch,
        replicas=tuple(entry.replica_nodes),
        isr=tuple(entry.isr_nodes),
        offline=tuple(entry.offline_replicas),
        error=error_code(entry.error_code),
    )
