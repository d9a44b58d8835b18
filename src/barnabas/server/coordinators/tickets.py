"""A request of a client that a coordinator answers, now or later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from barnabas.server.dispatch import encode_response
from barnabas.wire.apis import API
from barnabas.wire.errors import ErrorCode

if TYPE_CHECKING:
    from barnabas.server.request import Request
    from barnabas.wire.message import Message


class RequestTicket:
    """`coordinator.Ticket` over a request. `refuse(error)` makes the response that says it."""

    __slots__ = ("_refuse", "_request")

    def __init__(self, request: Request, refuse: Callable[[ErrorCode], Message]) -> None:
        self._request = request
        self._refuse = refuse

    def answer(self, response: Message) -> None:
        """Send it."""
        request = self._request
        flexible = request.api_version >= API[request.api_key].flexible
        request.respond(encode_response(request, response, flexible))

    def fail(self, error: ErrorCode) -> None:
        """Send a response that says `error`."""
        self.answer(self._refuse(error))
