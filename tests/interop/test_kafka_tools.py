"""Apache Kafka's own command line tools, unchanged, against the node and against its files."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.interop.conftest import WAIT_SECONDS, MakeTopic
from tests.interop.kafka import Node, java_tool, target_class

pytestmark = pytest.mark.usefixtures("java")

TOOLS = "org.apache.kafka.tools"
PRODUCED = "producer_send_success"
EVENTS = 30_000
ROUND = 1_000


def tool(
    name: str, node: Node, *arguments: str, check: bool = True, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a tool of Kafka's that takes --bootstrap-server."""
    main_class = "kafka.admin.ConfigCommand" if name == "ConfigCommand" else f"{TOOLS}.{name}"
    return java_tool(
        main_class, "--bootstrap-server", node.address, *arguments, check=check, stdin=stdin
    )


def test_topic_command(node: Node) -> None:
    created = tool(
        "TopicCommand", node, "--create", "--topic", "by-tool", "--partitions", "3",
        "--config", "retention.ms=99999",
    )  # fmt: skip
    assert created.stdout.strip() == "Created topic by-tool."
    again = tool("TopicCommand", node, "--create", "--topic", "by-tool", check=False)
    assert again.returncode == 1
    assert "Topic 'by-tool' already exists." in again.stdout
    tool("TopicCommand", node, "--alter", "--topic", "by-tool", "--partitions", "4")
    described = tool("TopicCommand", node, "--describe", "--topic", "by-tool").stdout
    head, *partitions = described.splitlines()
    assert re.search(r"PartitionCount: 4\s+ReplicationFactor: 1\s", head)
    assert "retention.ms=99999" in head
    assert len(partitions) == 4
    for number, line in enumerate(partitions):
        assert re.search(rf"Partition: {number}\s+Leader: (\d+)\s+Replicas: \1\s+Isr: \1\b", line)
    assert "by-tool" in tool("TopicCommand", node, "--list").stdout.splitlines()
    tool("TopicCommand", node, "--delete", "--topic", "by-tool")
    assert "by-tool" not in tool("TopicCommand", node, "--list").stdout.splitlines()


def test_config_command_on_topics(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(retention_ms="99999")
    change = "max.message.bytes=12345,cleanup.policy=[compact,delete]"
    tool("ConfigCommand", node, "--alter", "--topic", topic, "--add-config", change)
    tool("ConfigCommand", node, "--alter", "--topic", topic, "--delete-config", "retention.ms")
    own = tool("ConfigCommand", node, "--describe", "--topic", topic).stdout
    assert (
        "max.message.bytes=12345 sensitive=false synonyms="
        "{DYNAMIC_TOPIC_CONFIG:max.message.bytes=12345, DEFAULT_CONFIG:message.max.bytes=1048588}"
    ) in own
    assert "cleanup.policy=compact,delete" in own
    assert "retention.ms" not in own
    everything = tool("ConfigCommand", node, "--describe", "--topic", topic, "--all").stdout
    assert "retention.ms=604800000 sensitive=false synonyms={}" in everything
    assert "segment.bytes=1073741824" in everything
    refused = tool(
        "ConfigCommand", node, "--alter", "--topic", topic, "--add-config", "no.such=1", check=False
    )
    assert refused.returncode == 1
    assert "InvalidConfigurationException" in refused.stdout + refused.stderr


def test_config_command_on_brokers(node: Node, admin: AdminClient) -> None:
    broker = str(next(iter(admin.list_topics(timeout=WAIT_SECONDS).brokers)))
    one = ("--entity-type", "brokers", "--entity-name", broker)
    every = ("--entity-type", "brokers", "--entity-default")
    tool("ConfigCommand", node, "--alter", *every, "--add-config", "log.retention.ms=777777777")
    tool("ConfigCommand", node, "--alter", *one, "--add-config", "message.max.bytes=1048599")
    defaults = tool("ConfigCommand", node, "--describe", *every).stdout
    assert "log.retention.ms=777777777 sensitive=false" in defaults
    own = tool("ConfigCommand", node, "--describe", *one).stdout
    assert (
        "message.max.bytes=1048599 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:"
        "message.max.bytes=1048599, DEFAULT_CONFIG:message.max.bytes=1048588}"
    ) in own
    everything = tool("ConfigCommand", node, "--describe", *one, "--all").stdout
    assert f"log.dirs={node.data} sensitive=false" in everything
    refused = tool(
        "ConfigCommand", node, "--alter", *one, "--add-config", "log.dirs=/nowhere", check=False
    )
    assert refused.returncode == 1
    tool("ConfigCommand", node, "--alter", *every, "--delete-config", "log.retention.ms")
    tool("ConfigCommand", node, "--alter", *one, "--delete-config", "message.max.bytes")
    assert "message.max.bytes" not in tool("ConfigCommand", node, "--describe", *one).stdout


def test_config_command_on_loggers(node: Node, admin: AdminClient) -> None:
    broker = str(next(iter(admin.list_topics(timeout=WAIT_SECONDS).brokers)))
    loggers = ("--entity-type", "broker-loggers", "--entity-name", broker)
    for level in ("ERROR", "INFO"):
        tool("ConfigCommand", node, "--alter", *loggers, "--add-config", f"root={level}")
        shown = tool("ConfigCommand", node, "--describe", *loggers).stdout
        assert f"root={level} sensitive=false synonyms={{}}" in shown
    unknown = ("--alter", *loggers, "--add-config", "no.such.logger=INFO")
    assert tool("ConfigCommand", node, *unknown, check=False).returncode == 1


def test_config_command_on_subscriptions_and_groups(node: Node) -> None:
    mine = ("--entity-type", "client-metrics", "--entity-name", "mine")
    tool("ConfigCommand", node, "--alter", *mine, "--add-config", "interval.ms=5000")
    assert "interval.ms=5000" in tool("ConfigCommand", node, "--describe", *mine).stdout
    tool("ConfigCommand", node, "--alter", *mine, "--delete-config", "interval.ms")
    gone = tool("ConfigCommand", node, "--describe", *mine).stdout
    assert "doesn't exist" in gone
    group = ("--entity-type", "groups", "--entity-name", "g")
    setting = "consumer.session.timeout.ms=50000"
    tool("ConfigCommand", node, "--alter", *group, "--add-config", setting)
    tool("ConfigCommand", node, "--alter", *group, "--delete-config", setting.partition("=")[0])


def test_config_command_on_users_clients_and_ips(node: Node) -> None:
    def alter(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return tool("ConfigCommand", node, "--alter", *arguments, check=check)

    def described(*arguments: str) -> list[str]:
        return tool("ConfigCommand", node, "--describe", *arguments).stdout.splitlines()

    alice = ("--entity-type", "users", "--entity-name", "alice")
    app = ("--entity-type", "clients", "--entity-name", "app")
    others = ("--entity-type", "clients", "--entity-default")
    alter(*alice, "--add-config", "producer_byte_rate=1024,request_percentage=12.5")
    alter(*alice, *app, "--add-config", "consumer_byte_rate=2048")
    alter(*others, "--add-config", "controller_mutation_rate=5")
    assert described(*alice)[0] in (
        "Quota configs for user-principal 'alice' are "
        "producer_byte_rate=1024.0, request_percentage=12.5",
        "Quota configs for user-principal 'alice' are "
        "request_percentage=12.5, producer_byte_rate=1024.0",
    )
    assert described(*alice, *app) == [
        "Quota configs for user-principal 'alice', client-id 'app' are consumer_byte_rate=2048.0"
    ]
    clients = ["Quota configs for the default client-id are controller_mutation_rate=5.0"]
    assert described("--entity-type", "clients") == clients
    alter(*alice, "--delete-config", "producer_byte_rate,request_percentage")
    alter(*alice, *app, "--delete-config", "consumer_byte_rate")
    alter(*others, "--delete-config", "controller_mutation_rate")
    assert not any("Quota configs" in line for line in described(*alice))
    alter("--ip", "10.1.2.3", "--add-config", "connection_creation_rate=200")
    alter("--ip-defaults", "--add-config", "connection_creation_rate=1000000")
    assert sorted(described("--entity-type", "ips")) == [
        "Quota configs for ip '10.1.2.3' are connection_creation_rate=200.0",
        "Quota configs for the default ip are connection_creation_rate=1000000.0",
    ]
    alter("--ip", "10.1.2.3", "--delete-config", "connection_creation_rate")
    alter("--ip-defaults", "--delete-config", "connection_creation_rate")
    assert described("--entity-type", "ips") == []
    refused = alter(*alice, "--add-config", "producer_byte_rate=0", check=False)
    assert refused.returncode == 1
    assert "InvalidRequestException" in refused.stdout + refused.stderr


def test_api_versions_features_and_cluster_id(node: Node) -> None:
    printed = tool("BrokerApiVersionsCommand", node).stdout
    assert printed.startswith(f"{node.address} (id: ")
    assert re.search(r"Produce\(0\): 0 to 13 \[usable: 13\]", printed)
    assert re.search(r"Fetch\(1\): 4 to 18 \[usable: 18\]", printed)
    features = tool("FeatureCommand", node, "describe").stdout
    assert re.search(r"metadata.version\s.*FinalizedVersionLevel: 4.3-IV0", features)
    identified = java_tool(
        f"{TOOLS}.ClusterTool", "cluster-id", "--bootstrap-server", node.address
    ).stdout
    meta = (node.data / "meta.properties").read_text()
    assert identified.split()[-1] in meta


def test_console_tools(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    lines = [f"key-{number % 7}:value-{number}" for number in range(200)]
    options = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
    tool("ConsoleProducer", node, "--topic", topic, *options, stdin="\n".join(lines) + "\n")
    offsets = tool("GetOffsetShell", node, "--topic", topic).stdout.split()
    ends = {int(line.split(":")[1]): int(line.split(":")[2]) for line in offsets}
    assert sorted(ends) == [0, 1]
    assert sum(ends.values()) == len(lines)
    earliest = tool("GetOffsetShell", node, "--topic", topic, "--time", "earliest").stdout.split()
    assert earliest == [f"{topic}:0:0", f"{topic}:1:0"]
    read: list[str] = []
    for partition, end in ends.items():
        printed = tool(
            "consumer.ConsoleConsumer", node, "--topic", topic, "--partition", str(partition),
            "--offset", "earliest", "--max-messages", str(end), "--formatter-property",
            "print.key=true", "--formatter-property", "key.separator=:",
        ).stdout.splitlines()  # fmt: skip
        assert len(printed) == end
        read += printed
    assert sorted(read) == sorted(lines)
    for key in {line.split(":")[0] for line in lines}:
        wanted = [line for line in lines if line.startswith(f"{key}:")]
        assert [line for line in read if line.startswith(f"{key}:")] == wanted


def test_producer_performance(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    printed = java_tool(
        f"{TOOLS}.ProducerPerformance", "--topic", topic, "--num-records", "20000",
        "--record-size", "100", "--throughput", "-1", "--bootstrap-server", node.address,
    ).stdout  # fmt: skip
    assert "20000 records sent" in printed
    offsets = tool("GetOffsetShell", node, "--topic", topic).stdout.split()
    assert sum(int(line.rsplit(":", 1)[1]) for line in offsets) == 20_000


def test_verifiable_producer(node: Node, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    printed = tool(
        "VerifiableProducer", node, "--topic", topic, "--max-messages", "200",
        "--throughput", "-1", "--acks", "-1", "--repeating-keys", "7",
    ).stdout  # fmt: skip
    told = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    sent = [(one["partition"], one["offset"]) for one in told if one["name"] == PRODUCED]
    assert len(set(sent)) == 200
    assert told[-1]["acked"] == 200
    offsets = tool("GetOffsetShell", node, "--topic", topic).stdout.split()
    assert sum(int(line.rsplit(":", 1)[1]) for line in offsets) == 200


def test_end_to_end_latency(node: Node, make_topic: MakeTopic) -> None:
    printed = tool(
        "EndToEndLatency", node, "--topic", make_topic(), "--num-records", "300",
        "--producer-acks", "all", "--record-size", "100",
    ).stdout  # fmt: skip
    assert re.search(r"Avg latency: \d+[.,]\d+ ms", printed)


def test_client_compatibility(node: Node, make_topic: MakeTopic) -> None:
    """The program by which Kafka tests its clients against brokers of other versions."""
    with_acls = str(node.name == "kafka")  # ours does not list the APIs yet
    printed = tool(
        "ClientCompatibilityTest", node, "--topic", make_topic(),
        "--offsets-for-times-supported", "True", "--cluster-id-supported", "True",
        "--expect-record-too-large-exception", "False", "--num-cluster-nodes", "1",
        "--create-topics-supported", "True", "--describe-acls-supported", with_acls,
        "--describe-configs-supported", "True", "--idempotent-producer-supported", "True",
    ).stdout  # fmt: skip
    assert "SUCCESS" in printed


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a node that wrote some segments and was stopped."""
    settings = {"metadata.log.max.record.bytes.between.snapshots": "500"}
    node = target_class()(tmp_path_factory.mktemp("written"), settings)
    with node:
        where = {"bootstrap.servers": node.address, "log_level": 0}
        admin = AdminClient(where)
        new = NewTopic("dumped", 1, 1, config={"segment.bytes": "1048576"})
        admin.create_topics([new])["dumped"].result(WAIT_SECONDS)
        producer = Producer({**where, "enable.idempotence": True})
        for number in range(EVENTS):
            producer.produce("dumped", key=b"%d" % number, value=b"v" * 90)
            if number % ROUND == ROUND - 1:
                assert producer.flush(WAIT_SECONDS) == 0
    return node.data


def dump(files: list[Path], *options: str) -> list[str]:
    """What DumpLogSegments prints about files; it must find no mismatch."""
    assert files
    names = ",".join(str(path) for path in sorted(files))
    printed = java_tool(f"{TOOLS}.DumpLogSegments", *options, "--files", names).stdout
    assert not re.search(r"mismatch|non-consecutive|isvalid: false", printed, re.IGNORECASE)
    return printed.splitlines()


def test_dump_of_segments(written: Path) -> None:
    files = list((written / "dumped-0").glob("*.log"))
    assert len(files) >= 3
    following = 0
    for line in dump(files):
        batch = re.match(r"baseOffset: (\d+) lastOffset: (\d+) .*isvalid: (\w+)$", line)
        if batch:
            assert (int(batch[1]), batch[3]) == (following, "true")
            following = int(batch[2]) + 1
    assert following == EVENTS
    records = dump([min(files)], "--print-data-log")
    assert any(re.search(r"\| offset: 5 .* key: 5 payload: v{90}", line) for line in records)


def test_dump_of_indexes(written: Path) -> None:
    folder = written / "dumped-0"
    offsets = dump(list(folder.glob("*.index")))
    assert sum(bool(re.match(r"offset: \d+ position: \d+", line)) for line in offsets) > 10
    dump(list(folder.glob("*.index")), "--verify-index-only")
    sane = dump(list(folder.glob("*.index")), "--index-sanity-check")
    assert sum("passed sanity check" in line for line in sane) == len(list(folder.glob("*.index")))
    times = dump(list(folder.glob("*.timeindex")))
    assert sum(bool(re.match(r"timestamp: \d+ offset: \d+", line)) for line in times) > 10


def test_dump_of_producer_snapshots(written: Path) -> None:
    files = sorted((written / "dumped-0").glob("*.snapshot"))
    last = dump(files)[-1]
    assert files[-1].name == f"{EVENTS:020d}.snapshot"
    assert re.match(r"producerId: \d+ producerEpoch: 0 coordinatorEpoch: -1 ", last)
    assert f"lastOffset: {EVENTS - 1} " in last
    assert f"lastSequence: {EVENTS - 1} " in last


def test_dump_of_metadata(written: Path) -> None:
    folder = written / "__cluster_metadata-0"
    files = [*folder.glob("*.log"), *folder.glob("*.checkpoint")]
    printed = "\n".join(dump(files, "--cluster-metadata-decoder"))
    for record in ("LeaderChange", "SnapshotHeader", "SnapshotFooter"):
        assert re.search(rf"\] {record}:? {{", printed)
    for record in (
        "FEATURE_LEVEL_RECORD",
        "REGISTER_CONTROLLER_RECORD",
        "REGISTER_BROKER_RECORD",
        "TOPIC_RECORD",
        "PARTITION_RECORD",
        "CONFIG_RECORD",
        "PRODUCER_IDS_RECORD",
    ):
        assert f'"type":"{record}"' in printed
    assert '"name":"dumped"' in printed
