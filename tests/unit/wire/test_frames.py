"""Splitting a stream into frames."""

from __future__ import annotations

import pytest

from barnabas.wire.errors import ProtocolError
from barnabas.wire.frames import FrameReader

STREAM = b"\0\0\0\3abc" + b"\0\0\0\0" + b"\0\0\0\2de"


def test_whole_stream_at_once() -> None:
    reader = FrameReader(10)
    assert reader.feed(STREAM) == [b"abc", b"", b"de"]
    assert reader.pending == 0


@pytest.mark.parametrize("step", range(1, len(STREAM)))
def test_any_split(step: int) -> None:
    reader = FrameReader(10)
    frames: list[memoryview] = []
    for start in range(0, len(STREAM), step):
        frames += reader.feed(STREAM[start : start + step])
    assert frames == [b"abc", b"", b"de"]


def test_frames_stay_when_more_arrives() -> None:
    reader = FrameReader(10)
    (first,) = reader.feed(b"\0\0\0\3abc\0\0")
    assert reader.pending == 2
    reader.feed(b"\0\3xyz")
    assert bytes(first) == b"abc"
    assert first.readonly


def test_the_largest_frame_passes() -> None:
    assert FrameReader(3).feed(b"\0\0\0\3abc") == [b"abc"]


@pytest.mark.parametrize("size", [b"\0\0\0\4", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff"])
def test_a_frame_too_large_or_negative(size: bytes) -> None:
    with pytest.raises(ProtocolError, match="frame of"):
        FrameReader(3).feed(size)


def test_a_bad_size_behind_a_good_frame() -> None:
    with pytest.raises(ProtocolError):
        FrameReader(3).feed(b"\0\0\0\1a\x80\0\0\0")


def test_a_size_alone_takes_no_memory() -> None:
    reader = FrameReader(2**31 - 1)
    assert reader.feed(b"\x7f\xff\xff\xff") == []
    assert reader.pending == 4
