"""`barnabas produce`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field

import click

from barnabas.cli import stdin
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.formats import BadInput, JsonReader, NewRecord, RawReader, Splitter, unescape
from barnabas.cli.options import bootstrap_option, examples, parse_pairs
from barnabas.cli.output import note
from barnabas.cli.progress import ProgressBar
from barnabas.cli.session import with_cluster
from barnabas.client.batches import Batch
from barnabas.client.cluster import Cluster
from barnabas.client.config import ProducerConfig
from barnabas.client.sender import Sender
from barnabas.ports import Clock
from barnabas.records.compression import Codec
from barnabas.records.record import Headers

_ACKS = {"all": -1, "1": 1, "0": 0}
Reader = Callable[[Iterable[bytes]], Iterator[NewRecord]]


class Escaped(click.ParamType[bytes]):
    """An option whose text may hold escapes such as a tab."""

    name = "text"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        """The bytes that the text stands for."""
        try:
            return unescape(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(slots=True)
class Tally:
    """What became of the records."""

    delivered: int = 0
    failed: int = 0
    error: Exception | None = None
    took_ms: int = 0
    last_offsets: dict[int, int] = field(default_factory=dict)

    def count(self, batch: Batch) -> None:
        """Take in the fate of a batch."""
        if batch.error is not None:
            self.failed += batch.count
            self.error = self.error or batch.error
            return
        self.delivered += batch.count
        if batch.base_offset >= 0:
            last = batch.base_offset + batch.count - 1
            self.last_offsets[batch.partition] = max(
                last, self.last_offsets.get(batch.partition, -1)
            )


@click.command(
    "produce",
    epilog=examples(
        "echo hello | barnabas produce greetings",
        "barnabas produce access < access.log",
        "barnabas produce users --key-separator '\\t' < users.tsv",
        'echo \'{"key":"k","value":{"n":1},"headers":{"trace":"7"}}\' | barnabas produce t -f json',
        "barnabas produce images --whole --key cat < cat.jpg",
        "barnabas produce events -f json --compression zstd --report < events.jsonl",
    ),
)
@click.argument("topic")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["raw", "json"]),
    default="raw",
    show_default=True,
    help="raw: a value per line. json: an object per line with key, value, headers, timestamp, "
    'partition; bytes as {"base64": "..."}.',
)
@click.option("-k", "--key-separator", type=Escaped(), metavar="TEXT", help="raw: KEY TEXT VALUE.")
@click.option("--key", help="raw: the key of every record.")
@click.option("--null", type=Escaped(), metavar="TEXT", help="raw: TEXT stands for null.")
@click.option(
    "-d",
    "--delimiter",
    type=Escaped(),
    default="\\n",
    metavar="TEXT",
    help="raw: what ends a record. Default: \\n. \\0 suits `find -print0`.",
)
@click.option("--whole", is_flag=True, help="raw: all of stdin is one value.")
@click.option("-H", "--header", "headers", multiple=True, metavar="KEY=VALUE", help="Repeatable.")
@click.option("-p", "--partition", type=click.IntRange(0), help="Send everything there.")
@click.option("--acks", type=click.Choice(list(_ACKS)), default="all", show_default=True)
@click.option(
    "-z",
    "--compression",
    type=click.Choice([codec.name.lower() for codec in Codec]),
    default="none",
    show_default=True,
)
@click.option("--level", type=int, help="Compression level; the range depends on the codec.")
@click.option("--batch-size", type=click.IntRange(1), default=262_144, show_default=True)
@click.option("--linger-ms", type=click.IntRange(0), default=5, show_default=True)
@click.option("--report", is_flag=True, help="Print the last offset of each partition at the end.")
@bootstrap_option
def command(
    topic: str,
    form: str,
    key_separator: bytes | None,
    key: str | None,
    null: bytes | None,
    delimiter: bytes,
    whole: bool,
    headers: tuple[str, ...],
    partition: int | None,
    acks: str,
    compression: str,
    level: int | None,
    batch_size: int,
    linger_ms: int,
    report: bool,
    bootstrap: str,
) -> None:
    """Send records from stdin to TOPIC: lines as they are, or JSON.

    Records with a key go to the partition that every Kafka client would choose. A summary is
    printed to stderr. Exit code 0 means that everything was acknowledged.
    """
    raw_only = key_separator is not None or key is not None or null is not None or whole
    if form == "json" and raw_only:
        raise Failure("--key, --key-separator, --null and --whole need --format raw.", Exit.USAGE)
    if not delimiter:
        raise Failure("The delimiter is empty.", Exit.USAGE, "For one value in all, use --whole.")
    if key is not None and key_separator is not None:
        raise Failure("Use either --key or --key-separator.", Exit.USAGE)
    fixed: Headers = tuple((k, v.encode()) for k, v in parse_pairs(headers, "--header").items())
    reader: Reader = JsonReader(fixed) if form == "json" else RawReader(key_separator, null, fixed)
    config = ProducerConfig(
        acks=_ACKS[acks],
        enable_idempotence=_ACKS[acks] == -1,
        batch_size=batch_size,
        linger_ms=linger_ms,
        compression=Codec[compression.upper()],
        compression_level=level,
        max_request_size=max(4 * 1024 * 1024, batch_size),
    )
    job = Job(topic, reader, b"\n" if form == "json" else delimiter, whole, config)
    job.fixed_key = None if key is None else key.encode()
    job.fixed_partition = partition
    try:
        with_cluster(bootstrap, job.run)
    finally:
        _summary(job.tally, topic, report)
    if job.tally.error is not None:
        raise job.tally.error


def _summary(tally: Tally, topic: str, report: bool) -> None:
    seconds = tally.took_ms / 1000
    if tally.delivered or tally.failed:
        lost = f", {tally.failed} not delivered" if tally.failed else ""
        rate = tally.delivered / seconds if seconds > 0 else 0.0
        note(f"{tally.delivered} records to {topic} in {seconds:.1f} s ({rate:,.0f}/s){lost}")
    if report:
        for partition, offset in sorted(tally.last_offsets.items()):
            note(f"partition {partition}: last offset {offset}")


class Job:
    """Sends what stdin says."""

    def __init__(
        self, topic: str, reader: Reader, delimiter: bytes, whole: bool, config: ProducerConfig
    ) -> None:
        self.tally = Tally()
        self.fixed_key: bytes | None = None
        self.fixed_partition: int | None = None
        self._topic = topic
        self._reader = reader
        self._delimiter = delimiter
        self._whole = whole
        self._config = config
        self._partitions = 0

    async def run(self, cluster: Cluster) -> None:
        """Read to the end, or to the first record that can't be sent."""
        clock = cluster.ports.clock
        begun = clock.monotonic_ms()
        try:
            async with Sender(cluster, self._config) as producer:
                producer.on_batch = self.tally.count
                self._partitions = await producer.prepare(self._topic)
                self._check_partition(self.fixed_partition)
                bad = await self._read(producer, clock)
        finally:
            self.tally.took_ms = clock.monotonic_ms() - begun
        if bad is not None:
            raise Failure(f"The input is wrong at {bad}.", Exit.USAGE)

    async def _read(self, producer: Sender, clock: Clock) -> BadInput | None:
        """Send what can be sent; what came before a bad record is delivered all the same."""
        fd = sys.stdin.fileno()
        title, typed = f"to {self._topic}", sys.stdin.isatty()
        with ProgressBar(title, stdin.size(fd), clock, as_bytes=True, hidden=typed) as bar:
            try:
                async for pieces in self._pieces(fd, clock, bar):
                    await self._send(producer, self._reader(pieces))
                    if self.tally.error is not None:
                        break
            except BadInput as error:
                return error
        return None

    async def _pieces(self, fd: int, clock: Clock, bar: ProgressBar) -> AsyncIterator[list[bytes]]:
        if self._whole:
            parts = [part async for part in stdin.chunks(fd, clock)]
            yield [b"".join(parts)]
            return
        splitter = Splitter(self._delimiter)
        async for chunk in stdin.chunks(fd, clock):
            bar.advance(len(chunk))
            yield splitter.feed(chunk)
        yield splitter.end()

    async def _send(self, producer: Sender, records: Iterator[NewRecord]) -> None:
        topic, fixed_key, fixed_partition = self._topic, self.fixed_key, self.fixed_partition
        for key, value, headers, timestamp, partition in records:
            if partition is not None:
                self._check_partition(partition)
            while True:
                taken = producer.try_send(
                    topic,
                    value,
                    key=key if fixed_key is None else fixed_key,
                    partition=fixed_partition if partition is None else partition,
                    timestamp_ms=timestamp,
                    headers=headers,
                )
                if taken is not None:
                    break
                await producer.room()

    def _check_partition(self, partition: int | None) -> None:
        if partition is not None and partition >= self._partitions:
            raise Failure(
                f"Topic {self._topic} has partitions 0 to {self._partitions - 1}, not {partition}.",
                Exit.NOT_FOUND,
            )
