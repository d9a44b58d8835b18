"""`barnabas topics`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from barnabas.cli.changes import change_options, changes_from
from barnabas.cli.commands.topic_records import producers, purge
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.explain import explain
from barnabas.cli.options import bootstrap_option, examples, output_option, parse_pairs
from barnabas.cli.output import emit, note, table
from barnabas.cli.session import with_cluster
from barnabas.client.admin import Admin, ConfigEntry, ConfigSource, Failures, NewTopic, ResourceType
from barnabas.client.cluster import Cluster
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.metadata import PartitionState, TopicState
from barnabas.client.offsets import EARLIEST, LATEST, OffsetAt, list_offsets
from barnabas.wire import uuids
from barnabas.wire.errors import ErrorCode, KafkaError


@click.group("topics")
def command() -> None:
    """Create, list, describe, alter, purge and delete topics."""


command.add_command(purge)
command.add_command(producers)


@command.command(
    epilog=examples(
        "barnabas topics create orders",
        "barnabas topics create flights --partitions 6 --config retention.ms=-1",
        "barnabas topics create users --config cleanup.policy=compact --if-not-exists",
    )
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-p", "--partitions", type=click.IntRange(1), help="Default: the node's.")
@click.option("-r", "--replication-factor", type=click.IntRange(1), help="Default: the node's.")
@click.option("-c", "--config", "configs", multiple=True, metavar="KEY=VALUE", help="Repeatable.")
@click.option("--if-not-exists", is_flag=True, help="A topic that exists already is fine.")
@click.option("--validate-only", is_flag=True, help="Check, but create nothing.")
@bootstrap_option
def create(
    names: tuple[str, ...],
    partitions: int | None,
    replication_factor: int | None,
    configs: tuple[str, ...],
    if_not_exists: bool,
    validate_only: bool,
    bootstrap: str,
) -> None:
    """Create topics."""
    settings = parse_pairs(configs, "--config")
    topics = [
        NewTopic(name, partitions or -1, replication_factor or -1, settings) for name in names
    ]

    async def work(cluster: Cluster) -> Failures:
        failures = await Admin(cluster).create_topics(topics, validate_only=validate_only)
        if not validate_only:
            await _settled(cluster, [name for name in names if name not in failures])
        return failures

    failures = with_cluster(bootstrap, work)
    if if_not_exists:
        failures = _without(failures, ErrorCode.TOPIC_ALREADY_EXISTS)
    _finish(failures, names, "could be created" if validate_only else "created")


async def _settled(cluster: Cluster, names: Sequence[str]) -> None:
    """Return when the node that was asked knows leaders for the new topics: they are usable."""
    for name in names:
        for attempt in range(20):
            await cluster.refresh([name])
            state = cluster.metadata.topics.get(name)
            if state and state.partitions and all(p.leader >= 0 for p in state.partitions.values()):
                break
            await cluster.ports.clock.sleep(cluster.pause_ms(attempt))


@command.command(
    "list",
    epilog=examples("barnabas topics list", "barnabas topics list --internal -o json"),
)
@click.option("--internal", is_flag=True, help="Show the cluster's own topics as well.")
@bootstrap_option
@output_option
def list_topics(internal: bool, bootstrap: str, output: str) -> None:
    """List all topics."""
    states = with_cluster(bootstrap, lambda cluster: Admin(cluster).topics())
    shown = [state for state in states if internal or not state.internal]
    if output != "table":
        emit([_summary(state) for state in shown], output)
        return
    rows = [
        (state.name, len(state.partitions), _replication(state), uuids.to_text(state.id))
        for state in shown
    ]
    table(["TOPIC", "PARTITIONS", "REPLICAS", "ID"], rows, right=["PARTITIONS", "REPLICAS"])


def _replication(state: TopicState) -> int:
    return max((len(p.replicas) for p in state.partitions.values()), default=0)


def _summary(state: TopicState) -> dict[str, object]:
    return {
        "name": state.name,
        "id": uuids.to_text(state.id),
        "partitions": len(state.partitions),
        "replication_factor": _replication(state),
        "internal": state.internal,
    }


@command.command(
    epilog=examples(
        "barnabas topics describe orders",
        "barnabas topics describe              # all of them",
        "barnabas topics describe orders flights --offsets -o json",
    )
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--offsets", is_flag=True, help="Show where each partition starts and ends.")
@bootstrap_option
@output_option
def describe(names: tuple[str, ...], offsets: bool, bootstrap: str, output: str) -> None:
    """Show partitions, leaders, replicas and changed configs of topics."""

    async def work(cluster: Cluster) -> list[dict[str, Any]]:
        wanted = names or [t.name for t in await Admin(cluster).topics() if not t.internal]
        return [await _describe(cluster, name, offsets) for name in wanted]

    topics = with_cluster(bootstrap, work)
    if output != "table":
        emit(topics, output)
        return
    for index, topic in enumerate(topics):
        if index:
            click.echo("")
        _print_topic(topic, offsets)


async def _describe(cluster: Cluster, name: str, offsets: bool) -> dict[str, Any]:
    state = await cluster.topic(name)
    configs = await Admin(cluster).describe_configs(ResourceType.TOPIC, name)
    starts: dict[TopicPartition, OffsetAt] = {}
    ends: dict[TopicPartition, OffsetAt] = {}
    if offsets:
        partitions = [(name, index) for index in state.partitions]
        starts = await list_offsets(cluster, dict.fromkeys(partitions, EARLIEST))
        ends = await list_offsets(cluster, dict.fromkeys(partitions, LATEST))
    return {
        **_summary(state),
        "configs": {c.name: c.value for c in configs if _changed(c)},
        "partitions": [
            _partition(p)
            | (
                {"start": starts[name, index].offset, "end": ends[name, index].offset}
                if offsets
                else {}
            )
            for index, p in state.partitions.items()
        ],
    }


def _changed(entry: ConfigEntry) -> bool:
    return entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG


def _partition(state: PartitionState) -> dict[str, object]:
    return {
        "partition": state.partition,
        "leader": state.leader,
        "leader_epoch": state.leader_epoch,
        "replicas": list(state.replicas),
        "isr": list(state.isr),
        "offline": list(state.offline),
    }


def _print_topic(topic: dict[str, Any], offsets: bool) -> None:
    click.echo(f"{click.style(topic['name'], bold=True)}  {topic['id']}")
    for key, value in topic["configs"].items():
        click.echo(f"  {key}={value}")
    columns = ["partition", "leader", "leader_epoch", "replicas", "isr"]
    columns += ["start", "end"] if offsets else []
    rows = [
        [",".join(map(str, p[c])) if isinstance(p[c], list) else p[c] for c in columns]
        for p in topic["partitions"]
    ]
    titles = [column.upper().replace("_", " ") for column in columns]
    table(titles, rows, right=["PARTITION", "LEADER", "LEADER EPOCH", "START", "END"])


@command.command(
    epilog=examples(
        "barnabas topics alter orders --partitions 12",
        "barnabas topics alter orders --set retention.ms=3600000 --delete cleanup.policy",
    )
)
@click.argument("name")
@click.option("-p", "--partitions", type=click.IntRange(1), help="The new, larger number.")
@change_options
@click.option("--validate-only", is_flag=True, help="Check, but change nothing.")
@bootstrap_option
def alter(
    name: str, partitions: int | None, validate_only: bool, bootstrap: str, **ops: tuple[str, ...]
) -> None:
    """Give a topic more partitions or other configs."""
    changes = changes_from(ops)
    if partitions is None and not changes:
        raise Failure("Nothing to alter.", Exit.USAGE, "Give --partitions or a config change.")

    async def work(cluster: Cluster) -> Failures:
        admin = Admin(cluster)
        if changes:
            await admin.alter_configs(
                ResourceType.TOPIC, name, changes, validate_only=validate_only
            )
        if partitions is None:
            return {}
        return await admin.create_partitions({name: partitions}, validate_only=validate_only)

    _finish(
        with_cluster(bootstrap, work), [name], "could be altered" if validate_only else "altered"
    )


@command.command(
    epilog=examples("barnabas topics delete orders", "barnabas topics delete a b --if-exists --yes")
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--if-exists", is_flag=True, help="A topic that does not exist is fine.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask (never asked without a terminal).")
@bootstrap_option
def delete(names: tuple[str, ...], if_exists: bool, yes: bool, bootstrap: str) -> None:
    """Delete topics and all their records."""
    if not yes and sys.stdin.isatty():
        click.confirm(f"Delete {', '.join(names)} with all records?", abort=True)
    failures = with_cluster(bootstrap, lambda cluster: Admin(cluster).delete_topics(names))
    if if_exists:
        failures = _without(failures, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    _finish(failures, names, "deleted")


def _without(failures: Failures, code: ErrorCode) -> Failures:
    return {name: error for name, error in failures.items() if error.code != code}


def _finish(failures: Failures, names: Sequence[str], verb: str) -> None:
    """Say what was done and what was not; the exit code is that of the first failure."""
    for name in names:
        if name not in failures:
            note(f"{name}: {verb}")
    told = [_told(name, error) for name, error in failures.items()]
    for failure in told[1:]:
        note(failure.message)
    if told:
        raise told[0]


def _told(name: str, error: KafkaError) -> Failure:
    named = KafkaError(error.code, f"{name}: {error.message or 'refused'}")
    return explain(named) or Failure(str(named))
