"""`barnabas`: the commands, the first screen, and what happens when one fails."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from barnabas import __version__
from barnabas.cli.exits import MEANINGS, Exit, Failure
from barnabas.cli.lazy import Interrupted, LazyGroup, PipeClosed
from barnabas.cli.options import examples

_COMMANDS = {
    "start": ("barnabas.cli.commands.start", "Start a node."),
    "format": ("barnabas.cli.commands.format", "Format a node's directories before its start."),
    "topics": (
        "barnabas.cli.commands.topics",
        "Create, list, describe, alter, purge, delete topics.",
    ),
    "produce": ("barnabas.cli.commands.produce", "Send lines or JSON from stdin to a topic."),
    "consume": ("barnabas.cli.commands.consume", "Print a topic's records."),
    "groups": ("barnabas.cli.commands.groups", "Consumer groups: members, lag, offsets."),
    "dlq": ("barnabas.cli.commands.dlq", "Dead letters: list, show, send back."),
    "transactions": (
        "barnabas.cli.commands.transactions",
        "Transactions: list, describe, find what hangs, abort.",
    ),
    "configs": ("barnabas.cli.commands.configs", "Describe and alter configs."),
    "quotas": ("barnabas.cli.commands.quotas", "Limit what clients may use."),
    "cluster": (
        "barnabas.cli.commands.cluster",
        "Describe the cluster: brokers, quorum, features.",
    ),
    "bench": ("barnabas.cli.commands.bench", "Measure throughput and latency."),
    "doctor": ("barnabas.cli.commands.doctor", "Find what is wrong or risky, with the fix."),
    "health": ("barnabas.cli.commands.health", "Ask a node whether it is alive and ready."),
    "log": ("barnabas.cli.commands.log", "Log directories, and what is in their files."),
    "random-uuid": ("barnabas.cli.commands.random_uuid", "Print a random id."),
    "completion": ("barnabas.cli.commands.completion", "Print a completion script for a shell."),
    "version": ("barnabas.cli.commands.version", "Print the version."),
}
_FIRST_SCREEN = f"""\
Barnabas {__version__}: Apache Kafka's event streaming platform in Python.

  barnabas start                        start a node on localhost:9092, data in ./data
  barnabas topics create orders         make a topic
  echo hello | barnabas produce orders  send a record
  barnabas consume orders               read it back

`barnabas --help` lists all commands, `barnabas COMMAND --help` has examples."""
_EXIT_CODES = "\b\nExit codes:\n" + "\n".join(
    f"  {code.value:>3}  {text}" for code, text in MEANINGS.items()
)


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "barnabas start --data ./data",
        "barnabas topics create flights --partitions 6",
        "barnabas consume flights --from -1h --format json",
    )
    + "\n\n"
    + _EXIT_CODES,
)
@click.version_option(__version__, prog_name="barnabas")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Barnabas: Apache Kafka's event streaming platform in Python.

    Every command that talks to a cluster takes -b/--bootstrap HOST:PORT, or BARNABAS_BOOTSTRAP.
    """
    if ctx.invoked_subcommand is None:
        click.echo(_FIRST_SCREEN)


def main() -> NoReturn:
    """Run the command line and exit with a code of `Exit`."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = Exit.BROKEN_PIPE
    if code == Exit.BROKEN_PIPE:
        # The interpreter flushes once more at its end; give it somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return the exit code; errors are told on stderr."""
    try:
        result = cli.main(arguments, prog_name="barnabas", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, Interrupted, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except PipeClosed:
        return Exit.BROKEN_PIPE
    except Exception as error:
        from barnabas.cli.explain import explain

        failure = explain(error)
        if failure is None:
            raise
        _tell(failure)
        return failure.code
    return result if isinstance(result, int) else Exit.OK


def _tell(failure: Failure) -> None:
    click.echo(f"{click.style('error:', fg='red')} {failure.message}", err=True)
    if failure.hint is not None:
        click.echo(failure.hint, err=True)
