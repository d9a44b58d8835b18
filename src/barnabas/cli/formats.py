"""Records as text: raw lines and JSON lines, both ways, without losing a byte.

JSON, one object per line: `topic`, `partition`, `offset`, `timestamp` (ms), `key`, `value`,
`headers` (a list of [name, value]). Bytes that are UTF-8 are strings, others are
`{"base64": "..."}`, null is null. As input only `value` (or `key`) is needed; a value that is
another JSON value (an object, a number) is sent as its JSON text, headers may be an object.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from barnabas.records.record import Headers, Record

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\"}
_HEX = frozenset("0123456789abcdefABCDEF")
_FIELDS = frozenset(
    {"topic", "partition", "offset", "timestamp", "timestamp_type", "key", "value", "headers"}
)
MAX_PIECE_BYTES = 100 * 1024 * 1024
"""A longer record can't be sent anyway: Kafka's nodes take no larger request."""
_MAX_TIMESTAMP = 2**63 - 1


class BadInput(ValueError):
    """A record in the input can't be understood. `number` counts from 1."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"record {number}: {reason}")


class NewRecord(NamedTuple):
    """A record to send. None for timestamp and partition: as the producer sees fit."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp: int | None = None
    partition: int | None = None


def unescape(text: str) -> bytes:
    r"""The bytes of an option such as `\t`: \n \t \r \0 \\ and \xHH are escapes."""
    out = bytearray()
    rest = iter(text)
    for char in rest:
        if char != "\\":
            out += char.encode()
            continue
        code = next(rest, "")
        if code == "x":
            digits = next(rest, "") + next(rest, "")
            if len(digits) != 2 or not _HEX.issuperset(digits):
                raise ValueError(f"\\x needs two hex digits in {text!r}")
            out.append(int(digits, 16))
        elif code in _ESCAPES:
            out += _ESCAPES[code].encode()
        else:
            raise ValueError(f"unknown escape \\{code} in {text!r}")
    return bytes(out)


class Splitter:
    """Cuts a stream of bytes at a delimiter. The last piece needs none."""

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        self._rest = bytearray()
        self._number = 1

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that end in `data`. Raises `BadInput` for one that is far too long."""
        rest = self._rest
        # Only the seam can hold a delimiter that is in neither part.
        seam = bytes(rest[len(rest) - len(self._delimiter) + 1 :])
        if self._delimiter not in seam + data:
            rest += data
            if len(rest) > MAX_PIECE_BYTES:
                raise BadInput(self._number, f"longer than {MAX_PIECE_BYTES} bytes")
            return []
        pieces = (bytes(rest) + data).split(self._delimiter)
        self._rest = bytearray(pieces.pop())
        self._number += len(pieces)
        return pieces

    def end(self) -> list[bytes]:
        """What is left when the stream ends; nothing after a final delimiter."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest] if rest else []


class RawReader:
    """Pieces of input to records: value, or key, separator, value."""

    def __init__(self, key_separator: bytes | None, null: bytes | None, headers: Headers) -> None:
        self._separator = key_separator
        self._null = null
        self._headers = headers
        self._number = 0

    def __call__(self, pieces: Iterable[bytes]) -> Iterator[NewRecord]:
        """The records in `pieces`. Raises `BadInput`."""
        separator, null, headers = self._separator, self._null, self._headers
        for piece in pieces:
            self._number += 1
            key: bytes | None = None
            value: bytes | None = piece
            if separator is not None:
                key, found, value = piece.partition(separator)
                if not found:
                    raise BadInput(self._number, f"no key separator in {piece[:60]!r}")
                if key == null:
                    key = None
            if value == null:
                value = None
            yield NewRecord(key, value, headers)


class JsonReader:
    """JSON lines to records; `headers` come before those of the line."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._number = 0

    def __call__(self, pieces: Iterable[bytes]) -> Iterator[NewRecord]:
        """The records in `pieces`; blank lines are skipped. Raises `BadInput`."""
        for piece in pieces:
            self._number += 1
            if not piece.strip():
                continue
            try:
                yield self._record(json.loads(piece))
            except ValueError as error:
                raise BadInput(self._number, str(error)) from None

    def _record(self, line: object) -> NewRecord:
        if not isinstance(line, dict):
            raise ValueError("not a JSON object")
        unknown = sorted(set(line) - _FIELDS)
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r}")
        return NewRecord(
            _to_bytes(line.get("key")),
            _to_bytes(line.get("value")),
            self._headers + _to_headers(line.get("headers")),
            _to_int(line.get("timestamp"), "timestamp", _MAX_TIMESTAMP),
            _to_int(line.get("partition"), "partition", 2**31 - 1),
        )


def _to_bytes(value: object) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict) and list(value) == ["base64"]:
        try:
            return b64decode(value["base64"], validate=True)
        except (Base64Error, TypeError, ValueError):
            raise ValueError("base64 text is damaged") from None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _to_headers(value: object) -> Headers:
    if value is None:
        return ()
    pairs: Iterable[object] = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        pairs = value
    elif not isinstance(value, dict):
        raise ValueError("headers are neither a list nor an object")
    headers: list[tuple[str, bytes | None]] = []
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError("a header is not [name, value]")
        headers.append((pair[0], _to_bytes(pair[1])))
    return tuple(headers)


def _to_int(value: object, name: str, limit: int) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise ValueError(f"{name} is not an integer from 0 to {limit}")
    return value


def as_text(value: bytes | None) -> str | Mapping[str, str] | None:
    """Bytes for JSON: text where they are UTF-8."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode("ascii")}


RecordWriter = Callable[[str, int, str, Iterable[Record]], bytes]
"""(topic, partition, timestamp type, records) to bytes for stdout."""


def raw_writer(delimiter: bytes, key_separator: bytes | None, null: bytes) -> RecordWriter:
    """Values, or keys and values, each followed by the delimiter; `null` stands for null."""

    def write(_topic: str, _partition: int, _time_type: str, records: Iterable[Record]) -> bytes:
        if key_separator is None:
            pieces = [null if r.value is None else r.value for r in records]
        else:
            pieces = [
                (null if r.key is None else r.key)
                + key_separator
                + (null if r.value is None else r.value)
                for r in records
            ]
        pieces.append(b"")
        return delimiter.join(pieces)

    return write


def json_writer() -> RecordWriter:
    """One JSON object per line."""
    dump = json.JSONEncoder(ensure_ascii=False).encode

    def write(topic: str, partition: int, time_type: str, records: Iterable[Record]) -> bytes:
        lines = [
            dump(
                {
                    "topic": topic,
                    "partition": partition,
                    "offset": record.offset,
                    "timestamp": record.timestamp,
                    "timestamp_type": time_type,
                    "key": as_text(record.key),
                    "value": as_text(record.value),
                    "headers": [[name, as_text(content)] for name, content in record.headers],
                }
            )
            for record in records
        ]
        lines.append("")
        return "\n".join(lines).encode()

    return write
