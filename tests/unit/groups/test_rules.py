"""Every rule of groups, offsets and transactions has a test, and every test of them stands for a rule."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.unit.groups.rules import FOLDERS, RULES, WHOLE

REPOSITORY = Path(__file__).parents[3]


def names_in(module: str) -> set[str]:
    """The names of a file's tests."""
    tree = ast.parse((REPOSITORY / FOLDERS[module] / f"{module}.py").read_text())
    return {
        each.name
        for each in tree.body
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    }


def test_every_rule_has_tests_that_are_there() -> None:
    there = {f"{module}.{name}" for module in FOLDERS for name in names_in(module)}
    assert [rule for rule, tests in RULES.items() if not tests] == []
    assert {name for tests in RULES.values() for name in tests} - there == set()


def test_every_test_stands_for_a_rule() -> None:
    named = {name for tests in RULES.values() for name in tests}
    missing = {f"{module}.{name}" for module in WHOLE for name in names_in(module)} - named
    assert missing == set()
