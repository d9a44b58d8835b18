"""Opening the metadata log: newest snapshot, then every batch behind it, folded into one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from barnabas.config.log_config import LogConfig
from barnabas.log.checkpoints import encode_partition_metadata, replace_file
from barnabas.log.files import FilePool
from barnabas.log.log import Log
from barnabas.log.names import LOG, PARTITION_METADATA
from barnabas.log.recovery import open_log
from barnabas.log.segment import Segment
from barnabas.metadata.delta import MetadataDelta
from barnabas.metadata.errors import MetadataError
from barnabas.metadata.image import MetadataImage, Provenance
from barnabas.metadata.snapshot import BATCH_LIMIT, decode_batch, read_snapshot
from barnabas.metadata.transactions import TransactionBuffer
from barnabas.ports import Disk, File
from barnabas.raft.election import ElectionState
from barnabas.raft.types import (
    METADATA_PARTITION,
    METADATA_TOPIC,
    METADATA_TOPIC_ID,
    OffsetAndEpoch,
)
from barnabas.records.batch import BatchHeader, crc_valid, iter_batches
from barnabas.records.errors import CorruptRecord
from barnabas.replication.membership import Membership
from barnabas.replication.metadata_files import (
    BOOTSTRAP_SNAPSHOT,
    SnapshotFile,
    drop_segments_behind,
    read_quorum_state,
    read_snapshot_file,
    tidy_snapshots,
)

CHUNK_BYTES = 4 << 20


class LoadedLog:
    """What was found on disk: the log, and the image of everything in it.

    `delta` leads from the empty image to `image`. `bytes_replayed` since the newest snapshot.
    """

    __slots__ = (
        "bytes_replayed",
        "delta",
        "election",
        "image",
        "log",
        "membership",
        "snapshots",
        "transaction",
    )

    def __init__(self, log: Log, snapshots: list[SnapshotFile]) -> None:
        self.log = log
        self.snapshots = snapshots
        self.election: ElectionState | None = None
        self.membership = Membership()
        self.transaction = TransactionBuffer()
        self.delta = MetadataDelta(MetadataImage.empty())
        self.image = self.delta.image
        self.bytes_replayed = 0


def load_metadata(
    directory: str,
    config: LogConfig,
    *,
    pool: FilePool,
    now_ms: Callable[[], int],
    pick_jitter: Callable[[int], int],
    clean: bool,
) -> LoadedLog:
    """Open `directory` (made when absent). Blocks: run it on the executor.

    Raises MetadataError, QuorumError, LogDamaged, OSError.
    """
    disk = pool.disk
    if not disk.exists(directory):
        disk.make_dirs(directory)
        # The directory's own name must survive a crash as well as what will be in it.
        disk.sync_dir(directory.rpartition("/")[0])
    snapshots = tidy_snapshots(disk, directory)
    newest = next((s.id for s in reversed(snapshots) if s.id != BOOTSTRAP_SNAPSHOT), None)

    def opened(log_start: int) -> Log:
        return open_log(
            METADATA_TOPIC,
            METADATA_PARTITION,
            directory,
            config,
            pool=pool,
            now_ms=now_ms,
            pick_jitter=pick_jitter,
            clean=clean,
            log_start=log_start,
        )

    log = opened(0)
    if newest is not None and _ahead(newest, log):
        drop_segments_behind(disk, directory)
        log = opened(newest.offset)
    if log.log_start_offset > 0 and (newest is None or newest.offset < log.log_start_offset):
        raise MetadataError(
            f"the metadata log starts at {log.log_start_offset} and no snapshot reaches that far"
        )
    if log.topic_id is None:
        content = encode_partition_metadata(METADATA_TOPIC_ID)
        replace_file(disk, f"{directory}/{PARTITION_METADATA}", content)
        log.topic_id = METADATA_TOPIC_ID
    loaded = LoadedLog(log, snapshots)
    loaded.election = read_quorum_state(disk, directory)
    _replay(loaded, disk, directory, newest)
    return loaded


def _ahead(snapshot: OffsetAndEpoch, log: Log) -> bool:
    return (snapshot.epoch, snapshot.offset) > (max(log.latest_epoch, 0), log.end_offset)


def _replay(loaded: LoadedLog, disk: Disk, directory: str, newest: OffsetAndEpoch | None) -> None:
    provenance = Provenance(-1, -1, -1)
    start = loaded.log.log_start_offset
    for snapshot in loaded.snapshots:
        # The bootstrap snapshot of a dynamic quorum speaks of voters only.
        if snapshot.id == BOOTSTRAP_SNAPSHOT:
            _read_membership(loaded, disk, directory, snapshot.id)
    if newest is not None:
        content = read_snapshot(read_snapshot_file(disk, directory, newest), loaded.delta.replay)
        if content.voters is not None:
            loaded.membership.kraft_version = content.kraft_version
            loaded.membership.record = content.voters
            loaded.membership.offset = newest.offset - 1
        start = newest.offset
        provenance = Provenance(
            newest.offset - 1, newest.epoch, content.last_contained_timestamp_ms
        )
    for data, position, header in read_log(disk, loaded.log.segments, start):
        if header.is_control:
            loaded.membership.feed(data, position)
        else:
            records = decode_batch(data, position)
            loaded.delta.replay_all(loaded.transaction.feed(records, header.base_offset))
        provenance = Provenance(header.last_offset, header.leader_epoch, header.max_timestamp)
        loaded.bytes_replayed += header.size
    if provenance.offset + 1 != loaded.log.end_offset:
        raise MetadataError(
            f"the metadata log ends at {loaded.log.end_offset}, replay at {provenance.offset + 1}"
        )
    loaded.image = loaded.delta.apply(provenance)


def _read_membership(
    loaded: LoadedLog, disk: Disk, directory: str, snapshot: OffsetAndEpoch
) -> None:
    def unexpected(_: object) -> None:
        raise MetadataError("the bootstrap snapshot holds metadata records")

    content = read_snapshot(read_snapshot_file(disk, directory, snapshot), unexpected)
    loaded.membership.kraft_version = content.kraft_version
    loaded.membership.record = content.voters


def read_log(
    disk: Disk, segments: list[Segment], start: int
) -> Iterator[tuple[bytes, int, BatchHeader]]:
    """(buffer, position, header) of each batch at or above offset `start`, checksums verified.

    Raises MetadataError for a damaged batch, OSError.
    """
    for at, segment in enumerate(segments):
        if at + 1 < len(segments) and segments[at + 1].base_offset <= start:
            continue
        path = segment.path + LOG
        file = disk.open(path)
        try:
            for data, place, header, position in _chunks(file, path):
                if header.next_offset <= start:
                    continue
                if not crc_valid(data, place, header.size):
                    raise MetadataError(f"wrong checksum at byte {position + place} of {path}")
                yield data, place, header
        except CorruptRecord as error:
            raise MetadataError(f"{path}: {error}") from error
        finally:
            file.close()


def _chunks(file: File, path: str) -> Iterator[tuple[bytes, int, BatchHeader, int]]:
    """Batches of a file in order; memory stays within a few megabytes."""
    position, size, chunk = 0, file.size(), CHUNK_BYTES
    while position < size:
        data = file.pread(chunk, position)
        used = 0
        for place, header in iter_batches(data):
            used = place + header.size
            yield data, place, header, position
        if used == 0:
            if chunk > BATCH_LIMIT or len(data) < chunk:
                raise MetadataError(f"no whole batch at byte {position} of {path}")
            chunk = 2 * BATCH_LIMIT
        position += used
