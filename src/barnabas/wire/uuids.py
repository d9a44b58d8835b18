"""Kafka's UUIDs: 16 raw bytes here, URL-safe base64 without padding (22 characters) as text."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

ZERO = bytes(16)
"""Stands for "no id"."""

ONE = bytes(15) + b"\x01"
"""Reserved: the id of the metadata topic."""


def to_text(uuid: bytes) -> str:
    """The 22-character text of a UUID. Raises `ValueError` unless it has 16 bytes."""
    if len(uuid) != 16:
        raise ValueError(f"a UUID has 16 bytes, not {len(uuid)}")
    return urlsafe_b64encode(uuid)[:22].decode("ascii")


def from_text(text: str) -> bytes:
    """The UUID that `text` names. Raises `ValueError` when it is not 22 base64 characters."""
    if len(text) != 22:
        raise ValueError(f"not a base64 UUID of 22 characters: {text[:40]!r}")
    try:
        raw = urlsafe_b64decode(text + "==")
    except ValueError as error:
        raise ValueError(f"not a base64 UUID: {text!r}") from error
    # b64decode drops foreign characters and the last character has four spare bits.
    if len(raw) != 16 or urlsafe_b64encode(raw)[:22].decode("ascii") != text:
        raise ValueError(f"not a base64 UUID: {text!r}")
    return raw


def to_hyphenated(uuid: bytes) -> str:
    """The 36 characters of RFC 9562, version 4: 16 random bytes become a random UUID."""
    if len(uuid) != 16:
        raise ValueError(f"a UUID has 16 bytes, not {len(uuid)}")
    marked = bytearray(uuid)
    marked[6] = marked[6] & 0x0F | 0x40
    marked[8] = marked[8] & 0x3F | 0x80
    text = marked.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
