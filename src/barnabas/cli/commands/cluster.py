"""`barnabas cluster`."""

from __future__ import annotations

import click

from barnabas.cli.options import bootstrap_option, examples, format_address, output_option
from barnabas.cli.output import emit, table
from barnabas.cli.session import with_cluster
from barnabas.client.admin import Admin, ClusterDescription
from barnabas.client.cluster import Cluster


@click.group("cluster")
def command() -> None:
    """Describe the cluster."""


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
