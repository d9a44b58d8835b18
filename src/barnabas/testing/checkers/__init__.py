"""What must hold for the history of a run: clients note what they did, checkers say what is wrong.

They know nothing of the node: the history may come from a simulated world, from real processes, or
from an Apache Kafka. The names P4 to P11, S2, T1 and G1 are those of the project's list of
invariants. `check` looks at every answer of a produce/fetch workload and at what the logs hold;
`check_events` at what clients of any kind can tell: records, transactions, groups.
"""

from __future__ import annotations

from collections.abc import Iterable

from barnabas.testing.checkers.commits import check_commits
from barnabas.testing.checkers.contents import check_contents
from barnabas.testing.checkers.deliveries import check_deliveries
from barnabas.testing.checkers.events import Event, from_json, read_events, to_json
from barnabas.testing.checkers.facts import Facts
from barnabas.testing.checkers.flow import check_flow, check_transformed
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
from barnabas.testing.checkers.ownership import check_ownership
from barnabas.testing.checkers.reads import check_reads
from barnabas.testing.checkers.registers import Register

__all__ = [
    "BatchSpan",
    "Contents",
    "Event",
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
    "check_events",
    "check_reads",
    "check_transformed",
    "from_json",
    "read_events",
    "to_json",
]


def check(history: History) -> list[Violation]:
    """All violations in `history`; call it when `history.contents` is complete."""
    found = check_reads(history)
    for partition, contents in history.contents.items():
        found += check_contents(history, partition, contents)
    return found


def check_events(events: Iterable[Event], *, complete: bool = True) -> list[Violation]:
    """All violations in what clients told of (`checkers.events`), in any order.

    `complete`: every group, and every reader without one, has read its topics to their ends; without
    it only what lies in front of a read record counts as lost.
    """
    facts = Facts(events)
    return [
        *check_deliveries(facts, complete=complete),
        *check_ownership(facts.events),
        *check_commits(facts),
        *check_flow(facts),
    ]
