"""Bytes that mean harm: a decoder ends in a message or a `ProtocolError`, and takes little memory."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from random import Random

import pytest

from barnabas.wire.apis import API, Api
from barnabas.wire.codec import decode, encode
from barnabas.wire.errors import ProtocolError
from barnabas.wire.headers import parse_request_header, parse_response_header
from barnabas.wire.layout import Where, place
from barnabas.wire.limits import MAX_ELEMENTS
from barnabas.wire.message import Message
from barnabas.wire.messages.fetch_request import FetchPartition, FetchRequest, FetchTopic
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.primitives import write_uvarint
from tests.wire_samples import classes, random_message

MEBIBYTE = 1 << 20
LARGEST_SAMPLE = 160
OFFSETS_PER_MESSAGE = 25


def sample(cls: type[Message], version: int, seed: int) -> bytes:
    """A message of some substance, yet short: the longest of a few that is not too long."""
    random = Random(f"{seed} {cls.NAME} {version}")
    made = [encode(random_message(random, cls, version), version) for _ in range(12)]
    short = [data for data in made if len(data) <= LARGEST_SAMPLE]
    return max(short, key=len, default=min(made, key=len)[: 4 * LARGEST_SAMPLE])


def edges(cls: type[Message]) -> list[int]:
    """The first, the first flexible and the last version of a message."""
    low, high = cls.VERSIONS
    return sorted({low, high, min(max(low, cls.FLEXIBLE), high)})


def varint(value: int) -> bytes:
    out = bytearray()
    write_uvarint(out, value & 0xFFFFFFFF)
    return bytes(out)


def hostile_lengths(remaining: int) -> list[tuple[int, bytes]]:
    """(bytes to replace, replacement) for a length field with `remaining` bytes after it."""
    values = (-2, -1, 0, 1, 2**31 - 1, 2**31, 2**32 - 1, remaining - 1, remaining, remaining + 1)
    replacements: list[tuple[int, bytes]] = []
    for value in values:
        replacements.append((4, struct.pack(">I", value & 0xFFFFFFFF)))
        replacements.append((2, struct.pack(">H", value & 0xFFFF)))
        replacements.append((1, varint(value)))
        replacements.append((1, varint(value + 1)))
    return [*replacements, (1, b"\xff" * 5), (1, b"\xff" * 10), (1, b"\x80\x00")]


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.NAME)
def test_every_truncation_is_a_protocol_error(cls: type[Message], seed: int) -> None:
    for version in edges(cls):
        data = sample(cls, version, seed)
        try:
            decode(cls, version, data, exact=True)
        except ProtocolError:
            continue  # the sample was cut already
        for size in range(len(data)):
            with pytest.raises(ProtocolError):
                decode(cls, version, memoryview(data)[:size])


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.NAME)
def test_hostile_lengths_at_any_place(cls: type[Message], seed: int) -> None:
    random = Random(seed)
    for version in edges(cls):
        data = sample(cls, version, seed)
        offsets = random.sample(range(len(data)), min(len(data), OFFSETS_PER_MESSAGE))
        for offset in offsets:
            for width, replacement in hostile_lengths(len(data) - offset - 1):
                damaged = data[:offset] + replacement + data[offset + width :]
                try:
                    message = decode(cls, version, damaged)
                except ProtocolError:
                    continue
                encode(message, version)


@pytest.mark.parametrize("fill", [0x00, 0x01, 0x02, 0x7F, 0x80, 0xFF])
def test_one_byte_repeated(fill: int) -> None:
    data = bytes([fill]) * 2000
    for cls in classes():
        for version in edges(cls):
            with contextlib.suppress(ProtocolError):
                decode(cls, version, data)


@pytest.mark.parametrize("api", API.values(), ids=lambda api: api.name)
def test_headers_cut_off_or_random(api: Api, seed: int) -> None:
    random = Random(f"{seed} {api.name}")
    for _ in range(50):
        version = random.randint(api.min_version, api.max_version)
        data = struct.pack(">hhi", api.key, version, 1) + random.randbytes(random.randint(0, 12))
        with contextlib.suppress(ProtocolError):
            assert 10 <= parse_request_header(data).end <= len(data)
        with contextlib.suppress(ProtocolError):
            assert parse_response_header(data, api.key, version)[1] <= len(data)


def peak_of(cls: type[Message], version: int, data: bytes) -> int:
    """The most memory that decoding takes at once, whether it ends in a message or an error."""
    decode(cls, version, encode(cls(), version))  # compile before measuring
    tracemalloc.start()
    try:
        with contextlib.suppress(ProtocolError):
            decode(cls, version, memoryview(data))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.NAME)
def test_a_count_alone_takes_no_memory(cls: type[Message]) -> None:
    """CVE-2026-111108: every array of the message in turn says that it has two thousand millions."""
    version = cls.VERSIONS[1]
    for placed in place(cls, version):
        if placed.where is not Where.PLAIN or placed.field.kind != "array":
            continue
        message = cls()
        setattr(message, placed.field.name, [])
        data = encode(message, version)
        for offset in range(len(data)):
            for count in (varint(2**31 - 1), varint(2**32 - 1), b"\x7f\xff\xff\xff"):
                damaged = data[:offset] + count + data[offset + 1 :]
                assert peak_of(cls, version, damaged) < MEBIBYTE


@pytest.mark.parametrize("flexible", [False, True])
def test_memory_is_a_small_multiple_of_the_bytes(flexible: bool) -> None:
    """Every message that is one array of its smallest structs."""
    for cls in classes():
        version = cls.VERSIONS[1]
        if (version >= cls.FLEXIBLE) is not flexible:
            continue
        for placed in place(cls, version):
            field = placed.field
            if placed.where is Where.ABSENT or field.kind != "array" or field.struct is None:
                continue
            message = cls()
            setattr(message, field.name, [field.struct()] * 300)
            data = encode(message, version)
            assert peak_of(cls, version, data) < 100 * len(data) + MEBIBYTE // 16, cls.NAME


def test_the_number_of_elements_is_bounded() -> None:
    """However large the frame: it is refused before the elements exist."""
    smallest_topic = bytes(16) + b"\0\0"  # no id, no name, no tagged fields
    for count in (MAX_ELEMENTS, MAX_ELEMENTS + 1):
        data = varint(count + 1) + smallest_topic * count + b"\1\0\0"
        if count > MAX_ELEMENTS:
            assert peak_of(MetadataRequest, 12, data) < MEBIBYTE + len(data)
            with pytest.raises(ProtocolError, match="more than allowed"):
                decode(MetadataRequest, 12, data)
        else:
            topics = decode(MetadataRequest, 12, data, exact=True).topics
            assert topics is not None
            assert len(topics) == count


def test_the_budget_spans_nested_arrays() -> None:
    partitions = [FetchPartition() for _ in range(9)]
    data = encode(FetchRequest(topics=[FetchTopic("", bytes(16), partitions)] * 10), 17)
    decode(FetchRequest, 17, data, budget=100)
    with pytest.raises(ProtocolError, match="more than allowed"):
        decode(FetchRequest, 17, data, budget=99)


@pytest.mark.parametrize("count", [65, 1000, 2**31, 2**32 - 1])
def test_floods_of_tagged_fields(count: int) -> None:
    """CVE-2026-111115: the count alone, and the fields themselves, behind every flexible message."""
    out = bytearray()
    write_uvarint(out, count)
    for tag in range(min(count, 1000)):
        write_uvarint(out, tag)
        out.append(0)
    for cls in classes():
        version = cls.VERSIONS[1]
        if version < cls.FLEXIBLE:
            continue
        data = encode(cls(), version)
        assert data.endswith(b"\0")
        with pytest.raises(ProtocolError):
            decode(cls, version, data[:-1] + out)
