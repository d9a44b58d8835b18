"""New partitions: their directories, made many at once, and their logs, which need no look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from barnabas.config.log_config import LogConfig
from barnabas.log import names
from barnabas.log.checkpoints import encode_partition_metadata
from barnabas.log.files import FilePool
from barnabas.log.log import Log
from barnabas.log.segment import Segment, create_files
from barnabas.ports import Disk, File


def make_partitions(disk: Disk, new: Sequence[tuple[str, bytes]]) -> None:
    """Make an empty partition in each (path, topic id). Blocks.

    When this returns all of it survives a power cut; before, nobody relies on it, and what a crash
    leaves is made whole by the next call. Contents are synced together before they get their names,
    and the names before anything is appended: a handful of commits of the file system for any
    number of partitions. Raises `OSError`.
    """
    files: list[File] = []
    try:
        for path, topic_id in new:
            disk.make_dirs(path)
            file = disk.open(_temporary(path), create=True)
            files.append(file)
            file.truncate(0)
            file.pwritev([encode_partition_metadata(topic_id)], 0)
            create_files(disk, Segment(path, 0))
        disk.sync_files(files)
    finally:
        for file in files:
            file.close()
    for path, _ in new:
        disk.rename(_temporary(path), f"{path}/{names.PARTITION_METADATA}")
    for path, _ in new:
        disk.sync_dir(path)
    for parent in sorted({path.rpartition("/")[0] for path, _ in new}):
        disk.sync_dir(parent)


def _temporary(path: str) -> str:
    return f"{path}/{names.PARTITION_METADATA}.tmp"


def new_log(
    topic: str,
    partition: int,
    path: str,
    config: LogConfig,
    topic_id: bytes,
    *,
    pool: FilePool,
    now_ms: Callable[[], int],
    pick_jitter: Callable[[int], int],
) -> Log:
    """The log of a partition that `make_partitions` has just made. Touches no file."""
    log = Log(topic, partition, path, config, pool=pool, now_ms=now_ms, pick_jitter=pick_jitter)
    log.topic_id = topic_id
    log.segments = [Segment(path, 0)]
    log.bases = [0]
    log.start(0, 0, -1, -1)
    return log
