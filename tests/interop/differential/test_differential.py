"""The same requests to a real Apache Kafka and to a node of ours: every field of every answer.

`make interop` sends each valid request in each version, the stories, and a share of the broken ones
that the seed picks; `make soak` sends all. What differs must be listed in `differences.py`, and what
is listed must differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from tests.interop.differential import plan
from tests.interop.differential.differences import LISTED, listed
from tests.interop.differential.duel import Difference, Duel
from tests.interop.differential.nodes import both
from tests.interop.differential.sent import Case
from tests.interop.differential.stories import STORIES, looks
from tests.interop.differential.valid_groups import VALID_GROUPS
from tests.interop.kafka import REPOSITORY

pytestmark = [pytest.mark.usefixtures("java"), pytest.mark.timeout(900)]

SHARE = 400
MOST_LISTED = 30
SHOWN = 40


@pytest.fixture
def duel(tmp_path: Path) -> Iterator[Duel]:
    """Both nodes, with the same topics and records."""
    with both(tmp_path) as running:
        running.run(plan.prepare())
        running.run(without_coordinator())
        running.coordinate()
        yield running
        text = running.ours.node.log_text()
        assert "Traceback" not in text
        assert "a bug of ours" not in text


def without_coordinator() -> Iterator[Case]:
    """Requests about groups before there is a topic of committed offsets."""
    for key in VALID_GROUPS:
        if key == plan.FIND_COORDINATOR:
            continue
        for case in plan.valid_cases(key):
            yield Case(f"{case.label}, too early", key, case.version, case.tree)


def judge(duel: Duel) -> None:
    """Nothing differs but what is listed; everything listed does; no valid request's error code."""
    assert not any(found.path.endswith("error_code") for found in duel.found if found.valid)
    unlisted = [found for found in duel.found if listed(found) is None]
    assert not unlisted, report(unlisted)
    seen = {row.matter for found in duel.found if (row := listed(found)) is not None}
    assert not [row.matter for row in LISTED if row.matter not in seen], "does not differ any more"


def report(found: list[Difference]) -> str:
    """The first of each kind."""
    kinds: dict[tuple[str, str], Difference] = {}
    for each in found:
        kinds.setdefault((each.api, each.path), each)
    return "\n".join([f"{len(found)} differences", *map(str, [*kinds.values()][:SHOWN])])


def broken() -> Iterator[Case]:
    """All requests with something wrong."""
    return chain.from_iterable(map(plan.broken_cases, plan.served()))


def tell(duel: Duel) -> None:
    """All stories."""
    duel.in_a_row = True
    for story in STORIES:
        story(duel)
    duel.in_a_row = False


def shows_a_difference(case: Case) -> bool:
    """Whether a row of the list names it as its example."""
    return any(row.example in str(case) for row in LISTED)


def test_a_share_of_the_requests(duel: Duel, seed: int) -> None:
    for key in plan.served():
        duel.run(plan.valid_cases(key))
    cases = list(broken())
    picked = set(Random(seed).sample(range(len(cases)), SHARE))
    duel.run([c for n, c in enumerate(cases) if n in picked or shows_a_difference(c)])
    tell(duel)
    judge(duel)


@pytest.mark.soak
def test_all_requests_and_the_state_afterwards(duel: Duel) -> None:
    for key in plan.served():
        duel.run(plan.valid_cases(key))
    tell(duel)
    looks(duel)
    duel.run(broken())
    assert duel.asked > 5_000
    judge(duel)


def test_the_list_is_short_and_users_can_read_it() -> None:
    assert len(LISTED) <= MOST_LISTED
    text = (REPOSITORY / "docs/compatibility.md").read_text()
    rows = {re.split(r" *\| *", line)[1] for line in text.splitlines() if line.startswith("| ")}
    assert [row.matter for row in LISTED if row.matter not in rows] == []
