"""What a node counts of its topics and requests."""

from __future__ import annotations

import logging

import pytest

from barnabas.server.topic_counters import FIELDS, TopicCounters, TopicTable
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.delete_topics_request import DeleteTopicsRequest
from barnabas.wire.messages.delete_topics_response import DeleteTopicsResponse
from tests.unit.server.calm import Session, calm


def shown(counters: TopicCounters) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: value for name in FIELDS if (value := getattr(counters, name))}


def test_what_goes_through_a_topic_is_counted() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t", max_message_bytes="1000")
        assert s.node.node is not None
        counters = s.node.node.broker.topic_counters.of("t")
        data = s.batch(b"a", b"b")
        for _ in range(2):  # the second time by the fast path
            assert (await s.produce("t", data)).error_code == ErrorCode.NONE
        assert shown(counters) == {"events_in": 4, "bytes_in": 2 * len(data), "produces": 2}
        large = s.batch(b"x" * 2000)
        for _ in range(2):
            assert (await s.produce("t", large)).error_code == ErrorCode.MESSAGE_TOO_LARGE
        assert counters.produces == 4
        assert (counters.failed_produces, counters.bytes_rejected) == (2, 2 * len(large))
        assert await s.values("t") == [b"a", b"b"] * 2
        assert (counters.fetches, counters.bytes_out) == (1, 2 * len(data))
        assert (await s.fetch("t", 99)).error_code == ErrorCode.OFFSET_OUT_OF_RANGE
        assert (counters.fetches, counters.failed_fetches) == (2, 1)

    calm(scenario)


def test_the_sum_does_not_fall_when_a_topic_is_deleted() -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"a"))
        assert s.node.node is not None
        table = s.node.node.broker.topic_counters
        await s.ask(DeleteTopicsRequest(topic_names=["t"]), DeleteTopicsResponse, 5)
        assert (table.items(), table.gone.events_in) == ([], 1)

    calm(scenario)


def test_a_topic_has_one_set_of_counters() -> None:
    table = TopicTable()
    made = {name: table.of(name) for name in ("b", "a", "b")}
    assert dict(table.items()) == made
    table.forget("never seen")
    assert shown(table.gone) == {}


@pytest.mark.effect_of("barnabas.slow.request.ms")
def test_a_request_slower_than_configured_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")

    def told(slow_ms: int) -> set[str]:
        caplog.clear()
        calm(scenario, {"barnabas.slow.request.ms": str(slow_ms)})
        return {r.__dict__["api"] for r in caplog.records if r.name == "barnabas.request"}

    caplog.set_level(logging.WARNING)
    # Creating a topic waits for a sync, which takes virtual time.
    assert "CreateTopics" in told(0)
    assert told(60_000) == told(-1) == set()
