"""Fetch sessions (KIP-227): epochs, order, what is looked at, eviction."""

from __future__ import annotations

from random import Random

import pytest

from barnabas.server.fetch_sessions import (
    MAX_EPOCH,
    MIN_EVICTION_MS,
    NO_SESSION,
    FetchPartition,
    FetchSession,
    FetchSessionCache,
    PartitionKey,
    next_epoch,
)
from barnabas.server.limits import SESSION_PARTITIONS
from barnabas.wire.errors import ErrorCode
from barnabas.wire.uuids import ZERO


def cache(slots: int = 3) -> FetchSessionCache:
    return FetchSessionCache(slots, Random(1).randrange)


def fill(session: FetchSession, count: int) -> None:
    for index in range(count):
        session.put(("t", index), FetchPartition("t", ZERO, index))


def test_epochs_wrap_to_one() -> None:
    assert [next_epoch(e) for e in (0, 1, MAX_EPOCH)] == [1, 2, 1]


def test_a_session_is_found_and_advances() -> None:
    sessions = cache()
    session = sessions.create(1, True, 0)
    assert session is not None
    assert session.id > 0
    assert sessions.use(session.id, 1, True, 5) is session
    assert session.epoch == 2
    assert session.used_ms == 5


@pytest.mark.parametrize(
    ("session_id", "epoch", "ids", "error"),
    [
        (-1, 1, True, ErrorCode.FETCH_SESSION_ID_NOT_FOUND),
        (0, 2, True, ErrorCode.INVALID_FETCH_SESSION_EPOCH),
        (0, 1, False, ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR),
    ],
)
def test_what_does_not_fit_is_an_error(
    session_id: int, epoch: int, ids: bool, error: ErrorCode
) -> None:
    sessions = cache()
    session = sessions.create(1, True, 0)
    assert session is not None
    assert sessions.use(session_id or session.id, epoch, ids, 0) is error
    assert session.epoch == 1


def test_a_partition_that_gave_records_goes_to_the_end() -> None:
    session = FetchSession(1, False, 0)
    fill(session, 3)
    assert [i for _, i in session.dirty] == [0, 1, 2]
    session.served(("t", 0), told=True, unread=True)
    session.served(("t", 1), told=False, unread=False)
    session.served(("t", 2), told=False, unread=True)  # there was no room for it
    assert [i for _, i in session.dirty] == [2, 0]


def test_only_partitions_with_news_are_looked_at_and_the_waiter_is_told() -> None:
    session = FetchSession(1, False, 0)
    fill(session, 1000)
    for key in list(session.dirty):
        session.served(key, told=False, unread=False)
    woken: list[None] = []
    session.waiter = lambda: woken.append(None)
    news: PartitionKey = ("t", 7)
    session.notify(news)
    assert list(session.dirty) == [news]
    assert len(woken) == 1


def test_a_forgotten_partition_does_not_come_back() -> None:
    session = FetchSession(1, False, 0)
    fill(session, 2)
    session.forget(("t", 0))
    session.forget(("t", 9))
    session.served(("t", 0), told=True, unread=True)
    assert list(session.dirty) == [("t", 1)]


def test_an_update_keeps_what_the_client_was_told() -> None:
    session = FetchSession(1, False, 0)
    fill(session, 1)
    session.partitions[("t", 0)].high_watermark = 9
    session.put(("t", 0), FetchPartition("t", ZERO, 0))
    assert session.partitions[("t", 0)].high_watermark == 9


def test_no_slots_no_session() -> None:
    assert cache(0).create(1, True, 0) is None


def test_a_full_cache_evicts_the_idle_then_the_small_and_old() -> None:
    sessions = cache(2)
    first, second = sessions.create(5, True, 0), sessions.create(2, True, 0)
    assert first is not None
    assert second is not None
    fill(first, 5)
    fill(second, 2)
    assert sessions.create(9, True, MIN_EVICTION_MS) is None, "both are young"
    sessions.use(first.id, 1, True, MIN_EVICTION_MS)
    sessions.use(second.id, 1, True, MIN_EVICTION_MS)
    assert sessions.create(1, True, MIN_EVICTION_MS + 1) is None, "the smallest is larger"
    assert sessions.create(3, True, MIN_EVICTION_MS + 1) is not None
    assert list(second.partitions) == [], "evicted and closed"
    late = 3 * MIN_EVICTION_MS
    assert sessions.create(1, True, late) is not None, "the least recently used was idle"
    assert list(first.partitions) == []


def test_fetches_that_wait_without_a_session_are_bounded_by_their_partitions() -> None:
    sessions = cache()
    large, small = (FetchSession(NO_SESSION, True, 0) for _ in range(2))
    fill(large, 1000)
    fill(small, 1)
    for _ in range(SESSION_PARTITIONS // 1000):
        assert sessions.park(large)
    assert not sessions.park(small)
    sessions.unpark(large)
    assert sessions.park(small)
