"""Small text files that are replaced atomically (facts: log-format section 7)."""

from __future__ import annotations

from collections.abc import Mapping

from barnabas.log.errors import LogDamaged
from barnabas.ports import Disk
from barnabas.wire import uuids

VERSION = "0"
MAX_CHECKPOINT_BYTES = 64 << 20
"""About half a million partitions; a longer file is damage, not data."""

TopicPartition = tuple[str, int]


def read_file(disk: Disk, path: str, limit: int = MAX_CHECKPOINT_BYTES) -> bytes | None:
    """The bytes of a small file, `None` when absent. Raises `LogDamaged` beyond `limit`."""
    if not disk.exists(path):
        return None
    file = disk.open(path)
    try:
        size = file.size()
        if size > limit:
            raise LogDamaged(f"{path} has {size} bytes")
        return file.pread(size, 0)
    finally:
        file.close()


def replace_unsynced(disk: Disk, path: str, data: bytes) -> None:
    """Replace `path` by `data`: after a crash either the old or the new content is there.

    The contents are synced before the rename, or a crash could leave the new name with no
    bytes behind it. The name itself is durable once the caller has synced the directory.
    """
    file = disk.open(path + ".tmp", create=True)
    try:
        file.truncate(0)
        file.pwritev([data], 0)
        file.sync()
    finally:
        file.close()
    disk.rename(path + ".tmp", path)


def replace_file(disk: Disk, path: str, data: bytes) -> None:
    """Replace `path` by `data`, durably when it returns."""
    replace_unsynced(disk, path, data)
    disk.sync_dir(path.rpartition("/")[0])


def encode_offsets(offsets: Mapping[TopicPartition, int]) -> bytes:
    """`recovery-point-offset-checkpoint` and its like."""
    lines = [VERSION, str(len(offsets))]
    lines += [f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items()]
    return ("\n".join(lines) + "\n").encode()


def decode_offsets(data: bytes) -> dict[TopicPartition, int]:
    """Inverse of `encode_offsets`. Raises `LogDamaged` on anything malformed."""
    offsets: dict[TopicPartition, int] = {}
    for line in _body(data):
        fields = line.split()
        if len(fields) != 3:
            raise LogDamaged(f"malformed checkpoint line: {line!r}")
        offsets[fields[0], _number(fields[1])] = _number(fields[2])
    return offsets


def encode_partition_metadata(topic_id: bytes) -> bytes:
    """`partition.metadata`."""
    return f"version: 0\ntopic_id: {uuids.to_text(topic_id)}".encode()


def decode_partition_metadata(data: bytes) -> bytes:
    """The topic id. Raises `LogDamaged`."""
    try:
        lines = data.decode().split("\n")
        fields = dict(line.split(": ", 1) for line in lines if line.strip())
        if fields["version"].strip() != "0":
            raise LogDamaged(f"partition.metadata of version {fields['version']}")
        return uuids.from_text(fields["topic_id"].strip())
    except (ValueError, KeyError) as error:
        raise LogDamaged(f"malformed partition.metadata: {data[:80]!r}") from error


def _body(data: bytes) -> list[str]:
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise LogDamaged("checkpoint is not text") from error
    if not lines:
        return []
    if lines[0].strip() != VERSION:
        raise LogDamaged(f"checkpoint of version {lines[0]!r}")
    body = lines[2:]
    if len(lines) < 2 or _number(lines[1]) != len(body):
        raise LogDamaged("checkpoint with another number of lines than it says")
    return body


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise LogDamaged(f"not a number in a checkpoint: {text!r}") from error
