"""`barnabas topics purge` and `producers`: what is in the partitions of a topic."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import click

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.explain import explain
from barnabas.cli.options import bootstrap_option, examples, output_option
from barnabas.cli.output import emit, note, table
from barnabas.cli.positions import Anchor, Start, clamp, parse_start
from barnabas.cli.session import with_cluster
from barnabas.client.cluster import Cluster
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.offsets import EARLIEST, LATEST, list_offsets
from barnabas.client.storage import ActiveProducer, delete_records, describe_producers
from barnabas.wire.errors import ErrorCode, KafkaError

ONLY_COMPACTED = (
    "records are only deleted from topics with cleanup.policy=delete. Send a record without a value "
    "for each key, or allow it with: barnabas configs alter topic TOPIC --append cleanup.policy=delete"
)

partition_option = click.option(
    "-p", "--partition", "only", type=click.IntRange(0), multiple=True, help="Repeatable."
)


@click.command(
    "purge",
    epilog=examples(
        "barnabas topics purge orders --before -7d",
        "barnabas topics purge orders --before 2026-01-31T12:00:00Z --yes",
        "barnabas topics purge orders --partition 0 --before 1000",
    ),
)
@click.argument("topic")
@click.option(
    "--before",
    metavar="WHERE",
    default="end",
    show_default=True,
    help="end, OFFSET, -N (all but the last N of each partition), -1h (also ms s m d w), a time "
    "(ISO 8601) or @MILLISECONDS.",
)
@partition_option
@click.option("-y", "--yes", is_flag=True, help="Don't ask (never asked without a terminal).")
@bootstrap_option
def purge(topic: str, before: str, only: tuple[int, ...], yes: bool, bootstrap: str) -> None:
    """Delete the records of a topic that come before a place; the topic stays.

    When this returns nobody can read them any more. Their files go with the next retention run,
    whole segments at a time.
    """
    try:
        where = parse_start(before)
    except ValueError as error:
        raise Failure(f"--before: {error}.", Exit.USAGE) from None

    async def plan(cluster: Cluster) -> dict[TopicPartition, tuple[int, int]]:
        return await _plan(cluster, await _partitions(cluster, topic, only), where)

    planned = with_cluster(bootstrap, plan)
    offsets = {name: to for name, (start, to) in planned.items() if to > start}
    count = sum(to - planned[name][0] for name, to in offsets.items())
    if not offsets:
        note(f"{topic}: nothing to delete")
        return
    if not yes and sys.stdin.isatty():
        places = ", ".join(f"{index} below {to}" for (_, index), to in sorted(offsets.items()))
        click.confirm(f"Delete {count} offsets of {topic} (partition {places})?", abort=True)
    results = with_cluster(bootstrap, lambda cluster: delete_records(cluster, offsets))
    _tell(topic, results)


def _tell(topic: str, results: Mapping[TopicPartition, int | KafkaError]) -> None:
    failures = []
    for (_, index), result in sorted(results.items(), key=lambda item: item[0]):
        if isinstance(result, KafkaError):
            if result.code is ErrorCode.POLICY_VIOLATION:
                result = KafkaError(result.code, ONLY_COMPACTED)
            failures.append(explain(result) or Failure(str(result)))
        else:
            note(f"{topic}-{index}: starts at {result}")
    for failure in failures[1:]:
        note(failure.message)
    if failures:
        raise failures[0]


async def _partitions(cluster: Cluster, topic: str, only: Iterable[int]) -> list[TopicPartition]:
    """The partitions of a topic, or those of `only`. Raises `KafkaError`."""
    state = await cluster.topic(topic)
    for index in only:
        if index not in state.partitions:
            raise KafkaError(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{topic} has no partition {index}"
            )
    return [(topic, index) for index in sorted(set(only) or state.partitions)]


async def _plan(
    cluster: Cluster, partitions: list[TopicPartition], where: Start
) -> dict[TopicPartition, tuple[int, int]]:
    """(start, offset to delete to) of each partition."""
    starts = await list_offsets(cluster, dict.fromkeys(partitions, EARLIEST))
    ends = await list_offsets(cluster, dict.fromkeys(partitions, LATEST))
    at = None
    if where.anchor in (Anchor.TIME, Anchor.AGO):
        ago = where.anchor is Anchor.AGO
        time = cluster.ports.clock.wall_ms() - where.number if ago else where.number
        at = await list_offsets(cluster, dict.fromkeys(partitions, max(time, 0)))
    planned = {}
    for name in partitions:
        start, end = starts[name].offset, ends[name].offset
        match where.anchor:
            case Anchor.BEGINNING:
                to = start
            case Anchor.OFFSET:
                to = where.number
            case Anchor.LAST:
                to = end - where.number
            case Anchor.TIME | Anchor.AGO if at is not None and at[name].offset >= 0:
                to = at[name].offset
            case _:
                to = end
        planned[name] = (start, clamp(to, start, end))
    return planned


@click.command(
    "producers",
    epilog=examples(
        "barnabas topics producers orders", "barnabas topics producers orders -p 0 -o json"
    ),
)
@click.argument("topic")
@partition_option
@bootstrap_option
@output_option
def producers(topic: str, only: tuple[int, ...], bootstrap: str, output: str) -> None:
    """Show the idempotent and transactional producers that the partitions of a topic remember.

    TRANSACTION is where an open one starts.
    """

    async def work(cluster: Cluster) -> list[ActiveProducer]:
        return await describe_producers(cluster, await _partitions(cluster, topic, only))

    found = with_cluster(bootstrap, work)
    if output != "table":
        emit([_plain(producer) for producer in found], output)
        return
    columns = ["PARTITION", "PRODUCER", "EPOCH", "SEQUENCE", "LAST WRITE", "TRANSACTION"]
    rows = [
        (
            p.partition,
            p.id,
            p.epoch,
            _known(p.last_sequence),
            _moment(p.last_timestamp),
            _known(p.transaction_start),
        )
        for p in found
    ]
    table(columns, rows, right=[c for c in columns if c != "LAST WRITE"])


def _known(number: int) -> int | None:
    return None if number < 0 else number


def _moment(ms: int) -> str | None:
    if ms < 0:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _plain(producer: ActiveProducer) -> dict[str, object]:
    return {
        "partition": producer.partition,
        "producer_id": producer.id,
        "epoch": producer.epoch,
        "last_sequence": _known(producer.last_sequence),
        "last_timestamp": _known(producer.last_timestamp),
        "coordinator_epoch": _known(producer.coordinator_epoch),
        "transaction_start": _known(producer.transaction_start),
    }
