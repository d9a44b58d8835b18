"""`barnabas transactions`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from barnabas.cli.commands.topic_records import producers
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import bootstrap_option, examples, output_option
from barnabas.cli.output import emit, note, table
from barnabas.cli.session import with_cluster
from barnabas.client.cluster import Cluster
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.storage import ActiveProducer
from barnabas.client.transactions import (
    TransactionDescription,
    TransactionFilters,
    abort_on,
    describe_transaction,
    fence,
    find_hanging,
    list_transactions,
)

_MINUTE_MS = 60_000


@click.group("transactions")
def command() -> None:
    """Transactions: which there are, which hang, and an end for those."""


command.add_command(
    click.Command(
        "describe-producers",
        callback=producers.callback,
        params=producers.params,
        help=producers.help,
        epilog=examples(
            "barnabas transactions describe-producers orders",
            "barnabas transactions describe-producers orders -p 0 -o json",
        ),
    )
)


@command.command(
    "list",
    epilog=examples(
        "barnabas transactions list",
        "barnabas transactions list --state Ongoing --longer-than 60000",
        "barnabas transactions list --pattern 'billing-.*' -o json",
    ),
)
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only these. Repeatable.")
@click.option(
    "--producer-id", "ids", multiple=True, type=int, metavar="ID", help="Only these. Repeatable."
)
@click.option("--longer-than", type=int, default=-1, metavar="MS", help="Begun longer ago.")
@click.option("--pattern", metavar="REGEX", help="Transactional ids that match (RE2).")
@bootstrap_option
@output_option
def list_(
    states: tuple[str, ...],
    ids: tuple[int, ...],
    longer_than: int,
    pattern: str | None,
    bootstrap: str,
    output: str,
) -> None:
    """List transactional ids and the state of their transactions."""
    filters = TransactionFilters(states, ids, longer_than, pattern)
    found = with_cluster(bootstrap, lambda cluster: list_transactions(cluster, filters))
    if output != "table":
        emit([each._asdict() for each in found], output)
        return
    table(["TRANSACTIONAL ID", "COORDINATOR", "PRODUCER", "STATE"], found, right=["PRODUCER"])


@command.command("describe", epilog=examples("barnabas transactions describe billing-1"))
@click.argument("transactional_id")
@bootstrap_option
@output_option
def describe(transactional_id: str, bootstrap: str, output: str) -> None:
    """Show a transactional id: its producer, state, times and partitions."""
    found, now_ms = with_cluster(bootstrap, lambda cluster: _describe(cluster, transactional_id))
    began = found.start_ms if found.start_ms >= 0 else None
    facts: dict[str, object] = {
        "transactional_id": found.transactional_id,
        "coordinator": found.coordinator,
        "producer_id": found.producer_id,
        "producer_epoch": found.producer_epoch,
        "state": found.state,
        "timeout_ms": found.timeout_ms,
        "start_ms": began,
        "duration_ms": None if began is None else now_ms - began,
        "partitions": [f"{topic}-{number}" for topic, number in found.partitions],
    }
    if output != "table":
        emit(facts, output)
        return
    facts["partitions"] = ", ".join(f"{topic}-{number}" for topic, number in found.partitions)
    for name, value in facts.items():
        click.echo(f"{name:<17} {'-' if value in (None, '') else value}")


async def _describe(cluster: Cluster, transactional_id: str) -> tuple[TransactionDescription, int]:
    found = await describe_transaction(cluster, transactional_id)
    return found, cluster.ports.clock.wall_ms()


@command.command(
    "find-hanging",
    epilog=examples(
        "barnabas transactions find-hanging",
        "barnabas transactions find-hanging --topic orders --partition 0",
    ),
)
@click.option("--topic", metavar="TOPIC", help="Only this topic. Default: all.")
@click.option("--partition", type=int, metavar="N", help="Only this partition of the topic.")
@click.option(
    "--max-transaction-timeout",
    "minutes",
    type=int,
    default=15,
    show_default=True,
    metavar="MINUTES",
    help="What is younger may still be ended by its producer.",
)
@bootstrap_option
@output_option
def hanging(
    topic: str | None, partition: int | None, minutes: int, bootstrap: str, output: str
) -> None:
    """Find open transactions that no coordinator knows, and so will never end.

    They hold back read_committed consumers. End one with `barnabas transactions abort`.
    """
    if partition is not None and topic is None:
        raise Failure("--partition needs --topic.", Exit.USAGE)

    async def work(cluster: Cluster) -> list[ActiveProducer]:
        places = await _places(cluster, topic, partition)
        return await find_hanging(cluster, places, minutes * _MINUTE_MS)

    found = with_cluster(bootstrap, work)
    if output != "table":
        emit(
            [
                {
                    "topic": p.topic,
                    "partition": p.partition,
                    "producer_id": p.id,
                    "producer_epoch": p.epoch,
                    "coordinator_epoch": p.coordinator_epoch,
                    "start_offset": p.transaction_start,
                    "last_timestamp": p.last_timestamp,
                }
                for p in found
            ],
            output,
        )
        return
    columns = ["TOPIC", "PARTITION", "PRODUCER", "EPOCH", "START OFFSET", "LAST WRITE"]
    rows = [
        (p.topic, p.partition, p.id, p.epoch, p.transaction_start, _moment(p.last_timestamp))
        for p in found
    ]
    table(columns, rows, right=columns[1:5])
    if not found:
        note("No transaction hangs.")


async def _places(
    cluster: Cluster, topic: str | None, partition: int | None
) -> list[TopicPartition]:
    if topic is not None and partition is not None:
        return [(topic, partition)]
    if topic is not None:
        names = [topic]
    else:
        answer = await cluster.refresh(None)
        names = sorted(each.name for each in answer.topics if each.name is not None)
    return [(name, n) for name in names for n in sorted((await cluster.topic(name)).partitions)]


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


@command.command(
    "abort",
    epilog=examples(
        "barnabas transactions abort billing-1",
        "barnabas transactions abort --topic orders --partition 0 --start-offset 42",
    ),
)
@click.argument("transactional_id", required=False)
@click.option("--topic", metavar="TOPIC", help="Where a transaction hangs.")
@click.option("--partition", type=int, metavar="N", help="Where a transaction hangs.")
@click.option("--start-offset", type=int, metavar="N", help="Where it begins.")
@bootstrap_option
def abort(
    transactional_id: str | None,
    topic: str | None,
    partition: int | None,
    start_offset: int | None,
    bootstrap: str,
) -> None:
    """Abort the transaction of a transactional id, whose producer is fenced; or one that hangs.

    A hanging one is named by its partition and the offset at which it begins (find-hanging tells).
    """
    if transactional_id is not None and topic is None:
        with_cluster(bootstrap, lambda cluster: fence(cluster, transactional_id))
        note(f"Aborted what {transactional_id} had open; its producer is fenced.")
        return
    if transactional_id is not None or topic is None or partition is None or start_offset is None:
        raise Failure(
            "What is to be aborted?",
            Exit.USAGE,
            "Name a transactional id, or --topic, --partition and --start-offset.",
        )
    with_cluster(bootstrap, lambda cluster: abort_on(cluster, topic, partition, start_offset))
    note(f"Aborted the transaction at offset {start_offset} of {topic}-{partition}.")
