"""Kafka's own tools for quorum, features, reassignments, elections and the cluster, unchanged."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.interop.conftest import MakeTopic
from tests.interop.kafka import HOST, BarnabasProcess, Node, java_tool

pytestmark = [pytest.mark.usefixtures("java"), pytest.mark.timeout(300)]

TOOLS = "org.apache.kafka.tools"
REASSIGN = "reassign.ReassignPartitionsCommand"


def tool(
    node: Node, name: str, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """One of Kafka's tools against the node."""
    return java_tool(f"{TOOLS}.{name}", "--bootstrap-server", node.address, *arguments, check=check)


def values(text: str) -> dict[str, str]:
    """`Name:   value` lines."""
    return dict(re.findall(r"^(\w+):\s+(.*)$", text, re.MULTILINE))


def test_quorum_status(node: Node) -> None:
    told = values(tool(node, "MetadataQuorumCommand", "describe", "--status").stdout)
    assert (told["LeaderId"], told["MaxFollowerLag"], told["MaxFollowerLagTimeMs"]) == (
        "1", "0", "0",
    )  # fmt: skip
    assert int(told["LeaderEpoch"]) >= 1
    assert int(told["HighWatermark"]) > 0
    (voter,) = json.loads(told["CurrentVoters"])
    assert voter["id"] == 1
    assert voter["endpoints"][0].startswith("CONTROLLER://")
    assert told["CurrentObservers"] == "[]"


def test_quorum_replication(node: Node) -> None:
    words = ("describe", "--replication", "--human-readable")
    head, row = tool(node, "MetadataQuorumCommand", *words).stdout.splitlines()[:2]
    assert head.split() == [
        "NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp",
        "LastCaughtUpTimestamp", "Status",
    ]  # fmt: skip
    assert re.match(r"1\s+\S{22}\s+\d+\s+0\s+\d+ ms ago\s+\d+ ms ago\s+Leader", row)


def test_quorum_from_the_controller(node: Node) -> None:
    port = node.port + 1 if isinstance(node, BarnabasProcess) else node.controller_port  # type: ignore[attr-defined]
    told = java_tool(
        f"{TOOLS}.MetadataQuorumCommand",
        *("--bootstrap-controller", f"{HOST}:{port}", "describe", "--status"),
    ).stdout
    assert values(told)["LeaderId"] == "1"


def levels(node: Node) -> dict[str, tuple[str, str, str]]:
    """Lowest, highest and finalised level of every feature, as FeatureCommand prints them."""
    found = re.findall(
        r"Feature: (\S+)\s+SupportedMinVersion: (\S+)\s+SupportedMaxVersion: (\S+)\s+"
        r"FinalizedVersionLevel: (\S+)\s+Epoch: \d+",
        tool(node, "FeatureCommand", "describe").stdout,
    )
    return {name: (low, high, level) for name, low, high, level in found}


def test_features(node: Node) -> None:
    before = levels(node)
    assert before["metadata.version"] == ("3.3-IV3", "4.3-IV0", "4.3-IV0")
    assert before["transaction.version"] == ("0", "2", "2")
    share = ("--feature", "share.version=0")
    told = tool(node, "FeatureCommand", "downgrade", *share, "--dry-run").stdout
    assert "share.version can be downgraded to 0" in told
    assert levels(node) == before
    told = tool(node, "FeatureCommand", "downgrade", *share).stdout
    assert "share.version was downgraded to 0" in told
    assert levels(node)["share.version"] == ("0", "1", "0")
    told = tool(node, "FeatureCommand", "upgrade", "--feature", "share.version=1").stdout
    assert "share.version was upgraded to 1" in told
    tool(node, "FeatureCommand", "disable", "--feature", "streams.version")
    assert levels(node)["streams.version"][2] == "0"
    tool(node, "FeatureCommand", "upgrade", "--release-version", "4.3")
    assert levels(node)["streams.version"][2] == "1"
    assert levels(node)["kraft.version"][2] == "1"
    refused = tool(node, "FeatureCommand", "downgrade", "--metadata", "4.2", check=False)
    assert refused.returncode == 1
    assert "Could not downgrade metadata.version to 29" in refused.stdout + refused.stderr


def test_reassignments(node: Node, make_topic: MakeTopic, tmp_path: Path) -> None:
    name = make_topic(3)
    asked = tmp_path / "topics.json"
    asked.write_text(json.dumps({"version": 1, "topics": [{"topic": name}]}))
    generate = ("--generate", "--topics-to-move-json-file", str(asked), "--broker-list", "1")
    told = tool(node, REASSIGN, *generate).stdout
    proposed = told.rpartition("Proposed partition reassignment configuration\n")[2]
    assert {(p["topic"], p["partition"]) for p in json.loads(proposed)["partitions"]} == {
        (name, index) for index in range(3)
    }
    plan = tmp_path / "plan.json"
    plan.write_text(proposed)
    what = ("--reassignment-json-file", str(plan))
    told = tool(node, REASSIGN, "--execute", *what).stdout
    assert f"Successfully started partition reassignments for {name}-0,{name}-1,{name}-2" in told
    told = tool(node, REASSIGN, "--verify", *what).stdout
    for index in range(3):
        assert f"Reassignment of partition {name}-{index} is completed." in told
    told = tool(node, REASSIGN, "--list").stdout
    assert "No partition reassignments found." in told
    told = tool(node, REASSIGN, "--cancel", *what).stdout
    assert "None of the specified partition reassignments are active." in told
    plan.write_text(proposed.replace('"replicas":[1]', '"replicas":[9]'))
    refused = tool(node, REASSIGN, "--execute", *what, check=False)
    assert refused.returncode != 0
    assert "9" in refused.stdout + refused.stderr


def test_elections(node: Node, make_topic: MakeTopic) -> None:
    name = make_topic(2)
    kinds = ("--election-type", "preferred")
    told = tool(node, "LeaderElectionCommand", *kinds, "--topic", name, "--partition", "1").stdout
    assert f"Valid replica already elected for partitions {name}-1" in told
    done = tool(node, "LeaderElectionCommand", *kinds, "--all-topic-partitions")
    assert done.returncode == 0
    refused = tool(
        node, "LeaderElectionCommand", "--election-type", "unclean",
        "--topic", f"{name}-none", "--partition", "0", check=False,
    )  # fmt: skip
    assert "UnknownTopicOrPartitionException" in refused.stdout + refused.stderr


def test_the_cluster(node: Node) -> None:
    def cluster(*arguments: str, check: bool = True) -> str:
        words = (*arguments, "--bootstrap-server", node.address)
        done = java_tool(f"{TOOLS}.ClusterTool", *words, check=check)
        assert check == (done.returncode == 0)
        return done.stdout + done.stderr

    assert re.match(r"Cluster ID: \S{22}$", cluster("cluster-id").strip())
    assert "BrokerIdNotRegisteredException" in cluster("unregister", "--id", "9", check=False)
    listed = cluster("list-endpoints").splitlines()
    assert listed[1].split()[:3] == ["1", HOST, str(node.port)]
