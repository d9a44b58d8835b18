"""`barnabas bench`."""

from __future__ import annotations

import click

from barnabas.cli.bench import Production, Result, consume, round_trips
from barnabas.cli.exits import Failure
from barnabas.cli.options import bootstrap_option, examples, output_option
from barnabas.cli.output import emit, table
from barnabas.cli.session import with_cluster
from barnabas.client.config import ProducerConfig
from barnabas.records.compression import Codec

_ACKS = {"all": -1, "1": 1, "0": 0}
_RECORD_MAX = 64 * 1024 * 1024


@click.group("bench")
def command() -> None:
    """Measure a cluster with this command line's own client.

    The client is Python and takes a core of its own: what it reaches is a lower bound of what the
    cluster can do. Latencies are from buckets: a percentile is off by 9 % at most.
    """


_size = click.option(
    "--size",
    type=click.IntRange(1, _RECORD_MAX),
    default=100,
    show_default=True,
    help="Bytes each.",
)


@command.command(
    epilog=examples(
        "barnabas bench produce load --records 1000000",
        "barnabas bench produce load --size 1000 --rate 5000 --acks 1 -o json",
        "barnabas bench produce load --compression zstd --batch-size 65536 --linger-ms 20",
    )
)
@click.argument("topic")
@click.option("--records", type=click.IntRange(1), default=100_000, show_default=True)
@_size
@click.option("--rate", type=click.IntRange(0), default=0, help="Records a second. 0: unbounded.")
@click.option("--acks", type=click.Choice(list(_ACKS)), default="all", show_default=True)
@click.option(
    "-z",
    "--compression",
    type=click.Choice([codec.name.lower() for codec in Codec]),
    default="none",
    show_default=True,
)
@click.option("--batch-size", type=click.IntRange(1), default=262_144, show_default=True)
@click.option("--linger-ms", type=click.IntRange(0), default=5, show_default=True)
@bootstrap_option
@output_option
def produce(
    topic: str,
    records: int,
    size: int,
    rate: int,
    acks: str,
    compression: str,
    batch_size: int,
    linger_ms: int,
    bootstrap: str,
    output: str,
) -> None:
    """Send random records to TOPIC; print throughput and latencies of acknowledgement."""
    config = ProducerConfig(
        acks=_ACKS[acks],
        enable_idempotence=_ACKS[acks] == -1,
        batch_size=batch_size,
        linger_ms=linger_ms,
        compression=Codec[compression.upper()],
        max_request_size=max(4 * 1024 * 1024, batch_size, 2 * size),
    )
    job = Production(topic, records, size, rate, config)
    result = with_cluster(bootstrap, job.run)
    _print(result, output)
    if result.failed:
        raise Failure(f"{result.failed} records were not delivered.")


@command.command("consume", epilog=examples("barnabas bench consume load", "-o json"))
@click.argument("topic")
@click.option("--records", type=click.IntRange(1), help="Stop after about so many.")
@bootstrap_option
@output_option
def consume_command(topic: str, records: int | None, bootstrap: str, output: str) -> None:
    """Read TOPIC from its beginning to where it ends now; print the throughput."""
    _print(with_cluster(bootstrap, lambda cluster: consume(cluster, topic, records)), output)


@command.command(epilog=examples("barnabas bench latency probe --records 1000"))
@click.argument("topic")
@click.option("--records", type=click.IntRange(1), default=1000, show_default=True)
@_size
@bootstrap_option
@output_option
def latency(topic: str, records: int, size: int, bootstrap: str, output: str) -> None:
    """Send a record to partition 0 of TOPIC, wait until a consumer has it, send the next."""
    _print(with_cluster(bootstrap, lambda c: round_trips(c, topic, records, size)), output)


def _print(result: Result, output: str) -> None:
    plain = result.plain()
    if output != "table":
        emit(plain, output)
        return
    table(
        ["", "VALUE"],
        [(name.replace("_", " "), f"{value:,}") for name, value in plain.items()],
        right=["VALUE"],
    )
