"""Addresses, pairs and config changes on the command line."""

from __future__ import annotations

import pytest

from barnabas.cli.changes import changes_from
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import parse_bootstrap, parse_pairs
from barnabas.client.admin import AlterOp, ConfigChange


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("a:1", [("a", 1)]),
        ("a", [("a", 9092)]),
        ("a:1, b:2,", [("a", 1), ("b", 2)]),
        ("[::1]:7", [("::1", 7)]),
        ("[::1]", [("::1", 9092)]),
    ],
)
def test_addresses(text: str, addresses: list[tuple[str, int]]) -> None:
    assert parse_bootstrap(text) == addresses


@pytest.mark.parametrize("text", ["", ",", ":1", "a:", "a:0", "a:65536", "a:b", "a:-1", "a:\u0661"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(Failure) as caught:
        parse_bootstrap(text)
    assert caught.value.code is Exit.USAGE


def test_pairs_keep_further_equal_signs() -> None:
    assert parse_pairs(["a=1", " b =x=y", "c="], "--x") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("pair", ["a", "=1", ""])
def test_what_is_no_pair(pair: str) -> None:
    with pytest.raises(Failure, match="--x takes KEY=VALUE"):
        parse_pairs([pair], "--x")


def ops(**given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {f"op_{name}": given.get(name, ()) for name in ("set", "delete", "append", "subtract")}


def test_changes() -> None:
    assert changes_from(ops(set=("a=1",), delete=("b",), append=("c=x",), subtract=("d=y",))) == [
        ConfigChange("a", AlterOp.SET, "1"),
        ConfigChange("b", AlterOp.DELETE),
        ConfigChange("c", AlterOp.APPEND, "x"),
        ConfigChange("d", AlterOp.SUBTRACT, "y"),
    ]
    assert changes_from(ops()) == []


def test_one_config_changed_twice_is_refused() -> None:
    with pytest.raises(Failure, match="a is changed in two ways"):
        changes_from(ops(set=("a=1",), delete=("a",)))
