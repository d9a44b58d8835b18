"""Message sets of magic 0 and 1, as Kafka 4.3.1's own builder makes them."""

from __future__ import annotations

import struct

import pytest

from barnabas.records.errors import CorruptRecord, InflateLimit
from barnabas.records.legacy import iter_messages, message_crc_valid, read_message, unwrap
from barnabas.records.record import Record

MAGIC_0 = bytes.fromhex(
    "0000000000000032000000101fecd70a0000000000016b000000017600000000000000330000001055846a83"
    "0000ffffffff00000002773100000000000000340000000f908204f60000000000016bffffffff"
)
MAGIC_0_LZ4 = bytes.fromhex(
    "00000000000000340000006a7a1a27970003ffffffff0000005c04224d1860401a4d00000012000100913200"
    "0000101fecd70a0f0071016b00000001760c00300000331c00f00155846a830000ffffffff00000002773119"
    "00f008000000340000000f908204f60000000000016bffffffff00000000"
)
MAGIC_1 = bytes.fromhex(
    "000000000000003200000018e425598401000000018bcfe5687b000000016b00000001760000000000000033"
    "000000188776f18e01000000018bcfe5687cffffffff0000000277310000000000000034000000176f9cf4d0"
    "01000000018bcfe5687c000000016bffffffff"
)
MAGIC_1_GZIP = bytes.fromhex(
    "00000000000000340000006426fbb61d01010000018bcfe5687cffffffff0000004e1f8b08000000000000ff"
    "636080038927aa912d8c400663f7f9a719d5204636882883ca83a424dacb3ef6c1d5d4fc07022087a9dc10aa"
    "860988c5f3e77cb98050033607a41000ba179e116b000000"
)
MAGIC_1_SNAPPY_APPEND_TIME = bytes.fromhex(
    "000000000000003300000062d1f0ac8a010a000001a3185c5000ffffffff0000004c82534e41505059000000"
    "000100000001000000384800001901341884dd6f3a0108000001a3185c50011818016b0000000176010b0109"
    "1c00000018ceb5d2b3192424ffffffff000000027731"
)
FIRST, SECOND = 1_700_000_000_123, 1_700_000_000_124


def records(data: bytes) -> list[Record]:
    """Everything in a message set, CRCs checked."""
    found = []
    for pos, message in iter_messages(data):
        assert message_crc_valid(data, pos, message.size)
        found += unwrap(message, limit=1000)
    return found


def expected(first: int, second: int) -> list[Record]:
    """What all samples hold, with the timestamps that their format keeps."""
    return [
        Record(50, first, b"k", b"v", ()),
        Record(51, second, None, b"w1", ()),
        Record(52, second, b"k", None, ()),
    ]


def test_magic_0_knows_no_time() -> None:
    assert records(MAGIC_0) == expected(-1, -1)


def test_magic_0_lz4_has_a_wrong_header_checksum() -> None:
    assert records(MAGIC_0_LZ4) == expected(-1, -1)


def test_magic_1() -> None:
    assert records(MAGIC_1) == expected(FIRST, SECOND)
    assert records(MAGIC_1_GZIP) == expected(FIRST, SECOND)


def test_append_time_is_that_of_the_wrapper() -> None:
    stamp = 1_800_000_000_000
    assert records(MAGIC_1_SNAPPY_APPEND_TIME) == expected(stamp, stamp)[:2]


def test_a_message_that_is_cut_off_ends_the_walk() -> None:
    assert len(list(iter_messages(MAGIC_1))) == 3
    assert len(list(iter_messages(MAGIC_1[:-1]))) == 2
    assert list(iter_messages(MAGIC_1[:30])) == []


def test_wrapper_offset_0_leaves_the_inner_offsets() -> None:
    wrapper = read_message(MAGIC_1_GZIP)._replace(offset=0)
    assert [record.offset for record in unwrap(wrapper, limit=1000)] == [0, 1, 2]
    with pytest.raises(CorruptRecord):
        unwrap(wrapper._replace(offset=1), limit=1000)


def test_inflating_is_bounded() -> None:
    with pytest.raises(InflateLimit):
        unwrap(read_message(MAGIC_1_GZIP), limit=50)


@pytest.mark.parametrize("sample", [MAGIC_0, MAGIC_0_LZ4, MAGIC_1, MAGIC_1_GZIP])
def test_any_change_but_of_offsets_is_noticed(sample: bytes) -> None:
    starts = [pos for pos, _ in iter_messages(sample)]
    offsets = {at for pos in starts for at in range(pos, pos + 8)}
    for at in set(range(len(sample))) - offsets:
        broken = bytearray(sample)
        broken[at] ^= 0xFF
        try:
            walked = list(iter_messages(broken))
        except CorruptRecord:
            continue
        good = [pos for pos, m in walked if message_crc_valid(broken, pos, m.size)]
        assert good != starts


@pytest.mark.parametrize("length", [-1, 0, 13, 2**31 - 1])
def test_lengths_out_of_range(length: int) -> None:
    broken = bytearray(MAGIC_0)
    struct.pack_into(">i", broken, 8, length)
    with pytest.raises(CorruptRecord):
        read_message(broken)


def test_a_wrapper_in_a_wrapper_is_refused() -> None:
    wrapper = read_message(MAGIC_1_GZIP)
    with pytest.raises(CorruptRecord):
        unwrap(wrapper._replace(attributes=4), limit=1000)
    with pytest.raises(CorruptRecord):
        unwrap(wrapper._replace(value=None), limit=1000)
