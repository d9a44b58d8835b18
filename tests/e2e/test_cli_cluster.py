"""`cluster quorum`, `cluster features` and `cluster unregister`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from barnabas.cli.exits import Exit
from tests.e2e.node import Node, Shell


@pytest.fixture(scope="module")
def sh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Commands against a node of its own: levels are for the whole cluster."""
    node = Node(tmp_path_factory.mktemp("cluster") / "data")
    yield Shell(node.address)
    assert node.stop() == Exit.OK


def level(sh: Shell, name: str) -> int:
    """The finalised level of a feature."""
    found = sh.json("cluster", "features", "list")["features"]
    return next(int(each["level"]) for each in found if each["name"] == name)


def test_the_quorum(sh: Shell) -> None:
    found = sh.json("cluster", "quorum")
    assert (found["leader"], found["epoch"]) == (1, 1)
    (replica,) = found["replicas"]
    assert (replica["id"], replica["role"], replica["lag"]) == (1, "leader", 0)
    assert replica["log_end_offset"] == found["high_watermark"] > 0
    assert replica["endpoints"][0]["listener"] == "CONTROLLER"
    shown = sh("cluster", "quorum").decode()
    assert "Leader: 1   Epoch: 1" in shown
    assert "0 ms ago" in shown


def test_levels_go_down_and_up(sh: Shell) -> None:
    sh("cluster", "features", "downgrade", "transaction.version=1", "--dry-run")
    assert level(sh, "transaction.version") == 2
    sh("cluster", "features", "downgrade", "transaction.version=1")
    assert level(sh, "transaction.version") == 1
    sh("cluster", "features", "disable", "share.version", "--unsafe")
    assert level(sh, "share.version") == 0
    assert b"metadata.version 23 (4.0-IV1)" in sh("cluster", "features", "list")
    sh("cluster", "features", "upgrade", "--release-version", "4.3")
    assert level(sh, "transaction.version") == 2
    assert level(sh, "share.version") == 1
    sh("cluster", "features", "upgrade", "metadata.version=4.3-IV0", "kraft.version=1")
    assert level(sh, "kraft.version") == 1
    assert sh.json("cluster", "quorum")["replicas"][0]["directory_id"]


def test_what_is_refused_says_why(sh: Shell) -> None:
    code, told = sh.fail("cluster", "features", "downgrade", "--release-version", "4.2")
    assert code == Exit.FAILED
    assert "metadata.version cannot be set to 29" in told
    code, told = sh.fail("cluster", "features", "upgrade", "nothing.version=1")
    assert code == Exit.FAILED
    assert "nothing.version" in told
    code, told = sh.fail("cluster", "unregister", "7")
    assert code == Exit.NOT_FOUND
    assert "7" in told


def test_the_levels_of_a_release_need_no_cluster(sh: Shell) -> None:
    assert sh.json("cluster", "features", "release", "3.9.1")["metadata.version"] == 21
    assert sh.json("cluster", "features", "release")["metadata.version"] == 30


def test_a_node_that_was_unregistered_comes_back_with_its_next_start(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = tmp_path_factory.mktemp("gone") / "data"
    node = Node(data)
    sh = Shell(node.address)
    sh("topics", "create", "t")
    sh("produce", "t", stdin=b"kept\n")
    sh("cluster", "unregister", "1")
    assert sh.json("cluster", "describe")["brokers"] == []
    assert node.stop() == Exit.OK
    node = Node(data)
    assert Shell(node.address)("consume", "t") == b"kept\n"
    assert node.stop() == Exit.OK
