"""`barnabas dlq`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import click

from barnabas.cli.dead_letters import NAMES, Letter, Shelf, parse_filter
from barnabas.cli.exits import Exit, Failure
from barnabas.cli.formats import as_text
from barnabas.cli.options import bootstrap_option, examples, output_option
from barnabas.cli.output import emit, note, table
from barnabas.cli.redrive import Outcome, Plan, by_command, by_hand, redrive
from barnabas.cli.session import with_cluster
from barnabas.client.cluster import Cluster

T = TypeVar("T")
_WIDE = 60


@click.group("dlq")
def command() -> None:
    """Dead letters: records that nobody could work on, with the reason in their headers.

    Those of Barnabas' clients, of Kafka Connect and of Kafka Streams are understood. What was sent
    back is remembered in the group barnabas-dlq.TOPIC, and left out from then on.
    """


_filter_option = click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=TEXT",
    help="Only these; also FIELD!=TEXT and FIELD~REGEX. FIELD: topic, partition, offset, group, "
    "attempts, exception, message, redrives (all of the reason), key, value, header.NAME. "
    "Repeatable: all must hold.",
)
_all_option = click.option("--all", "everything", is_flag=True, help="Also what was sent back.")


def _with_shelf(bootstrap: str, topic: str, work: Callable[[Shelf], Awaitable[T]]) -> T:
    async def body(cluster: Cluster) -> T:
        shelf = Shelf(cluster, topic)
        try:
            return await work(await shelf.open())
        finally:
            shelf.close()

    return with_cluster(bootstrap, body)


@command.command(
    "list",
    epilog=examples(
        "barnabas dlq list",
        "barnabas dlq list orders.dlq",
        "barnabas dlq list orders.dlq --by-reason",
        "barnabas dlq list orders.dlq --filter exception=ValueError --filter 'key~^eu-' -o json",
    ),
)
@click.argument("topic", required=False)
@_filter_option
@_all_option
@click.option("--by-reason", is_flag=True, help="Count them by where they came from, and why.")
@click.option("-n", "--max", "limit", type=click.IntRange(1), help="No more than this many.")
@bootstrap_option
@output_option
def list_(
    topic: str | None,
    filters: tuple[str, ...],
    everything: bool,
    by_reason: bool,
    limit: int | None,
    bootstrap: str,
    output: str,
) -> None:
    """List the dead letters of TOPIC; without it, the topics that are called like one (orders.dlq,
    orders-dead-letters, ...)."""
    if topic is None:
        _list_topics(bootstrap, output)
        return
    wanted = [parse_filter(each) for each in filters]

    async def work(shelf: Shelf) -> list[Letter]:
        found: list[Letter] = []
        async for letter in shelf.letters(wanted, with_sent=everything):
            found.append(letter)
            if len(found) == limit:
                break
        return found

    found = _with_shelf(bootstrap, topic, work)
    if by_reason:
        _count(found, output)
        return
    if output != "table":
        emit([letter.as_json() for letter in found], output)
        return
    columns = ["PARTITION", "OFFSET", "FROM", "KEY", "ATTEMPTS", "EXCEPTION", "MESSAGE"]
    rows = [
        (
            letter.partition,
            letter.record.offset,
            _origin(letter),
            _short(letter.field("key")),
            letter.reason.attempts,
            letter.reason.exception,
            _short(letter.reason.message),
        )
        for letter in found
    ]
    table(columns, rows, right=["PARTITION", "OFFSET", "ATTEMPTS"])


def _list_topics(bootstrap: str, output: str) -> None:
    async def body(cluster: Cluster) -> list[tuple[str, int]]:
        answer = await cluster.refresh(None)
        names = sorted(each.name for each in answer.topics if each.name is not None)
        found = []
        for name in names:
            if NAMES.fullmatch(name):
                shelf = await Shelf(cluster, name).open()
                shelf.close()
                found.append((name, shelf.count))
        return found

    found = with_cluster(bootstrap, body)
    if output != "table":
        emit([{"topic": name, "records": count} for name, count in found], output)
        return
    table(["TOPIC", "RECORDS"], found, right=["RECORDS"])


def _count(letters: list[Letter], output: str) -> None:
    counts = Counter(
        (letter.reason.topic, letter.reason.group, letter.reason.exception) for letter in letters
    )
    if output != "table":
        names = ("topic", "group", "exception")
        emit(
            [{**dict(zip(names, key, strict=True)), "count": n} for key, n in counts.items()],
            output,
        )
        return
    rows = [(*key, n) for key, n in counts.most_common()]
    table(["FROM", "GROUP", "EXCEPTION", "COUNT"], rows, right=["COUNT"])


@command.command(
    "show",
    epilog=examples(
        "barnabas dlq show orders.dlq 0:42", "barnabas dlq show orders.dlq 0:42 -o json"
    ),
)
@click.argument("topic")
@click.argument("place", metavar="PARTITION:OFFSET")
@bootstrap_option
@output_option
def show(topic: str, place: str, bootstrap: str, output: str) -> None:
    """Show one dead letter: where it came from, the reason with the stack trace, the record."""
    partition, colon, offset = place.partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal()):
        raise Failure(f"{place!r} is not PARTITION:OFFSET.", Exit.USAGE)

    async def work(shelf: Shelf) -> Letter | None:
        async for letter in shelf.letters((), with_sent=True):
            if (letter.partition, letter.record.offset) == (int(partition), int(offset)):
                return letter
        return None

    letter = _with_shelf(bootstrap, topic, work)
    if letter is None:
        raise Failure(
            f"{topic} has nothing at {place}.",
            Exit.NOT_FOUND,
            f"See what there is with: barnabas dlq list {topic}",
        )
    if output != "table":
        emit(letter.as_json(), output)
        return
    _show(letter)


def _show(letter: Letter) -> None:
    reason, record = letter.reason, letter.record
    told = {
        "from": _origin(letter),
        "written": None if reason.timestamp is None else _moment(reason.timestamp),
        "buried": _moment(record.timestamp),
        "group": reason.group,
        "attempts": reason.attempts,
        "redrives": reason.redrives,
        "exception": reason.exception,
        "message": reason.message,
        "key": as_text(record.key),
        "value": as_text(record.value),
    }
    for name, value in told.items():
        click.echo(f"{name:<10} {'-' if value in (None, '') else value}")
    for name, content in record.headers:
        if not name.endswith("exception.stacktrace"):
            click.echo(f"header     {name}: {as_text(content)}")
    if reason.stacktrace:
        click.echo("\n" + reason.stacktrace.rstrip())


@command.command(
    "redrive",
    epilog=examples(
        "barnabas dlq redrive orders.dlq",
        "barnabas dlq redrive orders.dlq --execute",
        "barnabas dlq redrive orders.dlq -f exception=TimeoutError --rate 50 --execute",
        "barnabas dlq redrive orders.dlq -f offset=42 --edit --execute",
        "barnabas dlq redrive orders.dlq --edit-with 'jq -c .currency=\\\"EUR\\\"' --execute",
    ),
)
@click.argument("topic")
@_filter_option
@click.option("--to", metavar="TOPIC", help="Send them there. Default: where each came from.")
@click.option("--edit", is_flag=True, help="Edit each value in $EDITOR.")
@click.option("--edit-with", metavar="COMMAND", help="Edit each value: stdin to stdout of a shell.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Records per second at most.")
@click.option("-n", "--max", "limit", type=click.IntRange(1), help="No more than this many.")
@click.option("--execute", is_flag=True, help="Do it. Without it: only say what would be done.")
@_all_option
@bootstrap_option
@output_option
def redrive_(
    topic: str,
    filters: tuple[str, ...],
    to: str | None,
    edit: bool,
    edit_with: str | None,
    rate: float | None,
    limit: int | None,
    execute: bool,
    everything: bool,
    bootstrap: str,
    output: str,
) -> None:
    """Send dead letters of TOPIC back to where they came from; says what it would do first.

    Key, value and the record's own headers stay; the reason goes, and a header counts how often the
    record was sent back. Letters stay in TOPIC until its retention; what was sent back is left out
    the next time (--all: not). Exit code 1 when some do not tell where they came from.
    """
    if edit and edit_with is not None:
        raise Failure("Use one of --edit and --edit-with.", Exit.USAGE)
    editor = by_hand if edit else None if edit_with is None else by_command(edit_with)
    plan = Plan(
        [parse_filter(each) for each in filters], to, editor, rate, limit, everything, execute
    )

    async def body(cluster: Cluster) -> Outcome:
        shelf = await Shelf(cluster, topic).open()
        try:
            return await redrive(cluster, shelf, plan)
        finally:
            shelf.close()

    outcome = with_cluster(bootstrap, body)
    _tell(outcome, execute, output)
    if outcome.homeless:
        raise Failure(
            f"{outcome.homeless} do not tell where they came from.", hint="Name a topic with --to."
        )


def _tell(outcome: Outcome, execute: bool, output: str) -> None:
    if output != "table":
        facts = {"executed": execute, "sent": outcome.sent, "edited": outcome.edited}
        emit({**facts, "records": [move.as_json() for move in outcome.moves]}, output)
        return
    if not execute:
        rows = [
            (
                move.letter.partition,
                move.letter.record.offset,
                move.to or "-",
                _short(move.letter.field("key")),
                move.letter.reason.exception,
            )
            for move in outcome.moves
        ]
        columns = ["PARTITION", "OFFSET", "TO", "KEY", "EXCEPTION"]
        table(columns, rows, right=["PARTITION", "OFFSET"])
        count = len(outcome.moves) - outcome.homeless
        note(f"{count} records would be sent. Do it with --execute.")
        return
    note(f"{outcome.sent} records were sent, {outcome.edited} of them edited.")


def _origin(letter: Letter) -> str:
    reason = letter.reason
    if reason.topic is None:
        return "-"
    return f"{reason.topic}-{reason.partition} at {reason.offset}"


def _short(text: str | None) -> str | None:
    if text is None:
        return None
    line = " ".join(text.split())
    return line if len(line) <= _WIDE else line[: _WIDE - 1] + "…"


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
