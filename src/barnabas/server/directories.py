"""The log directories of a node at its start: locked, formatted when empty, checked when not."""

from __future__ import annotations

from collections.abc import Callable

from barnabas.config.broker import BrokerConfig
from barnabas.log.checkpoints import read_file, replace_file
from barnabas.log.directory import BadDirectory, LogDirectory, MetaProperties, reserved_id
from barnabas.metadata.bootstrap import bootstrap_records, decode_bootstrap, encode_bootstrap
from barnabas.ports import Clock, Disk, Random
from barnabas.wire import uuids
from barnabas.wire.message import Message

BOOTSTRAP_CHECKPOINT = "bootstrap.checkpoint"


class Directories:
    """`all` are locked; `logs` are those of log.dirs; `metadata` holds `__cluster_metadata-0`."""

    def __init__(self, logs: list[LogDirectory], metadata: LogDirectory, cluster_id: str) -> None:
        self.logs = logs
        self.metadata = metadata
        self.cluster_id = cluster_id

    @property
    def all(self) -> list[LogDirectory]:
        """Every directory, once."""
        return self.logs if self.metadata in self.logs else [*self.logs, self.metadata]

    def unlock(self) -> None:
        """Let other processes use them."""
        for directory in self.all:
            directory.unlock()


def open_directories(config: BrokerConfig, disk: Disk, clock: Clock, random: Random) -> Directories:
    """Lock every directory and read or write its `meta.properties`. Blocks.

    An empty directory is formatted: with the cluster id of the others, or with a new one when
    there are none. Raises `BadDirectory` with a sentence when ids contradict each other or the
    configuration, `BlockingIOError` when another process uses one, `OSError`.
    """
    logs = [LogDirectory(disk, path) for path in config.log_dirs]
    metadata = next((d for d in logs if d.path == config.metadata_log_dir), None)
    if metadata is None:
        metadata = LogDirectory(disk, config.metadata_log_dir)
    directories = Directories(logs, metadata, "")
    try:
        for directory in directories.all:
            directory.lock()
        directories.cluster_id = _format(config, directories.all, clock, random)
        metadata_path = f"{metadata.path}/__cluster_metadata-0"
        if not disk.exists(metadata_path):
            disk.make_dirs(metadata_path)
            disk.sync_dir(metadata.path)
    except BaseException:
        directories.unlock()
        raise
    return directories


def bootstrap_of(directory: LogDirectory) -> list[Message]:
    """The first records of the cluster: `bootstrap.checkpoint`, else those of a new one. Blocks.

    Read only where the metadata log is still empty, so a damaged file is an error.
    """
    path = f"{directory.path}/{BOOTSTRAP_CHECKPOINT}"
    data = read_file(directory.disk, path)
    return bootstrap_records() if data is None else decode_bootstrap(data)


def _format(
    config: BrokerConfig, directories: list[LogDirectory], clock: Clock, random: Random
) -> str:
    metas = [meta for d in directories if (meta := d.read_meta()) is not None]
    clusters = {meta.cluster_id for meta in metas}
    if len(clusters) > 1:
        raise BadDirectory(
            f"The log directories belong to different clusters: {', '.join(sorted(clusters))}."
        )
    for directory in directories:
        meta = directory.meta
        if meta is not None and meta.node_id != config.node_id:
            raise BadDirectory(
                f"{directory.path} belongs to node {meta.node_id}, the configuration says "
                f"node.id={config.node_id}."
            )
    cluster_id = clusters.pop() if clusters else uuids.to_text(_new_id(random.bytes))
    taken = {meta.directory_id for meta in metas}
    if len(taken - {None}) < sum(meta.directory_id is not None for meta in metas):
        raise BadDirectory("Two log directories have the same directory.id.")
    for directory in directories:
        meta = directory.meta
        if meta is None:
            # The metadata of the cluster first: a formatted directory is one with meta.properties.
            replace_file(
                directory.disk,
                f"{directory.path}/{BOOTSTRAP_CHECKPOINT}",
                encode_bootstrap(bootstrap_records(), clock.wall_ms()),
            )
        if meta is None or meta.directory_id is None:
            directory.write_meta(MetaProperties(cluster_id, config.node_id, _new_id(random.bytes)))
    return cluster_id


def _new_id(random_bytes: Callable[[int], bytes]) -> bytes:
    """A random UUID (version 4) that Kafka does not reserve and whose text is no option."""
    while True:
        raw = bytearray(random_bytes(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        candidate = bytes(raw)
        if not reserved_id(candidate) and not uuids.to_text(candidate).startswith("-"):
            return candidate
