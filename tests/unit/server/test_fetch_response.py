"""Hand-written Fetch responses are what the codec reads."""

from __future__ import annotations

import pytest

from barnabas.server.fetch_response import FetchResult, Node, encode
from barnabas.server.fetch_sessions import FetchPartition
from barnabas.wire import codec
from barnabas.wire.errors import ErrorCode
from barnabas.wire.headers import parse_response_header
from barnabas.wire.messages.fetch_response import FetchResponse

TOPIC_ID = bytes(range(16))
OTHER_ID = bytes(range(1, 17))


def partition(name: str, topic_id: bytes, index: int) -> FetchPartition:
    return FetchPartition(name, topic_id, index)


def decoded(version: int, payload: list[bytes]) -> FetchResponse:
    data = memoryview(b"".join(payload))
    correlation_id, start = parse_response_header(data, 1, version)
    assert correlation_id == 77
    return codec.decode(FetchResponse, version, data, start, exact=True)


@pytest.mark.parametrize("version", range(4, 19))
@pytest.mark.parametrize("size", [0, 10, 1023, 1024, 100_000])
def test_every_version_reads_back(version: int, size: int) -> None:
    results = [
        FetchResult(partition("a", TOPIC_ID, 0), ErrorCode.NONE, 10, 9, 1, bytes(size)),
        FetchResult(
            partition("a", TOPIC_ID, 1), ErrorCode.NONE, 5, 5, 0, b"x" * size, aborted=[(7, 3)]
        ),
        FetchResult(partition("b", OTHER_ID, 0), ErrorCode.OFFSET_OUT_OF_RANGE),
    ]
    response = decoded(version, encode(version, 77, 42, ErrorCode.NONE, results))  # type: ignore[arg-type]
    assert len(response.responses) == 2
    first, second = response.responses[0].partitions
    assert (first.partition_index, first.high_watermark, first.last_stable_offset) == (0, 10, 9)
    assert bytes(first.records or b"") == bytes(size)
    assert first.aborted_transactions is None
    assert second.aborted_transactions is not None
    assert [(t.producer_id, t.first_offset) for t in second.aborted_transactions] == [(7, 3)]
    assert bytes(second.records or b"") == b"x" * size
    (failed,) = response.responses[1].partitions
    assert failed.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
    assert failed.high_watermark == -1
    if version >= 13:
        assert [r.topic_id for r in response.responses] == [TOPIC_ID, OTHER_ID]
    else:
        assert [r.topic for r in response.responses] == ["a", "b"]
    assert response.session_id == (42 if version >= 7 else 0)
    assert first.log_start_offset == (1 if version >= 5 else -1)


@pytest.mark.parametrize("version", [12, 16, 18])
def test_diverging_epoch_and_leader_hints(version: int) -> None:
    results = [
        FetchResult(partition("a", TOPIC_ID, 0), ErrorCode.NONE, 10, 10, 0, diverging=(3, 8)),
        FetchResult(partition("a", TOPIC_ID, 1), ErrorCode.FENCED_LEADER_EPOCH, leader=(1, 5)),
    ]
    nodes = [Node(1, "host", 9092, None), Node(2, "other", 9093, "rack")] if version >= 16 else []
    response = decoded(version, encode(version, 77, 0, ErrorCode.NONE, results, nodes))  # type: ignore[arg-type]
    first, second = response.responses[0].partitions
    assert (first.diverging_epoch.epoch, first.diverging_epoch.end_offset) == (3, 8)
    assert (second.current_leader.leader_id, second.current_leader.leader_epoch) == (1, 5)
    told = [(n.node_id, n.host, n.port, n.rack) for n in response.node_endpoints]
    assert told == [tuple(n) for n in nodes]


def test_an_error_has_no_topics() -> None:
    response = decoded(11, encode(11, 77, 0, ErrorCode.FETCH_SESSION_ID_NOT_FOUND, ()))  # type: ignore[arg-type]
    assert response.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    assert response.responses == []
