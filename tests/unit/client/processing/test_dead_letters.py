"""The headers of dead letters."""

from __future__ import annotations

from barnabas.client.consumer.records import Event
from barnabas.client.processing.dead_letters import (
    MAX_MESSAGE_CHARS,
    MAX_TRACE_CHARS,
    PREFIX,
    REDRIVES,
    Reason,
    dead_letter_headers,
    read_reason,
    redriven_headers,
)

EVENT = Event("orders", 3, 42, 1_700_000_000_000, b"k", b"v", (("trace", b"1"), ("none", None)))


def failure(message: str = "no such customer") -> ValueError:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_the_headers_tell_where_it_was_and_why_it_is_here() -> None:
    headers = dead_letter_headers(EVENT, failure(), 5, "billing")
    assert headers[:2] == EVENT.headers
    told = {name.removeprefix(PREFIX): value for name, value in headers[2:]}
    trace = told.pop("exception.stacktrace")
    assert trace is not None
    assert b"ValueError: no such customer" in trace
    assert told == {
        "topic": b"orders",
        "partition": b"3",
        "offset": b"42",
        "timestamp": b"1700000000000",
        "consumer.group": b"billing",
        "attempts": b"5",
        "exception.class.name": b"ValueError",
        "exception.message": b"no such customer",
    }


def test_a_class_is_named_with_its_module() -> None:
    class Odd(Exception):
        pass

    reason = read_reason(dead_letter_headers(EVENT, Odd(), 1, None))
    assert reason.exception is not None
    assert reason.exception.startswith(__name__ + ".")
    assert reason.group == ""


def test_what_an_error_says_is_bounded() -> None:
    reason = read_reason(dead_letter_headers(EVENT, failure("x" * 100_000), 1, None))
    assert len(reason.message or "") == MAX_MESSAGE_CHARS
    assert len(reason.stacktrace or "") == MAX_TRACE_CHARS


def test_text_that_is_no_unicode_does_not_matter() -> None:
    reason = read_reason(dead_letter_headers(EVENT, failure("\udc80"), 1, None))
    assert reason.message == "?"


def test_a_reason_is_read_back() -> None:
    reason = read_reason(dead_letter_headers(EVENT, failure(), 5, "billing"))
    assert reason._replace(stacktrace=None) == Reason(
        "orders", 3, 42, 1_700_000_000_000, "billing", 5, "ValueError", "no such customer", None, 0
    )


def test_reasons_of_kafka_connect_and_kafka_streams_are_read() -> None:
    connect = read_reason(
        (
            ("__connect.errors.topic", b"a"),
            ("__connect.errors.partition", b"1"),
            ("__connect.errors.exception.class.name", b"E"),
            ("__connect.errors.exception.message", b"m"),
        )
    )
    assert connect[:2] + connect[6:8] == ("a", 1, "E", "m")
    streams = read_reason(
        (("__streams.errors.exception", b"E"), ("__streams.errors.message", b"m"))
    )
    assert streams[6:8] == ("E", "m")


def test_a_record_without_a_reason_and_damaged_numbers() -> None:
    assert set(read_reason(())) == {None, 0}
    assert read_reason(((PREFIX + "offset", b"x"), (PREFIX + "partition", None)))[1:3] == (
        None,
        None,
    )


def test_a_record_that_goes_back_loses_its_reason_and_is_counted() -> None:
    buried = dead_letter_headers(EVENT, failure(), 5, "billing")
    once = redriven_headers(buried)
    assert once == (*EVENT.headers, (REDRIVES, b"1"))
    again = dead_letter_headers(EVENT._replace(headers=once), failure(), 5, "billing")
    assert read_reason(again).redrives == 1
    assert redriven_headers(again) == (*EVENT.headers, (REDRIVES, b"2"))


def test_a_second_burial_tells_only_the_last_reason() -> None:
    first = dead_letter_headers(EVENT, failure("first"), 5, "billing")
    second = dead_letter_headers(EVENT._replace(headers=first), failure("second"), 1, "billing")
    assert [v for name, v in second if name == PREFIX + "exception.message"] == [b"second"]
