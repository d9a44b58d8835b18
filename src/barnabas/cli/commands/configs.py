"""`barnabas configs`."""

from __future__ import annotations

import click

from barnabas.cli.changes import change_options, changes_from
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import bootstrap_option, examples, output_option
from barnabas.cli.output import emit, note, table
from barnabas.cli.session import with_cluster
from barnabas.client.admin import Admin, ConfigEntry, ConfigSource, ResourceType

_KINDS = {"topic": ResourceType.TOPIC, "broker": ResourceType.BROKER}
_kind = click.argument("kind", type=click.Choice(list(_KINDS)))
_name = click.argument("name")


@click.group("configs")
def command() -> None:
    """Describe and alter the configs of topics and brokers.

    A broker's name is its id; "default" stands for what holds for all brokers.
    """


@command.command(
    epilog=examples(
        "barnabas configs describe topic orders",
        "barnabas configs describe topic orders retention.ms segment.bytes",
        "barnabas configs describe broker 1 --all -o json",
    )
)
@_kind
@_name
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "show_all", is_flag=True, help="Show defaults as well.")
@click.option("--documentation", is_flag=True, help="Show what each config means.")
@bootstrap_option
@output_option
def describe(
    kind: str,
    name: str,
    keys: tuple[str, ...],
    show_all: bool,
    documentation: bool,
    bootstrap: str,
    output: str,
) -> None:
    """Show configs that differ from their defaults, or those named by KEY."""
    entries = with_cluster(
        bootstrap,
        lambda cluster: Admin(cluster).describe_configs(
            _KINDS[kind], _resource(kind, name), keys or None, documentation=documentation
        ),
    )
    missing = sorted(set(keys) - {entry.name for entry in entries})
    if missing:
        raise Failure(f"There is no {kind} config {', '.join(missing)}.", Exit.NOT_FOUND)
    wanted = show_all or bool(keys)
    shown = [e for e in entries if wanted or e.source != ConfigSource.DEFAULT_CONFIG]
    shown.sort(key=lambda entry: entry.name)
    if output != "table":
        emit([_plain(entry, documentation) for entry in shown], output)
        return
    columns = ["CONFIG", "VALUE", "SOURCE", "READ-ONLY"] + ["MEANING"] * documentation
    table(
        columns,
        [
            (
                *(e.name, _value(e), e.source.name, "yes" if e.read_only else ""),
                *([e.documentation] if documentation else []),
            )
            for e in shown
        ],
    )


def _value(entry: ConfigEntry) -> str:
    return "(hidden)" if entry.sensitive else ("" if entry.value is None else entry.value)


def _plain(entry: ConfigEntry, documentation: bool) -> dict[str, object]:
    plain: dict[str, object] = {
        "name": entry.name,
        "value": entry.value,
        "source": entry.source.name,
        "read_only": entry.read_only,
        "sensitive": entry.sensitive,
    }
    if documentation:
        plain["documentation"] = entry.documentation
    return plain


def _resource(kind: str, name: str) -> str:
    return "" if kind == "broker" and name == "default" else name


@command.command(
    epilog=examples(
        "barnabas configs alter topic orders --set retention.ms=86400000",
        "barnabas configs alter topic orders --append cleanup.policy=compact",
        "barnabas configs alter broker default --set log.retention.ms=3600000",
        "barnabas configs alter topic orders --delete retention.ms --validate-only",
    )
)
@_kind
@_name
@change_options
@click.option("--validate-only", is_flag=True, help="Check, but change nothing.")
@bootstrap_option
def alter(
    kind: str, name: str, validate_only: bool, bootstrap: str, **ops: tuple[str, ...]
) -> None:
    """Change configs of a topic or broker: all of the changes, or none."""
    changes = changes_from(ops)
    if not changes:
        raise Failure(
            "Nothing to alter.", Exit.USAGE, "Give --set, --delete, --append, --subtract."
        )
    with_cluster(
        bootstrap,
        lambda cluster: Admin(cluster).alter_configs(
            _KINDS[kind], _resource(kind, name), changes, validate_only=validate_only
        ),
    )
    note(f"{kind} {name}: {'could be altered' if validate_only else 'altered'}")
