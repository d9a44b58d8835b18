"""Coordinator records as bytes and back."""

from __future__ import annotations

import pytest

from barnabas.coordinator.framing import (
    CoordinatorRecord,
    DamagedRecord,
    RecordTypes,
    decode_record,
    encode_record,
)
from barnabas.groups.record_types import GROUP_RECORDS
from barnabas.groups.records.offset_commit_key import OffsetCommitKey
from barnabas.groups.records.offset_commit_value import OffsetCommitValue

KEY = OffsetCommitKey("g", "t", 3)
VALUE = OffsetCommitValue(offset=7, leader_epoch=2, metadata="m", commit_timestamp=9)


@pytest.mark.parametrize("types", [GROUP_RECORDS])
def test_every_type_survives_in_every_version(types: RecordTypes) -> None:
    for number, (key_class, value_class) in types.items():
        assert key_class.API_KEY == value_class.API_KEY == number
        low, high = value_class.VERSIONS
        for version in range(low, high + 1):
            record = CoordinatorRecord(key_class(), value_class(), version)
            key, value = encode_record(record)
            assert decode_record(types, key, value) == record


def test_offset_commit_is_laid_out_as_kafka_does() -> None:
    key, value = encode_record(CoordinatorRecord(KEY, VALUE, 3))
    assert key == b"\0\1" + b"\0\1g" + b"\0\1t" + b"\0\0\0\3"
    assert value == (
        b"\0\3" + (7).to_bytes(8, "big") + b"\0\0\0\2" + b"\0\1m" + (9).to_bytes(8, "big")
    )


def test_a_null_value_is_a_tombstone() -> None:
    key, value = encode_record(CoordinatorRecord(KEY, None))
    assert value is None
    assert decode_record(GROUP_RECORDS, key, None) == CoordinatorRecord(KEY, None)


def test_types_and_versions_of_later_releases_are_skipped() -> None:
    key, value = encode_record(CoordinatorRecord(KEY, VALUE, 4))
    assert value is not None
    assert decode_record(GROUP_RECORDS, b"\x03\xe7" + key[2:], value) is None
    assert decode_record(GROUP_RECORDS, key, b"\0\x7f" + value[2:]) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b""),
        (b"", None),
        (b"\0", None),
        (b"\0\1\0", None),
        (b"\0\1\0\1g\0\1t\0\0\0\3", b"\0"),
    ],
)
def test_damage_is_told(key: bytes | None, value: bytes | None) -> None:
    with pytest.raises(DamagedRecord):
        decode_record(GROUP_RECORDS, key, value)


def test_a_cut_value_is_damage() -> None:
    key, value = encode_record(CoordinatorRecord(KEY, VALUE, 3))
    assert value is not None
    with pytest.raises(DamagedRecord):
        decode_record(GROUP_RECORDS, key, value[:-1])
