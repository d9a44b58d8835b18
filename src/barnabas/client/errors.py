"""What can go wrong on the client's side of the wire.

What a node answers with an error code is a `barnabas.wire.errors.KafkaError`; what follows here
never reached a node, or its answer never reached us.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from barnabas.wire.errors import ErrorCode

T = TypeVar("T")


class ClientError(Exception):
    """The root of this module's errors."""


class CannotConnect(ClientError):
    """No node answered at any of the addresses that were tried."""


class ConnectionLost(ClientError):
    """The connection ended while an answer was outstanding; the request may have been executed."""


class RequestTimedOut(ClientError):
    """No answer in time; the request may have been executed."""


class DeliveryFailed(ClientError):
    """A record was given up; `maybe_written` says whether a copy of it may be in the log.

    `attempts` counts how often it was sent; the cause is what the last attempt met.
    """

    def __init__(self, message: str, *, maybe_written: bool, attempts: int = 0) -> None:
        super().__init__(message)
        self.maybe_written = maybe_written
        self.attempts = attempts


class BufferFull(ClientError):
    """Records that wait take all of `buffer.memory`: wait for room first."""


class RecordTooLarge(ClientError):
    """A record alone exceeds the producer's request limit."""


def only(entries: Sequence[T], what: str) -> T:
    """What a node says about the one thing that it was asked. Raises `ClientError` for silence."""
    if not entries:
        raise ClientError(f"the answer to {what} is empty")
    return entries[0]


def error_code(code: int) -> ErrorCode:
    """The named code; one that is newer than this client counts as UNKNOWN_SERVER_ERROR."""
    try:
        return ErrorCode(code)
    except ValueError:
        return ErrorCode.UNKNOWN_SERVER_ERROR
