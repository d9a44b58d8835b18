"""The batch header: reading, changing in place, walking a buffer of batches."""

from __future__ import annotations

import struct

import pytest

from barnabas.records.batch import (
    HEADER_SIZE,
    add_to_sequence,
    assign,
    crc_valid,
    iter_batches,
    read_header,
    set_append_time,
)
from barnabas.records.builder import build_batch
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import read_records

# Written by Kafka 4.3.1: key "k", value "v", header h=1 at 1700000000123, then a null key and
# value one millisecond later; producer 7, epoch 1, sequence 3, transactional, base offset 42.
KAFKA_BATCH = bytes.fromhex(
    "000000000000002a000000450000000902d72b7669001000000001"
    "0000018bcfe5687b0000018bcfe5687c00000000000000070001000000030000000218000000"
    "026b027602026802310c000202010100"
)


def two() -> bytearray:
    """Two batches, of two records and of one."""
    first = build_batch([(None, b"a", 10, ()), (None, b"b", 30, ())], base_offset=5)
    return first + build_batch([(b"k", None, 20, ())], base_offset=7, leader_epoch=3)


def test_fields_of_a_batch_that_kafka_wrote() -> None:
    header = read_header(KAFKA_BATCH)
    assert header.base_offset == 42
    assert header.last_offset == 43
    assert header.next_offset == 44
    assert header.size == len(KAFKA_BATCH)
    assert header.leader_epoch == 9
    assert header.magic == 2
    assert header.codec == 0
    assert header.base_timestamp == 1_700_000_000_123
    assert header.max_timestamp == 1_700_000_000_124
    assert (header.producer_id, header.producer_epoch) == (7, 1)
    assert (header.base_sequence, header.last_sequence) == (3, 4)
    assert header.records_count == 2
    assert header.is_transactional
    assert not header.is_control
    assert not header.log_append_time
    assert not header.has_delete_horizon
    assert crc_valid(KAFKA_BATCH, 0, len(KAFKA_BATCH))


def test_ours_is_the_same_bytes() -> None:
    ours = build_batch(
        [(b"k", b"v", 1_700_000_000_123, (("h", b"1"),)), (None, None, 1_700_000_000_124, ())],
        base_offset=42,
        leader_epoch=9,
        producer_id=7,
        producer_epoch=1,
        base_sequence=3,
        transactional=True,
    )
    assert ours == KAFKA_BATCH


def test_a_header_needs_61_bytes() -> None:
    with pytest.raises(CorruptRecord):
        read_header(KAFKA_BATCH[: HEADER_SIZE - 1])
    with pytest.raises(CorruptRecord):
        read_header(KAFKA_BATCH, len(KAFKA_BATCH) - HEADER_SIZE + 1)


def test_any_change_behind_the_crc_field_breaks_it() -> None:
    for at in range(21, len(KAFKA_BATCH)):
        broken = bytearray(KAFKA_BATCH)
        broken[at] ^= 1
        assert not crc_valid(broken, 0, len(broken))


def test_offset_and_epoch_are_set_without_touching_the_crc() -> None:
    batches = two()
    second = read_header(batches).size
    assign(memoryview(batches), second, 1 << 50, 77)
    header = read_header(batches, second)
    assert (header.base_offset, header.leader_epoch) == (1 << 50, 77)
    assert crc_valid(batches, second, header.size)
    assert read_header(batches).base_offset == 5


def test_append_time_holds_for_every_record() -> None:
    batch = build_batch([(None, b"a", 10, ()), (None, b"b", 30, ())], codec=1)
    set_append_time(batch, 0, 999)
    header = read_header(batch)
    assert header.log_append_time
    assert header.max_timestamp == 999
    assert header.codec == 1
    assert crc_valid(batch, 0, header.size)
    assert [record.timestamp for record in read_records(batch, limit=100)] == [999, 999]


def test_batches_are_walked_until_one_is_cut_off() -> None:
    batches = two()
    first = read_header(batches).size
    assert [pos for pos, _ in iter_batches(batches)] == [0, first]
    for end in range(first, len(batches)):
        assert [pos for pos, _ in iter_batches(batches[:end])] == [0]
    assert list(iter_batches(b"")) == []


@pytest.mark.parametrize("length", [-1, 0, 48, -(1 << 31)])
def test_a_length_below_the_header_is_damage(length: int) -> None:
    batches = two()
    second = read_header(batches).size
    struct.pack_into(">i", batches, second + 8, length)
    walked = iter_batches(batches)
    next(walked)
    with pytest.raises(CorruptRecord):
        next(walked)


@pytest.mark.parametrize("magic", [0, 1, 3, 255])
def test_another_magic_is_not_walked(magic: int) -> None:
    batches = two()
    batches[16] = magic
    with pytest.raises(CorruptRecord):
        next(iter_batches(batches))


def test_sequences_wrap_to_zero() -> None:
    assert add_to_sequence(2**31 - 1, 0) == 2**31 - 1
    assert add_to_sequence(2**31 - 1, 1) == 0
    assert add_to_sequence(2**31 - 2, 5) == 3
    wrapping = build_batch([(None, b"", 0, ())] * 3, producer_id=1, base_sequence=2**31 - 1)
    assert read_header(wrapping).last_sequence == 1
    assert read_header(build_batch([(None, b"", 0, ())])).last_sequence == -1
