"""A connection's conversation: order, correlation, versions, bounds."""

from __future__ import annotations

import pytest

from barnabas.client.exchange import Exchange, fallback_version
from barnabas.wire.errors import ProtocolError, UnsupportedVersion
from barnabas.wire.headers import parse_request_header, response_frame
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersion, ApiVersionsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import MetadataResponse
from barnabas.wire.messages.produce_request import ProduceRequest


def exchange(limit: int = 1000) -> Exchange[str]:
    return Exchange("me", limit)


def listed(*ranges: tuple[int, int, int], error: int = 0) -> ApiVersionsResponse:
    keys = [ApiVersion(api_key=k, min_version=lo, max_version=hi) for k, lo, hi in ranges]
    return ApiVersionsResponse(error_code=error, api_keys=keys)


def test_a_request_carries_key_version_correlation_and_client() -> None:
    talk = exchange()
    for correlation in range(3):
        frame = talk.send(MetadataRequest(), 12, MetadataResponse, "t")
        header = parse_request_header(memoryview(frame)[4:])
        assert header[:4] == (3, 12, correlation, "me")
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4


def test_responses_come_in_the_order_of_requests() -> None:
    talk = exchange()
    talk.send(MetadataRequest(), 12, MetadataResponse, "first")
    talk.send(MetadataRequest(), 12, MetadataResponse, "second")
    both = response_frame(MetadataResponse(cluster_id="a"), 12, 0) + response_frame(
        MetadataResponse(cluster_id="b"), 12, 1
    )
    replies = [reply for byte in both for reply in talk.receive(bytes([byte]))]
    assert [token for token, _ in replies] == ["first", "second"]
    assert [getattr(message, "cluster_id", None) for _, message in replies] == ["a", "b"]
    assert talk.outstanding == 0


def test_a_response_out_of_order_breaks_the_conversation() -> None:
    talk = exchange()
    talk.send(MetadataRequest(), 12, MetadataResponse, "first")
    talk.send(MetadataRequest(), 12, MetadataResponse, "second")
    with pytest.raises(ProtocolError, match="response 1, 0 was due"):
        talk.receive(response_frame(MetadataResponse(), 12, 1))
    assert talk.abandon() == ["first", "second"]


def test_a_response_that_nobody_asked_for_breaks_it_too() -> None:
    with pytest.raises(ProtocolError, match="without a request"):
        exchange().receive(response_frame(MetadataResponse(), 12, 0))


def test_a_request_without_answer_waits_for_none() -> None:
    talk = exchange()
    talk.send(ProduceRequest(acks=0), 9, None, None)
    assert talk.outstanding == 0
    talk.send(MetadataRequest(), 12, MetadataResponse, "next")
    assert talk.receive(response_frame(MetadataResponse(), 12, 1))[0][0] == "next"


@pytest.mark.parametrize("size", [-1, 1001, 2**31 - 1])
def test_a_response_beyond_the_bound_is_refused_before_it_arrives(size: int) -> None:
    talk = exchange(1000)
    talk.send(MetadataRequest(), 12, MetadataResponse, "t")
    with pytest.raises(ProtocolError):
        talk.receive(size.to_bytes(4, "big", signed=True))


@pytest.mark.parametrize("cut", [0, 3])
def test_a_response_that_is_cut_off_is_refused(cut: int) -> None:
    talk = exchange()
    talk.send(MetadataRequest(), 12, MetadataResponse, "t")
    with pytest.raises(ProtocolError):
        talk.receive(cut.to_bytes(4, "big") + bytes(cut))


def test_the_highest_common_version_is_used() -> None:
    talk = exchange()
    talk.negotiated(listed((3, 0, 9), (0, 0, 5)))
    assert talk.version(MetadataRequest) == 9
    assert talk.version(MetadataRequest, at_most=4) == 4
    assert talk.version(ProduceRequest) == 5
    assert not talk.supports(ApiVersionsRequest)


def test_no_common_version_is_an_error_that_names_the_api() -> None:
    talk = exchange()
    talk.negotiated(listed((0, 0, 2), (3, 90, 99)))
    for request in (ProduceRequest, MetadataRequest):
        with pytest.raises(UnsupportedVersion, match=request.NAME):
            talk.version(request)


def test_a_refusal_of_api_versions_is_read_in_the_oldest_format() -> None:
    talk = exchange()
    talk.send(ApiVersionsRequest(), 4, ApiVersionsResponse, "t")
    refusal = response_frame(listed((18, 0, 3), error=35), 0, 0)
    [(_, response)] = talk.receive(refusal)
    assert isinstance(response, ApiVersionsResponse)
    assert fallback_version(response) == 3


def test_an_accepted_api_versions_needs_no_fallback() -> None:
    assert fallback_version(listed((18, 0, 4))) is None
    assert fallback_version(listed(error=35)) == 0
