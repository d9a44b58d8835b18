"""What is written is read back, and what is read can be written: for every message and version."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barnabas.wire import primitives, uuids
from barnabas.wire.codec import decode, encode, gatherer, reader
from barnabas.wire.errors import ProtocolError
from barnabas.wire.frames import FrameReader
from barnabas.wire.message import Message
from tests.wire_samples import classes, every_version, random_message, versions_of

VERSIONS = list(every_version())
chance = st.randoms(use_true_random=False)


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.NAME)
def test_every_version_comes_back(cls: type[Message], seed: int) -> None:
    random = Random(f"{seed} {cls.NAME}")
    for version in versions_of(cls):
        message = random_message(random, cls, version)
        data = encode(message, version)
        again = decode(cls, version, data, exact=True)
        assert again == message
        assert encode(again, version) == data


@settings(max_examples=150)
@given(chance, st.sampled_from(VERSIONS), st.binary(max_size=8), st.binary(max_size=8))
def test_there_and_back(
    random: Random, which: tuple[type[Message], int], before: bytes, after: bytes
) -> None:
    cls, version = which
    message = random_message(random, cls, version)
    data = encode(message, version)
    framed = memoryview(before + data + after)
    assert reader(cls, version)(framed, len(before)) == (message, len(before) + len(data))
    parts = gatherer(cls, version)(message, bytearray(before))
    assert b"".join(parts) == before + data


@settings(max_examples=150)
@given(chance, st.sampled_from(VERSIONS), st.data())
def test_what_is_read_from_damaged_bytes_can_be_written(
    random: Random, which: tuple[type[Message], int], draw: st.DataObject
) -> None:
    """Reading gives a protocol error or a message; writing that message settles after one turn."""
    cls, version = which
    data = bytearray(encode(random_message(random, cls, version), version))
    for _ in range(draw.draw(st.integers(1, 3))):
        position = draw.draw(st.integers(0, len(data)))
        data[position : position + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=4))
    try:
        message = decode(cls, version, data)
    except ProtocolError:
        return
    once = encode(message, version)
    assert encode(decode(cls, version, once, exact=True), version) == once


@given(st.integers(0, 2**32 - 1))
def test_unsigned_varints(value: int) -> None:
    out = bytearray()
    primitives.write_uvarint(out, value)
    assert primitives.read_uvarint(out, 0) == (value, len(out))
    assert primitives.uvarint_size(value) == len(out)


@given(st.integers(-(2**63), 2**63 - 1))
def test_zigzag_varints(value: int) -> None:
    out = bytearray()
    primitives.write_varint(out, value)
    assert primitives.read_varlong(out, 0) == (value, len(out))
    assert primitives.varint_size(value) == len(out)
    if -(2**31) <= value < 2**31:
        assert primitives.read_varint(out, 0) == (value, len(out))


@given(st.binary(min_size=16, max_size=16))
def test_uuids(raw: bytes) -> None:
    assert uuids.from_text(uuids.to_text(raw)) == raw


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 30), min_size=1))
def test_frames_do_not_depend_on_how_bytes_arrive(bodies: list[bytes], steps: list[int]) -> None:
    stream = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    frames: list[memoryview] = []
    splitter = FrameReader(20)
    position = turn = 0
    while position < len(stream):
        step = steps[turn % len(steps)]
        frames += splitter.feed(stream[position : position + step])
        position += step
        turn += 1
    assert [bytes(each) for each in frames] == bodies
    assert splitter.pending == 0
