"""`barnabas groups`."""

from __future__ import annotations

from collections.abc import Iterable

import click

from barnabas.cli.exits import Exit, Failure
from barnabas.cli.options import bootstrap_option, examples, output_option
from barnabas.cli.output import emit, note, table
from barnabas.cli.resets import Change, Reset, parse_reset, read_file, targets
from barnabas.cli.session import with_cluster
from barnabas.client.cluster import Cluster
from barnabas.client.fetch_core import TopicPartition
from barnabas.client.groups import (
    GroupDescription,
    GroupMember,
    commit_offsets,
    committed_offsets,
    delete_group,
    describe_group,
    list_groups,
)
from barnabas.client.offsets import EARLIEST, LATEST, list_offsets
from barnabas.wire.errors import ErrorCode, KafkaError


@click.group("groups")
def command() -> None:
    """Consumer groups: who is in them, how far they have come, and where they go on."""


@command.command("list", epilog=examples("barnabas groups list", "barnabas groups list -o json"))
@bootstrap_option
@output_option
def list_(bootstrap: str, output: str) -> None:
    """List groups."""
    found = with_cluster(bootstrap, list_groups)
    if output != "table":
        emit(
            [
                {"group": g.group_id, "state": g.state, "type": g.kind, "protocol": g.protocol_type}
                for g in found
            ],
            output,
        )
        return
    rows = [(g.group_id, g.state, g.kind, g.protocol_type) for g in found]
    table(["GROUP", "STATE", "TYPE", "PROTOCOL"], rows)


@command.command("describe", epilog=examples("barnabas groups describe billing"))
@click.argument("group")
@bootstrap_option
@output_option
def describe(group: str, bootstrap: str, output: str) -> None:
    """Show a group: its type and state, coordinator, assignor, and how many members it has.

    A consumer group (group.protocol=consumer) has an epoch, and one as of which its partitions are
    assigned.
    """
    found = with_cluster(bootstrap, lambda cluster: describe_group(cluster, group))
    facts: dict[str, object] = {
        "group": found.group_id,
        "state": found.state,
        "type": found.kind,
        "protocol": found.protocol_type,
        "assignor": found.protocol,
        "coordinator": found.coordinator,
        "members": len(found.members),
    }
    if found.epoch is not None:
        facts |= {"epoch": found.epoch, "assigned": found.assignment_epoch}
    if output != "table":
        emit(facts, output)
        return
    for name, value in facts.items():
        click.echo(f"{name:<12} {value}")


@command.command("members", epilog=examples("barnabas groups members billing"))
@click.argument("group")
@bootstrap_option
@output_option
def members(group: str, bootstrap: str, output: str) -> None:
    """Show the members of a group and what each of them reads.

    In a consumer group each has an epoch, and a target: what it is to read in the end.
    """
    found = with_cluster(bootstrap, lambda cluster: describe_group(cluster, group))
    if output != "table":
        emit(
            [
                {
                    "member": m.member_id,
                    "instance": m.instance_id,
                    "client": m.client_id,
                    "host": m.host,
                    "partitions": [f"{topic}-{number}" for topic, number in m.partitions],
                    **_progress(m),
                }
                for m in found.members
            ],
            output,
        )
        return
    if found.epoch is not None:
        table(
            ["MEMBER", "INSTANCE", "CLIENT", "HOST", "PROTOCOL", "EPOCH", "PARTITIONS", "TARGET"],
            [
                (
                    *(m.member_id, m.instance_id, m.client_id, m.host, m.protocol, m.epoch),
                    _spans(m.partitions),
                    _spans(m.target or ()),
                )
                for m in found.members
            ],
        )
        return
    rows = [
        (m.member_id, m.instance_id, m.client_id, m.host, _spans(m.partitions))
        for m in found.members
    ]
    table(["MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS"], rows)


def _progress(member: GroupMember) -> dict[str, object]:
    """What only members of consumer groups have."""
    if member.target is None:
        return {}
    target = [f"{topic}-{number}" for topic, number in member.target]
    return {"protocol": member.protocol, "epoch": member.epoch, "target": target}


def _spans(partitions: Iterable[TopicPartition]) -> str:
    """Partitions by topic: `orders 0,1,2; users 4`."""
    topics: dict[str, list[str]] = {}
    for topic, number in partitions:
        topics.setdefault(topic, []).append(str(number))
    return "; ".join(f"{topic} {','.join(numbers)}" for topic, numbers in topics.items())


@command.command(
    "lag", epilog=examples("barnabas groups lag billing", "barnabas groups lag g -o json")
)
@click.argument("group")
@bootstrap_option
@output_option
def lag(group: str, bootstrap: str, output: str) -> None:
    """Show how far a group has come in each partition, and what is left to read."""

    async def look(
        cluster: Cluster,
    ) -> tuple[GroupDescription | None, dict[TopicPartition, int], dict[TopicPartition, int]]:
        committed = await committed_offsets(cluster, group)
        try:
            found = await describe_group(cluster, group)
        except KafkaError as error:
            if error.code is not ErrorCode.GROUP_ID_NOT_FOUND or not committed:
                raise
            found = None
        owned = [] if found is None else [p for m in found.members for p in m.partitions]
        wanted = sorted({*committed, *owned})
        ends = await list_offsets(cluster, dict.fromkeys(wanted, LATEST))
        return found, committed, {name: at.offset for name, at in ends.items()}

    found, committed, ends = with_cluster(bootstrap, look)
    owners = {p: m for m in (found.members if found else ()) for p in m.partitions}
    rows = []
    for name, end in ends.items():
        offset = committed.get(name)
        owner = owners.get(name)
        left = None if offset is None else max(0, end - offset)
        rows.append((*name, offset, end, left, None if owner is None else owner.member_id))
    if output != "table":
        keys = ("topic", "partition", "offset", "end", "lag", "member")
        emit([dict(zip(keys, row, strict=True)) for row in rows], output)
        return
    columns = ["TOPIC", "PARTITION", "OFFSET", "END", "LAG", "MEMBER"]
    table(columns, rows, right=columns[1:5])
    note(f"{sum(row[4] or 0 for row in rows)} records behind")


@command.command(
    "reset-offsets",
    epilog=examples(
        "barnabas groups reset-offsets billing --to beginning",
        "barnabas groups reset-offsets billing --to -1h --topic orders --execute",
        "barnabas groups reset-offsets billing --to 2026-01-31T12:00:00Z",
        "barnabas groups reset-offsets billing --shift -100 --topic orders:0,1",
        "barnabas groups reset-offsets billing --file offsets.csv --execute",
    ),
)
@click.argument("group")
@click.option(
    "--to", metavar="PLACE", help="As --from of consume: beginning, end, 42, -10, -1h, a time."
)
@click.option("--shift", type=int, metavar="N", help="Forward by N records, back when negative.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False),
    help="Lines of topic,partition,offset.",
)
@click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="TOPIC[:0,1,...]",
    help="Only these. Default: all that the group has committed. Repeatable.",
)
@click.option("--execute", is_flag=True, help="Do it. Without it the changes are only shown.")
@bootstrap_option
@output_option
def reset_offsets(
    group: str,
    to: str | None,
    shift: int | None,
    file: str | None,
    topics: tuple[str, ...],
    execute: bool,
    bootstrap: str,
    output: str,
) -> None:
    """Set where a group goes on. Its members have to be stopped.

    Without --execute nothing happens but a table of what would change.
    """
    reset = parse_reset(to, shift, None if file is None else read_file(file))
    changes = with_cluster(
        bootstrap, lambda cluster: _reset(cluster, group, reset, topics, execute)
    )
    if output != "table":
        emit([change._asdict() for change in changes], output)
    else:
        columns = ["TOPIC", "PARTITION", "OFFSET", "NEW OFFSET"]
        rows = [(c.topic, c.partition, c.offset, c.new_offset) for c in changes]
        table(columns, rows, right=columns[1:])
    if not execute:
        note("Nothing is changed yet. Add --execute to do it.")


async def _reset(
    cluster: Cluster, group: str, reset: Reset, topics: tuple[str, ...], execute: bool
) -> list[Change]:
    committed = await committed_offsets(cluster, group)
    wanted = await _wanted(cluster, reset, topics, committed)
    if not wanted:
        raise Failure(
            f"The group {group!r} has committed nothing.",
            Exit.NOT_FOUND,
            "Name topics with --topic.",
        )
    starts = await list_offsets(cluster, dict.fromkeys(wanted, EARLIEST))
    ends = await list_offsets(cluster, dict.fromkeys(wanted, LATEST))
    now_ms = cluster.ports.clock.wall_ms()
    times = reset.times(wanted, now_ms)
    found = await list_offsets(cluster, times) if times else {}
    changes = targets(
        reset,
        committed,
        {name: at.offset for name, at in starts.items()},
        {name: at.offset for name, at in ends.items()},
        {name: at.offset for name, at in found.items()},
    )
    if execute:
        offsets = {(c.topic, c.partition): c.new_offset for c in changes}
        try:
            await commit_offsets(cluster, group, offsets)
        except KafkaError as error:
            if error.code is not ErrorCode.UNKNOWN_MEMBER_ID:
                raise
            raise Failure(
                f"The group {group!r} has members: stop them first.",
                Exit.FAILED,
                f"See who they are with: barnabas groups members {group}",
            ) from None
    return changes


async def _wanted(
    cluster: Cluster,
    reset: Reset,
    topics: tuple[str, ...],
    committed: dict[TopicPartition, int],
) -> list[TopicPartition]:
    if reset.offsets is not None:
        return sorted(reset.offsets)
    if not topics:
        return sorted(committed)
    wanted: list[TopicPartition] = []
    for text in topics:
        name, colon, numbers = text.partition(":")
        if colon and all(number.isdigit() for number in numbers.split(",")):
            wanted += [(name, int(number)) for number in numbers.split(",")]
        elif colon:
            raise Failure(f"{text!r} names no partitions.", Exit.USAGE, "Use TOPIC:0,1,2.")
        else:
            state = await cluster.topic(name)
            wanted += [(name, number) for number in sorted(state.partitions)]
    return wanted


@command.command("delete", epilog=examples("barnabas groups delete billing"))
@click.argument("groups", nargs=-1, required=True, metavar="GROUP...")
@bootstrap_option
def delete(groups: tuple[str, ...], bootstrap: str) -> None:
    """Delete groups without members, with all that they have committed."""

    async def work(cluster: Cluster) -> None:
        for group in groups:
            await delete_group(cluster, group)
            note(f"Deleted {group}.")

    with_cluster(bootstrap, work)
