"""`barnabas cluster`."""

from __future__ import annotations

import click

from barnabas.cli.commands.features import command as features
from barnabas.cli.options import bootstrap_option, examples, format_address, output_option
from barnabas.cli.output import emit, note, table
from barnabas.cli.session import with_cluster
from barnabas.client.admin import Admin, ClusterDescription
from barnabas.client.cluster import Cluster
from barnabas.client.cluster_admin import (
    QuorumDescription,
    QuorumReplica,
    describe_quorum,
    unregister_broker,
)
from barnabas.wire import uuids


@click.group("cluster")
def command() -> None:
    """Describe the cluster, its metadata quorum and its features; unregister brokers."""


command.add_command(features)


@command.command(
    epilog=examples("barnabas cluster describe", "barnabas cluster describe -b broker:9092 -o json")
)
@bootstrap_option
@output_option
def describe(bootstrap: str, output: str) -> None:
    """Print the cluster's id, its brokers, and its finalised features."""

    async def work(cluster: Cluster) -> tuple[ClusterDescription, dict[str, int]]:
        description = await Admin(cluster).describe_cluster()
        return description, (await cluster.any_connection()).features

    description, features = with_cluster(bootstrap, work)
    if output != "table":
        emit(_plain(description, features), output)
        return
    click.echo(f"Cluster id: {description.cluster_id}")
    click.echo("")
    table(
        ["BROKER", "ADDRESS", "RACK", "CONTROLLER"],
        [
            (
                b.id,
                format_address(b.host, b.port),
                b.rack,
                "*" if b.id == description.controller else "",
            )
            for b in description.brokers
        ],
        right=["BROKER"],
    )
    click.echo("")
    table(["FEATURE", "LEVEL"], sorted(features.items()), right=["LEVEL"])


def _plain(description: ClusterDescription, features: dict[str, int]) -> dict[str, object]:
    return {
        "cluster_id": description.cluster_id,
        "controller": description.controller,
        "brokers": [
            {"id": b.id, "host": b.host, "port": b.port, "rack": b.rack}
            for b in description.brokers
        ],
        "features": dict(sorted(features.items())),
    }


@command.command(
    epilog=examples("barnabas cluster quorum", "barnabas cluster quorum -b broker:9092 -o json")
)
@bootstrap_option
@output_option
def quorum(bootstrap: str, output: str) -> None:
    """Show the metadata quorum: leader, epoch, high watermark, and how far each replica is."""
    found = with_cluster(bootstrap, describe_quorum)
    if output != "table":
        emit(_plain_quorum(found), output)
        return
    click.echo(f"Leader: {found.leader}   Epoch: {found.epoch}   High watermark: ", nl=False)
    click.echo(f"{found.high_watermark}\n")
    head = _end_of_leader(found)
    now = max(each.last_fetch_ms for each in found.replicas)
    table(
        ["NODE", "ROLE", "ENDPOINTS", "DIRECTORY", "END OFFSET", "LAG", "LAST FETCH", "CAUGHT UP"],
        [
            (
                each.id,
                each.role,
                " ".join(format_address(host, port) for _name, host, port in each.endpoints),
                _directory(each),
                each.end_offset,
                head - each.end_offset,
                _ago(each.last_fetch_ms, now),
                _ago(each.last_caught_up_ms, now),
            )
            for each in found.replicas
        ],
        right=["NODE", "END OFFSET", "LAG"],
    )


def _end_of_leader(found: QuorumDescription) -> int:
    return max((each.end_offset for each in found.replicas if each.role == "leader"), default=-1)


def _directory(replica: QuorumReplica) -> str | None:
    """Its text; None under static voters, whose directories nobody knows."""
    known = replica.directory_id != uuids.ZERO
    return uuids.to_text(replica.directory_id) if known else None


def _ago(time_ms: int, now_ms: int) -> str:
    """The age of a time beside the leader's own, which is the time of its answer."""
    return "never" if time_ms < 0 else f"{max(now_ms - time_ms, 0)} ms ago"


def _plain_quorum(found: QuorumDescription) -> dict[str, object]:
    head = _end_of_leader(found)
    return {
        "leader": found.leader,
        "epoch": found.epoch,
        "high_watermark": found.high_watermark,
        "replicas": [
            {
                "id": each.id,
                "role": each.role,
                "directory_id": _directory(each),
                "endpoints": [
                    {"listener": name, "host": host, "port": port}
                    for name, host, port in each.endpoints
                ],
                "log_end_offset": each.end_offset,
                "lag": head - each.end_offset,
                "last_fetch_ms": each.last_fetch_ms,
                "last_caught_up_ms": each.last_caught_up_ms,
            }
            for each in found.replicas
        ],
    }


@command.command(epilog=examples("barnabas cluster unregister 3"))
@click.argument("broker", type=click.IntRange(0, 2**31 - 1))
@bootstrap_option
def unregister(broker: int, bootstrap: str) -> None:
    """Forget a broker that is gone for good.

    One that still runs serves nothing any more until its next start, which registers it again.
    """
    with_cluster(bootstrap, lambda cluster: unregister_broker(cluster, broker))
    note(f"broker {broker}: unregistered")
