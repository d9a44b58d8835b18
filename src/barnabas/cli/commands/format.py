"""`barnabas format`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import click

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.node_config import DEFAULT_DATA, StartOptions, node_properties
from barnabas.cli.options import examples, parse_pairs
from barnabas.cli.output import note
from barnabas.cli.properties_file import load_properties
from barnabas.config import support
from barnabas.config.broker import BrokerConfig
from barnabas.host import new_event_loop, open_ports
from barnabas.log.directory import BadDirectory
from barnabas.metadata.features import METADATA_VERSION
from barnabas.metadata.releases import formatted_levels, release_level, release_name
from barnabas.ports import Random
from barnabas.server.formatting import (
    Formatted,
    Plan,
    format_node,
    parse_voters,
    standalone,
)
from barnabas.wire.messages.voters_record import VotersRecord


@click.command(
    "format",
    epilog=examples(
        "barnabas format --config server.properties --standalone --cluster-id $(barnabas random-uuid)",
        "barnabas format --data /var/lib/barnabas --standalone --release-version 4.2",
        "barnabas format --config server.properties --feature share.version=0 --ignore-formatted",
    ),
)
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="A server.properties.")
@click.option(
    "--data",
    type=click.Path(file_okay=False),
    help=f"Where the data goes. Default: log.dirs of the file, else {DEFAULT_DATA}.",
)
@click.option(
    "--cluster-id",
    "-t",
    metavar="ID",
    help="Default: that of directories formatted before, else a new one.",
)
@click.option("--ignore-formatted", "-g", is_flag=True, help="Leave formatted directories alone.")
@click.option("--release-version", "-r", "release", metavar="RELEASE", help="Default: 4.3.")
@click.option(
    "--feature", "-f", "features", multiple=True, metavar="NAME=LEVEL", help="Repeatable."
)
@click.option("--standalone", "-s", "alone", is_flag=True, help="A dynamic quorum of this node.")
@click.option(
    "--initial-controllers",
    "-I",
    metavar="ID@HOST:PORT:DIRECTORY",
    help="A dynamic quorum of this node, with everything said.",
)
def command(
    config: str | None,
    data: str | None,
    cluster_id: str | None,
    ignore_formatted: bool,
    release: str | None,
    features: tuple[str, ...],
    alone: bool,
    initial_controllers: str | None,
) -> None:
    """Format the directories of a node before its first start, as Kafka's storage tool does.

    A node formats empty directories itself when it starts, for a new cluster of this release with a
    static quorum. Say --standalone for a dynamic one, whose voters stand in the metadata log
    (kraft.version 1). With controller.quorum.voters in the configuration the quorum is static.
    """
    node = _config(config, data)
    levels = _levels(release, features, dynamic=not node.quorum_voters)
    if node.quorum_voters and (alone or initial_controllers is not None):
        raise Failure(
            "controller.quorum.voters makes the quorum a static one.",
            Exit.USAGE,
            "Take it out of the configuration, or leave --standalone and --initial-controllers.",
        )
    if alone and initial_controllers is not None:
        raise Failure("Give --standalone or --initial-controllers, not both.", Exit.USAGE)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        ports = open_ports(runner.get_loop())
        try:
            voters = _voters(node, alone, initial_controllers, ports.random)
            cluster_id = format_node(
                node,
                Plan(cluster_id, levels, voters),
                ports.disk,
                ports.clock,
                ports.random,
                ignore_formatted=ignore_formatted,
                on_formatted=_tell,
            )
        except BadDirectory as error:
            raise Failure(str(error), Exit.FAILED, _HINT) from None
        except BlockingIOError:
            raise Failure("A node uses one of these directories.", Exit.FAILED) from None
        except OSError as error:
            raise Failure(f"Cannot format {error.filename}: {error.strerror}.") from None
        finally:
            ports.close()
    click.echo(f"Cluster id: {cluster_id}")
    note(f"metadata.version {release_name(levels[METADATA_VERSION])}")


_HINT = "--ignore-formatted leaves formatted directories of the same cluster and node alone."


def _config(config: str | None, data: str | None) -> BrokerConfig:
    file = None if config is None else load_properties(config)
    path = None if data is None else os.path.abspath(data)
    options = StartOptions(path, None, None, None, None, {})
    properties = node_properties(file, options, os.path.abspath(DEFAULT_DATA))
    report = support.check(properties)
    if report.errors:
        raise Failure(
            "\n".join(["No node can start with this configuration.", *report.errors]),
            Exit.CANNOT_START,
        )
    return BrokerConfig.from_properties(properties)


def _levels(release: str | None, features: tuple[str, ...], *, dynamic: bool) -> Mapping[str, int]:
    try:
        wanted = {name: int(level) for name, level in parse_pairs(features, "--feature").items()}
        level = None if release is None else release_level(release)
        return formatted_levels(level, wanted, dynamic=dynamic)
    except ValueError as error:
        raise Failure(str(error), Exit.USAGE) from None


def _voters(
    config: BrokerConfig, alone: bool, initial: str | None, random: Random
) -> VotersRecord | None:
    if config.quorum_voters:
        return None
    if initial is None:
        if not alone:
            raise Failure(
                "Who votes is not said: controller.quorum.voters is not set.",
                Exit.USAGE,
                "Give --standalone for a quorum of this node.",
            )
        return standalone(config, random)
    try:
        voters = parse_voters(initial, config.controller_listener_names[0])
    except ValueError as error:
        raise Failure(f"--initial-controllers: {error}.", Exit.USAGE) from None
    if [voter.voter_id for voter in voters.voters] != [config.node_id]:
        raise Failure(
            "--initial-controllers: a quorum of others than this one node is not built yet.",
            Exit.CANNOT_START,
        )
    return voters


def _tell(formatted: Formatted) -> None:
    kind = "metadata directory" if formatted.metadata else "data directory"
    note(f"{'already formatted' if formatted.before else 'formatted'}: {kind} {formatted.path}")
