"""Names of files and directories of a log (facts: Kafka's `LogFileUtils`, `LocalLog`)."""

from __future__ import annotations

import re

LOG = ".log"
OFFSET_INDEX = ".index"
TIME_INDEX = ".timeindex"
TXN_INDEX = ".txnindex"
SNAPSHOT = ".snapshot"
DELETED = ".deleted"
CLEANED = ".cleaned"
SWAP = ".swap"
KRAFT_SNAPSHOT_DELETED = ".checkpoint.deleted"

DELETE_DIR = "-delete"
FUTURE_DIR = "-future"
STRAY_DIR = "-stray"

LEADER_EPOCHS = "leader-epoch-checkpoint"
PARTITION_METADATA = "partition.metadata"
META_PROPERTIES = "meta.properties"
BOOTSTRAP = "bootstrap.checkpoint"
LOCK = ".lock"
CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
RECOVERY_POINTS = "recovery-point-offset-checkpoint"
LOG_STARTS = "log-start-offset-checkpoint"
HIGH_WATERMARKS = "replication-offset-checkpoint"
CLEANER_POINTS = "cleaner-offset-checkpoint"
METADATA_TOPIC = "__cluster_metadata"
METADATA_DIR = "__cluster_metadata-0"
REMOTE_CACHE = "remote-log-index-cache"

SEGMENT_SUFFIXES = (LOG, OFFSET_INDEX, TIME_INDEX, TXN_INDEX)
INDEX_SUFFIXES = (OFFSET_INDEX, TIME_INDEX, TXN_INDEX)

MAX_NAME = 255
MAX_LONG = 2**63 - 1

_SEGMENT_FILE = re.compile(r"^(\d{20})(\.log|\.index|\.timeindex|\.txnindex|\.snapshot)$")
_MARKED_DIR = re.compile(r"^(\S+)-(\d+)\.([0-9a-f]{32})(-delete|-future|-stray)$")
# A long topic name is cut in a marked name, with it the partition number may be gone.
_CUT_DIR = re.compile(r"^\S+\.([0-9a-f]{32})(-delete|-stray)$")
_PARTITION_DIR = re.compile(r"^([a-zA-Z0-9._-]+)-(\d{1,10})$")


def offset_name(offset: int) -> str:
    """The 20-digit prefix of a segment's files."""
    return f"{offset:020d}"


def parse_file(name: str) -> tuple[int, str] | None:
    """(offset, suffix) of a segment or snapshot file, `None` for anything else."""
    match = _SEGMENT_FILE.match(name)
    if match is None:
        return None
    offset = int(match[1])
    return (offset, match[2]) if offset <= MAX_LONG else None


def prefix_offset(name: str) -> int | None:
    """The offset before the first dot, whatever the suffixes; `None` when there is none."""
    head = name.partition(".")[0]
    return int(head) if len(head) == 20 and head.isascii() and head.isdigit() else None


def parse_partition(name: str) -> tuple[str, int] | None:
    """(topic, partition) of a live partition directory."""
    match = _PARTITION_DIR.match(name)
    return None if match is None else (match[1], int(match[2]))


def marked_kind(name: str) -> str | None:
    """`-delete`, `-future` or `-stray` when `name` is such a directory, else `None`."""
    match = _MARKED_DIR.match(name)
    if match is not None:
        return match[4]
    match = _CUT_DIR.match(name)
    return None if match is None else match[2]


def marked_name(topic: str, partition: int, unique: bytes, kind: str) -> str:
    """`<topic>-<partition>.<32 hex><kind>`, the topic cut so that the name fits a file system."""
    tail = f"-{partition}.{unique.hex()}{kind}"
    return topic[: MAX_NAME - len(tail)] + tail
