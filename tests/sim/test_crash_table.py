"""All crash images, counted by operation and fault class (`make soak`): no cell of the table is empty."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from tests.sim import test_crash_groups as groups
from tests.sim import test_crash_log as log
from tests.sim import test_crash_metadata as metadata
from tests.sim import test_crash_node as node
from tests.sim.crash_classes import CLASSES, Tally

IMAGES = 100_000
"""At least so many are opened."""

IMPOSSIBLE = {("recovery", "reordered")}
"""Recovery writes each file once between two syncs."""


def work(seed: int) -> list[Callable[[], Tally]]:
    """Everything that makes images, longest first."""
    return [
        partial(log.crash_everywhere, "compaction", log.FULL, seed, 1),
        *(partial(node.crash_everywhere, name, node.FULL, seed, 1) for name in node.OPERATIONS),
        *(
            partial(groups.crash_everywhere, name, groups.FULL, seed, 1)
            for name in groups.OPERATIONS
        ),
        partial(node.crash_recovery, node.QUICK, seed, 0.2, 1),
        partial(log.crash_recovery, log.QUICK, seed, 0.3),
        *(
            partial(log.crash_everywhere, name, log.FULL, seed, 1)
            for name in log.OPERATIONS
            if name != "compaction"
        ),
        partial(metadata.crash_everywhere, metadata.FULL, seed, 1),
    ]


def quiet() -> None:
    """A hundred thousand nodes would say a lot."""
    logging.disable()


def table(tallies: list[Tally]) -> dict[str, Counter[str]]:
    """Images by operation and class; an operation on a log alone and on a node is one row."""
    rows: dict[str, Counter[str]] = {}
    for tally in tallies:
        row = rows.setdefault(tally.operation, Counter())
        row.update(tally.by_class)
        row["images"] += tally.images
    return rows


def show(rows: dict[str, Counter[str]]) -> None:
    """Print the table."""
    print("".join(f"{head:>16}" for head in ("operation", "images", *CLASSES)))
    for name, row in rows.items():
        print("".join(f"{cell:>16}" for cell in (name, row["images"], *(row[c] for c in CLASSES))))


@pytest.mark.soak
def test_every_operation_meets_every_fault(seed: int) -> None:
    with ProcessPoolExecutor(
        os.cpu_count(), mp_context=get_context("spawn"), initializer=quiet
    ) as pool:
        tallies = [each.result() for each in [pool.submit(job) for job in work(seed)]]
    rows = table(tallies)
    show(rows)
    empty = {(name, each) for name, row in rows.items() for each in CLASSES if not row[each]}
    assert empty <= IMPOSSIBLE
    assert sum(row["images"] for row in rows.values()) >= IMAGES
    missing = {*log.OPERATIONS, *node.OPERATIONS, *groups.OPERATIONS} - set(rows)
    assert not missing
