"""`topics purge`, `topics producers` and `log dirs` against a node with two log directories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from barnabas.cli.exits import Exit
from tests.e2e.node import Node, Shell


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of the log directories."""
    return tmp_path_factory.mktemp("storage") / "data"


@pytest.fixture(scope="module")
def sh(data: Path) -> Iterator[Shell]:
    """Commands against the node."""
    node = Node(data, "--override", f"log.dirs={data},{data}-more")
    yield Shell(node.address)
    assert node.stop() == Exit.OK


def make(sh: Shell, name: str, count: int = 10) -> None:
    """A topic of two partitions, with records at the first seconds of 1970 in each."""
    sh("topics", "create", name, "--partitions", "2", "--config", "retention.ms=-1")
    for index in range(2):
        lines = [
            f'{{"value": "{n}", "partition": {index}, "timestamp": {n * 1000}}}'
            for n in range(count)
        ]
        sh("produce", name, "--format", "json", stdin="\n".join(lines).encode())


def starts(sh: Shell, name: str) -> list[int]:
    """Where the partitions start."""
    [topic] = sh.json("topics", "describe", name, "--offsets")
    return [p["start"] for p in topic["partitions"]]


def test_purge_deletes_what_comes_before_a_place(sh: Shell) -> None:
    make(sh, "orders")
    sh("topics", "purge", "orders", "--before", "3", "--partition", "0")
    assert starts(sh, "orders") == [3, 0]
    sh("topics", "purge", "orders", "--before", "@4500", "--yes")
    assert starts(sh, "orders") == [5, 5]
    sh("topics", "purge", "orders", "--before", "1970-01-01T00:00:06+00:00", "-p", "1")
    assert starts(sh, "orders") == [5, 6]
    sh("topics", "purge", "orders", "--before", "-2")
    assert starts(sh, "orders") == [8, 8]
    assert sh("consume", "orders", "-p", "0") == b"8\n9\n"
    sh("topics", "purge", "orders", "--before", "7")
    assert starts(sh, "orders") == [8, 8], "there is nothing before it"
    sh("topics", "purge", "orders", "--before", "-1h")
    assert starts(sh, "orders") == [10, 10], "all of it is older"
    assert sh("consume", "orders") == b""


def test_purge_without_a_place_empties_the_topic(sh: Shell) -> None:
    make(sh, "everything")
    sh("topics", "purge", "everything")
    assert starts(sh, "everything") == [10, 10]


def test_what_cannot_be_purged(sh: Shell) -> None:
    sh("topics", "create", "compacted", "--config", "cleanup.policy=compact")
    sh("produce", "compacted", "--key-separator", ":", stdin=b"k:v")
    code, told = sh.fail("topics", "purge", "compacted")
    assert (code, "POLICY_VIOLATION" in told) == (Exit.FAILED, True)
    assert "--append cleanup.policy=delete" in told
    assert sh.fail("topics", "purge", "absent")[0] == Exit.NOT_FOUND
    assert sh.fail("topics", "purge", "compacted", "-p", "7")[0] == Exit.NOT_FOUND
    assert sh.fail("topics", "purge", "compacted", "--before", "soon")[0] == Exit.USAGE


def test_producers_of_a_topic(sh: Shell) -> None:
    make(sh, "sent", 3)
    found = sh.json("topics", "producers", "sent")
    assert [(p["partition"], p["last_sequence"]) for p in found] == [(0, 2), (1, 2)]
    [row] = sh("topics", "producers", "sent", "-p", "1").decode().splitlines()[1:]
    assert row.split() == [
        "1",
        str(found[1]["producer_id"]),
        "0",
        "2",
        "1970-01-01T00:00:02.000+00:00",
    ]
    assert sh.fail("topics", "producers", "absent")[0] == Exit.NOT_FOUND


def test_log_directories(sh: Shell, data: Path) -> None:
    make(sh, "kept")
    found = sh.json("log", "dirs", "kept")
    assert [d["path"] for d in found] == [str(data), f"{data}-more"]
    assert {d["state"] for d in found} == {"online"}
    assert all(d["total_bytes"] >= d["usable_bytes"] > 0 for d in found)
    replicas = sorted((p["topic"], p["partition"]) for d in found for p in d["partitions"])
    assert replicas == [("kept", 0), ("kept", 1)]
    for directory in found:
        for p in directory["partitions"]:
            segments = Path(directory["path"], f"kept-{p['partition']}").glob("*.log")
            assert p["size"] == sum(file.stat().st_size for file in segments) > 0
    shown = sh("log", "dirs").decode()
    assert "kept" not in shown
    assert str(data) in shown
    assert "kept-1" in sh("log", "dirs", "--all").decode()
    assert sh.fail("log", "dirs", "absent")[0] == Exit.NOT_FOUND
