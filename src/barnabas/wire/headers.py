"""Headers of requests and responses, for both sides of a connection.

A frame is a signed 32-bit size (not counting itself), a header and a body. Flexible versions take
the headers with tagged fields (request 2, response 1), the others those without (request 1,
response 0). The client id is in the old string form in every version. Unknown tagged fields of
headers are skipped: Kafka 4.3 defines none.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from barnabas.wire.apis import API
from barnabas.wire.codec import gatherer, writer
from barnabas.wire.errors import ProtocolError
from barnabas.wire.limits import MAX_STRING_BYTES
from barnabas.wire.message import Message
from barnabas.wire.primitives import Buffer
from barnabas.wire.reading import tagged_section

_REQUEST = Struct(">hhih")
_FRAME = Struct(">i")


class RequestHeader(NamedTuple):
    """A parsed request header; `end` is where the body starts.

    `client_id` is empty when the client sent null, as Kafka has it.
    """

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str
    end: int


def parse_request_header(view: Buffer) -> RequestHeader:
    """Parse the header at the start of a request frame (without its size).

    The version is not checked against the API's range: an unknown version of ApiVersions has an
    answer. Raises `ProtocolError` for bytes that are no header and for an unknown API key.
    """
    try:
        key, version, correlation_id, length = _REQUEST.unpack_from(view)
    except StructError:
        raise ProtocolError("request header is cut off") from None
    api = API.get(key)
    if api is None:
        raise ProtocolError(f"unknown API key {key}")
    end = 10 + length if length > 0 else 10
    if end > len(view):
        raise ProtocolError("client id is cut off")
    try:
        client_id = str(view[10:end], "utf-8") if length > 0 else ""
    except UnicodeDecodeError:
        raise ProtocolError("client id is not UTF-8") from None
    if version >= api.flexible:
        end = _skip_tags(view, end)
    return RequestHeader(key, version, correlation_id, client_id, end)


def _skip_tags(view: Buffer, pos: int) -> int:
    if pos >= len(view):
        raise ProtocolError("header is cut off")
    if view[pos] == 0:
        return pos + 1
    return tagged_section(view, pos, len(view))[1]


def parse_response_header(view: Buffer, api_key: int, version: int) -> tuple[int, int]:
    """Parse the header of a response to (`api_key`, `version`): (correlation id, start of body)."""
    if len(view) < 4:
        raise ProtocolError("response header is cut off")
    (correlation_id,) = _FRAME.unpack_from(view)
    if API[api_key].response_header_version(version) == 0:
        return correlation_id, 4
    return correlation_id, _skip_tags(view, 4)


def write_request_header(
    out: bytearray, api_key: int, version: int, correlation_id: int, client_id: str | None
) -> None:
    """Append a request header (not the frame's size) to `out`."""
    text = b"" if client_id is None else client_id.encode()
    if len(text) > MAX_STRING_BYTES:
        raise ValueError("client id is too long")
    length = -1 if client_id is None else len(text)
    out += _REQUEST.pack(api_key, version, correlation_id, length)
    out += text
    if version >= API[api_key].flexible:
        out.append(0)


def write_response_header(out: bytearray, api_key: int, version: int, correlation_id: int) -> None:
    """Append a response header (not the frame's size) to `out`."""
    out += _FRAME.pack(correlation_id)
    if API[api_key].response_header_version(version):
        out.append(0)


def request_frame(
    message: Message, version: int, correlation_id: int, client_id: str | None
) -> bytearray:
    """A whole request, with size and header."""
    out = bytearray(4)
    write_request_header(out, message.API_KEY, version, correlation_id, client_id)
    writer(type(message), version)(message, out)
    _FRAME.pack_into(out, 0, len(out) - 4)
    return out


def response_frame(message: Message, version: int, correlation_id: int) -> bytearray:
    """A whole response, with size and header."""
    out = bytearray(4)
    write_response_header(out, message.API_KEY, version, correlation_id)
    writer(type(message), version)(message, out)
    _FRAME.pack_into(out, 0, len(out) - 4)
    return out


def response_buffers(message: Message, version: int, correlation_id: int) -> list[Buffer]:
    """A whole response, with size and header, as buffers to send in order.

    Large records are not copied: see `codec.gatherer`.
    """
    out = bytearray(4)
    write_response_header(out, message.API_KEY, version, correlation_id)
    buffers = gatherer(type(message), version)(message, out)
    _FRAME.pack_into(out, 0, sum(map(len, buffers)) - 4)
    return buffers
