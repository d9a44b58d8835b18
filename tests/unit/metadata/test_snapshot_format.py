"""Framing, snapshots, bootstrap and transactions of the metadata log."""

from __future__ import annotations

import pytest

from barnabas.metadata import record_types as r
from barnabas.metadata.bootstrap import (
    activation_records,
    bootstrap_records,
    decode_bootstrap,
    encode_bootstrap,
)
from barnabas.metadata.errors import MetadataError
from barnabas.metadata.framing import decode_record, encode_record, record_version
from barnabas.metadata.image import MetadataImage
from barnabas.metadata.snapshot import RECORDS_PER_BATCH, read_snapshot, write_snapshot
from barnabas.metadata.transactions import TransactionBuffer
from barnabas.records.batch import iter_batches, write_crc
from barnabas.wire.message import Message
from tests.unit.metadata.cluster import broker, image_of, replayed, topic

T1 = bytes([1] * 16)


def test_frame_of_a_record_kafka_wrote() -> None:
    # From a bootstrap.checkpoint of Apache Kafka 4.3.1.
    value = bytes.fromhex("010c0011") + b"metadata.version" + bytes.fromhex("001e00")
    record = r.FeatureLevelRecord("metadata.version", 30)
    assert decode_record(value) == record
    assert encode_record(record, 0) == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"\x00\x0c\x00", "frame version 0"),
        (b"\x02\x0c\x00", "frame version 2"),
        (b"\x01\x06\x00", "type 6"),
        (b"\x01\x7f\x00", "type 127"),
        (b"\x01\x0c\x01", "version 1 of FeatureLevelRecord"),
        (b"", "damaged"),
        (b"\x01", "damaged"),
        (b"\x01\x0c\x00\x05ab", "damaged"),
        (b"\x01\x14\x00\x00\x00", "1 bytes follow"),
        (b"\xff\xff\xff\xff\xff\xff", "damaged"),
    ],
)
def test_unreadable_records_are_fatal(value: bytes, why: str) -> None:
    with pytest.raises(MetadataError, match=why):
        decode_record(value)


@pytest.mark.parametrize(
    ("record", "levels"),
    [
        (r.RegisterBrokerRecord(), {7: 1, 8: 2, 17: 3, 29: 3, 30: 4}),
        (r.PartitionRecord(), {7: 0, 16: 0, 17: 1, 22: 1, 23: 2, 30: 2}),
        (r.PartitionChangeRecord(), {7: 0, 17: 1, 23: 2}),
        (r.BrokerRegistrationChangeRecord(), {7: 1, 17: 2, 29: 2, 30: 3}),
        (r.TopicRecord(), {7: 0, 30: 0}),
    ],
)
def test_record_versions_by_metadata_version(record: Message, levels: dict[int, int]) -> None:
    assert {level: record_version(record, level) for level in levels} == levels


@pytest.mark.parametrize("level", [7, 11, 14, 15, 17, 23, 30])
def test_an_image_can_be_written_at_every_level(level: int) -> None:
    records = [
        broker(1),
        r.RegisterControllerRecord(controller_id=3),
        *topic("t", T1, [(1,)]),
        r.UserScramCredentialRecord("alice", 1, b"s", b"k", b"v", 4096),
        r.DelegationTokenRecord("User:o", token_id="id"),
    ]
    image = image_of(*records, level=level)
    batches = write_snapshot(
        image.records(), epoch=1, metadata_version=level, last_contained_timestamp_ms=0, now_ms=1
    )
    again: list[Message] = []
    read_snapshot(b"".join(batches), again.append)
    assert again == list(image.records())


def snapshot(count: int = 3) -> bytes:
    """A file with `count` records."""
    records = [r.ConfigRecord(2, "t", f"k{n}", "v") for n in range(count)]
    return b"".join(
        write_snapshot(
            records, epoch=7, metadata_version=30, last_contained_timestamp_ms=9, now_ms=11
        )
    )


def test_snapshot_batches_carry_the_epoch_and_count_offsets_from_zero() -> None:
    headers = [header for _, header in iter_batches(snapshot(RECORDS_PER_BATCH + 1))]
    assert [h.is_control for h in headers] == [True, False, False, True]
    assert [h.records_count for h in headers] == [1, RECORDS_PER_BATCH, 1, 1]
    assert [h.base_offset for h in headers] == [0, 1, 1025, 1026]
    assert {h.leader_epoch for h in headers} == {7}


def test_a_snapshot_tells_the_time_of_its_last_record() -> None:
    assert read_snapshot(snapshot(), lambda _: None).last_contained_timestamp_ms == 9


def test_every_cut_of_a_snapshot_is_noticed() -> None:
    data = snapshot()
    for end in range(len(data)):
        with pytest.raises(MetadataError):
            read_snapshot(data[:end], lambda _: None)


def test_every_flipped_byte_behind_the_checksum_is_noticed() -> None:
    data = snapshot()
    for position, header in iter_batches(data):
        for at in range(position + 17, position + header.size):
            damaged = bytearray(data)
            damaged[at] ^= 0x40
            with pytest.raises(MetadataError):
                read_snapshot(damaged, lambda _: None)


def test_a_snapshot_that_goes_on_behind_its_footer_is_refused() -> None:
    with pytest.raises(MetadataError, match="follows the footer"):
        read_snapshot(snapshot() + snapshot(), lambda _: None)


def test_a_broken_record_behind_a_good_checksum_is_refused() -> None:
    data = bytearray(snapshot())
    position, header = list(iter_batches(data))[1]
    data[data.index(b"\x01\x04\x00", position)] ^= 0xFF
    write_crc(data, position, header.size)
    with pytest.raises(MetadataError):
        read_snapshot(data, lambda _: None)


def test_bootstrap_is_what_kafka_formats() -> None:
    levels = [(x.name, x.feature_level) for x in _features(bootstrap_records())]
    assert levels == [
        ("metadata.version", 30),
        ("eligible.leader.replicas.version", 1),
        ("group.version", 1),
        ("share.version", 1),
        ("streams.version", 1),
        ("transaction.version", 2),
    ]
    data = encode_bootstrap(bootstrap_records(), 1)
    assert len(data) == 411
    assert decode_bootstrap(data) == bootstrap_records()


def _features(records: list[Message]) -> list[r.FeatureLevelRecord]:
    return [x for x in records if isinstance(x, r.FeatureLevelRecord)]


def test_first_activation_is_one_transaction_with_a_cluster_wide_minimum() -> None:
    (batch,) = activation_records(
        MetadataImage.empty(), bootstrap_records(), default_min_isr=2, open_transaction=False
    )
    assert batch[0] == r.BeginTransactionRecord("Bootstrap records")
    assert batch[1] == r.FeatureLevelRecord("metadata.version", 30)
    assert batch[-2] == r.ConfigRecord(4, "", "min.insync.replicas", "2")
    assert batch[-1] == r.EndTransactionRecord()


def test_first_activation_after_a_crash_within_it_aborts_first() -> None:
    (batch,) = activation_records(
        MetadataImage.empty(), bootstrap_records(), default_min_isr=1, open_transaction=True
    )
    assert isinstance(batch[0], r.AbortTransactionRecord)
    assert isinstance(batch[1], r.BeginTransactionRecord)


def test_an_old_level_has_no_transactions_and_without_elr_no_minimum() -> None:
    bootstrap = bootstrap_records({"metadata.version": 12})
    (batch,) = activation_records(
        MetadataImage.empty(), bootstrap, default_min_isr=1, open_transaction=False
    )
    assert batch == bootstrap


def test_later_activations_write_nothing_or_abort_what_is_open() -> None:
    image = image_of()
    common = {"default_min_isr": 1}
    assert activation_records(image, [], open_transaction=False, **common) == []
    (batch,) = activation_records(image, [], open_transaction=True, **common)
    assert [x.NAME for x in batch] == ["AbortTransactionRecord"]
    old = image_of(level=12)
    with pytest.raises(MetadataError):
        activation_records(old, [], open_transaction=True, **common)


def test_records_of_a_transaction_wait_for_its_end() -> None:
    buffer = TransactionBuffer()
    one, two, three = (r.ConfigRecord(2, "t", str(n), "v") for n in range(3))
    assert buffer.feed([one, r.BeginTransactionRecord("x"), two], 10) == [one]
    assert (buffer.open, buffer.start_offset, buffer.name) == (True, 11, "x")
    assert buffer.feed([three], 13) == []
    assert buffer.feed([r.EndTransactionRecord()], 14) == [two, three]
    assert not buffer.open


def test_an_aborted_transaction_leaves_nothing() -> None:
    buffer = TransactionBuffer()
    one, two = (r.ConfigRecord(2, "t", str(n), "v") for n in range(2))
    records = [r.BeginTransactionRecord(), one, r.AbortTransactionRecord(), two]
    assert buffer.feed(records, 0) == [two]
    assert not buffer.open


@pytest.mark.parametrize(
    "records",
    [
        [r.BeginTransactionRecord(), r.BeginTransactionRecord()],
        [r.EndTransactionRecord()],
        [r.AbortTransactionRecord()],
    ],
)
def test_transactions_out_of_order_are_fatal(records: list[Message]) -> None:
    with pytest.raises(MetadataError):
        TransactionBuffer().feed(records, 0)


def test_a_snapshot_replays_into_the_same_image() -> None:
    image = image_of(broker(1), *topic("t", T1, [(1,), (1,)]))
    data = b"".join(
        write_snapshot(
            image.records(),
            epoch=1,
            metadata_version=30,
            last_contained_timestamp_ms=0,
            now_ms=0,
        )
    )
    records: list[Message] = []
    read_snapshot(data, records.append)
    again = replayed(MetadataImage.empty(), records)
    assert again._replace(provenance=image.provenance) == image
