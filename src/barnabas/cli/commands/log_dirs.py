"""`barnabas log dirs`."""

from __future__ import annotations

import click

from barnabas.cli.options import bootstrap_option, examples, output_option
from barnabas.cli.output import emit, table
from barnabas.cli.session import with_cluster
from barnabas.client.cluster import Cluster
from barnabas.client.storage import StoredIn, describe_log_dirs
from barnabas.wire.errors import ErrorCode

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@click.command(
    "dirs",
    epilog=examples(
        "barnabas log dirs",
        "barnabas log dirs orders flights     # the partitions of these topics",
        "barnabas log dirs --all -o json",
    ),
)
@click.argument("topics", nargs=-1, metavar="[TOPIC]...")
@click.option("--all", "all_topics", is_flag=True, help="Show the partitions of all topics.")
@bootstrap_option
@output_option
def dirs(topics: tuple[str, ...], all_topics: bool, bootstrap: str, output: str) -> None:
    """Show the log directories of the brokers, their volumes, and which partitions are there."""

    async def work(cluster: Cluster) -> list[StoredIn]:
        asked = None
        if topics:
            states = [await cluster.topic(name) for name in topics]
            asked = {state.name: list(state.partitions) for state in states}
        return await describe_log_dirs(cluster, asked)

    found = with_cluster(bootstrap, work)
    if output != "table":
        emit([_plain(directory) for directory in found], output)
        return
    _print_directories(found)
    if topics or all_topics:
        click.echo("")
        _print_replicas(found)


def _print_directories(found: list[StoredIn]) -> None:
    rows = [
        (
            d.broker,
            d.path,
            _state(d),
            None if d.error else len(d.replicas),
            None if d.error else size_text(sum(replica.size for replica in d.replicas)),
            size_text(d.usable),
            size_text(d.total),
        )
        for d in found
    ]
    columns = ["BROKER", "DIRECTORY", "STATE", "PARTITIONS", "SIZE", "FREE", "VOLUME"]
    table(columns, rows, right=["BROKER", "PARTITIONS", "SIZE", "FREE", "VOLUME"])


def _print_replicas(found: list[StoredIn]) -> None:
    rows = [
        (
            f"{r.topic}-{r.partition}",
            d.broker,
            d.path,
            size_text(r.size),
            r.lag,
            "moving" * r.future,
        )
        for d in found
        for r in d.replicas
    ]
    columns = ["PARTITION", "BROKER", "DIRECTORY", "SIZE", "LAG", ""]
    table(columns, sorted(rows), right=["BROKER", "SIZE", "LAG"])


def _state(directory: StoredIn) -> str:
    if directory.error == ErrorCode.KAFKA_STORAGE_ERROR:
        return "offline"
    if directory.error:
        return directory.error.name
    return "cordoned" if directory.cordoned else "online"


def size_text(size: int) -> str | None:
    """A number of bytes for people; nothing for an unknown one."""
    if size < 0:
        return None
    unit = 0
    number = float(size)
    while number >= 1024 and unit + 1 < len(_UNITS):
        number /= 1024
        unit += 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{size} B"


def _plain(directory: StoredIn) -> dict[str, object]:
    return {
        "broker": directory.broker,
        "path": directory.path,
        "state": _state(directory),
        "total_bytes": None if directory.total < 0 else directory.total,
        "usable_bytes": None if directory.usable < 0 else directory.usable,
        "partitions": [
            {
                "topic": r.topic,
                "partition": r.partition,
                "size": r.size,
                "lag": r.lag,
                "future": r.future,
            }
            for r in directory.replicas
        ],
    }
