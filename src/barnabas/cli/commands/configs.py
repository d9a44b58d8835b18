"""`barnabas configs`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from barnabas.cli.changes import change_options, changes_from
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import bootstrap_option, examples, output_option
from barnabas.cli.output import emit, note, table
from barnabas.cli.session import with_cluster
from barnabas.client.admin import Admin, ConfigEntry, ConfigSource, ResourceType
from barnabas.client.cluster import Cluster

_KINDS = {
    "topic": ResourceType.TOPIC,
    "broker": ResourceType.BROKER,
    "broker-logger": ResourceType.BROKER_LOGGER,
    "client-metrics": ResourceType.CLIENT_METRICS,
    "group": ResourceType.GROUP,
}
_kind = click.argument("kind", type=click.Choice(list(_KINDS)))

_Found = list[tuple[str, list[ConfigEntry]]]
"""Resources by name, each with its entries."""


@click.group("configs")
def command() -> None:
    """List, describe and alter the configs of topics, brokers, their loggers, groups, and of
    subscriptions to clients' metrics.

    A broker's name is its id, and so is that of its loggers; the broker "default" stands for what
    holds for all brokers.
    """


@command.command("list", epilog=examples("barnabas configs list client-metrics"))
@_kind
@bootstrap_option
@output_option
def list_resources(kind: str, bootstrap: str, output: str) -> None:
    """Show what has configs, by name."""
    names = with_cluster(bootstrap, lambda cluster: Admin(cluster).config_resources(_KINDS[kind]))
    if output == "table":
        table([kind.upper()], [(name,) for name in names])
    else:
        emit(names, output)


@command.command(
    epilog=examples(
        "barnabas configs describe topic orders",
        "barnabas configs describe topic orders retention.ms segment.bytes",
        "barnabas configs describe broker 1 --all -o json",
        "barnabas configs describe broker-logger 1",
        "barnabas configs describe topic --synonyms",
    )
)
@_kind
@click.argument("name", required=False)
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "show_all", is_flag=True, help="Show defaults as well.")
@click.option("--synonyms", is_flag=True, help="Show every place that gives a value.")
@click.option("--documentation", is_flag=True, help="Show what each config means.")
@bootstrap_option
@output_option
def describe(
    kind: str,
    name: str | None,
    keys: tuple[str, ...],
    show_all: bool,
    synonyms: bool,
    documentation: bool,
    bootstrap: str,
    output: str,
) -> None:
    """Show configs that differ from their defaults, or those named by KEY; without NAME, of all."""

    async def ask(cluster: Cluster) -> _Found:
        admin = Admin(cluster)
        names = await _names(admin, kind, name)
        return [
            (
                each,
                await admin.describe_configs(
                    _KINDS[kind],
                    _resource(kind, each),
                    keys or None,
                    documentation=documentation,
                    synonyms=synonyms,
                ),
            )
            for each in names
        ]

    found = with_cluster(bootstrap, ask)
    missing = sorted(set(keys) - {entry.name for _, entries in found for entry in entries})
    if missing and found:
        raise Failure(f"There is no {kind} config {', '.join(missing)}.", Exit.NOT_FOUND)
    wanted = show_all or bool(keys)
    shown = [
        (each, entry)
        for each, entries in found
        for entry in sorted(entries, key=lambda entry: entry.name)
        if wanted or entry.source != ConfigSource.DEFAULT_CONFIG
    ]
    if output == "table":
        _print(kind if name is None else None, shown, synonyms, documentation)
        return
    emit([_plain(*pair, name is None, synonyms, documentation) for pair in shown], output)


async def _names(admin: Admin, kind: str, name: str | None) -> Sequence[str]:
    """The resources to describe. Raises `Failure` for a subscription that is not there."""
    if name is None:
        known = await admin.config_resources(_KINDS[kind])
        return [*known, "default"] if kind == "broker" else known
    if kind == "client-metrics" and name not in await admin.config_resources(_KINDS[kind]):
        # A node describes any subscription, by its defaults.
        raise Failure(f"There is no subscription {name}.", Exit.NOT_FOUND)
    return [name]


def _print(
    kind: str | None,
    shown: Iterable[tuple[str, ConfigEntry]],
    synonyms: bool,
    documentation: bool,
) -> None:
    """A table; with the name of each resource under the title `kind`."""
    first = [] if kind is None else [kind.upper()]
    more = ["SYNONYMS"] * synonyms + ["MEANING"] * documentation
    table(
        [*first, "CONFIG", "VALUE", "SOURCE", "READ-ONLY", *more],
        [
            (
                *([] if kind is None else [name]),
                *(e.name, _value(e), e.source.name, "yes" if e.read_only else ""),
                *([_synonyms(e)] if synonyms else []),
                *([e.documentation] if documentation else []),
            )
            for name, e in shown
        ],
    )


def _value(entry: ConfigEntry) -> str:
    return "(hidden)" if entry.sensitive else ("" if entry.value is None else entry.value)


def _synonyms(entry: ConfigEntry) -> str:
    """As Kafka's own tool writes them."""
    return ", ".join(f"{s.source.name}:{s.name}={s.value}" for s in entry.synonyms)


def _plain(
    resource: str, entry: ConfigEntry, named: bool, synonyms: bool, documentation: bool
) -> dict[str, object]:
    plain: dict[str, object] = {"resource": resource} if named else {}
    plain |= {
        "name": entry.name,
        "value": entry.value,
        "source": entry.source.name,
        "read_only": entry.read_only,
        "sensitive": entry.sensitive,
    }
    if synonyms:
        plain["synonyms"] = [
            {"name": each.name, "value": each.value, "source": each.source.name}
            for each in entry.synonyms
        ]
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
        "barnabas configs alter broker-logger 1 --set barnabas.request=DEBUG",
        "barnabas configs alter topic orders --delete retention.ms --validate-only",
    )
)
@_kind
@click.argument("name")
@change_options
@click.option("--validate-only", is_flag=True, help="Check, but change nothing.")
@bootstrap_option
def alter(
    kind: str, name: str, validate_only: bool, bootstrap: str, **ops: tuple[str, ...]
) -> None:
    """Change configs of one resource: all of the changes, or none."""
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
