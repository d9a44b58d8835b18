"""`barnabas cluster features`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import bootstrap_option, examples, output_option, parse_pairs
from barnabas.cli.output import emit, note, table
from barnabas.cli.session import with_cluster
from barnabas.client.cluster_admin import (
    Feature,
    UpgradeType,
    describe_features,
    update_features,
)
from barnabas.metadata.features import (
    KRAFT_VERSION,
    METADATA_VERSION,
    MV_LATEST,
    dependencies,
)
from barnabas.metadata.releases import levels_at, release_level, release_name

Command = TypeVar("Command", bound=Callable[..., Any])
MAX_LEVEL = 32_767


def update_options(command: Command) -> Command:
    """What every change of levels takes."""
    command = click.option("--dry-run", is_flag=True, help="Check, but change nothing.")(command)
    return bootstrap_option(command)


def level_options(command: Command) -> Command:
    """What sets levels: pairs, or all levels of a release."""
    command = click.option(
        "--release-version", "release", metavar="RELEASE", help="All levels of a release: 4.3."
    )(command)
    return click.argument("pairs", nargs=-1, metavar="[FEATURE=LEVEL]...")(command)


_unsafe = click.option(
    "--unsafe", is_flag=True, help="Even where metadata could be lost, as far as nodes allow."
)


def _level(name: str, text: str) -> int:
    if name == METADATA_VERSION and not text.isdigit():
        try:
            return release_level(text)
        except ValueError as error:
            raise Failure(f"{error}.", Exit.USAGE) from None
    if not text.isascii() or not text.isdigit() or int(text) > MAX_LEVEL:
        raise Failure(f"{name}={text}: the level is no number.", Exit.USAGE)
    return int(text)


def _levels(pairs: tuple[str, ...], release: str | None, *, up: bool) -> dict[str, int]:
    if bool(pairs) == (release is not None):
        raise Failure("Which levels?", Exit.USAGE, "Give FEATURE=LEVEL, or --release-version.")
    if release is None:
        names = parse_pairs(pairs, "cluster features")
        if len(names) < len(pairs):
            raise Failure("A feature is named twice.", Exit.USAGE)
        return {name: _level(name, text) for name, text in names.items()}
    levels = levels_at(_level(METADATA_VERSION, release))
    # An upgrade does not turn anything off.
    return {name: level for name, level in levels.items() if level > 0 or not up}


def _update(levels: dict[str, int], kind: UpgradeType, dry_run: bool, bootstrap: str) -> None:
    with_cluster(
        bootstrap, lambda cluster: update_features(cluster, levels, kind, validate_only=dry_run)
    )
    for name, level in levels.items():
        what = f"level {_shown(name, level)}" if level else "off"
        note(f"{name}: {'could be set to' if dry_run else 'is now'} {what}")


def _shown(name: str, level: int) -> str:
    return f"{level} ({release_name(level)})" if name == METADATA_VERSION else str(level)


@click.group("features")
def command() -> None:
    """Show and change the feature levels that a cluster has finalised.

    A level that is finalised may be used by every node, and keeps nodes out that do not know it.
    """


@command.command(
    "list",
    epilog=examples("barnabas cluster features list", "barnabas cluster features list -o json"),
)
@bootstrap_option
@output_option
def list_(bootstrap: str, output: str) -> None:
    """Show the levels that are supported and finalised, and what the finalised ones need."""
    found, epoch = with_cluster(bootstrap, describe_features)
    if output != "table":
        emit({"epoch": epoch, "features": [_plain(each) for each in found]}, output)
        return
    table(
        ["FEATURE", "LOWEST", "HIGHEST", "LEVEL", "NEEDS"],
        [
            (
                each.name,
                _shown(each.name, each.low),
                _shown(each.name, each.high),
                _shown(each.name, each.level),
                _needs(dependencies(each.name, each.high).items()),
            )
            for each in found
        ],
    )
    note(f"finalised as of metadata offset {epoch}")


def _needs(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {_shown(name, level)}" for name, level in pairs)


def _plain(feature: Feature) -> dict[str, object]:
    plain: dict[str, object] = {
        "name": feature.name,
        "lowest": feature.low,
        "highest": feature.high,
        "level": feature.level,
        "needs": dependencies(feature.name, feature.high),
    }
    if feature.name == METADATA_VERSION:
        plain["release"] = release_name(feature.level)
    return plain


@command.command(
    epilog=examples(
        "barnabas cluster features upgrade --release-version 4.3",
        "barnabas cluster features upgrade metadata.version=4.3-IV0 group.version=1 --dry-run",
    )
)
@level_options
@update_options
def upgrade(pairs: tuple[str, ...], release: str | None, dry_run: bool, bootstrap: str) -> None:
    """Raise levels: all of them, or none. A release's levels leave kraft.version alone."""
    _update(_levels(pairs, release, up=True), UpgradeType.UPGRADE, dry_run, bootstrap)


@command.command(
    epilog=examples(
        "barnabas cluster features downgrade transaction.version=1",
        "barnabas cluster features downgrade --release-version 4.2 --dry-run",
    )
)
@level_options
@_unsafe
@update_options
def downgrade(
    pairs: tuple[str, ...], release: str | None, unsafe: bool, dry_run: bool, bootstrap: str
) -> None:
    """Lower levels: all of them, or none. metadata.version goes down only where nothing is lost."""
    kind = UpgradeType.UNSAFE_DOWNGRADE if unsafe else UpgradeType.SAFE_DOWNGRADE
    _update(_levels(pairs, release, up=False), kind, dry_run, bootstrap)


@command.command(epilog=examples("barnabas cluster features disable share.version --dry-run"))
@click.argument("features", nargs=-1, required=True, metavar="FEATURE...")
@_unsafe
@update_options
def disable(features: tuple[str, ...], unsafe: bool, dry_run: bool, bootstrap: str) -> None:
    """Turn features off."""
    kind = UpgradeType.UNSAFE_DOWNGRADE if unsafe else UpgradeType.SAFE_DOWNGRADE
    _update(dict.fromkeys(features, 0), kind, dry_run, bootstrap)


@command.command(
    epilog=examples("barnabas cluster features release", "barnabas cluster features release 3.9")
)
@click.argument("name", default=release_name(MV_LATEST))
@output_option
def release(name: str, output: str) -> None:
    """Show the levels that come with a release of Kafka; asks no cluster."""
    levels = levels_at(_level(METADATA_VERSION, name))
    if output != "table":
        emit(levels, output)
        return
    table(["FEATURE", "LEVEL"], [(n, _shown(n, level)) for n, level in levels.items()])
    note(f"{KRAFT_VERSION} depends on how the quorum was formatted")
