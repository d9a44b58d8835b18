"""What the programs of the Python clients share: the verbs of their command line, and checks.

A program is called with a verb and the node's address. `tour` goes to the stops that are named and
prints `ok` and the stop's name after each; any surprise is an exception. `write` produces the topics
that its standard input lists in JSON, each with the codec that is asked for; `read` reads topics to
the count that is asked for and prints their records as JSON. Bytes are hexadecimal, or null.
"""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple

EVENTS = 300
FIRST_TIMESTAMP = 1_700_000_000_000
SECONDS = 30.0


class Record(NamedTuple):
    """A record as clients take and give it."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int


def from_hex(text: str | None) -> bytes | None:
    """Bytes of their hexadecimal form; None stays None."""
    return None if text is None else bytes.fromhex(text)


def to_hex(raw: bytes | None) -> str | None:
    """The reverse."""
    return None if raw is None else bytes(raw).hex()


def asked_to_write() -> list[tuple[str, str, list[Record]]]:
    """Topic, codec and records, for each topic that standard input lists."""
    return [
        (topic["topic"], topic["codec"], [_record(about) for about in topic["records"]])
        for topic in json.load(sys.stdin)
    ]


def _record(about: dict[str, Any]) -> Record:
    headers = [(name, from_hex(value)) for name, value in about["headers"]]
    return Record(from_hex(about["key"]), from_hex(about["value"]), headers, about["timestamp"])


def asked_to_read() -> list[tuple[str, int]]:
    """Topic and count of records, for each topic that standard input lists."""
    return [(topic["topic"], topic["count"]) for topic in json.load(sys.stdin)]


def print_read(topics: dict[str, list[tuple[int, Record]]]) -> None:
    """Offsets and records that were read, as JSON."""
    found = {
        topic: [
            {
                "offset": offset,
                "timestamp": record.timestamp,
                "key": to_hex(record.key),
                "value": to_hex(record.value),
                "headers": [[name, to_hex(value)] for name, value in record.headers],
            }
            for offset, record in records
        ]
        for topic, records in topics.items()
    }
    json.dump(found, sys.stdout)


def event(number: int) -> Record:
    """The events that tours produce."""
    headers: list[tuple[str, bytes | None]] = [("number", b"%d" % number), ("empty", b"")]
    return Record(b"key-%d" % number, b"value" * 20, headers, FIRST_TIMESTAMP + number)


def same(wanted: object, got: object, what: str) -> None:
    """Fail unless both are equal."""
    if wanted != got:
        raise AssertionError(f"{what}: wanted {wanted!r}, got {got!r}")
