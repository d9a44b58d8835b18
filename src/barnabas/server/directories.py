"""The log directories of a node at its start: locked, formatted when empty, checked when not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from barnabas.config.broker import BrokerConfig
from barnabas.log.checkpoints import read_file, replace_file
from barnabas.log.directory import (
    BadDirectory,
    LogDirectory,
    MetaProperties,
    Unformatted,
    reserved_id,
)
from barnabas.metadata.bootstrap import bootstrap_records, decode_bootstrap, encode_bootstrap
from barnabas.ports import Clock, Disk, Random
from barnabas.wire import uuids
from barnabas.wire.message import Message

BOOTSTRAP_CHECKPOINT = "bootstrap.checkpoint"
METADATA_DIRECTORY = "__cluster_metadata-0"


def previous_epoch(logs: Sequence[LogDirectory]) -> int:
    """The broker epoch of the last clean stop; -1 unless all directories are here and agree."""
    epochs = {directory.broker_epoch for directory in logs if directory.offline is None}
    whole = all(directory.offline is None for directory in logs)
    return epochs.pop() if whole and len(epochs) == 1 else -1


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


def open_directories(
    config: BrokerConfig, disk: Disk, clock: Clock, random: Random, cluster_id: str | None = None
) -> Directories:
    """Lock every directory and read or write its `meta.properties`. Blocks.

    Where none is formatted all are, with `cluster_id` or else a new one. An unformatted one beside others is left
    offline, as is one that fails, but for that of the metadata log. Raises `BadDirectory` with a
    sentence when ids contradict each other or the configuration, or when the metadata log is gone;
    `BlockingIOError` when another process uses one, `OSError`.
    """
    logs = [LogDirectory(disk, path) for path in config.log_dirs]
    metadata = next((d for d in logs if d.path == config.metadata_log_dir), None)
    if metadata is None:
        metadata = LogDirectory(disk, config.metadata_log_dir)
    directories = Directories(logs, metadata, "")
    try:
        for directory in directories.all:
            _try(directory, _lock, needed=directory is metadata)
        _need_live(logs)
        directories.cluster_id = _format(config, directories, clock, random, cluster_id)
        _need_live(logs)
        metadata_path = f"{metadata.path}/{METADATA_DIRECTORY}"
        if not disk.exists(metadata_path):
            disk.make_dirs(metadata_path)
            disk.sync_dir(metadata.path)
    except BaseException:
        directories.unlock()
        raise
    return directories


def format_directory(
    directory: LogDirectory,
    meta: MetaProperties,
    clock: Clock,
    *,
    bootstrap: Sequence[Message] | None = None,
) -> None:
    """Make an empty directory one of this node's. Blocks. Raises `OSError`.

    `bootstrap`: the first records of the cluster, those of a new one of this release by default.
    """
    records = bootstrap_records() if bootstrap is None else bootstrap
    # The metadata of the cluster first: a formatted directory is one with meta.properties.
    replace_file(
        directory.disk,
        f"{directory.path}/{BOOTSTRAP_CHECKPOINT}",
        encode_bootstrap(records, clock.wall_ms()),
    )
    directory.write_meta(meta)


def metadata_log_files(directory: LogDirectory) -> list[str]:
    """Names of the files of the metadata log, if there is one. Blocks. Raises `OSError`."""
    path = f"{directory.path}/{METADATA_DIRECTORY}"
    return directory.disk.list_dir(path) if directory.disk.exists(path) else []


def bootstrap_of(directory: LogDirectory) -> list[Message]:
    """The first records of the cluster: `bootstrap.checkpoint`, else those of a new one. Blocks.

    Read only where the metadata log is still empty, so a damaged file is an error.
    """
    path = f"{directory.path}/{BOOTSTRAP_CHECKPOINT}"
    data = read_file(directory.disk, path)
    return bootstrap_records() if data is None else decode_bootstrap(data)


def _format(
    config: BrokerConfig, directories: Directories, clock: Clock, random: Random, wanted: str | None
) -> str:
    usable = [directory for directory in directories.all if directory.offline is None]
    metas = [directory.meta for directory in usable if directory.meta is not None]
    clusters = {meta.cluster_id for meta in metas}
    if len(clusters) > 1:
        raise BadDirectory(
            f"The log directories belong to different clusters: {', '.join(sorted(clusters))}."
        )
    for directory in usable:
        meta = directory.meta
        if meta is not None and meta.node_id != config.node_id:
            raise BadDirectory(
                f"{directory.path} belongs to node {meta.node_id}, the configuration says "
                f"node.id={config.node_id}."
            )
    taken = {meta.directory_id for meta in metas}
    if len(taken - {None}) < sum(meta.directory_id is not None for meta in metas):
        raise BadDirectory("Two log directories have the same directory.id.")
    metadata = directories.metadata
    if metas and metadata.meta is None:
        raise BadDirectory(
            f"{metadata.path} is empty and should hold the metadata log: other log directories "
            f"belong to cluster {metas[0].cluster_id} already. Is its disk mounted?"
        )
    if metadata.meta is None and metadata_log_files(metadata):
        raise BadDirectory(
            f"{metadata.path} has a metadata log and no meta.properties: it is not empty, and not "
            "formatted. Where formatting was interrupted, do it again with `barnabas format`."
        )
    cluster_id = clusters.pop() if clusters else wanted or uuids.to_text(new_id(random.bytes))
    for directory in usable:
        meta, needed = directory.meta, directory is metadata
        if meta is None and metas:
            directory.offline = Unformatted(directory.path)
        elif meta is None:
            _try(
                directory,
                partial(
                    format_directory,
                    meta=MetaProperties(cluster_id, config.node_id, new_id(random.bytes)),
                    clock=clock,
                ),
                needed=needed,
            )
        elif meta.directory_id is None:
            given = MetaProperties(cluster_id, config.node_id, new_id(random.bytes))
            _try(directory, partial(_give_id, given), needed=needed)
    return cluster_id


def _lock(directory: LogDirectory) -> None:
    directory.lock()
    directory.read_meta()


def _give_id(meta: MetaProperties, directory: LogDirectory) -> None:
    directory.write_meta(meta)


def _try(directory: LogDirectory, step: Callable[[LogDirectory], object], *, needed: bool) -> None:
    """Take a step that, should it fail, leaves a directory offline; one that is `needed` must not."""
    try:
        step(directory)
    except BlockingIOError:
        raise
    except OSError as error:
        if needed:
            raise
        directory.offline = error


def _need_live(logs: list[LogDirectory]) -> None:
    """Raises `OSError` when every log directory has failed."""
    failures = [directory.offline for directory in logs]
    if all(failure is not None and not isinstance(failure, Unformatted) for failure in failures):
        raise next(failure for failure in failures if failure is not None)


def new_id(random_bytes: Callable[[int], bytes]) -> bytes:
    """A random UUID (version 4) that Kafka does not reserve and whose text is no option."""
    while True:
        raw = bytearray(random_bytes(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        candidate = bytes(raw)
        if not reserved_id(candidate) and not uuids.to_text(candidate).startswith("-"):
            return candidate
