"""One directory, two kinds of node: what ours wrote Apache Kafka opens, serves and extends, and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import BarnabasProcess, KafkaProcess, Node

pytestmark = pytest.mark.usefixtures("java")

KINDS = {"barnabas": BarnabasProcess, "kafka": KafkaProcess}
ROUND = 5_000
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


class Directory:
    """A data directory that nodes of either kind take in turn."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self.port = 0

    def node(self, kind: str) -> Node:
        """A node of a kind on this directory, on the port of the first one."""
        node = KINDS[kind](self.path)
        node.port = self.port
        node.prepare()
        self.port = node.port
        return node

    def write(self, node: Node) -> None:
        """One more round of numbered events, acknowledged, by an idempotent producer."""
        codec = CODECS[self.written // ROUND % len(CODECS)]
        producer = Producer(
            {
                "bootstrap.servers": node.address,
                "enable.idempotence": True,
                "compression.type": codec,
                "log_level": 0,
            }
        )
        for number in range(self.written, self.written + ROUND):
            producer.produce("shared", key=b"%d" % number, value=b"v" * 200)
        assert producer.flush(WAIT_SECONDS) == 0
        self.written += ROUND

    def check(self, node: Node) -> None:
        """All rounds are there, dense and in order, and the topic's configuration too."""
        settings = {"bootstrap.servers": node.address, "log_level": 0}
        resource = ConfigResource(ResourceType.TOPIC, "shared")
        admin = AdminClient(settings)
        configs = admin.describe_configs([resource])[resource].result(WAIT_SECONDS)
        assert configs["segment.bytes"].value == "1048576"
        client = Consumer(
            {
                **settings,
                "group.id": "unused",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        client.assign([TopicPartition("shared", 0, OFFSET_BEGINNING)])
        keys: list[tuple[int, bytes]] = []
        while True:
            message = client.poll(WAIT_SECONDS)
            assert message is not None, f"{len(keys)} of {self.written} events"
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF
                break
            keys.append((message.offset(), message.key()))
        client.close()
        assert keys == [(number, b"%d" % number) for number in range(self.written)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("clean", [True, False], ids=["stopped", "killed"])
@pytest.mark.parametrize("first", ["barnabas", "kafka"])
def test_nodes_take_turns(tmp_path: Path, first: str, clean: bool) -> None:
    directory = Directory(tmp_path)
    second = "kafka" if first == "barnabas" else "barnabas"
    for turn, kind in enumerate([first, second, first]):
        node = directory.node(kind)
        try:
            node.start()
            if turn == 0:
                admin = AdminClient({"bootstrap.servers": node.address, "log_level": 0})
                new = NewTopic("shared", 1, 1, config={"segment.bytes": "1048576"})
                admin.create_topics([new])["shared"].result(WAIT_SECONDS)
            directory.check(node)
            directory.write(node)
            directory.check(node)
            if clean:
                node.stop()
        finally:
            node.kill()
