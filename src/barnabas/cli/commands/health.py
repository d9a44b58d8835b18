"""`barnabas health`: for container engines and scripts that can only run a command."""

from __future__ import annotations

import click

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import examples, parse_address

DEFAULT = "localhost:9404"
TIMEOUT_S = 5.0
BODY_BYTES = 64 * 1024


@click.command(
    "health",
    epilog=examples(
        "barnabas health",
        "barnabas health --address 127.0.0.1:9404 --live",
    ),
)
@click.option(
    "--address",
    default=DEFAULT,
    show_default=True,
    metavar="HOST:PORT",
    help="The node's --metrics-port.",
)
@click.option("--live", is_flag=True, help="Ask whether it is alive, not whether it is ready.")
def command(address: str, live: bool) -> None:
    """Ask a node whether it is ready (or alive) and print what it says.

    The node must have been started with --metrics-port. Exit code 0: it is; 1: it is not; 3: nobody
    answers.
    """
    from http.client import HTTPConnection, HTTPException

    host, port = parse_address(address)
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/livez" if live else "/readyz")
        answer = connection.getresponse()
        body = answer.read(BODY_BYTES).decode("utf-8", "replace")
    except (OSError, HTTPException) as error:
        raise Failure(
            f"No node answers at {address}: {error or type(error).__name__}.",
            Exit.CANNOT_CONNECT,
            "Start it with --metrics-port, and give that address with --address.",
        ) from None
    finally:
        connection.close()
    click.echo(body.rstrip("\n"))
    if answer.status != 200:
        raise Failure(f"The node is not {'alive' if live else 'ready'}.")
