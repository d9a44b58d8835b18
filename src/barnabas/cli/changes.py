"""Config changes on a command line: --set, --delete, --append, --subtract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import parse_pairs
from barnabas.client.admin import AlterOp, ConfigChange

Command = TypeVar("Command", bound=Callable[..., Any])
_OPTIONS = (
    ("set", "KEY=VALUE", "Give a config this value. Repeatable."),
    ("delete", "KEY", "Go back to the default. Repeatable."),
    ("append", "KEY=VALUE", "Add to a list. Repeatable."),
    ("subtract", "KEY=VALUE", "Take out of a list. Repeatable."),
)


def change_options(command: Command) -> Command:
    """The four options; they arrive as keyword arguments `op_set`, `op_delete`, ..."""
    for name, metavar, text in reversed(_OPTIONS):
        command = click.option(
            f"--{name}", f"op_{name}", multiple=True, metavar=metavar, help=text
        )(command)
    return command


def changes_from(ops: Mapping[str, tuple[str, ...]]) -> list[ConfigChange]:
    """The changes that the options ask for. Raises `Failure` when one key is changed twice."""
    changes: list[ConfigChange] = []
    for name, _metavar, _text in _OPTIONS:
        given = ops[f"op_{name}"]
        if name == "delete":
            changes += [ConfigChange(key, AlterOp.DELETE) for key in given]
            continue
        pairs = parse_pairs(given, f"--{name}")
        changes += [ConfigChange(key, AlterOp[name.upper()], pairs[key]) for key in pairs]
    keys = [change.name for change in changes]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise Failure(f"{', '.join(twice)} is changed in two ways at once.", Exit.USAGE)
    return changes
