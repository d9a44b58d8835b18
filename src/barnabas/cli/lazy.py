"""A click group whose commands are imported when they run: `barnabas start` pays for itself only."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import click


class PipeClosed(Exception):
    """Whoever read our output is gone."""


class Interrupted(Exception):
    """Ctrl-C."""


class LazyGroup(click.Group):
    """Commands by name: (module, what it does in one line). The module has the name's `command`."""

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which they were given."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        found = self._lazy.get(cmd_name)
        if found is None:
            return super().get_command(ctx, cmd_name)
        return cast(click.Command, import_module(found[0]).command)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would take a broken pipe for a plain failure, and would
        print a line when it is interrupted."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise PipeClosed from None
        except KeyboardInterrupt:
            raise Interrupted from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands in the help without importing them."""
        rows = [(name, text) for name, (_module, text) in self._lazy.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
