"""Control records: markers and KRaft's."""

from __future__ import annotations

import pytest

from barnabas.records.batch import crc_valid, read_header
from barnabas.records.control import (
    ControlType,
    EndMarker,
    build_control,
    build_marker,
    control_key,
    parse_control_key,
    read_control,
    read_marker,
)
from barnabas.records.errors import CorruptRecord
from barnabas.records.record import Record, read_records
from barnabas.wire.messages.kraft_version_record import KRaftVersionRecord
from barnabas.wire.messages.leader_change_message import LeaderChangeMessage, Voter
from barnabas.wire.messages.snapshot_header_record import SnapshotHeaderRecord


def control(key: bytes | None, value: bytes | None) -> Record:
    """A record of a control batch."""
    return Record(0, 0, key, value, ())


def test_a_marker_batch() -> None:
    batch = build_marker(9, 4, EndMarker(False, 31), 1000, base_offset=55, leader_epoch=6)
    header = read_header(batch)
    assert (header.base_offset, header.leader_epoch, header.records_count) == (55, 6, 1)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (9, 4, -1)
    assert header.is_control
    assert header.is_transactional
    assert crc_valid(batch, 0, len(batch))
    record = read_records(batch, limit=100)[0]
    assert (record.key, record.value) == (bytes(4), bytes.fromhex("00000000001f"))
    assert read_marker(record) == EndMarker(False, 31)
    assert read_control(record) is None


def test_markers_of_later_versions_are_read_by_their_known_part() -> None:
    record = control(bytes.fromhex("00070001ffff"), bytes.fromhex("0003000000200000"))
    assert read_marker(record) == EndMarker(True, 32)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, bytes(6)),
        (b"\0\0\0", bytes(6)),
        (b"\xff\xff\0\0", bytes(6)),
        (b"\0\0\0\2", bytes(6)),
        (b"\0\0\0\1", None),
        (b"\0\0\0\1", bytes(5)),
        (b"\0\0\0\1", b"\xff\xff\0\0\0\0"),
    ],
)
def test_broken_markers(key: bytes | None, value: bytes | None) -> None:
    with pytest.raises(CorruptRecord):
        read_marker(control(key, value))


def test_kraft_records_in_one_batch() -> None:
    change = LeaderChangeMessage(
        version=0, leader_id=3, voters=[Voter(1), Voter(3)], granting_voters=[Voter(3)]
    )
    batch = build_control(
        [
            (ControlType.LEADER_CHANGE, change),
            (ControlType.KRAFT_VERSION, KRaftVersionRecord(version=0, kraft_version=1)),
        ],
        1000,
        base_offset=70,
        leader_epoch=8,
    )
    header = read_header(batch)
    assert (header.base_offset, header.last_offset, header.leader_epoch) == (70, 71, 8)
    assert header.is_control
    assert not header.is_transactional
    first, second = read_records(batch, limit=1000)
    assert parse_control_key(first.key) == ControlType.LEADER_CHANGE
    assert first.value == bytes.fromhex(
        "0000 00000003 03 00000001 00 00000003 00 02 00000003 00 00"
    )
    read = read_control(first)
    assert isinstance(read, LeaderChangeMessage)
    assert read.leader_id == 3
    assert [voter.voter_id for voter in read.voters] == [1, 3]
    assert second.value == bytes.fromhex("0000 0001 00")
    assert isinstance(read_control(second), KRaftVersionRecord)


def test_kinds_unknown_are_skipped() -> None:
    assert parse_control_key(bytes.fromhex("00000063")) == 99
    assert read_control(control(bytes.fromhex("00000063"), b"what ever")) is None


def test_a_kraft_record_cut_off() -> None:
    key = control_key(ControlType.SNAPSHOT_HEADER)
    value = bytes.fromhex("0000 0000000000000005 00")
    read = read_control(control(key, value))
    assert isinstance(read, SnapshotHeaderRecord)
    assert read.last_contained_log_timestamp == 5
    for end in range(len(value)):
        with pytest.raises(CorruptRecord):
            read_control(control(key, value[:end]))
    with pytest.raises(CorruptRecord):
        read_control(control(key, None))
