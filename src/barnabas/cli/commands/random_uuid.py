"""`barnabas random-uuid`."""

from __future__ import annotations

import click

from barnabas.cli.options import examples
from barnabas.host.random_ import HostRandom
from barnabas.server.directories import new_id
from barnabas.wire import uuids


@click.command(
    "random-uuid",
    epilog=examples(
        "barnabas format --standalone -t $(barnabas random-uuid)", "barnabas random-uuid"
    ),
)
def command() -> None:
    """Print a new random id, as a cluster or a directory may have it."""
    click.echo(uuids.to_text(new_id(HostRandom().bytes)))
