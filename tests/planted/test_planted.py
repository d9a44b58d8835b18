"""Each planted bug is caught by the test that its row in the table names.

Here: that every row still fits the sources, and a share of the bugs that rotates with the seed. That
the named tests pass without the bug is what the rest of the run shows. `make soak` plants them all.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.planted.bug import Bug
from tests.planted.runner import REPOSITORY, missed, patched, run_tests
from tests.planted.table import BUGS

SHARE = 3


def show(bug: Bug, place: Path) -> None:
    """Plant it; fail unless a named test fails for the right reason."""
    reason = missed(bug, run_tests(place, bug.caught_by, bug))
    if reason is not None:
        pytest.fail(f"planted bug {bug.name!r} ({bug.what})\n{reason}", pytrace=False)


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_its_change_fits_once_and_its_tests_are_there(bug: Bug) -> None:
    ast.parse(patched(bug))
    for test in bug.caught_by:
        path, _, function = test.partition("::")
        assert f"def {function.partition('[')[0]}(" in (REPOSITORY / path).read_text(
            encoding="utf-8"
        ), test


def test_names_say_which() -> None:
    assert [name for name, count in Counter(bug.name for bug in BUGS).items() if count > 1] == []
    assert len(BUGS) >= 100


@pytest.mark.parametrize("number", range(SHARE))
def test_a_share_is_caught(number: int, seed: int, tmp_path: Path) -> None:
    show(Random(seed).sample(BUGS, SHARE)[number], tmp_path)


@pytest.mark.soak
def test_the_named_tests_pass_without_a_bug(tmp_path: Path) -> None:
    tests = sorted({test for bug in BUGS for test in bug.caught_by})
    ran = run_tests(tmp_path, tests, None)
    assert ran.failures == [], ran.output
    assert ran.passed >= len(tests)


@pytest.mark.soak
@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_every_bug_is_caught(bug: Bug, tmp_path: Path) -> None:
    show(bug, tmp_path)
