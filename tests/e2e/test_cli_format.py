"""`format`, `random-uuid` and `log info`, and a node on what they made."""

from __future__ import annotations

import json
from pathlib import Path

from barnabas.cli.exits import Exit
from barnabas.wire import uuids
from tests.e2e.node import Node, Shell, run

NOWHERE = "127.0.0.1:1"
"""These commands ask no node."""


def configuration(tmp_path: Path, *more: str) -> str:
    """A server.properties with two log directories."""
    path = tmp_path / "server.properties"
    lines = [
        "process.roles=broker,controller",
        "node.id=7",
        "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
        "controller.listener.names=CONTROLLER",
        f"log.dirs={tmp_path}/a,{tmp_path}/b",
        *more,
    ]
    path.write_text("\n".join(lines))
    return str(path)


def test_a_node_starts_on_what_was_formatted(tmp_path: Path) -> None:
    sh = Shell(NOWHERE)
    cluster_id = sh("random-uuid").decode().strip()
    assert uuids.to_text(uuids.from_text(cluster_id)) == cluster_id
    config = configuration(tmp_path, "controller.quorum.bootstrap.servers=127.0.0.1:9093")
    assert run(NOWHERE, "log", "info", "--config", config).returncode == Exit.FAILED
    words = ["format", "--config", config, "--standalone", "-t", cluster_id]
    assert sh(*words, "--feature", "share.version=0").decode() == f"Cluster id: {cluster_id}\n"
    found = sh.json("log", "info", "--config", config)
    assert found["problems"] == []
    assert [(d["path"], d["cluster_id"], d["node_id"]) for d in found["directories"]] == [
        (f"{tmp_path}/{name}", cluster_id, 7) for name in ("a", "b")
    ]
    assert cluster_id in sh("log", "info", "--config", config).decode()
    node = Node(
        tmp_path / "a", "--config", config, "--override", f"log.dirs={tmp_path}/a,{tmp_path}/b"
    )
    running = Shell(node.address)
    described = running.json("cluster", "describe")
    assert described["cluster_id"] == cluster_id
    assert "share.version" not in described["features"]
    assert described["features"]["kraft.version"] == 1
    code, told = sh.fail(*words, "--ignore-formatted")
    assert code == Exit.FAILED
    assert "uses one of these directories" in told
    assert node.stop() == Exit.OK


def test_formatting_again(tmp_path: Path) -> None:
    sh = Shell(NOWHERE)
    data = str(tmp_path / "data")
    first = sh("format", "--data", data, "--standalone")
    code, told = sh.fail("format", "--data", data, "--standalone")
    assert code == Exit.FAILED
    assert "is formatted already" in told
    assert sh("format", "--data", data, "--standalone", "-g") == first
    code, told = sh.fail("format", "--data", data, "-s", "-g", "-t", "AAAAAAAAQACAAAAAAAAAAg")
    assert code == Exit.FAILED
    assert "belongs to node 1" in told


def test_what_cannot_be_formatted(tmp_path: Path) -> None:
    sh = Shell(NOWHERE)
    data = ("--data", str(tmp_path / "data"))
    for arguments, complaint in (
        ((), "--standalone"),
        (("-s", "--feature", "group.version=2"), "0 to 1"),
        (("-s", "--feature", "group.version"), "KEY=VALUE"),
        (("-s", "--release-version", "9"), "no metadata.version"),
        (("-I", "1@h:1:x"), "base64"),
    ):
        code, told = sh.fail("format", *data, *arguments)
        assert code == Exit.USAGE
        assert complaint in told
    others = "2@h:1:JEXY6aqzQY-32P5TStzaFg"
    code, told = sh.fail("format", *data, "-I", others)
    assert code == Exit.CANNOT_START
    assert not (tmp_path / "data").exists()


def test_what_is_wrong_with_directories(tmp_path: Path) -> None:
    sh = Shell(NOWHERE)
    config = configuration(tmp_path, "controller.quorum.voters=7@127.0.0.1:9093")
    for name in ("a", "b"):
        sh("format", "--data", str(tmp_path / name), "--standalone")
    done = run(NOWHERE, "log", "info", "--config", config, "-o", "json")
    assert done.returncode == Exit.FAILED
    problems = json.loads(done.stdout)["problems"]
    assert any("different clusters" in problem for problem in problems)
    assert any("different nodes: 1, 7" in problem for problem in problems)
    (tmp_path / "a" / "meta.properties").write_text("nothing")
    told = run(NOWHERE, "log", "info", "--data", str(tmp_path / "a")).stderr.decode()
    assert "cannot be read" in told
