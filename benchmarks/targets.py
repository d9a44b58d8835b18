"""What is measured: a node of Apache Kafka, one of ours, and the floor, behind one face."""

from __future__ import annotations

import itertools
import socket
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from barnabas.wire.codec import decode
from barnabas.wire.headers import request_frame
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.metadata_response import MetadataResponse
from benchmarks.frames import CLIENT_ID, FLOOR_TOPIC, Topic
from tests.interop.kafka import HOST, REPOSITORY, BarnabasProcess, KafkaProcess, Node, ToolError

PAGE_CACHE = "page cache"
SYNCED = "synced"
METADATA_VERSION = 12
WAIT_SECONDS = 60.0
# What an acknowledgement promises, in each node's own words.
MODES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "kafka": {PAGE_CACHE: {}, SYNCED: {"flush.messages": "1"}},
    "barnabas": {
        PAGE_CACHE: {"barnabas.ack.mode": "page-cache"},
        SYNCED: {"barnabas.ack.mode": "synced"},
    },
}


class Target:
    """A running node, and topics on it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.kind = node.name
        self._numbers = itertools.count()
        self._admin: AdminClient | None = None

    @property
    def admin(self) -> AdminClient:
        """librdkafka's admin client for the node."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.node.address, "log_level": 0})
        return self._admin

    def topic(self, partitions: int, mode: str, configs: Mapping[str, str] | None = None) -> Topic:
        """A new topic in a mode of acknowledgement, all partitions led."""
        name = f"bench-{next(self._numbers)}"
        configs = {"file.delete.delay.ms": "1000", **MODES[self.kind][mode], **(configs or {})}
        new = NewTopic(name, partitions, 1, config=configs)
        self.admin.create_topics([new])[name].result(WAIT_SECONDS)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            topic = describe(self.node, name)
            if topic is not None and topic.partitions == partitions and self._serves(topic):
                return topic
            if time.monotonic() > deadline:
                raise ToolError(f"{self.kind}: {name} has no leaders")
            time.sleep(0.05)

    def alter(self, kind: ResourceType, name: str, config: str, value: str) -> None:
        """Set a config of a topic or a broker."""
        change = ConfigEntry(config, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(kind, name, incremental_configs=[change])
        self.admin.incremental_alter_configs([resource])[resource].result(WAIT_SECONDS)

    def _serves(self, topic: Topic) -> bool:
        """Whether the broker leads all partitions: metadata may be ahead of the replicas."""
        asked = {
            TopicPartition(topic.name, number): OffsetSpec.latest()
            for number in range(topic.partitions)
        }
        try:
            for answer in self.admin.list_offsets(asked).values():
                answer.result(WAIT_SECONDS)
        except KafkaException:
            return False
        return True

    def drop(self, topic: Topic) -> None:
        """Delete a topic."""
        self.admin.delete_topics([topic.name])[topic.name].result(WAIT_SECONDS)


class FloorNode(Node):
    """The bare server of `benchmarks.floor`, with or without syncs."""

    name = "floor"
    synced = False

    def command(self) -> list[str]:
        """Run the module with this interpreter."""
        file = [str(self.directory / "floor.data")] if self.synced else []
        return [sys.executable, "-m", "benchmarks.floor", str(self.port), *file]


class SyncedFloorNode(FloorNode):
    """The bare server that syncs each round."""

    synced = True


class FloorTarget(Target):
    """The floor knows no topics: any will do."""

    def topic(self, partitions: int, mode: str, configs: Mapping[str, str] | None = None) -> Topic:
        """A topic in name only."""
        del configs
        return Topic(f"floor {mode}", FLOOR_TOPIC, partitions)

    def drop(self, topic: Topic) -> None:
        """Nothing to delete."""


def describe(node: Node, name: str) -> Topic | None:
    """Id and count of led partitions of a topic, by a Metadata request; None when it is unknown."""
    request = MetadataRequest(topics=[MetadataRequestTopic(name=name)])
    frame = request_frame(request, METADATA_VERSION, 1, CLIENT_ID)
    with socket.create_connection((HOST, node.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(frame)
        stream = connection.makefile("rb")
        (size,) = struct.unpack(">i", stream.read(4))
        body = stream.read(size)
    # Correlation id and an empty section of tagged fields stand before the body.
    response = decode(MetadataResponse, METADATA_VERSION, body, 5)
    topic = response.topics[0]
    led = sum(partition.error_code == 0 for partition in topic.partitions)
    return Topic(name, topic.topic_id, led) if topic.error_code == 0 else None


def open_node(kind: str, folder: Path, settings: Mapping[str, str] | None = None) -> Target:
    """Start a node in a folder of its own; the caller stops `target.node`."""
    classes: dict[str, type[Node]] = {
        "kafka": KafkaProcess,
        "barnabas": BarnabasProcess,
        "floor": FloorNode,
        "synced floor": SyncedFloorNode,
    }
    node = classes[kind](folder / kind.replace(" ", "-"), settings)
    node.start()
    return FloorTarget(node) if isinstance(node, FloorNode) else Target(node)


def commit() -> str:
    """The commit of the working tree, short."""
    head = REPOSITORY / ".git" / "HEAD"
    text = head.read_text().strip()
    if text.startswith("ref: "):
        text = (REPOSITORY / ".git" / text[5:]).read_text().strip()
    return text[:10]
