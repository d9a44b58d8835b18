"""Batches of one record with a fixed key are those that the builder makes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from barnabas.records.batch import assign, crc_valid, read_header
from barnabas.records.builder import build_batch
from barnabas.records.one_record import OneRecord

LONG = 2**63 - 1


@given(
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.integers(0, LONG),
    st.integers(0, LONG - 1),
    st.integers(0, 2**31 - 1),
)
def test_the_same_bytes_as_the_builder(
    key: bytes, value: bytes, now_ms: int, offset: int, epoch: int
) -> None:
    record = OneRecord(key, len(value))
    batch, header = record.batch(value, now_ms, offset, epoch)
    expected = build_batch([(key, value, now_ms, ())])
    assign(expected, 0, offset, epoch)
    assert batch == expected
    assert record.size == len(batch)
    assert header == read_header(batch)
    assert crc_valid(batch, 0, len(batch))
