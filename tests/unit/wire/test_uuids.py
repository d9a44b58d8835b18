"""UUIDs as text."""

from __future__ import annotations

import pytest

from barnabas.wire import uuids


def test_known_texts() -> None:
    assert uuids.to_text(uuids.ZERO) == "AAAAAAAAAAAAAAAAAAAAAA"
    assert uuids.to_text(uuids.ONE) == "AAAAAAAAAAAAAAAAAAAAAQ"
    assert uuids.to_text(b"\xff" * 16) == "_____________________w"


@pytest.mark.parametrize("raw", [uuids.ZERO, uuids.ONE, bytes(range(16)), b"\xfb\xff" * 8])
def test_there_and_back(raw: bytes) -> None:
    assert uuids.from_text(uuids.to_text(raw)) == raw


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 21,
        "A" * 23,
        "A" * 21 + "=",
        "A" * 21 + "B",  # spare bits set: the text of no UUID
        "A" * 21 + "+",
        "A" * 10 + " " + "A" * 11,
        "A" * 21 + "\xe9",
    ],
)
def test_what_is_no_uuid(text: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        uuids.from_text(text)


@pytest.mark.parametrize("raw", [b"", bytes(15), bytes(17)])
def test_bytes_of_a_wrong_length(raw: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        uuids.to_text(raw)


def test_random_bytes_as_a_random_uuid() -> None:
    text = uuids.to_hyphenated(bytes(range(16)))
    assert text == "00010203-0405-4607-8809-0a0b0c0d0e0f"
    with pytest.raises(ValueError, match="16 bytes"):
        uuids.to_hyphenated(b"")
