"""`barnabas completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from barnabas.cli.exits import Failure
from barnabas.cli.options import examples

VARIABLE = "_BARNABAS_COMPLETE"


@click.command(
    "completion",
    epilog=examples(
        "barnabas completion bash > ~/.local/share/bash-completion/completions/barnabas",
        'barnabas completion zsh > "${fpath[1]}/_barnabas"',
        "barnabas completion fish > ~/.config/fish/completions/barnabas.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a script that teaches SHELL to complete barnabas' commands and options."""
    found = get_completion_class(shell)
    if found is None:
        raise Failure(f"There is no completion for {shell}.")
    click.echo(found(ctx.find_root().command, {}, "barnabas", VARIABLE).source())
