"""What is said to work has a test that sees its effect.

Such a test carries `@pytest.mark.effect_of(...)` with the names of the configs whose effect it
sees: a broker config by its name, a topic config as `topic:NAME`, a broker config whose change at
run time acts without a restart as `runtime:NAME`. The marks are read from the sources, so that one
part of the tests can be run alone; a test of `make interop` or `make soak` does not count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from barnabas.config import definitions, own
from barnabas.config.support import support_of, topic_support_of

TESTS = Path(__file__).resolve().parents[2]
ELSEWHERE = ("interop", "soak")


def promised() -> set[str]:
    """Everything that must have a test: what works, and what works when changed at run time."""
    found = set()
    for name in [*definitions.BROKER, *own.BROKER]:
        if support_of(name).status == "works":
            found.add(name)
            key = definitions.BROKER.get(name)
            if key is not None and key.dynamic != "R":
                found.add(f"runtime:{name}")
    for name in [*definitions.TOPIC, *own.TOPIC]:
        if topic_support_of(name).status == "works":
            found.add(f"topic:{name}")
    return found


def marks(node: ast.AST, name: str) -> Iterator[ast.Call | ast.Attribute]:
    """Each `pytest.mark.NAME`, called or not, within `node`."""
    for each in ast.walk(node):
        target = each.func if isinstance(each, ast.Call) else each
        if (
            isinstance(each, ast.Call | ast.Attribute)
            and isinstance(target, ast.Attribute)
            and target.attr == name
            and ast.unparse(target.value) == "pytest.mark"
        ):
            yield each


def of_test(function: ast.AST) -> list[str]:
    """The names that the decorators of one test claim."""
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    if not function.name.startswith("test_"):
        return []
    if any(True for d in function.decorator_list for kind in ELSEWHERE for _ in marks(d, kind)):
        return []
    calls = [m for d in function.decorator_list for m in marks(d, "effect_of")]
    return [ast.literal_eval(a) for call in calls if isinstance(call, ast.Call) for a in call.args]


@cache
def seen() -> dict[str, list[str]]:
    """Name of a config to the tests that claim to see its effect."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "effect_of" not in text or path.is_relative_to(TESTS / "interop"):
            continue
        for node in ast.walk(ast.parse(text)):
            for name in of_test(node):
                found.setdefault(name, []).append(f"{path.relative_to(TESTS)}:{node.lineno}")  # type: ignore[attr-defined]
    return found


def test_every_config_that_works_has_a_test_that_sees_its_effect() -> None:
    without = promised() - set(seen())
    assert sorted(without) == [], "say so with @pytest.mark.effect_of (CONTRIBUTING.md)"


def test_a_test_sees_the_effect_of_something_that_works() -> None:
    claimed = {name: where for name, where in seen().items() if name not in promised()}
    assert claimed == {}, "no such config, or it is not said to work (config/support_table.py)"
