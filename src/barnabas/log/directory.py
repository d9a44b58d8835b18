"""`LogDirectory`: one entry of `log.dirs` and the files at its top (facts: sections 1, 7, 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from barnabas.log import names
from barnabas.log.checkpoints import (
    TopicPartition,
    decode_offsets,
    encode_offsets,
    read_file,
    replace_file,
)
from barnabas.log.errors import LogDamaged
from barnabas.ports import Disk
from barnabas.wire import uuids

MAX_PROPERTIES_BYTES = 1 << 16
_IGNORED_DIRS = frozenset({names.METADATA_DIR, names.REMOTE_CACHE})


class BadDirectory(Exception):
    """A log directory that must not be used: foreign content, wrong ids. A sentence for people."""


class Unformatted(OSError):
    """A log directory without `meta.properties` beside formatted ones: a new one, or a disk that
    is not mounted. It counts as offline until somebody who knows the metadata has told which."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is empty")


class MetaProperties(NamedTuple):
    """`meta.properties` of one directory; `directory_id` is `None` where it was not given yet."""

    cluster_id: str
    node_id: int
    directory_id: bytes | None


class LogDirectory:
    """A locked log directory. Its methods block.

    `clean`: it was stopped cleanly (the marker is gone since). `broker_epoch`: what the marker
    said, -1 for nothing. `partitions`: topic-partition to directory path, without
    `__cluster_metadata-0`, which is no broker's to open, retain or set aside. `doomed`: paths of
    `-delete` directories, `strays` and `futures` of those kinds.
    """

    def __init__(self, disk: Disk, path: str) -> None:
        self.disk = disk
        self.path = path
        self.clean = False
        self.broker_epoch = -1
        self.offline: OSError | None = None
        self.meta: MetaProperties | None = None
        self.partitions: dict[TopicPartition, str] = {}
        self.doomed: list[str] = []
        self.strays: list[str] = []
        self.futures: list[str] = []
        self.recovery_points: dict[TopicPartition, int] = {}
        self.log_starts: dict[TopicPartition, int] = {}
        self.high_watermarks: dict[TopicPartition, int] = {}
        self.cleaner_points: dict[TopicPartition, int] = {}
        self._unlock: Callable[[], None] | None = None
        self._written: dict[str, bytes] = {}

    def lock(self) -> None:
        """Make the directory when needed and take its lock, which excludes Kafka, too.

        Raises `BlockingIOError` when another process holds it, `OSError`.
        """
        make_durable_dirs(self.disk, self.path)
        self._unlock = self.disk.lock(f"{self.path}/{names.LOCK}")

    def unlock(self) -> None:
        """Give the lock back; harmless twice."""
        if self._unlock is not None:
            self._unlock()
            self._unlock = None

    def read_meta(self) -> MetaProperties | None:
        """`meta.properties`, `None` when the directory is not formatted. Raises `BadDirectory`."""
        path = f"{self.path}/{names.META_PROPERTIES}"
        try:
            data = read_file(self.disk, path, MAX_PROPERTIES_BYTES)
            self.meta = None if data is None else decode_meta(data)
        except (LogDamaged, ValueError) as error:
            raise BadDirectory(f"{path} cannot be used: {error}") from error
        return self.meta

    def write_meta(self, meta: MetaProperties) -> None:
        """Format the directory, or give it its id."""
        replace_file(self.disk, f"{self.path}/{names.META_PROPERTIES}", encode_meta(meta))
        self.meta = meta

    def load(self) -> None:
        """Scan for partitions, read checkpoints, note and delete the clean-shutdown marker.

        Raises `BadDirectory` for a directory that is no partition, `LogDamaged` for a broken high
        watermark file (other broken ones count as absent, as in Kafka).
        """
        self._scan()
        self.recovery_points = self._offsets(names.RECOVERY_POINTS, strict=False)
        self.log_starts = self._offsets(names.LOG_STARTS, strict=False)
        self.high_watermarks = self._offsets(names.HIGH_WATERMARKS, strict=True)
        self.cleaner_points = self._offsets(names.CLEANER_POINTS, strict=False)
        path = f"{self.path}/{names.CLEAN_SHUTDOWN}"
        data = read_file(self.disk, path, MAX_PROPERTIES_BYTES)
        self.clean = data is not None
        if data is not None:
            self.broker_epoch = _broker_epoch(data)
            # Durable before anything is written: a crash from here on is no clean stop.
            self.disk.unlink(path)
            self.disk.sync_dir(self.path)

    def mark_clean(self, broker_epoch: int) -> None:
        """Everything is closed and checkpointed."""
        text = f'{{"version":0,"brokerEpoch":{broker_epoch}}}'
        replace_file(self.disk, f"{self.path}/{names.CLEAN_SHUTDOWN}", text.encode())

    def checkpoint(self, name: str, offsets: dict[TopicPartition, int]) -> None:
        """Write one of the offset checkpoint files, unless it holds just that."""
        data = encode_offsets(dict(sorted(offsets.items())))
        if self._written.get(name) != data:
            replace_file(self.disk, f"{self.path}/{name}", data)
            self._written[name] = data

    def _scan(self) -> None:
        for name in self.disk.list_dir(self.path):
            path = f"{self.path}/{name}"
            if name in _IGNORED_DIRS or name.startswith(".") or not self.disk.is_dir(path):
                continue
            kind = names.marked_kind(name)
            partition = names.parse_partition(name)
            if kind == names.DELETE_DIR:
                self.doomed.append(path)
            elif kind == names.STRAY_DIR:
                self.strays.append(path)
            elif kind == names.FUTURE_DIR:
                self.futures.append(path)
            elif partition is not None:
                self.partitions[partition] = path
            else:
                raise BadDirectory(
                    f"{self.path} holds a directory {name!r} that is no partition "
                    "(<topic>-<number>); a log directory must hold nothing else"
                )

    def _offsets(self, name: str, *, strict: bool) -> dict[TopicPartition, int]:
        try:
            data = read_file(self.disk, f"{self.path}/{name}")
            offsets = {} if data is None else decode_offsets(data)
        except LogDamaged:
            if strict:
                raise
            return {}
        if data is not None:
            self._written[name] = data
        return offsets


def make_durable_dirs(disk: Disk, path: str) -> None:
    """Create a directory and its parents, all of whose names survive a power cut."""
    missing = []
    while path and not disk.exists(path):
        missing.append(path)
        path = path.rpartition("/")[0]
    if missing:
        disk.make_dirs(missing[0])
    for made in reversed(missing):
        disk.sync_dir(made.rpartition("/")[0] or "/")


def encode_meta(meta: MetaProperties) -> bytes:
    """`meta.properties`, version 1."""
    lines = ["#", f"cluster.id={meta.cluster_id}"]
    if meta.directory_id is not None:
        lines.append(f"directory.id={uuids.to_text(meta.directory_id)}")
    lines += [f"node.id={meta.node_id}", "version=1", ""]
    return "\n".join(lines).encode()


def decode_meta(data: bytes) -> MetaProperties:
    """Version 1, or 0 of a node that had been run with ZooKeeper. Raises `ValueError`."""
    fields: dict[str, str] = {}
    for line in data.decode().splitlines():
        line = line.strip()
        if line and line[0] not in "#!":
            key, _, value = line.partition("=")
            fields[key.strip()] = value.strip().replace("\\", "")
    version = fields.get("version", "0")
    if version not in ("0", "1"):
        raise ValueError(f"meta.properties of version {version}")
    node = fields.get("node.id" if version == "1" else "broker.id")
    if node is None or "cluster.id" not in fields:
        raise ValueError("node.id or cluster.id is missing")
    text = fields.get("directory.id")
    directory_id = None if text is None else uuids.from_text(text)
    if directory_id is not None and reserved_id(directory_id):
        raise ValueError(f"reserved directory id {text}")
    return MetaProperties(fields["cluster.id"], int(node), directory_id)


def reserved_id(uuid: bytes) -> bool:
    """Kafka keeps the first hundred UUIDs for itself."""
    return int.from_bytes(uuid, "big") < 100


def _broker_epoch(data: bytes) -> int:
    """The epoch in a clean-shutdown file; an empty or unreadable one still means clean."""
    _, found, rest = data.decode(errors="replace").partition('"brokerEpoch":')
    text = rest.strip(" }\r\n")
    return int(text) if found and text.lstrip("-").isdigit() else -1
