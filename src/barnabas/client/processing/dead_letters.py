"""Headers of dead letters: where a record came from, and why it could not be worked on. Pure.

The names follow Kafka Connect's (`__connect.errors.topic`, `.exception.class.name`, ...), with a
prefix of our own: tools that know Connect's need one more prefix, and nobody takes our dead letters
for those of a connector. Numbers are decimal text, as Connect writes them.
"""

from __future__ import annotations

import traceback
from typing import NamedTuple

from barnabas.client.consumer.records import Event
from barnabas.records.record import Headers

PREFIX = "__dlq.errors."
REDRIVES = "__dlq.redrives"
"""How often a record was sent back to its topic."""
MAX_MESSAGE_CHARS = 1_024
MAX_TRACE_CHARS = 4_096
_FOREIGN = ("__connect.errors.", "__streams.errors.")
"""Kafka Connect's, and Kafka Streams' (KIP-1034); read, never written."""


def dead_letter_headers(
    event: Event, error: BaseException, attempts: int, group_id: str | None
) -> Headers:
    """Headers of the dead letter: the record's own, and the reason. Reasons of an earlier round go."""
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    trace = "".join(traceback.format_exception(error))[-MAX_TRACE_CHARS:]
    told = {
        "topic": event.topic,
        "partition": event.partition,
        "offset": event.offset,
        "timestamp": event.timestamp,
        "consumer.group": group_id or "",
        "attempts": attempts,
        "exception.class.name": name,
        "exception.message": str(error)[:MAX_MESSAGE_CHARS],
        "exception.stacktrace": trace,
    }
    return (
        *((name, value) for name, value in event.headers if not name.startswith(PREFIX)),
        *((PREFIX + name, str(text).encode("utf-8", "replace")) for name, text in told.items()),
    )


class Reason(NamedTuple):
    """What a dead letter tells of itself; None where it does not."""

    topic: str | None
    partition: int | None
    offset: int | None
    timestamp: int | None
    group: str | None
    attempts: int | None
    exception: str | None
    message: str | None
    stacktrace: str | None
    redrives: int


def read_reason(headers: Headers) -> Reason:
    """The reason in a dead letter's headers, whether ours, Kafka Connect's or Kafka Streams'."""
    found: dict[str, str] = {}
    redrives: str | None = None
    for name, value in headers:
        text = (value or b"").decode("utf-8", "replace")
        if name == REDRIVES:
            redrives = text
        for prefix in (PREFIX, *_FOREIGN):
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = text
    return Reason(
        found.get("topic"),
        _number(found.get("partition")),
        _number(found.get("offset")),
        _number(found.get("timestamp")),
        found.get("consumer.group"),
        _number(found.get("attempts")),
        found.get("exception.class.name", found.get("exception")),
        found.get("exception.message", found.get("message")),
        found.get("exception.stacktrace", found.get("stacktrace")),
        _number(redrives) or 0,
    )


def redriven_headers(headers: Headers) -> Headers:
    """Headers of a record that goes back to its topic: without the reason, counted."""
    again = read_reason(headers).redrives + 1
    prefixes = (PREFIX, *_FOREIGN)
    kept = [each for each in headers if not each[0].startswith(prefixes) and each[0] != REDRIVES]
    return (*kept, (REDRIVES, str(again).encode()))


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
