"""`barnabas consume`."""

from __future__ import annotations

import sys

import click

from barnabas.cli.commands.produce import Escaped
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.formats import RecordWriter, json_writer, raw_writer
from barnabas.cli.group_consume import GroupConsume
from barnabas.cli.options import bootstrap_option, examples
from barnabas.cli.output import note
from barnabas.cli.positions import Anchor, Start, clamp, parse_start
from barnabas.cli.progress import ProgressBar
from barnabas.cli.session import with_cluster
from barnabas.client.cluster import Cluster
from barnabas.client.config import FetchConfig
from barnabas.client.fetch_core import FetchedRecords, TopicPartition
from barnabas.client.fetcher import Fetcher
from barnabas.client.offsets import EARLIEST, LATEST, list_offsets

Offsets = dict[TopicPartition, int]


@click.command(
    "consume",
    epilog=examples(
        "barnabas consume orders",
        "barnabas consume orders --follow",
        "barnabas consume orders --from -1h --format json | jq .value",
        "barnabas consume orders --from -10 --partition 0",
        "barnabas consume orders --from 2026-01-31T12:00:00Z --max 100 --key-separator '\\t'",
        "barnabas consume orders --group billing --from beginning",
        "barnabas consume images --max 1 --delimiter '' > cat.jpg",
    ),
)
@click.argument("topic")
@click.option(
    "--from",
    "start",
    metavar="WHERE",
    help="beginning, end, OFFSET, -N (the last N of each partition), -1h (also ms s m d w), a time "
    "(ISO 8601) or @MILLISECONDS. Default: beginning; with --follow: end.",
)
@click.option("-n", "--max", "limit", type=click.IntRange(1), help="Stop after this many records.")
@click.option("-F", "--follow", is_flag=True, help="Don't stop at the end; wait for more.")
@click.option(
    "-p", "--partition", "only", type=click.IntRange(0), multiple=True, help="Repeatable."
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["raw", "json"]),
    default="raw",
    show_default=True,
    help="raw: values. json: a line per record with everything; bytes that are no UTF-8 as "
    '{"base64": "..."}.',
)
@click.option("-k", "--key-separator", type=Escaped(), metavar="TEXT", help="raw: KEY TEXT VALUE.")
@click.option(
    "-d",
    "--delimiter",
    type=Escaped(),
    default="\\n",
    metavar="TEXT",
    help="raw: what to print after a record. Default: \\n.",
)
@click.option("--null", type=Escaped(), default="", metavar="TEXT", help="raw: TEXT for null.")
@click.option("--read-committed", is_flag=True, help="Leave out what is not, or never, committed.")
@click.option(
    "-g",
    "--group",
    metavar="NAME",
    help="Take part in a consumer group: go on where it stands, and commit what was printed. --from "
    "then says where to begin what it has not committed yet.",
)
@click.option("--group-instance-id", metavar="ID", help="With --group: be this static member.")
@click.option(
    "--group-protocol",
    type=click.Choice(["classic", "consumer"]),
    default="classic",
    show_default=True,
    help="With --group: who assigns partitions, the members or (KIP-848) the coordinator.",
)
@bootstrap_option
def command(
    topic: str,
    start: str | None,
    limit: int | None,
    follow: bool,
    only: tuple[int, ...],
    form: str,
    key_separator: bytes | None,
    delimiter: bytes,
    null: bytes,
    read_committed: bool,
    group: str | None,
    group_instance_id: str | None,
    group_protocol: str,
    bootstrap: str,
) -> None:
    """Print TOPIC's records to stdout, up to where the topic ends now.

    Each partition's records come in order; partitions are read side by side.
    """
    try:
        where = parse_start(start or ("end" if follow else "beginning"))
    except ValueError as error:
        raise Failure(f"--from: {error}.", Exit.USAGE) from None
    writer = json_writer() if form == "json" else raw_writer(delimiter, key_separator, null)
    job = Job(topic, where, frozenset(only), writer, follow=follow, limit=limit)
    job.read_committed = read_committed
    if group is not None:
        if only:
            raise Failure(
                "--group says which partitions are read; leave out --partition.", Exit.USAGE
            )
        member = GroupConsume(job, group, group_instance_id, group_protocol)
        member.run(bootstrap)
    elif group_instance_id is not None:
        raise Failure("--group-instance-id needs --group.", Exit.USAGE)
    else:
        with_cluster(bootstrap, job.run)
    if sys.stderr.isatty():
        note(f"{job.count} records from {topic} in {job.took_ms / 1000:.1f} s")


class Job:
    """Prints what the partitions hold."""

    def __init__(
        self,
        topic: str,
        start: Start,
        only: frozenset[int],
        writer: RecordWriter,
        *,
        follow: bool,
        limit: int | None,
    ) -> None:
        self.count = 0
        self.took_ms = 0
        self.read_committed = False
        self.topic = topic
        self._start = start
        self._only = only
        self._writer = writer
        self.follow = follow
        self.limit = limit

    async def run(self, cluster: Cluster) -> None:
        """Read until the ends, the limit, or an interrupt."""
        clock = cluster.ports.clock
        begun = clock.monotonic_ms()
        names = await self.partitions(cluster)
        starts, ends = await self.range(cluster, names)
        config = FetchConfig(read_committed=self.read_committed)
        total = None if self.follow else sum(ends[name] - starts[name] for name in names)
        async with Fetcher(cluster, config) as fetcher:
            wanted = {n: o for n, o in starts.items() if self.follow or o < ends[n]}
            await fetcher.assign(wanted)
            title, busy = f"from {self.topic}", sys.stdout.isatty()
            with ProgressBar(title, total, clock, as_bytes=False, hidden=busy) as bar:
                await self._loop(fetcher, {} if self.follow else ends, bar)
        self.took_ms = clock.monotonic_ms() - begun

    async def partitions(self, cluster: Cluster) -> list[TopicPartition]:
        """What is read. Raises `Failure` for a partition that there is not."""
        state = await cluster.topic(self.topic)
        missing = sorted(self._only - set(state.partitions))
        if missing:
            raise Failure(
                f"Topic {self.topic} has partitions 0 to {len(state.partitions) - 1}, "
                f"not {missing[0]}.",
                Exit.NOT_FOUND,
            )
        return [(self.topic, index) for index in sorted(self._only or state.partitions)]

    async def range(self, cluster: Cluster, names: list[TopicPartition]) -> tuple[Offsets, Offsets]:
        """Where to begin, and where the partitions end now."""
        committed = self.read_committed
        found = await list_offsets(cluster, dict.fromkeys(names, LATEST), read_committed=committed)
        ends = {name: at.offset for name, at in found.items()}
        if self._start.anchor is Anchor.END:
            return dict(ends), ends
        when = self._time(cluster)
        wanted = EARLIEST if when is None else when
        found = await list_offsets(cluster, dict.fromkeys(names, wanted), read_committed=committed)
        first = {name: at.offset for name, at in found.items()}
        if when is not None:
            # -1: nothing that young.
            return {n: ends[n] if first[n] < 0 else min(first[n], ends[n]) for n in names}, ends
        return {n: self._begin(n, first[n], ends[n]) for n in names}, ends

    def _time(self, cluster: Cluster) -> int | None:
        """The time to begin at, ms since the epoch; None when another anchor holds."""
        if self._start.anchor is Anchor.AGO:
            return max(cluster.ports.clock.wall_ms() - self._start.number, 0)
        return self._start.number if self._start.anchor is Anchor.TIME else None

    def _begin(self, name: TopicPartition, first: int, end: int) -> int:
        anchor, number = self._start
        if anchor is Anchor.LAST:
            return clamp(end - number, first, end)
        if anchor is Anchor.OFFSET:
            if not first <= number <= end:
                note(f"{name[0]}-{name[1]} holds offsets {first} to {end - 1}, not {number}")
            return clamp(number, first, end)
        return first

    async def _loop(self, fetcher: Fetcher, ends: Offsets, bar: ProgressBar) -> None:
        out = sys.stdout.buffer
        while fetcher.positions():
            batch = await fetcher.poll(500)
            if batch is not None:
                text, count = self.cut(batch, ends)
                out.write(text)
                out.flush()
                self.count += count
                bar.advance(count)
                if self.count == self.limit:
                    return
            if ends:
                for name, position in fetcher.positions().items():
                    if position >= ends[name]:
                        fetcher.drop(*name)

    def cut(self, batch: FetchedRecords, ends: Offsets) -> tuple[bytes, int]:
        """The text of the records below the end and within the limit, and how many those are."""
        records = batch.records
        end = ends.get((batch.topic, batch.partition))
        if end is not None and records[-1].offset >= end:
            records = [record for record in records if record.offset < end]
        if self.limit is not None:
            records = records[: self.limit - self.count]
        return self._writer(batch.topic, batch.partition, batch.time_type, records), len(records)
