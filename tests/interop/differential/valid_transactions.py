"""Valid requests of every API about transactions (see `valid`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.interop.differential.sent import Case
from tests.interop.differential.valid import Base, create

LEDGER = "ledger"
"""A topic that only transactions are about: their markers come when they come."""

LONG_MS = 800_000
"""No transaction is ended by time."""

ID = "tx-{n}"
OWN = f"<{ID}>"
"""The symbol for the producer id that its transactional id has."""


def begin(**more: Any) -> dict[str, Any]:
    """An InitProducerId with a transactional id."""
    return {
        "transactional_id": ID,
        "transaction_timeout_ms": LONG_MS,
        "producer_id": -1,
        "producer_epoch": -1,
        **more,
    }


def begun() -> list[Case]:
    """There is a producer with a transactional id."""
    return [Case("a transactional producer", 22, 4, begin(), valid=True)]


def _owned(**more: Any) -> dict[str, Any]:
    return {"transactional_id": ID, "producer_id": OWN, "producer_epoch": 0, **more}


def _added(*, verify: bool = False) -> dict[str, Any]:
    topics = [{"name": LEDGER, "partitions": [0, 1]}]
    own = _owned(topics=topics, verify_only=verify)
    return {
        "transactions": [own],
        "v3_and_below_transactional_id": ID,
        "v3_and_below_producer_id": OWN,
        "v3_and_below_producer_epoch": 0,
        "v3_and_below_topics": topics,
    }


def opened() -> list[Case]:
    """A transaction with two partitions."""
    return [*begun(), Case("add partitions", 24, 3, _added(), valid=True)]


def init() -> list[Base]:
    """InitProducerId, with and without a transactional id."""
    alone = {"transactional_id": None, "transaction_timeout_ms": 60_000}
    return [
        ("for a new producer", alone, []),
        ("with an id", begin(), []),
        ("with an id again", begin(), begun()),
        ("with an id in a transaction", begin(), opened()),
        ("of who it was", begin(producer_id=OWN, producer_epoch=0), begun()),
    ]


def _add_partitions() -> list[Base]:
    return [
        ("of two", _added(), begun()),
        ("of two again", _added(), opened()),
        ("to verify", _added(verify=True), opened()),
    ]


def _add_offsets() -> list[Base]:
    return [("of a group", _owned(group_id="plain-{n}"), begun())]


def _end() -> list[Base]:
    return [
        ("by commit", _owned(committed=True), opened()),
        ("by abort", _owned(committed=False), opened()),
        ("of nothing", _owned(committed=True), begun()),
    ]


def _markers() -> list[Base]:
    marker = {
        "producer_id": 123_456,
        "producer_epoch": 0,
        "transaction_result": True,
        "topics": [{"name": "marked-{n}", "partition_indexes": [0]}],
        "coordinator_epoch": 0,
    }
    return [("of one", {"markers": [marker]}, [create("marked-{n}", 1)])]


def _commit() -> list[Base]:
    part = {"partition_index": 0, "committed_offset": 2, "committed_metadata": "here"}
    tree = _owned(
        group_id="plain-{n}",
        generation_id=-1,
        topics=[{"name": "alpha", "partitions": [part]}],
    )
    added = Case("add offsets", 25, 3, _owned(group_id="plain-{n}"), valid=True)
    return [("in a transaction", tree, [*begun(), added])]


def _describe() -> list[Base]:
    return [
        ("of one", {"transactional_ids": [ID]}, begun()),
        ("of an open one", {"transactional_ids": [ID]}, opened()),
        ("of nobody", {"transactional_ids": ["nobody"]}, []),
    ]


def _list() -> list[Base]:
    tree = {"state_filters": [], "producer_id_filters": [], "duration_filter": -1}
    return [("of all", tree, []), ("of states", {**tree, "state_filters": ["Ongoing"]}, opened())]


VALID_TRANSACTIONS: dict[int, Callable[[], list[Base]]] = {
    22: init,
    24: _add_partitions,
    25: _add_offsets,
    26: _end,
    27: _markers,
    28: _commit,
    65: _describe,
    66: _list,
}
