"""The map from key to offset, and transactions as a cleaning meets them."""

from __future__ import annotations

from random import Random

import pytest

from barnabas.log.cleaning.offset_map import OffsetMap
from barnabas.log.cleaning.transactions import CleanedTransactions
from barnabas.log.txn_index import AbortedTxn
from barnabas.records.batch import BatchHeader
from barnabas.records.control import ControlType

ABORT, COMMIT = int(ControlType.ABORT), int(ControlType.COMMIT)


def test_the_map_against_a_dict(seed: int) -> None:
    random = Random(seed)
    keys = [random.randbytes(random.randrange(12)) for _ in range(300)]
    found = OffsetMap(400, 0.9, 0)
    want: dict[bytes, int] = {}
    base = 0
    for _ in range(60):
        batch: list[bytes | None] = [random.choice([*keys, None]) for _ in range(10)]
        assert found.put_all(batch, range(10), base)
        want |= {key: base + at for at, key in enumerate(batch) if key is not None}
        base += 10
    assert len(found) == len(want)
    found.latest = base - 1
    for key in [*keys, b"unknown key"]:
        newest = want.get(key, -1)
        deltas = [0, max(newest, 0), base - 1]
        kept = found.newest([key] * 3, deltas, 0)
        assert kept == [at for at, offset in enumerate(deltas) if offset >= newest]


def test_records_without_key_and_beyond_the_map() -> None:
    found = OffsetMap(10, 0.9, 0)
    assert found.put_all([b"a", None, b"a"], [0, 1, 2], 0)
    found.latest = 2
    assert found.newest([b"a", None, b"a", None, b"a"], [0, 1, 2, 3, 4], 0) == [2, 3, 4]


def test_only_what_is_dirty_counts() -> None:
    found = OffsetMap(10, 0.9, 11)
    assert found.put_all([b"a", b"b"], [0, 1], 10)
    found.latest = 11
    assert len(found) == 1
    assert found.newest([b"a", b"b"], [0, 0], 5) == [0]


@pytest.mark.parametrize(("slots", "factor", "room"), [(11, 0.5, 5), (11, 1.0, 10), (0, 0.9, 2)])
def test_a_full_map_says_how_far_it_came(slots: int, factor: float, room: int) -> None:
    found = OffsetMap(slots, factor, 3)
    keys = [b"%d" % at for at in range(20)]
    assert not found.put_all(keys, range(20), 100)
    assert len(found) == room
    assert found.latest == 100 + room - 1
    assert found.newest(keys, range(20), 100) == list(range(20))
    assert found.newest(keys, [0] * 20, 0) == list(range(room, 20))


def test_offsets_far_beyond_the_start_fill_it() -> None:
    found = OffsetMap(10, 0.9, 5)
    assert not found.put_all([b"a", b"b", b"c"], [0, (1 << 40) - 1, 1 << 40], 5)
    assert found.latest == 5 + (1 << 40) - 1
    assert found.newest([b"a", b"b"], [0, 0], 4) == []


def header(producer: int, offset: int, *, transactional: bool = True) -> BatchHeader:
    """Of a batch of one record."""
    attributes = 0x10 if transactional else 0
    return BatchHeader(offset, 0, 0, 2, 0, attributes, 0, 0, 0, producer, 0, 0, 1)


def test_an_aborted_transaction_goes_and_its_marker_waits_for_it() -> None:
    txn = AbortedTxn(7, 2, 5, 6)
    found = CleanedTransactions([txn, txn])
    assert not found.on_data(header(7, 1, transactional=False))
    assert found.on_data(header(7, 2))
    assert not found.on_data(header(8, 3))
    assert found.on_data(header(7, 4))
    assert not found.on_control(header(7, 5), ABORT)
    assert found.needed == [txn]
    assert not found.on_data(header(7, 6)), "its next transaction was committed"
    assert not found.on_control(header(7, 7), COMMIT)
    assert not found.on_control(header(8, 8), COMMIT)


def test_a_marker_without_records_is_of_no_more_use() -> None:
    found = CleanedTransactions([AbortedTxn(7, 2, 5, 6)])
    assert found.on_control(header(7, 5), ABORT)
    assert found.on_control(header(8, 6), COMMIT)
    assert found.on_control(header(9, 7), None)
    assert not found.on_control(header(9, 8), int(ControlType.LEADER_CHANGE))
    assert found.needed == []
