"""From (API key, version) to the handler, and from the handler's answer to bytes.

Two kinds of handlers: *raw* ones (Produce, Fetch) read the frame themselves; the others get a decoded
message and return a message, or a coroutine that will.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from struct import Struct
from typing import TYPE_CHECKING, Any

from barnabas.server.request import Payload, Request
from barnabas.wire import codec
from barnabas.wire.apis import API, Api
from barnabas.wire.errors import ErrorCode, KafkaError, ProtocolError
from barnabas.wire.message import Message

if TYPE_CHECKING:
    from barnabas.server.broker import Broker

_CORRELATION = Struct(">i")
API_VERSIONS = 18

RawHandler = Callable[["Broker", Request], Payload | None]
MessageHandler = Callable[["Broker", Request, Any], Message | Coroutine[Any, Any, Message]]


class Entry:
    """What serves one version of one API."""

    __slots__ = ("flexible", "handle")

    def __init__(self, handle: Callable[[Request], Payload | None], flexible: bool) -> None:
        self.handle = handle
        self.flexible = flexible


class Handler:
    """A handler file's registration: the API it serves and how."""

    __slots__ = ("api_key", "message", "raw")

    def __init__(
        self, api_key: int, *, message: MessageHandler | None = None, raw: RawHandler | None = None
    ) -> None:
        self.api_key = api_key
        self.message = message
        self.raw = raw


def response_header(request: Request, flexible: bool) -> bytearray:
    """The response header; ApiVersions always answers with the old one (KIP-511)."""
    head = bytearray(_CORRELATION.pack(request.correlation_id))
    if flexible and request.api_key != API_VERSIONS:
        head.append(0)
    return head


def encode_response(request: Request, message: Message, flexible: bool) -> bytearray:
    """Header and body of an answer."""
    out = response_header(request, flexible)
    codec.writer(type(message), request.api_version)(message, out)
    return out


def build_table(
    broker: Broker, handlers: Iterable[Handler], *, controller: bool
) -> dict[tuple[int, int], Entry]:
    """All versions of all APIs that a listener serves."""
    table: dict[tuple[int, int], Entry] = {}
    for handler in handlers:
        api = API[handler.api_key]
        if not (api.on_controller if controller else api.on_broker):
            continue
        for version in range(api.min_version, api.max_version + 1):
            flexible = version >= api.flexible
            if handler.raw is not None:
                entry = Entry(_raw_entry(broker, handler.raw), flexible)
            else:
                assert handler.message is not None
                entry = Entry(_message_entry(broker, api, handler.message, flexible), flexible)
            table[(api.key, version)] = entry
    return table


def _raw_entry(broker: Broker, handler: RawHandler) -> Callable[[Request], Payload | None]:
    def handle(request: Request) -> Payload | None:
        return handler(broker, request)

    return handle


def _message_entry(
    broker: Broker, api: Api, handler: MessageHandler, flexible: bool
) -> Callable[[Request], Payload | None]:
    def handle(request: Request) -> Payload | None:
        message = codec.decode(api.request, request.api_version, request.view, request.body)
        result = handler(broker, request, message)
        if isinstance(result, Message):
            return encode_response(request, result, flexible)
        broker.spawn(_answer_later(request, result, flexible))
        return None

    return handle


async def _answer_later(
    request: Request, pending: Coroutine[Any, Any, Message], flexible: bool
) -> None:
    try:
        response = await pending
        payload = encode_response(request, response, flexible)
    except ProtocolError as error:
        request.close(str(error))
    except BaseException:
        # Our bug: the task fails loudly in the log, the client learns it by the closed connection.
        request.close("internal error")
        raise
    else:
        request.respond(payload)


def unsupported_api_versions(broker: Broker) -> Entry:
    """An unknown ApiVersions version is answered in version 0, with the range we know (KIP-511)."""
    from barnabas.wire.messages.api_versions_response import ApiVersion, ApiVersionsResponse

    del broker
    api = API[API_VERSIONS]

    def handle(request: Request) -> Payload | None:
        message = ApiVersionsResponse(
            error_code=ErrorCode.UNSUPPORTED_VERSION,
            api_keys=[ApiVersion(api.key, api.advertised_min, api.max_version)],
        )
        out = bytearray(_CORRELATION.pack(request.correlation_id))
        codec.writer(ApiVersionsResponse, 0)(message, out)
        return out

    return Entry(handle, flexible=False)


def error_text(error: KafkaError) -> str:
    """The text for an `error_message` field."""
    return error.message or error.code.name
