"""Metadata that Apache Kafka wrote opens here, and what is written here opens there."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from barnabas.host import open_ports
from barnabas.log.directory import decode_meta
from barnabas.log.files import FilePool
from barnabas.log.writer import LogWriter
from barnabas.metadata.bootstrap import bootstrap_records, decode_bootstrap
from barnabas.metadata.controller.decision import Decision
from barnabas.metadata.features import initial_levels
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.image.configs import BROKER, TOPIC
from barnabas.metadata.record_types import ConfigRecord
from barnabas.replication.metadata_log import MetadataLog, MetadataLogSettings
from barnabas.replication.snapshotter import SnapshotSettings
from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import KafkaProcess, java_tool

pytestmark = pytest.mark.usefixtures("java")


async def opened(data: Path, changes: int) -> MetadataImage:
    """Open a metadata log, commit `changes` config changes, snapshots often; the last image."""
    loop = asyncio.get_running_loop()
    ports = open_ports(loop)
    pool = FilePool(ports.disk)
    failures: list[BaseException] = []

    def schedule(job: Any) -> None:
        loop.call_soon(job)

    writer = LogWriter(
        pool,
        ports.executor,
        ports.clock,
        schedule=schedule,
        on_failure=lambda _, error: failures.append(error),
    )
    meta = decode_meta((data / "meta.properties").read_bytes())
    assert meta.directory_id is not None
    settings = MetadataLogSettings.single(
        f"{data}/__cluster_metadata-0", meta.node_id, meta.directory_id, meta.cluster_id
    )
    often = SnapshotSettings(max_bytes_between=2_000)
    log = MetadataLog(
        replace(settings, snapshots=often),
        clock=ports.clock,
        random=ports.random,
        executor=ports.executor,
        pool=pool,
        writer=writer,
        on_failed=failures.append,
    )
    await log.start()
    for number in range(changes):
        record = ConfigRecord(TOPIC, "alpha", "retention.ms", str(10_000 + number))
        decision: Decision[None] = Decision([record], None)
        await log.submit(lambda _, decision=decision: decision)  # type: ignore[misc]
    image = log.image
    await log.stop()
    ports.close()
    assert failures == []
    return image


def make_changes(address: str) -> None:
    """Topics, partitions and configs on a real node."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    topics = [
        NewTopic("alpha", 3, 1, config={"retention.ms": "5", "cleanup.policy": "compact"}),
        NewTopic("beta.x", 1, 1),
        NewTopic("gone", 1, 1),
    ]
    for future in admin.create_topics(topics).values():
        future.result(WAIT_SECONDS)
    for future in admin.create_partitions([NewPartitions("beta.x", 4)]).values():
        future.result(WAIT_SECONDS)
    for future in admin.delete_topics(["gone"]).values():
        future.result(WAIT_SECONDS)
    cluster = ["--entity-type", "brokers", "--entity-default"]
    change = ["--alter", "--add-config", "log.cleaner.threads=2"]
    java_tool("kafka.admin.ConfigCommand", "--bootstrap-server", address, *cluster, *change)


def dumped(path: Path) -> list[dict[str, Any]]:
    """The metadata records that Kafka's own tool reads in a segment or snapshot."""
    text = java_tool(
        "org.apache.kafka.tools.DumpLogSegments",
        "--cluster-metadata-decoder",
        "--skip-record-metadata",
        "--files",
        str(path),
    ).stdout
    assert "isvalid: false" not in text
    assert "Could not" not in text
    return [json.loads(found) for found in re.findall(r"payload: (\{.*\})$", text, re.MULTILINE)]


@pytest.mark.timeout(300)
def test_a_directory_of_kafka_opens_goes_on_and_goes_back(tmp_path: Path) -> None:
    node = KafkaProcess(tmp_path)
    node.prepare()
    assert decode_bootstrap((node.data / "bootstrap.checkpoint").read_bytes()) == (
        bootstrap_records()
    )
    with node:
        make_changes(node.address)
    image = asyncio.run(opened(node.data, 200))
    assert image.features.levels() == initial_levels()
    names = {t.name: len(t.partitions) for t in image.topics.by_id.values()}
    assert names == {"alpha": 3, "beta.x": 4}
    assert image.configs.of(TOPIC, "alpha") == {
        "retention.ms": "10199",
        "cleanup.policy": "compact",
    }
    assert image.configs.of(BROKER, "")["log.cleaner.threads"] == "2"
    assert list(image.cluster.brokers) == list(image.cluster.controllers) == [1]

    directory = node.data / "__cluster_metadata-0"
    snapshots = sorted(directory.glob("*.checkpoint"))
    assert len(snapshots) > 1
    types = [record["type"] for record in dumped(snapshots[-1])]
    assert types[0] == "FEATURE_LEVEL_RECORD"
    assert types.count("TOPIC_RECORD") == 2
    assert types.count("PARTITION_RECORD") == 7
    segment = dumped(sorted(directory.glob("*.log"))[-1])
    assert segment[-1]["data"]["value"] == "10199"

    with node:
        admin = AdminClient({"bootstrap.servers": node.address, "log_level": 0})
        found = admin.list_topics(timeout=WAIT_SECONDS).topics
        assert {name: len(found[name].partitions) for name in names} == names
        resource = ConfigResource(ResourceType.TOPIC, "alpha")
        configs = admin.describe_configs([resource])[resource].result(WAIT_SECONDS)
        assert configs["retention.ms"].value == "10199"
