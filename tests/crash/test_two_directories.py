"""One of two log directories fails under the real process: the other serves on, nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from barnabas.records.builder import build_batch
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.describe_log_dirs_request import DescribeLogDirsRequest
from barnabas.wire.messages.describe_log_dirs_response import DescribeLogDirsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from tests.crash.test_strace import TracedNode
from tests.crash.verdict import LATEST, offset
from tests.hostile.target import Client, Target, now_ms, produce

WRITES = 2000
SERVED_ON = 20


def batch(size: int = 100) -> bytes:
    """One record that does not compress."""
    return bytes(build_batch([(b"k", os.urandom(size), now_ms(), ())]))


def dirs(first: Path, second: Path) -> dict[str, str]:
    """Settings of a node with two log directories."""
    return {"log.dirs": f"{first},{second}"}


def make_topics(node: Target, second: Path) -> dict[str, int]:
    """`kept` in the first directory, `lost` in the second, a record in each; their number."""
    with node.connect() as client:
        for topic in ("kept", "lost"):
            node.make_topic(topic)
            assert produce(client, topic, batch()).error_code == 0
    assert (second / "lost-0").is_dir()
    assert not (second / "kept-0").exists()
    return {"kept": 1, "lost": 1}


def write_until_it_fails(client: Client, written: dict[str, int], size: int = 100) -> None:
    """Write to both topics until `lost` is refused; `written` counts what is acknowledged."""
    for _ in range(WRITES):
        for topic in written:
            answer = produce(client, topic, batch(size if topic == "lost" else 100))
            if answer.error_code == ErrorCode.KAFKA_STORAGE_ERROR:
                assert topic == "lost"
                return
            assert answer.error_code == 0
            written[topic] += 1
    raise AssertionError("the second directory does not fail")


def check_serves_on(node: Target, client: Client, written: dict[str, int], second: Path) -> None:
    """The first directory works, the second is offline for everybody who asks."""
    assert written["lost"] > 1
    for _ in range(SERVED_ON):
        assert produce(client, "kept", batch()).error_code == 0
        assert produce(client, "lost", batch()).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        written["kept"] += 1
    described = client.ask(DescribeLogDirsRequest(None), 4)
    assert isinstance(described, DescribeLogDirsResponse)
    codes = {result.log_dir: result.error_code for result in described.results}
    assert codes[str(second)] == ErrorCode.KAFKA_STORAGE_ERROR
    assert sorted(codes.values()) == [0, ErrorCode.KAFKA_STORAGE_ERROR]
    metadata = client.ask(MetadataRequest(topics=None), 9)
    assert isinstance(metadata, MetadataResponse)
    partitions = {t.name: t.partitions[0] for t in metadata.topics}
    assert (partitions["kept"].leader_id, partitions["kept"].offline_replicas) == (1, [])
    assert (partitions["lost"].leader_id, partitions["lost"].offline_replicas) == (-1, [1])
    log = node.log_path.read_text()
    assert [str(second) in line for line in log.splitlines() if "offline" in line] == [True]
    assert "Traceback" not in log
    assert "bug of ours" not in log


def check_afterwards(node: Target, written: dict[str, int]) -> None:
    """Both are there again with what was acknowledged, and go on."""
    with node, node.connect() as client:
        for topic, count in written.items():
            end = offset(client, topic, LATEST)
            assert end >= count if topic == "lost" else end == count
            assert produce(client, topic, batch()).base_offset == end
    assert "Traceback" not in node.log_path.read_text()


@pytest.mark.interop  # needs strace, which `make interop` brings
@pytest.mark.parametrize(("kind", "error"), [("sync", "EIO"), ("write", "EIO")])
def test_a_directory_whose_disk_fails(tmp_path: Path, kind: str, error: str) -> None:
    second = tmp_path / "second"
    settings = dirs(tmp_path / "data", second)
    failing = TracedNode(tmp_path, kind, f"error={error}:when=5+", settings)
    failing.only = second / "lost-0" / f"{0:020d}.log"
    with failing:
        written = make_topics(failing, second)
        with failing.connect() as client:
            write_until_it_fails(client, written)
            check_serves_on(failing, client, written, second)
        assert failing.stop() == 0
    node = Target(tmp_path, settings)
    node.port = failing.port
    check_afterwards(node, written)


@pytest.mark.interop  # needs the right to mount
def test_a_directory_whose_disk_is_full(tmp_path: Path, small_disk: Path) -> None:
    second = small_disk / "second"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    node = Target(tmp_path, dirs(tmp_path / "data", second))
    with node:
        written = make_topics(node, second)
        with node.connect() as client:
            write_until_it_fails(client, written, size=100_000)
            check_serves_on(node, client, written, second)
        assert "No space left" in node.log_path.read_text()
        assert node.stop() == 0
    again = Target(tmp_path, node.settings)
    again.port = node.port
    ballast.unlink()
    check_afterwards(again, written)


def test_a_directory_whose_disk_is_not_mounted(tmp_path: Path) -> None:
    first, second = tmp_path / "data", tmp_path / "second"
    node = Target(tmp_path, dirs(first, second))
    with node:
        written = make_topics(node, second)
    second.rename(tmp_path / "unmounted")
    second.mkdir()
    with node, node.connect() as client:
        assert produce(client, "kept", batch()).error_code == 0
        assert produce(client, "lost", batch()).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        written["kept"] += 1
    assert f"{second} is offline: it is empty" in node.log_path.read_text()
    assert not [path for path in second.iterdir() if path.is_dir()]
    (second / ".lock").unlink()
    second.rmdir()
    (tmp_path / "unmounted").rename(second)
    check_afterwards(node, written)
