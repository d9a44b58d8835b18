"""What a log directory holds and what its volume has left. Blocks; touches no open file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from barnabas.log import names
from barnabas.log.checkpoints import TopicPartition
from barnabas.ports import Disk


class DirectoryUsage(NamedTuple):
    """`total` and `usable` bytes of the volume, and the bytes in the segments of each partition."""

    total: int
    usable: int
    sizes: dict[TopicPartition, int]


def measure(disk: Disk, path: str, partitions: Mapping[TopicPartition, str]) -> DirectoryUsage:
    """The usage of log directory `path`; `partitions` says which to measure, and where they are.

    One that is deleted meanwhile is left out. Raises `OSError`.
    """
    total, usable = disk.usage(path)
    sizes = {}
    for key, directory in partitions.items():
        try:
            sizes[key] = _bytes_of_segments(disk, directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return DirectoryUsage(total, usable, sizes)


def _bytes_of_segments(disk: Disk, directory: str) -> int:
    size = 0
    for name in disk.list_dir(directory):
        parsed = names.parse_file(name)
        if parsed is None or parsed[1] != names.LOG:
            continue
        try:
            size += disk.file_size(f"{directory}/{name}")
        except FileNotFoundError:
            continue  # retention took it just now
    return size
