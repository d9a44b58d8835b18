"""Tuning of CPython's memory management for a process that serves."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 20_000
"""Allocations before the youngest generation is looked through: the default of 700 does so several
times in one turn of a busy loop, and finds nothing, since requests leave no cycles behind."""

_settled = False


def settle() -> None:
    """Call once everything that lives as long as the process is made.

    It is taken out of every later collection, so that a full one (a pause of tens of milliseconds
    over all modules and tables) has only what came since.
    """
    global _settled
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    _settled = True


def keep() -> None:
    """Take what is there now out of every later collection, too: a few instructions, however much it
    is. Only after `settle`; cycles that are garbage already stay in memory."""
    if _settled:
        gc.freeze()
