"""What must hold for the history of a run: clients note what they did, checkers say what is wrong.

They know nothing of the node: the history may come from a simulated world, from real processes, or
from an Apache Kafka. The names P4 to P11, S2 and T1 are those of the project's list of invariants.
"""

from __future__ import annotations

from barnabas.testing.checkers.contents import check_contents
from barnabas.testing.checkers.history import (
    BatchSpan,
    Contents,
    Guarantee,
    History,
    Outcome,
    Partition,
    Read,
    Send,
    Violation,
)
from barnabas.testing.checkers.reads import check_reads
from barnabas.testing.checkers.registers import Register

__all__ = [
    "BatchSpan",
    "Contents",
    "Guarantee",
    "History",
    "Outcome",
    "Partition",
    "Read",
    "Register",
    "Send",
    "Violation",
    "check",
    "check_contents",
    "check_reads",
]


def check(history: History) -> list[Violation]:
    """All violations in `history`; call it when `history.contents` is complete."""
    found = check_reads(history)
    for partition, contents in history.contents.items():
        found += check_contents(history, partition, contents)
    return found
