"""`barnabas version`."""

from __future__ import annotations

import platform

import click

from barnabas import __version__
from barnabas.cli.options import examples, output_option
from barnabas.cli.output import emit


@click.command(
    "version", epilog=examples("barnabas version", "barnabas version -o json | jq -r .version")
)
@output_option
def command(output: str) -> None:
    """Print the version of Barnabas, of the Kafka it speaks, and of Python."""
    facts = {
        "version": __version__,
        "kafka": "4.3",
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    if output == "table":
        click.echo(f"barnabas {__version__} (speaks Kafka 4.3, Python {facts['python']})")
    else:
        emit(facts, output)
