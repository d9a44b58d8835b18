"""Addresses of nodes as people write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

DEFAULT_PORT: Final = 9092


def parse_address(text: str) -> tuple[str, int]:
    """Host and port from `HOST:PORT`, `HOST` (port 9092) or `[IPV6]:PORT`. Raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"{text!r} is no address: use HOST:PORT")
    return host, int(port)


def parse_addresses(value: object) -> tuple[tuple[str, int], ...]:
    """`bootstrap.servers`: a text with commas, or a list of texts. Raises `ValueError`."""
    if isinstance(value, str):
        parts: Iterable[object] = value.split(",")
    elif isinstance(value, Iterable):
        parts = value
    else:
        raise ValueError(f"bootstrap.servers: {value!r} is no address")
    found = tuple(parse_address(str(part).strip()) for part in parts if str(part).strip())
    if not found:
        raise ValueError("bootstrap.servers is empty")
    return found
