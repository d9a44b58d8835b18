"""One request on its way through the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from barnabas.ports import Buffer
from barnabas.server.limits import REQUEST_ELEMENTS
from barnabas.wire import codec
from barnabas.wire.message import Message

if TYPE_CHECKING:
    from barnabas.security.principal import Principal
    from barnabas.server.connection import Connection
    from barnabas.server.dispatch import Entry

#: A response: the header and body, without the size prefix, as one or several buffers.
Payload = bytes | bytearray | list[Buffer]


#: Produce may overlap Produce, Heartbeat and OffsetCommit each other; by API key. The rest is 0.
OVERLAP = bytes({0: 1, 8: 2, 12: 2}.get(key, 0) for key in range(256))

M = TypeVar("M", bound=Message)
_GONE = bytearray()


class Request:
    """A frame with its parsed header, and the place where its answer goes.

    A handler either returns the payload at once, or returns `None` and calls `respond` (or
    `no_response`, or `close`) exactly once later. Answers leave in the order of the requests.
    """

    __slots__ = (
        "answered_ns",
        "api_key",
        "api_version",
        "arrived_ns",
        "began_ns",
        "body",
        "connection",
        "correlation_id",
        "entry",
        "exclusive",
        "frame",
        "left_ns",
        "patience_ns",
        "payload",
        "settled",
        "size",
        "taken_ns",
        "view",
    )

    #: Set on the way (`request_times.py`): arrival, begin and end of the handler's turn on the loop,
    #: the answer, the answer's turn.
    arrived_ns: int
    began_ns: int
    left_ns: int
    answered_ns: int
    taken_ns: int
    entry: Entry

    def __init__(
        self,
        connection: Connection,
        frame: bytearray,
        api_key: int,
        api_version: int,
        correlation_id: int,
        body: int,
    ) -> None:
        self.connection = connection
        self.frame = frame
        self.view = memoryview(frame)
        #: Bytes of the frame, which may be gone (`forget_frame`).
        self.size = len(frame)
        self.api_key = api_key
        self.api_version = api_version
        self.correlation_id = correlation_id
        self.body = body
        #: How long it may wait because the client said so.
        self.patience_ns = 0
        #: No later request may begin before it is answered. Not so of a Produce (unless its records
        #: are being checked off the loop), nor of a Heartbeat or commit that went the short way.
        self.exclusive = api_key != 0
        self.payload: Payload | None = None
        self.settled = False

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self.connection.principal

    @property
    def client_id(self) -> str:
        """The client id of the request header; null is the empty string."""
        return self.connection.client_id

    def decode(self, cls: type[M]) -> M:
        """The body as a message. Raises `ProtocolError`."""
        return codec.decode(cls, self.api_version, self.view, self.body, budget=REQUEST_ELEMENTS)

    def forget_frame(self) -> None:
        """It waits, and what it says is decoded: its bytes are of no use any more."""
        self.frame = _GONE
        self.view = memoryview(_GONE)

    def respond(self, payload: Payload) -> None:
        """Hand in the answer of a parked request; ignored once the connection is gone."""
        self.payload = payload
        self.settled = True
        self.connection.settled(self)

    def no_response(self) -> None:
        """The request (Produce with acks=0) has no answer."""
        self.settled = True
        self.connection.settled(self)

    def close(self, reason: str) -> None:
        """Close the connection instead of an answer."""
        self.connection.fail(reason)


class Parked(Protocol):
    """A request that waits, and wants to know when nobody waits for it any more."""

    def abandon(self) -> None:
        """The client is gone."""

    def hurry(self) -> None:
        """Other requests queue behind this one: answer now."""
