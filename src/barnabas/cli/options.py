"""Options that several commands share, and help texts with examples kept as they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from barnabas.cli.exits import Exit, Failure

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT_BOOTSTRAP = "localhost:9092"
DEFAULT_PORT = 9092


def bootstrap_option(command: Command) -> Command:
    """-b/--bootstrap, or BARNABAS_BOOTSTRAP."""
    return click.option(
        "-b",
        "--bootstrap",
        envvar="BARNABAS_BOOTSTRAP",
        default=DEFAULT_BOOTSTRAP,
        show_default=True,
        show_envvar=True,
        metavar="HOST:PORT[,...]",
        help="Where a node of the cluster listens.",
    )(command)


def output_option(command: Command) -> Command:
    """-o/--output."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        help="How to print the result.",
    )(command)


def examples(*lines: str) -> str:
    """An epilog with example calls, one per line, that click does not re-wrap."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def parse_bootstrap(text: str) -> list[tuple[str, int]]:
    """Addresses from `HOST:PORT[,HOST:PORT...]`; IPv6 hosts stand in brackets."""
    addresses = [parse_address(part.strip()) for part in text.split(",") if part.strip()]
    if not addresses:
        raise Failure("The bootstrap address is empty.", Exit.USAGE, "Use HOST:PORT.")
    return addresses


def parse_address(text: str) -> tuple[str, int]:
    """Host and port from `HOST:PORT`, `HOST` (port 9092) or `[IPV6]:PORT`. Raises `Failure`."""
    from barnabas.client import addresses  # `barnabas start --help` does without

    try:
        return addresses.parse_address(text)
    except ValueError:
        raise Failure(f"{text!r} is no address.", Exit.USAGE, "Use HOST:PORT.") from None


def format_address(host: str, port: int) -> str:
    """`HOST:PORT`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_pairs(pairs: Iterable[str], option: str) -> dict[str, str]:
    """`key=value` texts as a dict; the value may hold more equal signs."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise Failure(f"{option} takes KEY=VALUE, not {pair!r}.", Exit.USAGE)
        found[key.strip()] = value
    return found
