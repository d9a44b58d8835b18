"""Headers of requests and responses."""

from __future__ import annotations

import pytest

from barnabas.wire import headers
from barnabas.wire.apis import API, API_VERSIONS
from barnabas.wire.codec import decode, encode
from barnabas.wire.errors import ProtocolError
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse
from barnabas.wire.messages.fetch_response import (
    FetchableTopicResponse,
    FetchResponse,
    PartitionData,
)
from barnabas.wire.messages.heartbeat_response import HeartbeatResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.request_header import RequestHeader
from barnabas.wire.messages.response_header import ResponseHeader

METADATA = 3


@pytest.mark.parametrize("version", [8, 9])
@pytest.mark.parametrize("client_id", [None, "", "me", "käfka" * 50])
def test_request_header_is_that_of_the_definition(version: int, client_id: str | None) -> None:
    out = bytearray()
    headers.write_request_header(out, METADATA, version, -7, client_id)
    definition = RequestHeader(METADATA, version, -7, client_id)
    assert out == encode(definition, API[METADATA].request_header_version(version))
    parsed = headers.parse_request_header(memoryview(bytes(out) + b"body"))
    assert parsed == (METADATA, version, -7, client_id or "", len(out))


def test_tagged_fields_of_a_request_header_are_skipped() -> None:
    definition = RequestHeader(METADATA, 12, 1, "me")
    definition.unknown_tags = b"\x05\x03abc\x87\x01\x00"
    data = encode(definition, 2)
    assert headers.parse_request_header(data + b"body").end == len(data)


def test_unknown_versions_of_a_known_api_are_parsed() -> None:
    """A broker answers ApiVersions of a version that it does not know."""
    data = encode(RequestHeader(API_VERSIONS, 99, 5, "me"), 2)
    parsed = headers.parse_request_header(data)
    assert (parsed.api_version, parsed.correlation_id, parsed.end) == (99, 5, len(data))
    data = encode(RequestHeader(METADATA, -1, 5, "me"), 1)
    assert headers.parse_request_header(data).api_version == -1


@pytest.mark.parametrize("key", [-1, 4, 5, 6, 7, 93, 32767])
def test_unknown_api(key: int) -> None:
    with pytest.raises(ProtocolError, match="unknown API key"):
        headers.parse_request_header(encode(RequestHeader(key, 0, 1, "me"), 1))


def test_cut_off_request_headers() -> None:
    data = encode(RequestHeader(METADATA, 12, 1, "client"), 2)
    for size in range(len(data)):
        with pytest.raises(ProtocolError):
            headers.parse_request_header(memoryview(data)[:size])


def test_client_id_that_is_no_text() -> None:
    data = encode(RequestHeader(METADATA, 1, 1, "me"), 1).replace(b"me", b"\xff\xfe")
    with pytest.raises(ProtocolError, match="UTF-8"):
        headers.parse_request_header(data)


def test_client_id_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="too long"):
        headers.write_request_header(bytearray(), METADATA, 1, 1, "x" * 32768)


@pytest.mark.parametrize(("key", "version"), [(METADATA, 8), (METADATA, 9), (API_VERSIONS, 4)])
def test_response_header_is_that_of_the_definition(key: int, version: int) -> None:
    out = bytearray()
    headers.write_response_header(out, key, version, 77)
    assert out == encode(ResponseHeader(77), API[key].response_header_version(version))
    assert headers.parse_response_header(out, key, version) == (77, len(out))


def test_response_header_of_api_versions_is_never_flexible() -> None:
    frame = headers.response_frame(ApiVersionsResponse(), 3, 9)
    assert headers.parse_response_header(frame[4:], API_VERSIONS, 3) == (9, 4)


def test_cut_off_response_headers() -> None:
    for size in range(5):
        with pytest.raises(ProtocolError):
            headers.parse_response_header(bytes(size), METADATA, 9)


def test_request_frame() -> None:
    frame = headers.request_frame(MetadataRequest(topics=None), 12, 3, "me")
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    header = headers.parse_request_header(memoryview(frame)[4:])
    assert (header.api_key, header.client_id) == (METADATA, "me")
    assert decode(MetadataRequest, 12, frame[4:], header.end, exact=True).topics is None


def test_response_frame() -> None:
    frame = headers.response_frame(HeartbeatResponse(throttle_time_ms=4), 4, 3)
    assert frame == b"\0\0\0\x0c" + b"\0\0\0\3\0" + b"\0\0\0\4\0\0\0"


def test_large_records_leave_without_a_copy() -> None:
    large, small = bytes(10_000), b"few"
    message = FetchResponse(
        responses=[
            FetchableTopicResponse(
                topic_id=b"t" * 16,
                partitions=[PartitionData(records=each) for each in (large, small, None, large)],
            )
        ]
    )
    buffers = headers.response_buffers(message, 17, 5)
    assert [buffer for buffer in buffers if buffer is large] == [large, large]
    assert b"".join(buffers) == headers.response_frame(message, 17, 5)
