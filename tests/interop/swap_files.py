"""The files of a directory that changes hands: read by Kafka's own tools, compared, described."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from tests.interop.kafka import java_tool

DUMP = "org.apache.kafka.tools.DumpLogSegments"
KEPT = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")
DAMAGE = re.compile(
    r"mismatch|corrupt|invalid bytes|isvalid: false|non-consecutive|not found|exception|error:"
    r"|out of order|should be|failed",
    re.IGNORECASE,
)
BATCH = re.compile(r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) ", re.MULTILINE)


def dump(files: list[Path], *options: str) -> str:
    """What DumpLogSegments prints of files; it complains of nothing."""
    printed = java_tool(DUMP, "--files", ",".join(map(str, files)), *options)
    text = printed.stdout + printed.stderr
    complaints = [line for line in text.splitlines() if DAMAGE.search(line)]
    assert not complaints, complaints[:20]
    return text


def files_of(data: Path, *suffixes: str, metadata: bool = False) -> list[Path]:
    """Files of the partitions, or of the metadata log, by suffix."""
    return sorted(
        path
        for path in data.glob("*/*")
        if path.suffix in suffixes
        and not path.parent.name.endswith("-delete")
        and (path.parent.name == "__cluster_metadata-0") == metadata
    )


def dump_everything(data: Path) -> None:
    """Kafka reads every segment, index and snapshot, and checks indexes against their segments."""
    logs = files_of(data, ".log")
    text = dump(logs)
    assert len(BATCH.findall(text)) > len(logs)
    indexes = files_of(data, ".index", ".timeindex")
    dump(indexes, "--verify-index-only")
    # Of an active segment Kafka preallocates indexes; after a kill their tails are zeros.
    dump(files_of(data, ".txnindex", ".snapshot"))
    dump(files_of(data, ".log", metadata=True), "--cluster-metadata-decoder")
    snapshots = files_of(data, ".checkpoint", metadata=True)
    if snapshots:
        dump(snapshots, "--cluster-metadata-decoder")


def digests(data: Path) -> dict[str, str]:
    """Content of the files of internal topics, and of every transaction index, by path."""
    found = {}
    for path in files_of(data, *KEPT):
        internal = path.parent.name.startswith(("__consumer_offsets-", "__transaction_state-"))
        if internal or path.suffix == ".txnindex":
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


def check_forms(data: Path, *, quorum_version: int, clean: bool) -> None:
    """Top-level and quorum files have Kafka's form, whoever wrote them last."""
    meta = dict(
        line.split("=", 1)
        for line in (data / "meta.properties").read_text().splitlines()
        if not line.startswith("#")
    )
    assert set(meta) == {"version", "cluster.id", "node.id", "directory.id"}
    state = json.loads((data / "__cluster_metadata-0" / "quorum-state").read_text())
    version_0 = {
        "clusterId", "leaderId", "leaderEpoch", "votedId", "appliedOffset", "currentVoters",
        "data_version",
    }  # fmt: skip
    version_1 = {"leaderId", "leaderEpoch", "votedId", "votedDirectoryId", "data_version"}
    assert set(state) == (version_1 if quorum_version else version_0)
    assert state["data_version"] == quorum_version
    for name in ("recovery-point", "replication", "log-start"):
        path = data / f"{name}-offset-checkpoint"
        if clean or path.exists():  # they are written at intervals, and at a clean stop
            offsets_file(path)
    for directory in sorted(data.glob("*-*/")):
        if directory.name.endswith("-delete") or not directory.is_dir():
            continue
        assert re.fullmatch(
            r"version: 0\ntopic_id: [\w-]{22}\n?", (directory / "partition.metadata").read_text()
        )
        path = directory / "leader-epoch-checkpoint"
        if not (clean or path.exists()):
            continue
        version, count, *lines = path.read_text().splitlines()
        assert version == "0"
        assert int(count) == len(lines)
        pairs = [tuple(map(int, line.split(" "))) for line in lines]
        assert pairs == sorted(pairs)
