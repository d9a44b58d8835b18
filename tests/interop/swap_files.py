"""The files of a directory that changes hands: read by Kafka's own tools, compared, described."""

from __future__ import annotations

import hashlib
import json
import re
import time
from pathlib import Path

from tests.interop.conftest import WAIT_SECONDS
from tests.interop.kafka import java_tool

DUMP = "org.apache.kafka.tools.DumpLogSegments"
COMPACTED = ("dense-", "dirty-")
LEFT_OVER = (".cleaned", ".swap", ".deleted")
KEPT = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")
DAMAGE = re.compile(
    r"mismatch|corrupt|invalid bytes|isvalid: false|non-consecutive|not found|exception|error:"
    r"|out of order|should be|failed",
    re.IGNORECASE,
)
HOLLOW = re.compile(
    r"^Found timestamp mismatch in :\S*/(?:dense|dirty)-0/\d+\.timeindex\n"
    r"(?:  Index timestamp: \d+, log timestamp: -1\n)+(?!  )",
    re.MULTILINE,
)
"""A compaction leaves a producer's last batch without records, and its time in the index: the tool
complains of that whoever did it, Kafka or our node."""

BATCH = re.compile(r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) ", re.MULTILINE)


def dump(files: list[Path], *options: str) -> str:
    """What DumpLogSegments prints of files; it complains of nothing."""
    printed = java_tool(DUMP, "--files", ",".join(map(str, files)), *options)
    text = printed.stdout + HOLLOW.sub("", printed.stderr)
    complaints = [line for line in text.splitlines() if DAMAGE.search(line)]
    assert not complaints, complaints[:20]
    return text


def files_of(home: Path, *suffixes: str, metadata: bool = False) -> list[Path]:
    """Files of the partitions in all log directories, or of the metadata log, by suffix."""
    return sorted(
        path
        for path in home.glob("data*/*/*")
        if path.suffix in suffixes
        and not path.parent.name.endswith("-delete")
        and (path.parent.name == "__cluster_metadata-0") == metadata
    )


def dump_everything(home: Path) -> None:
    """Kafka reads every file, and checks indexes by themselves and against their segments."""
    logs = files_of(home, ".log")
    indexes = files_of(home, ".index", ".timeindex")
    text = dump([*logs, *indexes, *files_of(home, ".txnindex", ".snapshot")], "--verify-index-only")
    assert len(BATCH.findall(text)) > len(logs)
    sane = dump(indexes, "--index-sanity-check")
    assert sane.count("passed sanity check") + sane.count(" is empty.") == len(indexes)
    of_metadata = files_of(home, ".log", ".checkpoint", metadata=True)
    text = dump(of_metadata, "--cluster-metadata-decoder")
    assert text.count('"type":"REGISTER_BROKER_RECORD"') > 0


def digests(home: Path) -> dict[str, str]:
    """Content of the files of internal topics, and of every transaction index, by path."""
    found = {}
    for path in files_of(home, *KEPT):
        internal = path.parent.name.startswith(("__consumer_offsets-", "__transaction_state-"))
        compacted = path.parent.name.startswith(COMPACTED)
        if internal or (path.suffix == ".txnindex" and not compacted):
            name = f"{path.parent.name}/{path.name}"
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def offsets_file(path: Path) -> dict[tuple[str, int], int]:
    """An offset checkpoint in Kafka's form: version, count, `topic partition offset` lines."""
    version, count, *lines = path.read_text().splitlines()
    assert version == "0"
    assert int(count) == len(lines)
    fields = [line.split(" ") for line in lines]
    return {(topic, int(partition)): int(offset) for topic, partition, offset in fields}


def check_forms(home: Path, *, quorum_version: int, clean: bool) -> None:
    """Quorum, top-level and partition files have Kafka's form, whoever wrote them last."""
    state = json.loads((home / "data" / "__cluster_metadata-0" / "quorum-state").read_text())
    version_0 = {
        "clusterId", "leaderId", "leaderEpoch", "votedId", "appliedOffset", "currentVoters",
        "data_version",
    }  # fmt: skip
    version_1 = {"leaderId", "leaderEpoch", "votedId", "votedDirectoryId", "data_version"}
    assert set(state) == (version_1 if quorum_version else version_0)
    assert state["data_version"] == quorum_version
    for data in home.glob("data*"):
        _check_top(data, clean=clean)
        for partition in data.glob("*-*/"):
            if partition.is_dir() and not partition.name.endswith("-delete"):
                _check_partition(partition, clean=clean)


def _check_top(data: Path, *, clean: bool) -> None:
    lines = (data / "meta.properties").read_text().splitlines()
    meta = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert set(meta) == {"version", "cluster.id", "node.id", "directory.id"}
    assert (data / "bootstrap.checkpoint").stat().st_size > 0
    assert (data / ".kafka_cleanshutdown").exists() == clean
    for name in ("recovery-point", "replication", "log-start"):
        path = data / f"{name}-offset-checkpoint"
        if clean or path.exists():  # they are written at intervals, and at a clean stop
            offsets_file(path)


def _check_partition(partition: Path, *, clean: bool) -> None:
    about = (partition / "partition.metadata").read_text()
    assert re.fullmatch(r"version: 0\ntopic_id: [\w-]{22}\n?", about)
    path = partition / "leader-epoch-checkpoint"
    if clean or path.exists():
        version, count, *lines = path.read_text().splitlines()
        assert version == "0"
        assert int(count) == len(lines)
        pairs = [tuple(map(int, line.split(" "))) for line in lines]
        assert pairs == sorted(pairs)


def left_over(home: Path) -> dict[int, Path]:
    """Files that an interrupted compaction or deletion leaves behind, by their inodes."""
    return {path.stat().st_ino: path for path in home.glob("data*/*/*") if path.suffix in LEFT_OVER}


def check_settled(home: Path, found: dict[int, Path]) -> None:
    """What was left over is gone, or has got its name; a node at work may have made new ones."""
    deadline = time.monotonic() + WAIT_SECONDS
    while still := [path for inode, path in left_over(home).items() if inode in found]:
        assert time.monotonic() < deadline, still
        time.sleep(0.05)


def half_swapped(partition: Path) -> Path:
    """Take a compaction back to where its result was promoted and its sources were gone: what a
    kill leaves that comes between two renames. The result's log, by the name that it will get."""
    log = min(partition.glob("*.log"))
    assert log != max(partition.glob("*.log"))
    source = log.with_name(f"{log.name}.deleted")
    source.write_bytes(log.read_bytes())
    for suffix in (".log", ".index", ".timeindex", ".txnindex"):
        path = log.with_suffix(suffix)
        if path.exists():
            path.rename(f"{path}.swap")
    return log


def wait_for_deletions(home: Path) -> None:
    """Deleted topics leave nothing behind once their delay is over, whoever deleted them."""
    deadline = time.monotonic() + WAIT_SECONDS
    while left := list(home.glob("data*/*-delete")):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
