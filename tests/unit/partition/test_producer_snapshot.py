"""The `.snapshot` file of a partition's producers."""

from __future__ import annotations

import pytest

from barnabas.partition.producer_entry import (
    CorruptSnapshot,
    ProducerEntry,
    SentBatch,
    decode_snapshot,
    encode_snapshot,
)

# Written by Kafka 4.3.1: one producer with an open transaction, one with only a marker.
KAFKA_SNAPSHOT = bytes.fromhex(
    "0001190b8d5100000002"
    "00000000000003e8000500000007000000000000005a000000040000018bcfe56800000000030000000000000056"
    "0000000000000004ffffffffffffffffffffffffffff00000000ffffffffffffffffffffffffffffffffffffffff"
)


def entries() -> list[ProducerEntry]:
    """What `KAFKA_SNAPSHOT` holds."""
    first = ProducerEntry(1000)
    first.epoch = 5
    first.coordinator_epoch = 3
    first.last_timestamp = 1_700_000_000_000
    first.txn_first_offset = 86
    first.batches.append(SentBatch(3, 7, 86, 90, 1_700_000_000_000))
    return [first, ProducerEntry(4)]


def facts(entry: ProducerEntry) -> tuple[object, ...]:
    """All fields."""
    return tuple(
        getattr(entry, name) for name in ProducerEntry.__slots__ if name != "next_sequence"
    )


def test_the_bytes_are_kafkas() -> None:
    assert encode_snapshot(entries()) == KAFKA_SNAPSHOT


def test_reading() -> None:
    read = decode_snapshot(memoryview(KAFKA_SNAPSHOT))
    assert [facts(entry) for entry in read] == [facts(entry) for entry in entries()]
    assert [entry.next_sequence for entry in read] == [8, -1]
    assert decode_snapshot(encode_snapshot([])) == []


def test_a_sequence_that_wrapped() -> None:
    entry = entries()[0]
    entry.batches[:] = [SentBatch(2**31 - 2, 2, 80, 84, 5)]
    entry.last_timestamp = 5
    read = decode_snapshot(encode_snapshot([entry]))[0]
    assert read.batches == entry.batches


def test_only_the_last_batch_is_kept() -> None:
    entry = entries()[0]
    entry.batches.insert(0, SentBatch(0, 2, 80, 82, 1))
    assert encode_snapshot([entry, ProducerEntry(4)]) == KAFKA_SNAPSHOT


def test_every_change_is_noticed() -> None:
    for at in range(len(KAFKA_SNAPSHOT)):
        broken = bytearray(KAFKA_SNAPSHOT)
        broken[at] ^= 1
        with pytest.raises(CorruptSnapshot):
            decode_snapshot(broken)
    for end in range(len(KAFKA_SNAPSHOT)):
        with pytest.raises(CorruptSnapshot):
            decode_snapshot(KAFKA_SNAPSHOT[:end])
    with pytest.raises(CorruptSnapshot):
        decode_snapshot(KAFKA_SNAPSHOT + b"\0")
