"""The fetcher's rules: what is asked for, what is handed out, and what stays hidden."""

from __future__ import annotations

import pytest

from barnabas.client.config import FetchConfig
from barnabas.client.errors import ClientError
from barnabas.client.fetch_core import FetchCore
from barnabas.records.builder import build_batch
from barnabas.records.compression import Codec
from barnabas.records.control import EndMarker, build_marker
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.fetch_response import AbortedTransaction, PartitionData

T0 = ("t", 0)


def batch(base: int, *values: bytes, producer: int = -1, txn: bool = False) -> bytes:
    records = [(None, value, 1000, ()) for value in values]
    return bytes(build_batch(records, base_offset=base, producer_id=producer, transactional=txn))


def marker(offset: int, producer: int, *, commit: bool) -> bytes:
    return bytes(build_marker(producer, 0, EndMarker(commit, 0), 1000, base_offset=offset))


def core(position: int = 0, *, committed: bool = False) -> FetchCore:
    made = FetchCore(FetchConfig(read_committed=committed))
    made.assign({T0: position})
    return made


def give(
    fetch: FetchCore, *batches: bytes, aborted: list[tuple[int, int]] | None = None, at: int = 0
) -> None:
    entries = [AbortedTransaction(producer_id=p, first_offset=o) for p, o in aborted or []]
    data = PartitionData(
        high_watermark=99, aborted_transactions=entries, records=memoryview(b"".join(batches))
    )
    fetch.received(T0, at, data, 0)


def values(fetch: FetchCore) -> list[bytes | None]:
    found: list[bytes | None] = []
    while (taken := fetch.take()) is not None:
        found += [record.value for record in taken.records]
    return found


def test_records_come_in_order_and_move_the_position() -> None:
    fetch = core()
    give(fetch, batch(0, b"a", b"b"), batch(2, b"c"))
    assert fetch.has_data
    taken = fetch.take()
    assert taken is not None
    assert [(r.offset, r.value) for r in taken.records] == [(0, b"a"), (1, b"b")]
    assert fetch.positions() == {T0: 2}
    assert values(fetch) == [b"c"]
    assert fetch.positions() == {T0: 3}
    assert fetch.high_watermark(T0) == 99


def test_a_partition_is_asked_for_again_when_all_was_handed_out() -> None:
    fetch = core()
    assert fetch.wanted(0) == [(T0, 0)]
    give(fetch, batch(0, b"a"))
    assert fetch.wanted(0) == []
    values(fetch)
    assert fetch.wanted(0) == [(T0, 1)]


def test_records_before_the_position_are_left_out() -> None:
    fetch = core(2)
    give(fetch, batch(0, b"a"), batch(1, b"b", b"c", b"d"), at=2)
    assert values(fetch) == [b"c", b"d"]


def test_an_answer_for_another_offset_is_ignored() -> None:
    fetch = core(5)
    give(fetch, batch(0, b"a"), at=0)
    fetch.assign({("u", 0): 0})
    give(fetch, batch(5, b"a"), at=5)
    assert not fetch.has_data


def test_a_dropped_partition_is_forgotten() -> None:
    fetch = core()
    give(fetch, batch(0, b"a"))
    fetch.drop(*[T0])
    assert fetch.take() is None
    assert fetch.positions() == {}


def test_half_a_batch_at_the_end_is_left_for_later() -> None:
    fetch = core()
    give(fetch, batch(0, b"a"), batch(1, b"b")[:-1])
    assert values(fetch) == [b"a"]
    assert fetch.wanted(0) == [(T0, 1)]


def test_compressed_batches_and_append_time() -> None:
    fetch = core()
    built = build_batch([(b"k", b"v", 1, ())], codec=Codec.ZSTD, log_append_time=777)
    give(fetch, bytes(built))
    taken = fetch.take()
    assert taken is not None
    assert (taken.records[0].timestamp, taken.time_type) == (777, "LogAppendTime")


# -- transactions --


def test_control_batches_are_never_handed_out_but_count() -> None:
    fetch = core()
    give(fetch, batch(0, b"a", producer=7, txn=True), marker(1, 7, commit=False))
    assert values(fetch) == [b"a"]
    assert fetch.positions() == {T0: 2}
    assert fetch.skipped


def test_read_committed_hides_aborted_transactions_only() -> None:
    fetch = core(committed=True)
    give(
        fetch,
        batch(0, b"plain"),
        batch(1, b"aborted", producer=7, txn=True),
        batch(2, b"committed", producer=8, txn=True),
        batch(3, b"idempotent", producer=7),
        marker(4, 7, commit=False),
        batch(5, b"next", producer=7, txn=True),
        marker(6, 8, commit=True),
        marker(7, 7, commit=True),
        aborted=[(7, 1)],
    )
    assert values(fetch) == [b"plain", b"committed", b"idempotent", b"next"]
    assert fetch.positions() == {T0: 8}


def test_read_committed_with_two_aborts_of_one_producer() -> None:
    fetch = core(committed=True)
    give(
        fetch,
        batch(0, b"no", producer=7, txn=True),
        marker(1, 7, commit=False),
        batch(2, b"yes", producer=7, txn=True),
        marker(3, 7, commit=True),
        batch(4, b"no", producer=7, txn=True),
        marker(5, 7, commit=False),
        aborted=[(7, 4), (7, 0)],
    )
    assert values(fetch) == [b"yes"]


def test_read_uncommitted_shows_everything() -> None:
    fetch = core()
    give(fetch, batch(0, b"a", producer=7, txn=True), aborted=[(7, 0)])
    assert values(fetch) == [b"a"]


# -- failures --


def test_a_retriable_error_pauses_the_partition_and_asks_for_metadata() -> None:
    fetch = core()
    error = PartitionData(error_code=ErrorCode.NOT_LEADER_OR_FOLLOWER)
    fetch.received(T0, 0, error, 1000)
    assert fetch.stale_topics == {"t"}
    assert fetch.wanted(1000) == []
    assert fetch.wanted(1100) == [(T0, 0)]
    assert fetch.take() is None


def test_an_offset_out_of_range_is_told() -> None:
    fetch = core(7)
    fetch.received(T0, 7, PartitionData(error_code=ErrorCode.OFFSET_OUT_OF_RANGE), 0)
    with pytest.raises(KafkaError, match="t-0 at offset 7") as caught:
        fetch.take()
    assert caught.value.code is ErrorCode.OFFSET_OUT_OF_RANGE
    assert fetch.take() is None


def test_good_records_come_before_the_failure_of_another_partition() -> None:
    fetch = FetchCore(FetchConfig())
    fetch.assign({T0: 0, ("t", 1): 0})
    fetch.received(("t", 1), 0, PartitionData(error_code=ErrorCode.UNKNOWN_SERVER_ERROR), 0)
    give(fetch, batch(0, b"a"))
    taken = fetch.take()
    assert taken is not None
    assert taken.records[0].value == b"a"
    with pytest.raises(KafkaError):
        fetch.take()


@pytest.mark.parametrize("position", [16, 17, 30, 61])
def test_damaged_data_is_told_and_nothing_behind_it_is_handed_out(position: int) -> None:
    fetch = core()
    damaged = bytearray(batch(0, b"a"))
    damaged[position] ^= 0xFF
    give(fetch, bytes(damaged), batch(1, b"b"))
    with pytest.raises(ClientError, match="damaged data at offset 0"):
        fetch.take()
    assert fetch.take() is None
    assert fetch.positions() == {T0: 0}


def test_a_batch_that_inflates_too_far_is_refused() -> None:
    fetch = FetchCore(FetchConfig(max_inflated_batch_bytes=1000))
    fetch.assign({T0: 0})
    give(fetch, bytes(build_batch([(None, bytes(5000), 1, ())], codec=Codec.GZIP)))
    with pytest.raises(ClientError, match="damaged data"):
        fetch.take()


def test_an_unreachable_node_postpones_its_partitions() -> None:
    fetch = core()
    fetch.postpone([T0, ("gone", 0)], 500)
    assert fetch.wanted(499) == []
    assert fetch.wanted(500) == [(T0, 0)]
