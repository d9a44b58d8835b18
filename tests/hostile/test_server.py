"""Bad frames, headers and bodies against the real process: the right answer or a closed connection."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from itertools import groupby

import pytest

from barnabas.wire import codec
from barnabas.wire.apis import API
from barnabas.wire.errors import ErrorCode, ProtocolError
from barnabas.wire.message import Message
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse
from barnabas.wire.messages.metadata_request import MetadataRequest
from barnabas.wire.primitives import write_uvarint
from tests.hostile.conftest import served
from tests.hostile.lengths import INT32_MAX, full_message, lies, truthful
from tests.hostile.target import PROBE, Client, Target, frame, request

KEYS = sorted({key for key, _ in served()})
PRODUCE = 0
API_VERSIONS = 18
CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(192))
HTTP = b"GET / HTTP/1.1\r\nHost: localhost:9092\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"


class Attacker:
    """Sends one bad frame after the other, and connects anew when the node has closed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client: Client | None = None
        self.closed = 0

    def outcome(self, data: bytes) -> list[bytes] | None:
        """The answers to a frame, or None when it cost the connection."""
        client = self._client = self._client or self._target.connect()
        answers = client.outcome(data)
        if answers is None:
            client.close()
            self._client = None
            self.closed += 1
        return answers

    def close(self) -> None:
        """Close the last connection."""
        if self._client is not None:
            self._client.close()


@pytest.fixture
def attacker(target: Target) -> Iterator[Attacker]:
    one = Attacker(target)
    yield one
    one.close()


def understood(cls: type[Message], version: int, body: bytes) -> bool:
    with contextlib.suppress(ProtocolError):
        codec.decode(cls, version, memoryview(body))
        return True
    return False


@pytest.mark.parametrize("key", KEYS, ids=lambda key: API[key].name)
def test_every_length_of_every_request(target: Target, key: int) -> None:
    api = API[key]
    with target.attack():
        attacker = Attacker(target)
        for version in range(api.min_version, api.max_version + 1):
            message = full_message(api.request, version)
            assert bytes(truthful(message, version).out) == codec.encode(message, version)
            for body in lies(message, version):
                answers = attacker.outcome(frame(key, version, body))
                if not understood(api.request, version, body):
                    assert answers is None
                elif key != PRODUCE:  # which is silent with acks=0
                    assert answers is not None
                    assert len(answers) == 1
        attacker.close()
        assert len(target.new_log()) <= attacker.closed


@pytest.mark.parametrize("key", KEYS, ids=lambda key: API[key].name)
def test_a_request_that_is_cut_off(target: Target, attacker: Attacker, key: int) -> None:
    api = API[key]
    with target.attack():
        for version in (api.min_version, api.max_version):
            body = codec.encode(full_message(api.request, version), version)
            for size in range(0, len(body), 1 + len(body) // 24):
                if not understood(api.request, version, body[:size]):
                    assert attacker.outcome(frame(key, version, body[:size])) is None
        attacker.close()


@pytest.mark.parametrize("size", [-(2**31), -2, -1, 0, 7, INT32_MAX, 104_857_601])
def test_frame_sizes_that_cannot_be(target: Target, size: int) -> None:
    with target.attack(lines=1), target.connect() as client:
        client.send(struct.pack(">i", size) + request(ApiVersionsRequest(), 0)[4:])
        assert client.closed_by_node()


def test_frame_one_byte_short_or_long(target: Target) -> None:
    whole = request(MetadataRequest(topics=[]), 4)
    with target.attack(lines=1):
        with target.connect() as client:
            client.send(struct.pack(">i", len(whole) - 3) + whole[4:])  # waits for one more byte
        with target.connect() as client:
            client.send(struct.pack(">i", len(whole) - 5) + whole[4:] + PROBE)
            assert client.closed_by_node()


def test_lengths_of_the_client_id(target: Target, attacker: Attacker) -> None:
    rest = b"abcdef" + codec.encode(MetadataRequest(topics=[]), 4)
    with target.attack():
        for length in (-(2**15), -2, -1, 0, 2**15 - 1, len(rest) - 1, len(rest), len(rest) + 1):
            data = struct.pack(">hhih", 3, 4, 1, length) + rest
            attacker.outcome(struct.pack(">i", len(data)) + data)
        data = struct.pack(">hhih", 3, 4, 1, 2) + b"\xff\xfe" + codec.encode(MetadataRequest(), 4)
        assert attacker.outcome(struct.pack(">i", len(data)) + data) is None
        attacker.close()
        assert len(target.new_log()) <= attacker.closed


def test_unknown_apis_and_versions(target: Target, attacker: Attacker) -> None:
    known = set(served())
    with target.attack():
        for key in (*range(101), 2**15 - 1, -1):
            api = API.get(key)
            low, high = (api.min_version, api.max_version) if api else (0, 0)
            for version in {-(2**15), -1, *range(low - 1, high + 3), 2**15 - 1}:
                if (key, version) in known or key == API_VERSIONS:
                    continue
                assert attacker.outcome(frame(key, version, b"\0" * 40)) is None, (key, version)
        attacker.close()
        assert len(target.new_log()) <= attacker.closed


@pytest.mark.parametrize("version", [-1, 5, 17, 2**15 - 1])
def test_unknown_version_of_api_versions_is_told_the_range(target: Target, version: int) -> None:
    with target.attack(lines=0), target.connect() as client:
        client.send(frame(API_VERSIONS, version, b"\0" * 40))
        answer = client.receive()
        assert answer is not None
        told = codec.decode(ApiVersionsResponse, 0, memoryview(answer), 4)
        assert told.error_code == ErrorCode.UNSUPPORTED_VERSION
        assert [(api.api_key, api.max_version) for api in told.api_keys] == [(API_VERSIONS, 4)]


@pytest.mark.parametrize("greeting", [CLIENT_HELLO, HTTP], ids=["tls", "http"])
def test_other_protocols(target: Target, greeting: bytes) -> None:
    with target.attack(lines=1), target.connect() as client:
        client.send(greeting)
        assert client.closed_by_node()


def test_frames_byte_by_byte(target: Target) -> None:
    whole = request(MetadataRequest(topics=[]), 12, correlation=5) + request(
        ApiVersionsRequest(), 0, correlation=6
    )
    with target.attack(lines=0), target.connect() as client:
        for at in range(len(whole)):
            client.send(whole[at : at + 1])
        for correlation in (5, 6):
            answer = client.receive()
            assert answer is not None
            assert answer[:4] == struct.pack(">i", correlation)


def test_closed_inside_a_frame_at_every_byte(target: Target) -> None:
    whole = request(MetadataRequest(topics=[]), 12)
    with target.attack(lines=0):
        for size in range(len(whole)):
            with target.connect() as client:
                client.send(whole[:size])


def flexible_bodies() -> list[tuple[int, int, Message]]:
    last = {key: max(v for _, v in group) for key, group in groupby(served(), lambda kv: kv[0])}
    return [
        (key, version, full_message(API[key].request, version))
        for key, version in last.items()
        if version >= API[key].flexible
    ]


@pytest.mark.parametrize("count", [65, 1_000_000])
def test_floods_of_tagged_fields(target: Target, attacker: Attacker, count: int) -> None:
    tags = bytearray()
    write_uvarint(tags, count)
    if count < 2**14:
        for tag in range(count):
            write_uvarint(tags, 100 + tag)
            tags.append(0)
    else:
        tags += b"".join(
            struct.pack(">BBBB", 0x80 | i & 127, 0x80 | i >> 7 & 127, i >> 14, 0)
            for i in range(2**14, count)
        )
    with target.attack():
        for key, version, message in flexible_bodies():
            body = codec.encode(message, version)
            assert attacker.outcome(frame(key, version, body[:-1] + tags)) is None
            head = struct.pack(">hhih", key, version, 1, -1) + tags + body
            assert attacker.outcome(struct.pack(">i", len(head)) + head) is None
        attacker.close()
        assert len(target.new_log()) <= attacker.closed
