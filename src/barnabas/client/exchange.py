"""One connection's conversation, without the socket: requests out, responses in, in order.

Kafka answers the requests of one connection in the order in which they came, so a response whose
correlation id is not the oldest outstanding one means that the conversation is broken.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Generic, NamedTuple, TypeVar

from barnabas.ports import Buffer
from barnabas.wire.codec import decode
from barnabas.wire.errors import ErrorCode, ProtocolError, UnsupportedVersion
from barnabas.wire.frames import FrameReader
from barnabas.wire.headers import parse_response_header, request_frame
from barnabas.wire.message import Message
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse

Token = TypeVar("Token")
_ERROR = Struct(">h")
_MAX_CORRELATION_ID = 0x7FFFFFFF
MAX_RESPONSE_ELEMENTS = 10_000_000
"""Array elements in one response: the metadata of a huge cluster has millions."""


class _Pending(NamedTuple):
    correlation_id: int
    api_key: int
    version: int
    response: type[Message]
    token: object


class Exchange(Generic[Token]):
    """Correlates responses with requests. A token is whatever the caller wants back."""

    def __init__(self, client_id: str, max_response_bytes: int) -> None:
        self._client_id = client_id
        self._frames = FrameReader(max_response_bytes)
        self._pending: deque[_Pending] = deque()
        self._next_id = 0
        self._node_versions: dict[int, tuple[int, int]] | None = None

    @property
    def outstanding(self) -> int:
        """How many requests wait for their response."""
        return len(self._pending)

    def negotiated(self, response: ApiVersionsResponse) -> None:
        """Note the version ranges that the node lists."""
        self._node_versions = {
            entry.api_key: (entry.min_version, entry.max_version) for entry in response.api_keys
        }

    def supports(self, request: type[Message]) -> bool:
        """Whether the node and this client share a version of the API."""
        low, high = self._common(request)
        return low <= high

    def version(self, request: type[Message], at_most: int = 32_767) -> int:
        """The highest version that both sides know. Raises `UnsupportedVersion`."""
        low, high = self._common(request)
        if low > min(high, at_most):
            raise UnsupportedVersion(f"the node offers no version of {request.NAME} known here")
        return min(high, at_most)

    def _common(self, request: type[Message]) -> tuple[int, int]:
        low, high = request.VERSIONS
        if self._node_versions is None:
            return low, high
        node_low, node_high = self._node_versions.get(request.API_KEY, (0, -1))
        return max(low, node_low), min(high, node_high)

    def send(
        self,
        request: Message,
        version: int,
        response: type[Message] | None,
        token: Token | None,
    ) -> bytearray:
        """The frame of a request; `response=None` for one that has no answer (acks=0).

        Raises `UnsupportedVersion` when the request says more than the version can.
        """
        correlation_id = self._next_id
        self._next_id = (correlation_id + 1) & _MAX_CORRELATION_ID
        frame = request_frame(request, version, correlation_id, self._client_id)
        if response is not None:
            self._pending.append(
                _Pending(correlation_id, request.API_KEY, version, response, token)
            )
        return frame

    def receive(self, data: Buffer) -> list[tuple[Token, Message]]:
        """Responses that `data` completes. Raises `ProtocolError` when the node breaks the rules."""
        return [self._reply(frame) for frame in self._frames.feed(data)]

    def _reply(self, frame: memoryview) -> tuple[Token, Message]:
        if not self._pending:
            raise ProtocolError("a response without a request")
        pending = self._pending[0]
        correlation_id, start = parse_response_header(frame, pending.api_key, pending.version)
        if correlation_id != pending.correlation_id:
            raise ProtocolError(f"response {correlation_id}, {pending.correlation_id} was due")
        version = pending.version
        if pending.response is ApiVersionsResponse and _is_refusal(frame, start):
            version = 0
        message = decode(pending.response, version, frame, start, budget=MAX_RESPONSE_ELEMENTS)
        self._pending.popleft()
        return pending.token, message  # type: ignore[return-value]

    def abandon(self) -> list[Token]:
        """The tokens of all outstanding requests, oldest first; none is outstanding afterwards."""
        tokens: list[Token] = [pending.token for pending in self._pending]  # type: ignore[misc]
        self._pending.clear()
        return tokens


def _is_refusal(frame: memoryview, start: int) -> bool:
    """A node that doesn't know the ApiVersions version answers error 35 in the format of v0."""
    if len(frame) < start + 2:
        return False
    code: int = _ERROR.unpack_from(frame, start)[0]
    return code == ErrorCode.UNSUPPORTED_VERSION


def fallback_version(response: ApiVersionsResponse) -> int | None:
    """The ApiVersions version to try after a refusal; None when the answer was no refusal."""
    if response.error_code != ErrorCode.UNSUPPORTED_VERSION:
        return None
    for entry in response.api_keys:
        if entry.api_key == ApiVersionsRequest.API_KEY:
            return min(entry.max_version, ApiVersionsRequest.VERSIONS[1])
    return 0
