"""Snapshots: an image written back as records, in Kafka's file format (KIP-630).

A snapshot file is a sequence of record batches with offsets from 0 on and the snapshot's epoch as
leader epoch: a control batch with the header, data batches of framed records, a control batch
with the footer. `bootstrap.checkpoint` has the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from barnabas.metadata.errors import MetadataError
from barnabas.metadata.framing import decode_record, encode_records
from barnabas.records.batch import BatchHeader, crc_valid, iter_batches
from barnabas.records.builder import build_batch
from barnabas.records.control import ControlType, build_control, read_control
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import read_records
from barnabas.wire.message import Message
from barnabas.wire.messages.kraft_version_record import KRaftVersionRecord
from barnabas.wire.messages.snapshot_footer_record import SnapshotFooterRecord
from barnabas.wire.messages.snapshot_header_record import SnapshotHeaderRecord
from barnabas.wire.messages.voters_record import VotersRecord
from barnabas.wire.primitives import Buffer

RECORDS_PER_BATCH = 1024
"""As Kafka's snapshot writer. A record stays far below the 8 KiB that make a batch of 8 MiB."""

BATCH_LIMIT = 8 * 1024 * 1024 + 61
"""Bytes of the largest batch that Kafka writes to a metadata log or snapshot."""


class SnapshotContent(NamedTuple):
    """What a snapshot says about itself. `voters` and kraft_version 1 under a dynamic quorum."""

    last_contained_timestamp_ms: int
    kraft_version: int
    voters: VotersRecord | None


def write_snapshot(
    records: Iterable[Message],
    *,
    epoch: int,
    metadata_version: int,
    last_contained_timestamp_ms: int,
    now_ms: int,
    control: Iterable[tuple[ControlType, Message]] = (),
) -> Iterator[bytearray]:
    """The batches of a snapshot, one by one, so that the file never is in memory as a whole.

    `control`: further messages for the first batch (KRAFT_VERSION, KRAFT_VOTERS).
    """
    header = SnapshotHeaderRecord(last_contained_log_timestamp=last_contained_timestamp_ms)
    first = [(ControlType.SNAPSHOT_HEADER, header), *control]
    offset = len(first)
    yield build_control(first, now_ms, leader_epoch=epoch)
    source = iter(records)
    while chunk := list(islice(source, RECORDS_PER_BATCH)):
        values = encode_records(chunk, metadata_version)
        yield build_batch(
            [(None, value, now_ms, ()) for value in values],
            base_offset=offset,
            leader_epoch=epoch,
        )
        offset += len(chunk)
    footer = [(ControlType.SNAPSHOT_FOOTER, SnapshotFooterRecord())]
    yield build_control(footer, now_ms, base_offset=offset, leader_epoch=epoch)


def read_snapshot(data: Buffer, on_record: Callable[[Message], None]) -> SnapshotContent:
    """Hand the records of a snapshot file to `on_record`, one by one.

    Raises MetadataError for damage or a missing end; some records were handed over then.
    """
    content = SnapshotContent(-1, 0, None)
    complete = False
    end = 0
    try:
        for position, batch in iter_batches(data):
            end = position + batch.size
            _check_batch(data, position, batch, complete)
            if not batch.is_control:
                for message in decode_batch(data, position):
                    on_record(message)
                continue
            for record in read_records(data, position, limit=BATCH_LIMIT):
                match read_control(record):
                    case SnapshotHeaderRecord() as header:
                        timestamp = header.last_contained_log_timestamp
                        content = content._replace(last_contained_timestamp_ms=timestamp)
                    case KRaftVersionRecord() as version:
                        content = content._replace(kraft_version=version.kraft_version)
                    case VotersRecord() as voters:
                        content = content._replace(voters=voters)
                    case SnapshotFooterRecord():
                        complete = True
    except CorruptRecord as error:
        raise MetadataError(f"damaged snapshot: {error}") from error
    if not complete or end != len(data):
        raise MetadataError("the snapshot is not complete")
    return content


def decode_batch(data: Buffer, position: int = 0) -> list[Message]:
    """The metadata records of one data batch. Raises MetadataError."""
    try:
        records = read_records(data, position, limit=BATCH_LIMIT)
    except CorruptRecord as error:
        raise MetadataError(f"damaged metadata batch: {error}") from error
    messages = []
    for record in records:
        if record.value is None:
            raise MetadataError(f"metadata record {record.offset} has no value")
        messages.append(decode_record(record.value))
    return messages


def _check_batch(data: Buffer, position: int, batch: BatchHeader, complete: bool) -> None:
    if not crc_valid(data, position, batch.size):
        raise MetadataError(f"wrong checksum at byte {position} of a snapshot")
    if complete:
        raise MetadataError(f"a batch follows the footer at byte {position} of a snapshot")
