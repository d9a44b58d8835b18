"""`barnabas quotas`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import bootstrap_option, examples, output_option, parse_pairs
from barnabas.cli.output import emit, note, table
from barnabas.cli.session import with_cluster
from barnabas.client.client_quotas import (
    EntityQuotas,
    alter_client_quotas,
    describe_client_quotas,
)
from barnabas.client.cluster import Cluster

Command = TypeVar("Command", bound=Callable[..., Any])
_KINDS = (
    ("user", "NAME", "A user"),
    ("client-id", "ID", "A client id"),
    ("ip", "ADDRESS", "An IP address"),
)
_KEYS = """\b
Of users and client ids:
  producer_byte_rate        bytes per second that may be produced
  consumer_byte_rate        bytes per second that may be fetched
  request_percentage        share of the node's time, 100 is all of it
  controller_mutation_rate  partitions created or deleted per second
Of addresses:
  connection_creation_rate  connections per second"""


def entity_options(command: Command) -> Command:
    """--user, --client-id, --ip, and each with -default; they arrive as `user`, `user_default`, ..."""
    for kind, metavar, text in reversed(_KINDS):
        command = click.option(
            f"--{kind}-default", is_flag=True, help=f"{text} without quotas of its own."
        )(command)
        command = click.option(f"--{kind}", metavar=metavar, help=f"{text}.")(command)
    return command


def _entity(options: Mapping[str, Any]) -> dict[str, str | None]:
    """The entity that the options name; may be empty."""
    entity: dict[str, str | None] = {}
    for kind, _metavar, _text in _KINDS:
        key = kind.replace("-", "_")
        name, default = options[key], options[f"{key}_default"]
        if name is not None and default:
            raise Failure(f"Give --{kind} or --{kind}-default, not both.", Exit.USAGE)
        if name is not None or default:
            entity[kind] = name
    return entity


def _named(options: Mapping[str, Any]) -> dict[str, str | None]:
    entity = _entity(options)
    if not entity:
        raise Failure("Whose quotas?", Exit.USAGE, "Give --user, --client-id or --ip.")
    return entity


def _text(entity: Mapping[str, str | None]) -> str:
    return ", ".join(
        f"{kind} {'<default>' if name is None else name}" for kind, name in entity.items()
    )


@click.group("quotas")
def command() -> None:
    """Limit what users, client ids and addresses may use.

    Of all quotas that fit a client the most specific one counts: of its user and client id, of its
    user, of its client id; each before the default of the same kind.
    """


@command.command(
    "list",
    epilog=examples(
        "barnabas quotas list",
        "barnabas quotas list --user alice",
        "barnabas quotas list --client-id-default -o json",
    ),
)
@entity_options
@bootstrap_option
@output_option
def list_(bootstrap: str, output: str, **options: Any) -> None:
    """Show quotas: all, or those in which an entity is named."""
    entity = _entity(options)
    found = with_cluster(bootstrap, lambda cluster: describe_client_quotas(cluster, entity))
    found.sort(key=lambda each: [(kind, name or "") for kind, name in sorted(each.entity.items())])
    if output != "table":
        emit([_plain(each) for each in found], output)
        return
    table(
        ["USER", "CLIENT-ID", "IP", "QUOTA", "VALUE"],
        [
            (*(_cell(each.entity, kind) for kind, _, _ in _KINDS), key, _number(value))
            for each in found
            for key, value in sorted(each.values.items())
        ],
        right=["VALUE"],
    )


def _cell(entity: Mapping[str, str | None], kind: str) -> str:
    if kind not in entity:
        return ""
    name = entity[kind]
    return "<default>" if name is None else name


def _plain(quotas: EntityQuotas) -> dict[str, object]:
    return {
        "entity": dict(quotas.entity),
        "quotas": {key: _whole(value) for key, value in sorted(quotas.values.items())},
    }


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


def _number(value: float) -> str:
    return str(_whole(value))


@command.command(
    "set",
    epilog=_KEYS
    + "\n\n"
    + examples(
        "barnabas quotas set --user alice producer_byte_rate=1048576",
        "barnabas quotas set --user alice --client-id-default consumer_byte_rate=2e6",
        "barnabas quotas set --client-id-default request_percentage=25",
        "barnabas quotas set --ip-default connection_creation_rate=10",
    ),
)
@click.argument("pairs", nargs=-1, required=True, metavar="KEY=VALUE...")
@entity_options
@click.option("--validate-only", is_flag=True, help="Check, but change nothing.")
@bootstrap_option
def set_(pairs: tuple[str, ...], validate_only: bool, bootstrap: str, **options: Any) -> None:
    """Give an entity quotas; those that are not named stay as they are."""
    entity = _named(options)
    values: dict[str, float] = {}
    for key, text in parse_pairs(pairs, "quotas set").items():
        try:
            values[key] = float(text)
        except ValueError:
            raise Failure(f"{key}={text}: the value is no number.", Exit.USAGE) from None
    with_cluster(
        bootstrap,
        lambda cluster: alter_client_quotas(cluster, entity, values, validate_only=validate_only),
    )
    note(f"{_text(entity)}: {'could be set' if validate_only else 'set'}")


@command.command(
    epilog=examples(
        "barnabas quotas delete --user alice producer_byte_rate",
        "barnabas quotas delete --ip 10.0.0.7",
    )
)
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@entity_options
@bootstrap_option
def delete(keys: tuple[str, ...], bootstrap: str, **options: Any) -> None:
    """Take quotas away from an entity: those named by KEY, or all."""
    entity = _named(options)

    async def work(cluster: Cluster) -> list[str]:
        found = await describe_client_quotas(cluster, entity, strict=True)
        present = {key for each in found for key in each.values}
        missing = sorted(set(keys) - present)
        if missing or not present:
            what = f"no quota {', '.join(missing)}" if missing else "no quotas"
            raise Failure(f"{_text(entity)} has {what}.", Exit.NOT_FOUND)
        doomed = sorted(keys or present)
        await alter_client_quotas(cluster, entity, {}, doomed)
        return doomed

    note(f"{_text(entity)}: deleted {', '.join(with_cluster(bootstrap, work))}")
