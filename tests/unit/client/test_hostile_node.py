"""Whatever a node answers, the client gets a message or a `ProtocolError`, within its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barnabas.client.exchange import Exchange
from barnabas.wire.errors import ProtocolError
from barnabas.wire.headers import response_frame
from barnabas.wire.message import Message
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersion, ApiVersionsResponse
from barnabas.wire.messages.fetch_request import FetchRequest
from barnabas.wire.messages.fetch_response import (
    FetchableTopicResponse,
    FetchResponse,
    PartitionData,
)
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.messages.metadata_response import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

CASES: dict[str, tuple[Message, Message, int]] = {
    "ApiVersions": (
        ApiVersionsRequest(),
        ApiVersionsResponse(api_keys=[ApiVersion(api_key=3, max_version=9)] * 3),
        4,
    ),
    "Metadata": (
        MetadataRequest(),
        MetadataResponse(
            brokers=[MetadataResponseBroker(node_id=1, host="h", port=1)],
            topics=[
                MetadataResponseTopic(
                    name="t", partitions=[MetadataResponsePartition(replica_nodes=[1, 2])]
                )
            ],
        ),
        12,
    ),
    "Fetch": (
        FetchRequest(),
        FetchResponse(
            responses=[
                FetchableTopicResponse(partitions=[PartitionData(records=memoryview(b"x" * 50))])
            ]
        ),
        16,
    ),
}


def receive(name: str, body: bytes) -> None:
    """Hand a frame to a client that waits for this response; only a ProtocolError may come."""
    request, response, version = CASES[name]
    talk: Exchange[str] = Exchange("me", 10_000)
    talk.send(request, version, type(response), "token")
    try:
        replies = talk.receive(len(body).to_bytes(4, "big") + body)
    except ProtocolError:
        return
    assert [token for token, _ in replies] == ["token"]


def good(name: str) -> bytes:
    _, response, version = CASES[name]
    return bytes(response_frame(response, version, 0))[4:]


@pytest.mark.parametrize("name", CASES)
def test_every_cut(name: str) -> None:
    body = good(name)
    for end in range(len(body) + 1):
        receive(name, body[:end])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("byte", [0x00, 0x7F, 0x80, 0xFF])
def test_every_byte_replaced(name: str, byte: int) -> None:
    body = bytearray(good(name))
    for position in range(len(body)):
        before, body[position] = body[position], byte
        receive(name, bytes(body))
        body[position] = before


@given(st.sampled_from(sorted(CASES)), st.binary(max_size=200))
def test_noise(name: str, noise: bytes) -> None:
    receive(name, bytes(4) + noise)
