"""From (API key, version) to the handler, and from the handler's answer to bytes.

Two kinds of handlers: *raw* ones (Produce, Fetch) read the frame themselves; the others get a decoded
message and return a message, a coroutine that will, or nothing when the request is answered by its
ticket (`coordinators/tickets.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from importlib import import_module
from struct import Struct
from typing import TYPE_CHECKING, Any

from barnabas.server.handlers import DECODED, RAW, REPEATED
from barnabas.server.request import Payload, Request
from barnabas.wire import codec
from barnabas.wire.apis import API, Api
from barnabas.wire.errors import ErrorCode, KafkaError, ProtocolError
from barnabas.wire.message import Message

if TYPE_CHECKING:
    from barnabas.server.broker import Broker
    from barnabas.server.request_times import ApiTimes

_CORRELATION = Struct(">i")
API_VERSIONS = 18

MessageHandler = Callable[["Broker", Request, Any], Message | Coroutine[Any, Any, Message] | None]


class Entry:
    """What serves one version of one API, and how often it did."""

    __slots__ = ("count", "flexible", "handle", "times")

    def __init__(
        self, handle: Callable[[Request], Payload | None], flexible: bool, times: ApiTimes
    ) -> None:
        self.handle = handle
        self.flexible = flexible
        self.count = 0
        self.times = times


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


def build_table(broker: Broker, *, controller: bool) -> dict[tuple[int, int], Entry]:
    """All versions of all APIs that a listener serves."""
    table: dict[tuple[int, int], Entry] = {}
    for key in sorted(RAW | DECODED):
        api = API[key]
        if not (api.on_controller if controller else api.on_broker):
            continue
        for version in range(api.min_version, api.max_version + 1):
            table[(key, version)] = _lazy_entry(broker, api, version >= api.flexible)
    return table


def _lazy_entry(broker: Broker, api: Api, flexible: bool) -> Entry:
    """An entry whose handler is imported at its first request."""

    def first(request: Request) -> Payload | None:
        if api.key in RAW:
            entry.handle = partial(_load(RAW[api.key]), broker)
        else:
            entry.handle = _message_entry(broker, api, _load(DECODED[api.key]), flexible)
            if api.key in REPEATED:
                entry.handle = _repeated_entry(broker, api, request.api_version, entry.handle)
        return entry.handle(request)

    entry = Entry(first, flexible, broker.recorder.of(api.key))
    return entry


def _load(name: str) -> Callable[..., Any]:
    handle: Callable[..., Any] = import_module(name).handle
    return handle


def _message_entry(
    broker: Broker, api: Api, handler: MessageHandler, flexible: bool
) -> Callable[[Request], Payload | None]:
    def handle(request: Request) -> Payload | None:
        message = request.decode(api.request)
        result = handler(broker, request, message)
        if isinstance(result, Message):
            charge(request, result)
            return encode_response(request, result, flexible)
        if result is not None:
            broker.spawn(_answer_later(request, result, flexible), request)
        return None

    return handle


def _repeated_entry(
    broker: Broker, api: Api, version: int, long_way: Callable[[Request], Payload | None]
) -> Callable[[Request], Payload | None]:
    """An entry with a short way for requests that say what an earlier one has said."""
    from barnabas.server.coordinators.repeats import shortcut

    short = shortcut(broker, api.key, version)

    def handle(request: Request) -> Payload | None:
        if short.take(request):
            return None
        short.learn(request.decode(api.request))
        return long_way(request)

    return handle


def charge(request: Request, response: Any) -> None:
    """Charge for an answer, and let it tell for how long its client is throttled. Not for the
    answers of Produce and Fetch."""
    quotas = request.connection.quotas
    if not quotas.active:
        return
    own_ms = getattr(response, "throttle_time_ms", 0)  # a few have no such field
    exempt = API[request.api_key].internal
    throttle_ms = quotas.answered(request, own_ms, exempt=exempt)
    if throttle_ms > own_ms:
        response.throttle_time_ms = throttle_ms


async def _answer_later(
    request: Request, pending: Coroutine[Any, Any, Message], flexible: bool
) -> None:
    try:
        response = await pending
        charge(request, response)
        payload = encode_response(request, response, flexible)
    except ProtocolError as error:
        request.close(str(error))
    else:
        request.respond(payload)


def unsupported_api_versions(broker: Broker) -> Entry:
    """An unknown ApiVersions version is answered in version 0, with the range we know (KIP-511)."""
    from barnabas.wire.messages.api_versions_response import ApiVersion, ApiVersionsResponse

    api = API[API_VERSIONS]

    def handle(request: Request) -> Payload | None:
        message = ApiVersionsResponse(
            error_code=ErrorCode.UNSUPPORTED_VERSION,
            api_keys=[ApiVersion(api.key, api.advertised_min, api.max_version)],
        )
        out = bytearray(_CORRELATION.pack(request.correlation_id))
        codec.writer(ApiVersionsResponse, 0)(message, out)
        return out

    return Entry(handle, flexible=False, times=broker.recorder.of(API_VERSIONS))


def error_text(error: KafkaError) -> str:
    """The text for an `error_message` field."""
    return error.message or error.code.name
