"""The rules of the encoding, on messages that show them. The bytes here are written by hand."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from barnabas.wire.codec import decode, encode, gatherer, reader, writer
from barnabas.wire.errors import ErrorCode, ProtocolError, UnsupportedVersion
from barnabas.wire.message import EMPTY, NEVER, Field, Message
from barnabas.wire.messages.fetch_request import FetchRequest, ReplicaState
from barnabas.wire.messages.join_group_request import JoinGroupRequest
from barnabas.wire.messages.list_offsets_request import ListOffsetsRequest
from barnabas.wire.messages.metadata_request import MetadataRequest, MetadataRequestTopic
from barnabas.wire.messages.produce_request import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)

TEXT = "string"


class Point(Message):
    """A struct of two numbers."""

    __slots__ = ("x", "y")
    NAME = "Point"
    FLEXIBLE = 2
    FIELDS = (Field("x", "int16", default=0), Field("y", "int16", (1, NEVER), default=5))

    def __init__(self, x: int = 0, y: int = 5) -> None:
        self.x = x
        self.y = y
        self.unknown_tags = b""


class Sample(Message):
    """Every kind of field: version 0 has plain ones, 1 nullable ones, 2 is flexible, 3 has tags."""

    __slots__ = (
        "blob", "extra", "far", "label", "mark", "name", "near", "numbers", "points", "where"
    )  # fmt: skip
    NAME = "Sample"
    VERSIONS = (0, 3)
    FLEXIBLE = 2
    FIELDS = (
        Field("name", TEXT, nullable=(1, NEVER), default=""),
        Field("blob", "bytes", default=b""),
        Field("numbers", "array", nullable=(1, NEVER), default=EMPTY, element="int32"),
        Field("points", "array", default=EMPTY, element="struct", struct=Point),
        Field("label", TEXT, flexible=False, default=""),
        Field("near", "struct", (1, NEVER), nullable=(1, NEVER), struct=Point),
        Field("mark", "int8", (3, NEVER), default=7, ignorable=True, tag=1, tagged=(3, NEVER)),
        Field("extra", TEXT, (2, NEVER), nullable=(2, NEVER), tag=0, tagged=(3, NEVER)),
        Field(
            "far",
            "struct",
            (3, NEVER),
            nullable=(3, NEVER),
            default=EMPTY,
            tag=4,
            tagged=(3, NEVER),
            struct=Point,
        ),
        Field(
            "where", "struct", (3, NEVER), default=EMPTY, struct=Point, tag=300, tagged=(3, NEVER)
        ),
    )

    def __init__(self, **values: Any) -> None:
        self.name: str | None = ""
        self.blob = b""
        self.numbers: list[int] | None = []
        self.points: list[Point] = []
        self.label = ""
        self.near: Point | None = None
        self.mark = 7
        self.extra: str | None = None
        self.far: Point | None = Point()
        self.where = Point()
        self.unknown_tags = b""
        for name, value in values.items():
            setattr(self, name, value)


FULL = Sample(
    name="né", blob=b"\1\2", numbers=[1, -1], points=[Point(1, 2)], label="L", near=Point(3, 4)
)


def test_old_forms() -> None:
    message = Sample(name="né", blob=b"\1\2", numbers=[1, -1], points=[Point(1)], label="L")
    data = bytes.fromhex(
        "0003 6ec3a9"
        "00000002 0102"
        "00000002 00000001 ffffffff"
        "00000001 0001"
        "0001 4c"
    )  # fmt: skip
    assert encode(message, 0) == data
    assert decode(Sample, 0, data) == message


def test_flexible_forms() -> None:
    data = bytes.fromhex(
        "04 6ec3a9"
        "03 0102"
        "03 00000001 ffffffff"
        "02 0001 0002 00"
        "0001 4c"  # this field never becomes compact
        "01 0003 0004 00"
        "00"  # extra, null: in version 2 it is no tagged field yet
        "00"
    )  # fmt: skip
    assert encode(FULL, 2) == data
    assert decode(Sample, 2, data) == FULL


def test_tagged_forms() -> None:
    message = Sample(mark=9, extra="e", where=Point(1, 5), unknown_tags=b"\x02\x01U\xc8\x01\x00")
    data = bytes.fromhex(
        "01 01 01 01 0000 ff"
        "05"
        "00 02 0265"
        "01 01 09"
        "02 01 55"
        "c801 00"
        "ac02 05 0001 0005 00"
    )  # fmt: skip
    assert encode(message, 3) == data
    assert decode(Sample, 3, data) == message


def test_a_nullable_struct_in_a_tagged_field() -> None:
    """Kafka's generator marks presence with a varint there: 0 is null, 1 is not."""
    start = encode(Sample(), 3)[:-1]
    for far, tags in ((None, "01 04 01 00"), (Point(3), "01 04 06 01 0003 0005 00")):
        data = start + bytes.fromhex(tags)
        assert encode(Sample(far=far), 3) == data
        assert decode(Sample, 3, data, exact=True) == Sample(far=far)
    long_form = start + bytes.fromhex("01 04 07 8100 0003 0005 00")
    assert decode(Sample, 3, long_form, exact=True) == Sample(far=Point(3))


def test_tagged_fields_at_their_defaults_are_left_out() -> None:
    assert encode(Sample(), 3) == bytes.fromhex("01 01 01 01 0000 ff 00")


def test_tagged_fields_come_in_any_order_but_once() -> None:
    start = encode(Sample(), 3)[:-1]
    message = decode(Sample, 3, start + bytes.fromhex("03 05 00 01 01 08 00 01 00"))
    assert (message.mark, message.extra, message.unknown_tags) == (8, None, b"\x05\x00")
    with pytest.raises(ProtocolError, match="twice"):
        decode(Sample, 3, start + bytes.fromhex("02 01 01 08 01 01 09"))
    with pytest.raises(ProtocolError, match="twice"):
        decode(Sample, 3, start + bytes.fromhex("02 07 00 07 00"))


@pytest.mark.parametrize("tags", ["01 01 02 0800", "01 01 00", "01 00 03 0265", "01 00 01 0265"])
def test_a_tagged_field_has_the_size_it_says(tags: str) -> None:
    start = encode(Sample(), 3)[:-1]
    with pytest.raises(ProtocolError):
        decode(Sample, 3, start + bytes.fromhex(tags))


def test_nulls() -> None:
    message = Sample(name=None, numbers=None)
    assert encode(message, 1) == bytes.fromhex("ffff 00000000 ffffffff 00000000 0000 ff")
    assert encode(message, 3) == bytes.fromhex("00 01 00 01 0000 ff 00")
    for version in (1, 2, 3):
        assert decode(Sample, version, encode(message, version)) == message


@pytest.mark.parametrize("field", ["name", "numbers"])
def test_null_in_a_version_without_it(field: str) -> None:
    with pytest.raises(UnsupportedVersion, match=f"Sample.{field} cannot be written in version 0"):
        encode(Sample(**{field: None}), 0)


@pytest.mark.parametrize(
    ("version", "data", "field"),
    [
        (0, "ffff", "name"),
        (0, "0000 ffffffff", "blob"),
        (0, "0000 00000000 ffffffff", "numbers"),
        (0, "0000 00000000 00000000 ffffffff", "points"),
        (2, "00 00", "blob"),
        (2, "00 01 00 00", "points"),
    ],
)
def test_null_where_there_is_none(version: int, data: str, field: str) -> None:
    with pytest.raises(ProtocolError, match=f"Sample.{field}"):
        decode(Sample, version, bytes.fromhex(data))


def test_a_field_that_the_version_lacks() -> None:
    with pytest.raises(
        UnsupportedVersion, match=r"Sample\.near cannot be written in version 0"
    ) as e:
        encode(Sample(near=Point()), 0)
    assert e.value.code is ErrorCode.UNSUPPORTED_VERSION
    with pytest.raises(UnsupportedVersion, match=r"Point\.y"):
        encode(Sample(points=[Point(1, 6)]), 0)
    with pytest.raises(UnsupportedVersion, match=r"Sample\.where"):
        encode(Sample(where=Point(1)), 2)
    with pytest.raises(UnsupportedVersion, match=r"Sample\.extra"):
        encode(Sample(extra=""), 1)


def test_an_ignorable_field_that_the_version_lacks_is_dropped() -> None:
    assert decode(Sample, 2, encode(Sample(mark=99), 2)).mark == 7


def test_rules_of_real_messages() -> None:
    with pytest.raises(UnsupportedVersion, match="group_instance_id"):
        encode(JoinGroupRequest(group_instance_id="me"), 4)
    with pytest.raises(UnsupportedVersion, match="replica_state"):
        encode(FetchRequest(replica_state=ReplicaState(1, 2)), 14)
    with pytest.raises(UnsupportedVersion, match="topics"):
        encode(MetadataRequest(topics=None), 0)
    with pytest.raises(UnsupportedVersion, match="isolation_level"):
        encode(ListOffsetsRequest(isolation_level=1), 1)
    assert encode(MetadataRequest(topics=None), 1) == b"\xff\xff\xff\xff"
    assert encode(MetadataRequest(topics=[]), 9) == b"\x01\x01\0\0\0"


@pytest.mark.parametrize("version", [-1, 4])
def test_versions_that_do_not_exist(version: int) -> None:
    for wants in (reader, writer, gatherer):
        with pytest.raises(UnsupportedVersion, match=f"versions 0 to 3, not {version}"):
            wants(Sample, version)


def test_codecs_are_compiled_once() -> None:
    assert reader(Sample, 1) is reader(Sample, 1)
    assert writer(Sample, 1) is writer(Sample, 1)


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 8000, 32766, 32767])
@pytest.mark.parametrize("version", [0, 3])
def test_lengths_of_strings(size: int, version: int) -> None:
    message = Sample(name="x" * size, label="y" * size, blob=b"z" * size)
    assert decode(Sample, version, encode(message, version), exact=True) == message


@pytest.mark.parametrize("version", [0, 3])
@pytest.mark.parametrize("field", ["name", "label"])
def test_strings_that_are_too_long(version: int, field: str) -> None:
    with pytest.raises(ValueError, match="longer than 32767"):
        encode(Sample(**{field: "x" * 32768}), version)
    with pytest.raises(ValueError, match="longer than 32767"):
        encode(Sample(**{field: "é" * 16384}), version)


def test_a_compact_string_that_is_too_long() -> None:
    with pytest.raises(ProtocolError, match="32768"):
        decode(Sample, 2, b"\x81\x80\x02" + b"x" * 40000)


@pytest.mark.parametrize("version", [0, 3])
@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"])
def test_strings_are_utf8(version: int, text: bytes) -> None:
    data = encode(Sample(name="@" * len(text)), version).replace(b"@" * len(text), text)
    with pytest.raises(ProtocolError):
        decode(Sample, version, data)


@pytest.mark.parametrize("size", [0, 1, 8, 9, 126, 127, 128, 1000])
@pytest.mark.parametrize("version", [0, 1, 3])
def test_lengths_of_arrays(size: int, version: int) -> None:
    message = Sample(numbers=list(range(size)), points=[Point(i) for i in range(size)])
    assert decode(Sample, version, encode(message, version), exact=True) == message


def test_a_uuid_has_16_bytes() -> None:
    message = MetadataRequest(topics=[MetadataRequestTopic(b"short", None)])
    with pytest.raises(ValueError, match="topic_id"):
        encode(message, 12)


class Numbers(Message):
    """Numbers of every kind, alone and in arrays."""

    __slots__ = ("flag", "flags", "half", "ids", "ratio", "words")
    NAME = "Numbers"
    FIELDS = (
        Field("flag", "bool", default=False),
        Field("half", "uint16", default=0),
        Field("words", "array", default=EMPTY, element="uint32"),
        Field("ratio", "float64", default=0.0),
        Field("flags", "array", default=EMPTY, element="bool"),
        Field("ids", "array", default=EMPTY, element="uuid"),
    )

    def __init__(self) -> None:
        self.flag = False
        self.half = 0
        self.words: list[int] = []
        self.ratio = 0.0
        self.flags: list[bool] = []
        self.ids: list[bytes] = []
        self.unknown_tags = b""


def test_numbers() -> None:
    message = Numbers()
    message.flag, message.half, message.words = True, 65535, [0, 2**32 - 1]
    message.ratio, message.flags, message.ids = -0.0, [True, False], [bytes(16), b"\1" * 16]
    data = encode(message, 0)
    assert data[:3] == b"\1\xff\xff"
    again = decode(Numbers, 0, data, exact=True)
    assert again == message
    assert math.copysign(1, again.ratio) == -1
    assert again.flags[0] is True


def test_any_byte_but_zero_is_true() -> None:
    message = decode(Numbers, 0, b"\x80" + encode(Numbers(), 0)[1:])
    assert message.flag is True


@pytest.mark.parametrize("bits", ["7ff8000000000001", "fff0000000000000", "7ff0000000000000"])
def test_floats_keep_their_bits(bits: str) -> None:
    message = Numbers()
    (message.ratio,) = struct.unpack(">d", bytes.fromhex(bits))
    data = encode(message, 0)
    assert bytes.fromhex(bits) in data
    assert encode(decode(Numbers, 0, data), 0) == data


def test_records_are_views_and_bytes_are_copies() -> None:
    partition = PartitionProduceData(0, b"records")
    request = ProduceRequest(None, -1, 30000, [TopicProduceData(topic_id=b"t" * 16)])
    request.topic_data[0].partition_data = [partition]
    frame = bytearray(encode(request, 13))
    decoded = decode(ProduceRequest, 13, memoryview(frame))
    records = decoded.topic_data[0].partition_data[0].records
    assert isinstance(records, memoryview)
    assert decoded == request
    frame[frame.index(b"records")] = ord("R")
    assert bytes(records) == b"Records"
    assert decoded.topic_data[0].topic_id == b"t" * 16
    assert isinstance(decoded.topic_data[0].topic_id, bytes)


def test_position_and_trailing_bytes() -> None:
    data = b"head" + encode(FULL, 3) + b"tail"
    assert reader(Sample, 3)(memoryview(data), 4) == (FULL, len(data) - 4)
    assert decode(Sample, 3, data, 4) == FULL
    with pytest.raises(ProtocolError, match="4 bytes after Sample v3"):
        decode(Sample, 3, data, 4, exact=True)


def test_budget_of_elements() -> None:
    message = Sample(numbers=[1, 2, 3], points=[Point(), Point()], unknown_tags=b"\x07\x00")
    data = encode(message, 3)
    assert decode(Sample, 3, data, budget=6) == message
    for budget in range(6):
        with pytest.raises(ProtocolError, match="more than allowed"):
            decode(Sample, 3, data, budget=budget)


def test_number_of_tagged_fields() -> None:
    start = encode(Sample(), 3)[:-1]
    tags = b"".join(bytes((tag, 0)) for tag in range(5, 70))
    assert decode(Sample, 3, start + b"\x40" + tags[:128]).unknown_tags == tags[:128]
    with pytest.raises(ProtocolError, match="65 tagged fields"):
        decode(Sample, 3, start + b"\x41" + tags)


def test_size_of_an_unknown_tagged_field() -> None:
    start = encode(Sample(), 3)[:-1]
    most = start + b"\x01\x07\x80\x80\x08" + bytes(128 * 1024)
    assert len(decode(Sample, 3, most).unknown_tags) == 128 * 1024 + 4
    with pytest.raises(ProtocolError, match="131073"):
        decode(Sample, 3, start + b"\x01\x07\x81\x80\x08" + bytes(128 * 1024 + 1))


def test_equality_and_text() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(1, 3)
    assert Point(1, 2) != (1, 2)
    tagged = Point(1, 2)
    tagged.unknown_tags = b"\x07\x00"
    assert tagged != Point(1, 2)
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"
    assert repr(tagged) == "Point(x=1, y=2, unknown_tags=b'\\x07\\x00')"
    with pytest.raises(TypeError):
        hash(Point())
