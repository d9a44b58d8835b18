"""Filters of dead letters, and the memory of what was sent back."""

from __future__ import annotations

import pytest

from barnabas.cli.dead_letters import NAMES, Letter, Sent, parse_filter
from barnabas.cli.exits import Exit, Failure
from barnabas.client.consumer.leases import OffsetAndMetadata
from barnabas.client.processing.dead_letters import PREFIX, read_reason
from barnabas.client.processing.gaps import NOTHING, decode
from barnabas.records.record import Headers, Record

HEADERS: Headers = (
    ("trace", b"7"),
    (PREFIX + "topic", b"orders"),
    (PREFIX + "exception.class.name", b"builtins.Timeout"),
    (PREFIX + "attempts", b"5"),
)
LETTER = Letter(0, Record(3, 0, b"eu-1", None, HEADERS), read_reason(HEADERS))


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("topic=orders", True),
        ("topic=order", False),
        ("topic!=order", True),
        ("exception~Time", True),
        ("exception~^Time", False),
        ("attempts=5", True),
        ("key~^eu-", True),
        ("value=", False),
        ("value!=x", True),
        ("message~.", False),
        ("header.trace=7", True),
        ("header.a.b!=7", True),
        ("header.trace=a=b", False),
    ],
)
def test_a_filter_passes_what_it_says(text: str, passes: bool) -> None:
    assert parse_filter(text)(LETTER) is passes


@pytest.mark.parametrize("text", ["", "topic", "colour=red", "key~(", "=x", "header.=x"])
def test_other_filters_are_refused(text: str) -> None:
    with pytest.raises(Failure) as raised:
        parse_filter(text)
    assert raised.value.code == Exit.USAGE


@pytest.mark.parametrize("name", ["orders.dlq", "a-DLQ", "x_dlt", "t.dead-letters", "t-deadletter"])
def test_what_dead_letter_topics_are_called(name: str) -> None:
    assert NAMES.fullmatch(name)
    assert not NAMES.fullmatch(name + ".more")


def test_what_was_sent_back_is_told_with_its_gaps() -> None:
    sent = Sent({}, {0: 10})
    for offset in (10, 11, 14):
        sent.add(0, offset)
    ((name, at),) = sent.told("t").items()
    assert (name, at.offset) == (("t", 0), 12)
    again = Sent({0: (at.offset, decode(at.offset, at.metadata))}, {0: 10})
    assert [offset for offset in range(9, 17) if again.has(0, offset)] == [9, 10, 11, 14]
    again.add(0, 12)
    again.add(0, 13)
    assert again.told("t") == {("t", 0): OffsetAndMetadata(15)}


def test_what_is_gone_by_retention_is_not_missing() -> None:
    sent = Sent({0: (5, NOTHING)}, {0: 10})
    sent.add(0, 10)
    assert sent.told("t") == {("t", 0): OffsetAndMetadata(11)}
