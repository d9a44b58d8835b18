"""`.txnindex`: the aborted transactions that end in a segment (facts: log-format section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

WIDTH = 34
ENTRY = Struct(">hqqqq")
VERSION = 0


class AbortedTxn(NamedTuple):
    """One aborted transaction: its offsets from the first record to the abort marker."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int

    def encode(self) -> bytes:
        """The 34 bytes of the file."""
        return ENTRY.pack(VERSION, *self)


def decode(data: bytes) -> Iterator[AbortedTxn]:
    """The entries of a file; a torn last one is left out. Raises `ValueError` on another version."""
    for version, *fields in ENTRY.iter_unpack(data[: len(data) // WIDTH * WIDTH]):
        if version != VERSION:
            raise ValueError(f"transaction index entry of version {version}")
        yield AbortedTxn(*fields)


def sane(data: bytes, base: int) -> bool:
    """Kafka's check at load: whole entries, known version, none ends before the segment."""
    if len(data) % WIDTH:
        return False
    try:
        return all(txn.last_offset >= base for txn in decode(data))
    except ValueError:
        return False


def believable(data: bytes, base: int) -> list[AbortedTxn]:
    """The entries up to the first that cannot be one: after a crash the end of a file may hold
    zeros. Transactions have a length, and end one after another."""
    found: list[AbortedTxn] = []
    end = base - 1
    for version, *fields in ENTRY.iter_unpack(data[: len(data) // WIDTH * WIDTH]):
        txn = AbortedTxn(*fields)
        if version != VERSION or txn.last_offset <= max(end, txn.first_offset):
            break
        found.append(txn)
        end = txn.last_offset
    return found


def collect(data: bytes, start: int, upper: int) -> tuple[list[AbortedTxn], bool]:
    """Aborted transactions that overlap [start, upper), and whether the search is complete.

    It is complete once an entry says that everything below `upper` was stable before it.
    """
    found = []
    for txn in decode(data):
        if txn.last_offset >= start and txn.first_offset < upper:
            found.append(txn)
        if txn.last_stable_offset >= upper:
            return found, True
    return found, False
