"""A request of a client that a coordinator answers, now or later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from barnabas.server.dispatch import charge, encode_response
from barnabas.wire.apis import API
from barnabas.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from barnabas.server.request import Request
    from barnabas.wire.message import Message


class RequestTicket:
    """`coordinator.Ticket` over a request that one shard answers.

    `refuse(error)` makes the response that says it. `finish`, if any, adds to an answer what the
    handler itself has decided.
    """

    __slots__ = ("_finish", "_refuse", "_request")

    def __init__(
        self,
        request: Request,
        refuse: Callable[[ErrorCode], Message],
        finish: Callable[[Any], Message] | None = None,
    ) -> None:
        self._request = request
        self._refuse = refuse
        self._finish = finish

    def answer(self, response: Message) -> None:
        """Send it."""
        request = self._request
        if self._finish is not None:
            response = self._finish(response)
        charge(request, response)
        flexible = request.api_version >= API[request.api_key].flexible
        request.respond(encode_response(request, response, flexible))

    def fail(self, error: ErrorCode) -> None:
        """Send a response that says `error`."""
        self.answer(self._refuse(error))


class FutureTicket:
    """`coordinator.Ticket` for one of several questions of a request: `await` its future.

    The future raises `KafkaError` when the coordinator fails.
    """

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def answer(self, response: Message) -> None:
        """Wake whoever waits."""
        if not self.future.done():
            self.future.set_result(response)

    def fail(self, error: ErrorCode) -> None:
        """Wake whoever waits, with an error."""
        if not self.future.done():
            self.future.set_exception(KafkaError(error))
