"""Turns the client's errors into failures of a command. Imported once something went wrong."""

from __future__ import annotations

from barnabas.cli.exits import Exit, Failure
from barnabas.client.errors import CannotConnect, ClientError, DeliveryFailed, RequestTimedOut
from barnabas.wire.errors import ErrorCode, KafkaError

_NOT_FOUND = frozenset(
    {
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.OFFSET_OUT_OF_RANGE,
        ErrorCode.BROKER_NOT_AVAILABLE,
        ErrorCode.GROUP_ID_NOT_FOUND,
        ErrorCode.TRANSACTIONAL_ID_NOT_FOUND,
        ErrorCode.BROKER_ID_NOT_REGISTERED,
    }
)
_HINTS = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: "See what there is with: barnabas topics list",
    ErrorCode.TOPIC_ALREADY_EXISTS: "Use --if-not-exists where that is fine.",
    ErrorCode.GROUP_ID_NOT_FOUND: "See what there is with: barnabas groups list",
    ErrorCode.TRANSACTIONAL_ID_NOT_FOUND: "See what there is with: barnabas transactions list",
    ErrorCode.NON_EMPTY_GROUP: "It has members: see them with barnabas groups members GROUP",
    ErrorCode.INVALID_REPLICATION_FACTOR: "See the brokers with: barnabas cluster describe",
    ErrorCode.BROKER_ID_NOT_REGISTERED: "See the brokers with: barnabas cluster describe",
    ErrorCode.INVALID_UPDATE_VERSION: "See the levels with: barnabas cluster features list",
    ErrorCode.MESSAGE_TOO_LARGE: "The topic's max.message.bytes is the limit for a batch; "
    "raise it, or lower --batch-size.",
    ErrorCode.OFFSET_OUT_OF_RANGE: "See the offsets with: barnabas topics describe TOPIC --offsets",
}


def explain(error: Exception) -> Failure | None:
    """The failure that an error means, None for one that is not the client's."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, CannotConnect):
        return Failure(
            f"Cannot connect: {error}.",
            Exit.CANNOT_CONNECT,
            "Start a node with `barnabas start`, or name one with --bootstrap HOST:PORT.",
        )
    if isinstance(error, RequestTimedOut):
        return Failure(f"{error}.", Exit.TIMED_OUT)
    if isinstance(error, DeliveryFailed):
        known = "it may have been written" if error.maybe_written else "it was not written"
        return Failure(f"Not delivered, {known}: {error}.", Exit.TIMED_OUT)
    if isinstance(error, KafkaError):
        return _refused(error)
    if isinstance(error, ClientError):
        return Failure(f"{error}.", Exit.FAILED)
    return None


def _refused(error: KafkaError) -> Failure:
    text = error.code.name if error.message is None else f"{error.code.name}: {error.message}"
    code = Exit.NOT_FOUND if error.code in _NOT_FOUND else Exit.FAILED
    if error.code == ErrorCode.REQUEST_TIMED_OUT:
        code = Exit.TIMED_OUT
    return Failure(text if text.endswith(".") else f"{text}.", code, _HINTS.get(error.code))
